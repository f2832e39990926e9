import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { UnavailableError } from './errors.ts';
import { printMessage } from './output.ts';

/** Pauses between the attempts at a write, in milliseconds. */
const RETRY_DELAYS = [250, 500, 1_000, 2_000, 4_000];
/** A longer `Retry-After` is cut down to this, in milliseconds. */
const MAX_RETRY_AFTER = 15_000;
/** In milliseconds. */
const ATTEMPT_TIMEOUT = 60_000;

const RETRYABLE_STATUSES = new Set([429, 502, 503, 504]);

/**
 * A `fetch` for the client that repeats writes. Each write has an `Idempotency-Key`, so the service carries it out
 * once. Libraries for retries don't know which responses of this service are temporary.
 * @param init with the signal that ends a stream
 * @throws UnavailableError where no response came
 */
export async function fetchWithRetries(
  request: Request,
  init?: { signal: AbortSignal },
): Promise<Response> {
  if (init) return fetchOnce(request, init.signal);
  if (request.method === 'GET') return attempt(request);
  request.headers.set('Idempotency-Key', `"${randomUUID()}"`);
  for (const wait of RETRY_DELAYS) {
    const result = await attempt(request.clone()).catch((error: unknown) => error as Error);
    if (result instanceof Response && !isTemporary(result)) return result;
    const asked = result instanceof Response ? Number(result.headers.get('retry-after')) : 0;
    const pause = Math.min(MAX_RETRY_AFTER, Math.max(wait, asked * 1_000 || 0));
    printMessage(`The service is unavailable or busy. Trying again in ${pause / 1_000} s.`);
    await delay(pause);
  }
  return attempt(request);
}

/** A 409 has a `Retry-After` while an earlier attempt is still in progress. */
function isTemporary({ status, headers }: Response): boolean {
  return RETRYABLE_STATUSES.has(status) || (status === 409 && headers.has('retry-after'));
}

function attempt(request: Request): Promise<Response> {
  return fetchOnce(request, AbortSignal.timeout(ATTEMPT_TIMEOUT));
}

/**
 * A `fetch` for the client without retries.
 * @param signal aborts the request and the reading of its response. It replaces the request's own signal: Node.js
 *   may collect that one, and the result of AbortSignal.any, as garbage while they wait, and then they never abort.
 * @throws UnavailableError where no response came
 */
export async function fetchOnce(request: Request, signal: AbortSignal): Promise<Response> {
  try {
    // The service never redirects, and nobody else may get the key.
    return await fetch(request, { signal, redirect: 'manual' });
  } catch (error) {
    throw new UnavailableError(noResponseMessage(request, error), { cause: error });
  }
}

function noResponseMessage({ url, method }: Request, error: unknown): string {
  const { cause } = error as { cause?: { code?: string; message?: string } };
  const reason = cause?.code ?? cause?.message ?? (error as Error).message;
  const message = `No response from ${new URL(url).origin} (${reason}).`;
  if (method === 'GET') return `${message} Is --url correct, and is the service running?`;
  return `${message} The change may or may not have been made. Check before you try again.`;
}
