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

export const WEBHOOK_FORMATS = ['json', 'slack', 'teams'] as const;
/** How a webhook writes its deliveries: as the data of the event, or as a message for a chat. */
export type WebhookFormat = (typeof WEBHOOK_FORMATS)[number];

/** The least length of a path, in characters, whose last four are shown. */
const SHOWN_OF_AT_LEAST = 20;

/**
 * A URL as others may see it: `https://hooks.slack.com/…aB3d`. Whoever knows the URL of a chat's webhook can post in the chat.
 */
export function maskedUrl(url: string): string {
  const { origin } = new URL(url);
  const rest = url.slice(url.indexOf('//') + 2);
  const path = rest.includes('/') ? rest.slice(rest.indexOf('/')) : '';
  const [last = ''] = path.length < SHOWN_OF_AT_LEAST ? [] : (/[\w-]{4}$/.exec(path) ?? []);
  return `${origin}/…${last}`;
}

/** Whether a URL is one as {@link maskedUrl} shows it. */
export function isMasked(url: string): boolean {
  return /^https?:\/\/[^/]+\/(?:…|%e2%80%a6)[\w-]{0,4}$/i.test(url);
}

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

/** The longest wait that a receiver can ask for, in milliseconds. */
const MOST_ASKED = 24 * HOUR;

/**
 * The wait that a receiver asks for in `Retry-After` (RFC 9110, 10.2.3), in milliseconds, from 1 second to a day.
 * @returns null if it asks for none, or not in a form that the RFC knows
 */
export function waitAskedFor(header: string | undefined, now: Date): number | null {
  if (header === undefined) return null;
  const wait = /^\d{1,9}$/.test(header)
    ? Number(header) * SECOND
    : /^[A-Z][a-z]{2}, /.test(header)
      ? Date.parse(header) - now.getTime()
      : Number.NaN;
  return Number.isNaN(wait) ? null : Math.min(MOST_ASKED, Math.max(SECOND, wait));
}

/** Whether a webhook has had failures only for too long. */
export function isGivenUp(failingSince: Date, now: Date): boolean {
  return now.getTime() - failingSince.getTime() >= GIVEN_UP_AFTER;
}
