import type { LookupAddress } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { reasonOf } from '../postgres/pool.ts';
import type { Outcome } from './deliveries.ts';
import type { Receiver } from './webhooks.ts';
import { signaturesOf } from '../domain/webhooks.ts';
import { addressesOf, type AddressPolicy, AddressRefused } from './addresses.ts';

/** How long an attempt may take, from the DNS look-up to the last byte of the response, in milliseconds. */
const TIMEOUT = 15_000;
/** How many bytes of a response are read before its connection is closed. None are stored. */
const MAX_RESPONSE_BYTES = 65_536;
/** The longest fault that the delivery log stores, in characters. */
const MAX_FAULT_LENGTH = 300;

/** An id and a JSON text, the same at each attempt. */
export type Message = { id: string; body: string };

/** Sends a message once, signed as https://www.standardwebhooks.com says. Returns the outcome and never throws. */
export type Send = (
  receiver: Receiver,
  message: Message,
  now: Date,
  signal: AbortSignal,
) => Promise<Outcome>;

/** @param timeout how long an attempt may take, in milliseconds */
export function sender(policy: AddressPolicy, userAgent: string, timeout = TIMEOUT): Send {
  return async ({ url, secrets }, { id, body }, now, signal) => {
    const startedAt = performance.now();
    const timestamp = Math.floor(now.getTime() / 1000);
    const headers = {
      'content-type': 'application/json',
      'user-agent': userAgent,
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signaturesOf(secrets, { id, timestamp, body }),
    };
    const outcomeOf = (status: number | null, fault: string | null): Outcome => ({
      milliseconds: Math.round(performance.now() - startedAt),
      status,
      fault: fault && fault.slice(0, MAX_FAULT_LENGTH),
      isGone: status === 410,
    });
    try {
      const status = await withTimeout(timeout, signal, async (aborted) => {
        const target = new URL(url);
        const addresses = await untilAborted(addressesOf(target, policy), aborted);
        return post(target, addresses, { headers, body, signal: aborted });
      });
      return outcomeOf(status, faultOf(status));
    } catch (error) {
      return outcomeOf(error instanceof ConnectionCut ? error.status : null, describe(error));
    }
  };
}

/** The connection ended in the middle of the response. */
class ConnectionCut extends Error {
  readonly status: number;
  constructor(status: number) {
    super('the connection closed before the response was complete');
    this.status = status;
  }
}

/** Runs `work` with a signal that aborts after a time or when `stop` does. */
async function withTimeout<Result>(
  milliseconds: number,
  stop: AbortSignal,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const abort = () => controller.abort(new Error('the service stopped during the attempt'));
  if (stop.aborted) abort();
  // Not AbortSignal.any: the long-lived signal would hold on to every combined one.
  stop.addEventListener('abort', abort);
  const late = new Error(`no complete response within ${milliseconds / 1000} s`);
  const timer = setTimeout(() => controller.abort(late), milliseconds);
  try {
    return await work(controller.signal);
  } catch (error) {
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    clearTimeout(timer);
    stop.removeEventListener('abort', abort);
  }
}

/** A DNS look-up can't be aborted, but nobody has to wait for it. */
function untilAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject);
  });
}

/** Posts to one of the addresses on a new connection. Resolves to the status once the response ends. */
function post(
  url: URL,
  addresses: readonly LookupAddress[],
  {
    headers,
    body,
    signal,
  }: { headers: http.OutgoingHttpHeaders; body: string; signal: AbortSignal },
): Promise<number> {
  return new Promise((resolve, reject) => {
    const { request } = url.protocol === 'https:' ? https : http;
    const length = Buffer.byteLength(body);
    const options: https.RequestOptions = {
      method: 'POST',
      headers: { ...headers, 'content-length': length },
      agent: false,
      signal,
      // Called where the host is a name; Node asks for all addresses or for one.
      lookup: (_hostname, { all }, callback) => {
        const [{ address, family } = { address: '', family: 0 }] = addresses;
        if (all) callback(null, [...addresses]);
        else callback(null, address, family);
      },
    };
    let isAnswered = false;
    const sent = request(url, options, (response) => {
      isAnswered = true;
      const status = response.statusCode ?? 0;
      let left = MAX_RESPONSE_BYTES;
      response.on('data', (chunk: Buffer) => {
        left -= chunk.length;
        if (left >= 0) return;
        resolve(status);
        response.destroy();
      });
      response.on('end', () => resolve(status));
      for (const end of ['error', 'close'])
        response.on(end, () => reject(new ConnectionCut(status)));
    });
    sent.on('error', reject);
    // Where no other event reports it, as when the receiver speaks another protocol.
    sent.on('close', () => {
      if (!isAnswered) reject(new Error('the connection closed without a response'));
    });
    sent.end(body);
  });
}

function faultOf(status: number): string | null {
  if (status < 100) throw new Error(`answered ${status}, which is not an HTTP status`);
  if (status >= 200 && status < 300) return null;
  if (status >= 300 && status < 400) return `answered ${status}; redirects are not followed`;
  return `answered ${status}`;
}

const DESCRIPTIONS: Record<string, string> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset before a response arrived',
  ENOTFOUND: 'the host name has no address',
  EAI_AGAIN: 'the host name cannot be resolved right now',
};

function describe(error: unknown): string {
  if (error instanceof AddressRefused) return `the URL ${error.message}`;
  const { code } = error as { code?: string };
  return DESCRIPTIONS[code ?? ''] ?? (reasonOf(error) || 'nothing was sent');
}
