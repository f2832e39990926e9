import type { IncomingMessage } from 'node:http';
import type { Outcome } from './deliveries.ts';
import type { Receiver } from './webhooks.ts';
import { maskedUrl, signaturesOf, waitAskedFor } from '../domain/webhooks.ts';
import type { AddressPolicy } from '../outbound/addresses.ts';
import { describeFailure, exchange, withTimeout } from '../outbound/exchange.ts';

/** How long an attempt may take, from the DNS look-up to the last byte of the response, in milliseconds. */
const TIMEOUT = 15_000;
/** How many bytes of a response are read before its connection is closed. */
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
  return async ({ url, format, secrets }, { id, body }, now, signal) => {
    const startedAt = performance.now();
    const timestamp = Math.floor(now.getTime() / 1000);
    const headers = {
      'content-type': 'application/json',
      'user-agent': userAgent,
      'webhook-id': id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': signaturesOf(secrets, { id, timestamp, body }),
    };
    const outcomeOf = (
      status: number | null,
      fault: string | null,
      retryAfter: number | null = null,
    ): Outcome => ({
      milliseconds: Math.round(performance.now() - startedAt),
      status,
      // The URL of a chat is secret.
      fault: fault && fault.replaceAll(url, maskedUrl(url)).slice(0, MAX_FAULT_LENGTH),
      isGone: status === 410,
      retryAfter,
    });
    try {
      const answer = await withTimeout(timeout, signal, async (aborted) => {
        const sent = { method: 'POST', headers, body, signal: aborted } as const;
        return drain(await exchange(new URL(url), policy, sent));
      });
      const { status, words, retryAfter } = answer;
      const wait = ASKS_TO_WAIT.has(status) ? waitAskedFor(retryAfter, now) : null;
      return outcomeOf(status, faultOf(status, format === 'slack' ? words : null), wait);
    } catch (error) {
      return outcomeOf(
        error instanceof ConnectionCut ? error.status : null,
        describeFailure(error),
      );
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

/** The statuses whose `Retry-After` asks to be left alone (RFC 9110, 15.6.4; RFC 6585, 4). */
const ASKS_TO_WAIT = new Set([429, 503]);

/** What Slack says of a failure, such as `channel_is_archived`. Nothing else of a response is stored. */
const WORDS = /^[a-z]{1,30}(?:_[a-z]{1,30}){0,6}$/;
/** How many bytes the words have at most. */
const MAX_WORDS = 100;

type Answer = { status: number; words: string | null; retryAfter: string | undefined };

/** Reads a response to its end, or as far as is worth it. */
function drain(response: IncomingMessage): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { statusCode: status = 0, headers } = response;
    let read = 0;
    let start = '';
    const answer = (): Answer => {
      const words = WORDS.test(start.trim()) ? start.trim() : null;
      return { status, words, retryAfter: headers['retry-after'] };
    };
    response.on('data', (chunk: Buffer) => {
      read += chunk.length;
      if (read <= MAX_WORDS) start += chunk.toString('latin1');
      else start = '';
      if (read <= MAX_RESPONSE_BYTES) return;
      resolve(answer());
      response.destroy();
    });
    response.on('end', () => resolve(answer()));
    for (const end of ['error', 'close']) response.on(end, () => reject(new ConnectionCut(status)));
  });
}

function faultOf(status: number, words: string | null): string | null {
  if (status < 100) throw new Error(`answered ${status}, which is not an HTTP status`);
  if (status >= 200 && status < 300) return null;
  if (status >= 300 && status < 400) return `answered ${status}; redirects are not followed`;
  return words === null ? `answered ${status}` : `answered ${status} ${words}`;
}
