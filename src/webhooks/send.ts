import type { LookupAddress } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { reasonOf } from '../postgres/pool.ts';
import type { Outcome } from './deliveries.ts';
import type { Receiver } from './webhooks.ts';
import { signaturesOf } from '../domain/webhooks.ts';
import { addressesOf, AddressRefused, type Reach } from './addresses.ts';

/** How long an attempt may take, from the look-up of the name to the last byte of the answer, in milliseconds. */
const ANSWER_WITHIN = 15_000;
/** How much of an answer is read, in bytes, before its connection is closed; nothing of it is kept. */
const MOST_READ = 65_536;
/** What a fault may take in the log of deliveries. */
const LONGEST_FAULT = 300;

/** What is sent: an id that is the same at each attempt, and the JSON text. */
export type Message = { id: string; body: string };

/** Sends a message once, by https://www.standardwebhooks.com. What came of it is told, never thrown. */
export type Send = (
  receiver: Receiver,
  message: Message,
  now: Date,
  signal: AbortSignal,
) => Promise<Outcome>;

/** @param within how long an attempt may take, in milliseconds */
export function sender(reach: Reach, userAgent: string, within = ANSWER_WITHIN): Send {
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
    const ended = (status: number | null, fault: string | null): Outcome => ({
      milliseconds: Math.round(performance.now() - startedAt),
      status,
      fault: fault && fault.slice(0, LONGEST_FAULT),
      isGone: status === 410,
    });
    try {
      const status = await withinTime(within, signal, async (over) => {
        const target = new URL(url);
        const addresses = await untilAborted(addressesOf(target, reach), over);
        return post(target, addresses, { headers, body, signal: over });
      });
      return ended(status, faultOf(status));
    } catch (error) {
      return ended(error instanceof Cut ? error.status : null, wordsFor(error));
    }
  };
}

/** The answer began, and its connection ended before it did. */
class Cut extends Error {
  readonly status: number;
  constructor(status: number) {
    super('the connection closed before the response was complete');
    this.status = status;
  }
}

/** Runs `work` under a signal that also stands for the end of its time. */
async function withinTime<Result>(
  milliseconds: number,
  stop: AbortSignal,
  work: (over: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const over = new AbortController();
  const abort = () => over.abort(new Error('the service stopped during the attempt'));
  if (stop.aborted) abort();
  // Not AbortSignal.any, by which a signal that lives on keeps hold of each that it was part of.
  stop.addEventListener('abort', abort);
  const late = new Error(`no complete response within ${milliseconds / 1000} s`);
  const timer = setTimeout(() => over.abort(late), milliseconds);
  try {
    return await work(over.signal);
  } catch (error) {
    throw over.signal.aborted ? over.signal.reason : error;
  } finally {
    clearTimeout(timer);
    stop.removeEventListener('abort', abort);
  }
}

/** A look-up can't be called back, but need not be waited for. */
function untilAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject);
  });
}

/** Posts to one of the addresses, on a connection of its own, and reads the answer: its status. */
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
      // Asked for where the host is a name: by node as a list, or for one.
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
      let left = MOST_READ;
      response.on('data', (chunk: Buffer) => {
        left -= chunk.length;
        if (left >= 0) return;
        resolve(status);
        response.destroy();
      });
      response.on('end', () => resolve(status));
      for (const end of ['error', 'close']) response.on(end, () => reject(new Cut(status)));
    });
    sent.on('error', reject);
    // Where nothing else tells, as when the receiver wants to speak another protocol.
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

const WORDS: Record<string, string> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset before a response arrived',
  ENOTFOUND: 'the host name has no address',
  EAI_AGAIN: 'the host name cannot be resolved right now',
};

function wordsFor(error: unknown): string {
  if (error instanceof AddressRefused) return `the URL ${error.message}`;
  const { code } = error as { code?: string };
  return WORDS[code ?? ''] ?? (reasonOf(error) || 'nothing was sent');
}
