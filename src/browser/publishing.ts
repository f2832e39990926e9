import type { Points } from './linked-points.ts';

/** The parts of a problem (RFC 9457) that the page shows. */
type Problem = { title: string; detail: string; errors?: { pointer: string; detail: string }[] };

/** A revision to publish. It has one Idempotency-Key, so that a retry makes no second version. */
export type Draft = {
  slug: string;
  etag: string;
  idempotencyKey: string;
  key: string;
  body: {
    probabilities: Points;
    rationale: string;
    evidence: string[];
    acknowledges: { condition: string; reason: string }[];
  };
};

/** The result of sending a draft: a version, a refusal, or unknown. */
export type Answer = { version: number } | (Refusal & { isUnknown: boolean });
export type Refusal = { sentence: string; errors: { pointer: string; detail: string }[] };

/** Sends a draft. */
export async function send({ slug, etag, idempotencyKey, key, body }: Draft): Promise<Answer> {
  try {
    const answer = await fetch(`/v1/outlooks/${slug}/revisions`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'if-match': etag,
        'idempotency-key': idempotencyKey,
      },
      body: JSON.stringify(body),
    });
    const told = (await answer.json()) as Problem & { version: number };
    if (answer.ok) return { version: told.version };
    const sentence = `${told.title}: ${told.detail}`;
    return { sentence, errors: told.errors ?? [], isUnknown: answer.status >= 500 };
  } catch {
    const sentence = 'There was no response. Publish again: the revision is stored only once.';
    return { sentence, errors: [], isUnknown: true };
  }
}

// crypto.randomUUID only exists on pages loaded over TLS or from localhost.
export function randomKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
}
