import { randomKey, type Refusal } from './publishing.ts';

/** The parts of an item of the inbox that the page shows. */
export type Item = {
  kind: string;
  desk: { slug: string; name: string };
  outlook: string | null;
  series: string | null;
  proposal: string | null;
  title: string;
  detail: string | null;
  since: string;
};
export type Inbox = { items: Item[]; nextCursor: string | null; counts: Record<string, number> };

type Analyst = { id: string; name: string };

/** The parts of a proposal that the page shows. */
export type Proposal = {
  id: string;
  kind: string;
  desk: { slug: string; name: string };
  outlook: string | null;
  title: string;
  state: string;
  draft: number;
  author: Analyst;
  body: Record<string, unknown>;
  note: string | null;
  publishAt: string | null;
  baseVersion: number | null;
  approvals: { needed: number; given: Analyst[]; possible: number };
  steps: {
    kind: string;
    draft: number;
    by: Analyst | null;
    text: string | null;
    recordedAt: string;
  }[];
};

/** What the service answered, or why it did not do what was asked. */
export type Result<Content> = { content: Content } | Refusal;

type Problem = { title: string; detail: string; errors?: Refusal['errors'] };

/**
 * Asks the API with a key. Never throws: a request without a response is a result, too.
 * @param body of a POST; a GET has none
 */
export async function ask<Content>(
  key: string,
  path: string,
  body?: object,
): Promise<Result<Content>> {
  try {
    const response = await fetch(path, {
      headers: {
        authorization: `Bearer ${key}`,
        accept: 'application/json',
        ...(body && { 'content-type': 'application/json', 'idempotency-key': randomKey() }),
      },
      cache: 'no-store',
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
    });
    const content = (await response.json()) as Content & Problem;
    if (response.ok) return { content };
    return { sentence: `${content.title}: ${content.detail}`, errors: content.errors ?? [] };
  } catch {
    return {
      sentence: 'There was no response. Read the inbox again before you repeat it.',
      errors: [],
    };
  }
}

/** The wait before a broken stream is opened again, in milliseconds; up to as much is added at random. */
const RETRY_AFTER = 3_000;

/**
 * Calls back at each event of the inbox until it is stopped. Not an EventSource, which can't send a key.
 * @param signal stops it
 */
export async function followInbox(
  key: string,
  onEvent: () => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await followOnce(key, onEvent, signal).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER * (1 + Math.random())));
    if (!signal.aborted) onEvent(); // for what happened in between
  }
}

async function followOnce(key: string, onEvent: () => void, signal: AbortSignal): Promise<void> {
  const headers = { authorization: `Bearer ${key}` };
  const { body, ok } = await fetch('/v1/inbox/events', { headers, signal, cache: 'no-store' });
  if (!ok || !body) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ''; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split('\n');
    rest = lines.pop() ?? '';
    if (lines.some((line) => line.startsWith('event: proposal.'))) onEvent();
  }
}
