import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Unavailable } from './errors.ts';
import { tell } from './output.ts';

/** Between attempts at a write, in milliseconds; after the last one it is given up. */
const WAITS = [250, 500, 1_000, 2_000, 4_000];
/** The longest wait that is taken from a `Retry-After`, in milliseconds. */
const LONGEST_WAIT = 15_000;
/** How long an attempt may take, in milliseconds. */
const ATTEMPT_WITHIN = 60_000;

/**
 * Answers that say nothing of the request, so that it may be sent again. A 409 does so where an earlier attempt is
 * still at work, and has a `Retry-After` then.
 */
const PASSING = new Set([429, 502, 503, 504]);

/**
 * A `fetch` for the client. A write gets an `Idempotency-Key`, so that it can be sent again where no answer came,
 * and is carried out once. Written here as no library for retries knows which answers of this service pass.
 * @throws Unavailable where no answer came
 */
export async function send(request: Request): Promise<Response> {
  if (request.method === 'GET') return attempt(request);
  request.headers.set('Idempotency-Key', `"${randomUUID()}"`);
  for (const wait of WAITS) {
    const answer = await attempt(request.clone()).catch((failure: unknown) => failure as Error);
    if (answer instanceof Response && !isPassing(answer)) return answer;
    const asked = answer instanceof Response ? Number(answer.headers.get('retry-after')) : 0;
    const pause = Math.min(LONGEST_WAIT, Math.max(wait, asked * 1_000 || 0));
    tell(`The service is away or busy; asking again in ${pause / 1_000} s.`);
    await delay(pause);
  }
  return attempt(request);
}

function isPassing({ status, headers }: Response): boolean {
  return PASSING.has(status) || (status === 409 && headers.has('retry-after'));
}

function attempt(request: Request): Promise<Response> {
  return open(request, AbortSignal.timeout(ATTEMPT_WITHIN));
}

/**
 * A `fetch` for the client, without retries.
 * @param signal aborts the request and the reading of its response. It replaces the request's own signal: Node.js
 *   may collect that one, and what AbortSignal.any returns, as garbage while they wait, and they never abort then.
 * @throws Unavailable where no answer came
 */
export async function open(request: Request, signal: AbortSignal): Promise<Response> {
  try {
    // The service never redirects, and the key goes to nobody else.
    return await fetch(request, { signal, redirect: 'manual' });
  } catch (error) {
    throw new Unavailable(noAnswer(request, error), { cause: error });
  }
}

function noAnswer({ url, method }: Request, error: unknown): string {
  const { cause } = error as { cause?: { code?: string; message?: string } };
  const why = cause?.code ?? cause?.message ?? (error as Error).message;
  const told = `No answer from ${new URL(url).origin} (${why}).`;
  if (method === 'GET') return `${told} Is it the right --url, and does the service run?`;
  return `${told} What was asked may or may not have been done: read what stands before you ask again.`;
}
