import type { IncomingMessage } from 'node:http';
import type { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { AddressPolicy } from './addresses.ts';
import { describeFailure, exchange, withTimeout } from './exchange.ts';

/** The most redirects that are followed. */
const MOST_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** The validators of a file (RFC 9110, 8.8), by which a later request asks whether it has changed. */
export type Validators = { etag: string | null; lastModified: string | null };

export type FetchedFile = Validators & {
  /** Decompressed. */
  body: Buffer;
  /** In lower case, without parameters; null if the server gave none. */
  mediaType: string | null;
  /** Whether the response proves that none of it is missing: by its length, its chunks or its compression. */
  isWhole: boolean;
};

export type FileRequest = {
  url: URL;
  headers: Record<string, string>;
  /** Which addresses a URL may have; asked for each redirect, too. */
  policyOf: (url: URL) => AddressPolicy;
  /** Of the decompressed file. */
  maxBytes: number;
  /** For everything, from the look-up of the name to the last byte, in milliseconds. */
  timeout: number;
  /** Whether redirects are followed. Not where the URL has a credential, which the server might pass on. */
  followsRedirects: boolean;
};

/** The file can't be fetched. The message says why, and quotes nothing of the response. */
export class FetchFault extends Error {
  /** The status of the response; null if the fault is not its status. */
  readonly status: number | null;
  /** When the server wants to be asked again (RFC 9110, 10.2.3); null if it did not say. */
  readonly retryAfter: string | null;

  constructor(message: string, status: number | null = null, retryAfter: string | null = null) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/**
 * Fetches a file.
 * @returns null if it has not changed since the validators in the headers
 * @throws FetchFault whatever goes wrong
 */
export async function fetchFile(
  request: FileRequest,
  stop: AbortSignal,
): Promise<FetchedFile | null> {
  try {
    return await withTimeout(request.timeout, stop, (signal) => follow(request, signal));
  } catch (error) {
    if (error instanceof FetchFault) throw error;
    throw new FetchFault(describeFailure(error));
  }
}

async function follow(request: FileRequest, signal: AbortSignal): Promise<FetchedFile | null> {
  let { url } = request;
  for (let followed = 0; ; followed += 1) {
    const headers = { ...request.headers, 'accept-encoding': 'gzip, deflate, br' };
    const sent = { method: 'GET', headers, signal } as const;
    const response = await exchange(url, request.policyOf(url), sent);
    const status = response.statusCode ?? 0;
    if (status === 200) return read(response, request.maxBytes);
    response.destroy();
    if (status === 304 && isConditional(request)) return null;
    const { location, 'retry-after': retryAfter } = response.headers;
    if (!REDIRECTS.has(status) || location === undefined) {
      throw new FetchFault(`the server answered ${status}`, status, retryAfter);
    }
    if (!request.followsRedirects) {
      throw new FetchFault(
        `the server answered ${status}; redirects are not followed, because the URL has a key`,
      );
    }
    if (followed === MOST_REDIRECTS) throw new FetchFault(`more than ${MOST_REDIRECTS} redirects`);
    url = redirectedTo(url, location);
  }
}

function isConditional({ headers }: FileRequest): boolean {
  return 'if-none-match' in headers || 'if-modified-since' in headers;
}

/**
 * The URL that a redirect leads to.
 * @throws FetchFault if it is none for HTTP, has a user or password, or leaves TLS
 */
export function redirectedTo(from: URL, location: string): URL {
  const to = URL.canParse(location, from) ? new URL(location, from) : null;
  if (to === null || !['http:', 'https:'].includes(to.protocol)) {
    throw new FetchFault('the server redirects to something other than an http or https URL');
  }
  if (to.username !== '' || to.password !== '') {
    throw new FetchFault('the server redirects to a URL with a user or password');
  }
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    throw new FetchFault('the server redirects from https to http');
  }
  return to;
}

const DECODERS: Record<string, () => Transform> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

async function read(response: IncomingMessage, maxBytes: number): Promise<FetchedFile> {
  const { headers } = response;
  const coding = (headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  const decoder = DECODERS[coding];
  if (decoder === undefined && coding !== 'identity') {
    response.destroy();
    throw new FetchFault('the response has a content coding other than gzip, deflate or br');
  }
  const chunks: Buffer[] = [];
  // Counted before and after, because compressed bytes can become a thousand times as many, or none.
  const bounded = boundedBy(maxBytes);
  const collect = async (source: AsyncIterable<Buffer>) => {
    for await (const chunk of boundedBy(maxBytes)(source)) chunks.push(chunk);
  };
  try {
    if (decoder) await pipeline(response, bounded, decoder(), collect);
    else await pipeline(response, collect);
  } catch (error) {
    throw readFault(error);
  }
  return {
    body: Buffer.concat(chunks),
    mediaType: headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() || null,
    etag: headers.etag ?? null,
    lastModified: headers['last-modified'] ?? null,
    isWhole:
      decoder !== undefined ||
      headers['content-length'] !== undefined ||
      headers['transfer-encoding'] !== undefined,
  };
}

function boundedBy(maxBytes: number) {
  return async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let size = 0;
    for await (const chunk of source) {
      size += chunk.length;
      if (size > maxBytes) {
        throw new FetchFault(`the file is larger than ${maxBytes / 1_048_576} MiB, decompressed`);
      }
      yield chunk;
    }
  };
}

function readFault(error: unknown): unknown {
  const { code = '' } = error as { code?: string };
  if (/^(Z_|ERR__ERROR)/.test(code)) {
    return new FetchFault('the response is not validly compressed');
  }
  return ['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'].includes(code)
    ? new FetchFault('the connection closed before the response was complete')
    : error;
}
