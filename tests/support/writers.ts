import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';

/** The current address of the service, and the key to write with. */
export type Target = { origin: string; key: string };

/** Publishes the sample, without conditions, under a slug. */
export async function publish({ origin, key }: Target, slug: string): Promise<void> {
  const response = await fetch(`${origin}/v1/outlooks`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...SAMPLE_OUTLOOK, slug, invalidationConditions: [] }),
  });
  if (response.status !== 201) throw new Error(`${slug}: ${await response.text()}`);
}

/** A revision that was acknowledged; its rationale is its idempotency key. */
export type Acknowledged = {
  slug: string;
  version: number;
  id: string;
  hash: string;
  /** What was sent. */
  body: string;
  /** When the response came, by `performance.now()`. */
  at: number;
};

export type Written = { acknowledged: Acknowledged[]; retries: number; refused: number };

/** Sends a revision, and says how that ended: with a status, or with no answer at all. */
export async function attempt(
  { origin, key }: Target,
  slug: string,
  id: string,
  body: string,
): Promise<{ status: number; text: string } | null> {
  try {
    const response = await fetch(`${origin}/v1/outlooks/${slug}/revisions`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'idempotency-key': `"${id}"`,
      },
      body,
      signal: AbortSignal.timeout(15_000),
    });
    return { status: response.status, text: await response.text() };
  } catch {
    return null;
  }
}

/**
 * Revises outlooks one after the other until it is told to stop. What is not answered is sent again under the same
 * idempotency key until it is.
 */
export async function keepWriting(
  target: Target,
  slugs: readonly string[],
  isOver: () => boolean,
): Promise<Written> {
  const written: Written = { acknowledged: [], retries: 0, refused: 0 };
  while (!isOver()) {
    const slug = slugs[randomInt(slugs.length)] ?? '';
    const id = randomUUID();
    const bear = randomInt(0, 5_000);
    const base = randomInt(0, 5_000);
    const probabilities = {
      bear: bear / 10_000,
      base: base / 10_000,
      bull: (10_000 - bear - base) / 10_000,
    };
    const body = JSON.stringify({ probabilities, rationale: id });
    for (;;) {
      const answer = await attempt(target, slug, id, body);
      if (answer?.status === 201) {
        const { version, hash } = JSON.parse(answer.text) as { version: number; hash: string };
        written.acknowledged.push({ slug, version, id, hash, body, at: performance.now() });
        break;
      }
      if (answer?.status === 422) {
        written.refused += 1;
        break;
      }
      if (answer && ![409, 429, 503].includes(answer.status)) {
        throw new Error(`a revision was answered ${answer.status}: ${answer.text}`);
      }
      written.retries += 1;
      await delay(50 + randomInt(100));
    }
  }
  return written;
}

/** All versions of an outlook, newest first. */
export async function versionsOf(
  { origin }: Target,
  slug: string,
): Promise<{ version: number; rationale: string }[]> {
  const versions: { version: number; rationale: string }[] = [];
  let cursor = '';
  for (;;) {
    const response = await fetch(`${origin}/v1/outlooks/${slug}/versions?limit=100${cursor}`);
    const page = (await response.json()) as {
      items: { version: number; rationale: string }[];
      nextCursor: string | null;
    };
    versions.push(...page.items);
    if (page.nextCursor === null) return versions;
    cursor = `&cursor=${page.nextCursor}`;
  }
}
