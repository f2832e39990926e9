import type { LookupAddress } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { reasonOf } from '../postgres/pool.ts';
import { addressesOf, type AddressPolicy, AddressRefused } from './addresses.ts';

export type Exchange = {
  method: 'GET' | 'POST';
  headers: http.OutgoingHttpHeaders;
  /** Sent with its length. */
  body?: string;
  /** Ends the request and its response. */
  signal: AbortSignal;
};

/**
 * Sends a request on a new connection to one of the addresses that the policy allows. Resolves once the head of the
 * response is here; the caller reads the body, and follows no redirect without looking at its address again.
 * @throws AddressRefused if the policy allows none, or whatever went wrong before the response
 */
export async function exchange(
  url: URL,
  policy: AddressPolicy,
  sent: Exchange,
): Promise<http.IncomingMessage> {
  const addresses = await untilAborted(addressesOf(url, policy), sent.signal);
  return connectTo(url, addresses, sent);
}

function connectTo(
  url: URL,
  addresses: readonly LookupAddress[],
  { method, headers, body, signal }: Exchange,
): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { request } = url.protocol === 'https:' ? https : http;
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const options: https.RequestOptions = {
      method,
      headers: { ...headers, ...length },
      agent: false,
      signal,
      // Called where the host is a name; Node asks for all addresses or for one.
      lookup: (_hostname, { all }, callback) => {
        const [{ address, family } = { address: '', family: 0 }] = addresses;
        if (all) callback(null, [...addresses]);
        else callback(null, address, family);
      },
    };
    const outgoing = request(url, options, resolve);
    outgoing.on('error', reject);
    // Where no other event reports it, as when the server speaks another protocol.
    outgoing.on('close', () => reject(new Error('the connection closed without a response')));
    outgoing.end(body);
  });
}

/**
 * Runs `work` with a signal that aborts after a time or when `stop` does.
 * @throws Error that names the time or the stop, or whatever `work` throws before that
 */
export async function withTimeout<Result>(
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

const DESCRIPTIONS: Record<string, string> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset before a response arrived',
  ENOTFOUND: 'the host name has no address',
  EAI_AGAIN: 'the host name cannot be resolved right now',
};

/** What went wrong with an exchange, in words for the person who entered its URL. */
export function describeFailure(error: unknown): string {
  if (error instanceof AddressRefused) return `the URL ${error.message}`;
  const { code } = error as { code?: string };
  return DESCRIPTIONS[code ?? ''] ?? (reasonOf(error) || 'nothing was sent');
}
