import type { Fractions } from './linked-points.ts';

/** The parts of a problem (RFC 9457) that the page shows. */
type Problem = { title: string; detail: string; errors?: { pointer: string; detail: string }[] };

/** A revision to publish. It has one Idempotency-Key, so that a retry makes no second version. */
export type Draft = {
  slug: string;
  etag: string;
  idempotencyKey: string;
  key: string;
  body: {
    probabilities: Fractions;
    reaffirm: boolean;
    rationale: string;
    evidence: string[];
    acknowledges: { condition: string; reason: string }[];
  };
};

/**
 * The version that was published, or the proposal that waits for approval, or why there is neither; `isUnknown` if the service
 * may have published it.
 */
export type PublishResult =
  { version: number } | { proposal: string } | (Refusal & { isUnknown: boolean });
export type Refusal = { sentence: string; errors: { pointer: string; detail: string }[] };

/** Publishes a draft. Never throws: a request without a response is a result, too. */
export async function publish({
  slug,
  etag,
  idempotencyKey,
  key,
  body,
}: Draft): Promise<PublishResult> {
  try {
    const response = await fetch(`/v1/outlooks/${slug}/revisions`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'if-match': etag,
        'idempotency-key': idempotencyKey,
      },
      body: JSON.stringify(body),
    });
    const content = (await response.json()) as Problem & { version: number; id: string };
    // The desk publishes revisions only with approval.
    if (response.status === 202) return { proposal: content.id };
    if (response.ok) return { version: content.version };
    const sentence = `${content.title}: ${content.detail}`;
    return { sentence, errors: content.errors ?? [], isUnknown: response.status >= 500 };
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
