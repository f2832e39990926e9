import type { IncomingMessage } from 'node:http';
import type { Outcome } from './deliveries.ts';
import type { Receiver } from './webhooks.ts';
import { signaturesOf } from '../domain/webhooks.ts';
import type { AddressPolicy } from '../outbound/addresses.ts';
import { describeFailure, exchange, withTimeout } from '../outbound/exchange.ts';

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
        const sent = { method: 'POST', headers, body, signal: aborted } as const;
        return drain(await exchange(new URL(url), policy, sent));
      });
      return outcomeOf(status, faultOf(status));
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

/** Reads a response to its end, or as far as is worth it. Returns its status. */
function drain(response: IncomingMessage): Promise<number> {
  return new Promise((resolve, reject) => {
    const status = response.statusCode ?? 0;
    let left = MAX_RESPONSE_BYTES;
    response.on('data', (chunk: Buffer) => {
      left -= chunk.length;
      if (left >= 0) return;
      resolve(status);
      response.destroy();
    });
    response.on('end', () => resolve(status));
    for (const end of ['error', 'close']) response.on(end, () => reject(new ConnectionCut(status)));
  });
}

function faultOf(status: number): string | null {
  if (status < 100) throw new Error(`answered ${status}, which is not an HTTP status`);
  if (status >= 200 && status < 300) return null;
  if (status >= 300 && status < 400) return `answered ${status}; redirects are not followed`;
  return `answered ${status}`;
}
