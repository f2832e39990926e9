import { createHmac } from 'node:crypto';

/** Random bytes of a signing secret; the specification requires 24–64. */
export const SECRET_BYTES = 32;

/** How long both secrets sign after a rotation, in milliseconds. */
export const ROTATION_TIME = 24 * 3_600_000;

/** A webhook is disabled after this long with failures only, in milliseconds. */
const GIVEN_UP_AFTER = 5 * 24 * 3_600_000;

export const DISABLED_REASONS = ['asked', 'gone', 'failing', 'restored'] as const;
/**
 * Why a webhook is disabled: an admin did it, the receiver answered 410, all attempts failed for days, or the
 * ledger was restored from a backup.
 */
export type DisabledReason = (typeof DISABLED_REASONS)[number];

/** A secret in the form that receivers use. */
export function secretText(secret: Buffer): string {
  return `whsec_${secret.toString('base64')}`;
}

/**
 * The value of `webhook-signature`: one signature for each secret that is in force.
 *
 * Signed here because the published package does SHA-256 in JavaScript, on the thread that answers requests; receivers
 * in the tests verify with it.
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function signaturesOf(
  secrets: readonly Buffer[],
  message: { id: string; timestamp: number; body: string },
): string {
  const signed = `${message.id}.${message.timestamp}.${message.body}`;
  return secrets
    .map((secret) => `v1,${createHmac('sha256', secret).update(signed).digest('base64')}`)
    .join(' ');
}

const [SECOND, MINUTE, HOUR] = [1_000, 60_000, 3_600_000];
/** The waits between attempts, as the specification proposes; the last one repeats. */
const WAITS = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
] as const;
/** The random extra wait, as a fraction, so that attempts that failed together do not repeat together. */
const JITTER = 0.1;

/**
 * How long to wait after a failed attempt, in milliseconds.
 * @param attempts the number of attempts so far, from 1
 * @param chance a random number in 0–1
 */
export function retryAfter(attempts: number, chance: number): number {
  const wait = WAITS[Math.min(attempts, WAITS.length) - 1] ?? WAITS[0];
  return Math.round(wait * (1 + JITTER * chance));
}

/** Whether a webhook has had failures only for too long. */
export function isGivenUp(failingSince: Date, now: Date): boolean {
  return now.getTime() - failingSince.getTime() >= GIVEN_UP_AFTER;
}
