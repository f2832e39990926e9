import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import {
  cacheControlOf,
  digestOf,
  type Freshness,
  type Readers,
  VARY_OF_READERS,
} from '../conditional-requests.ts';
import {
  CODINGS,
  type Coding,
  type CodingPreference,
  CONTENT_TYPES,
  JSON_TYPE,
  type MediaType,
  PNG_TYPE,
} from '../negotiation.ts';
import { RESPONSE_HEADERS } from '../response-headers.ts';

/** The response to a read before it is encoded. */
export type ResponseDraft = {
  body: string | Buffer;
  /** The digest for its ETag; that of the body unless given. */
  digest?: string;
  freshness: Freshness;
  /** JSON unless given. */
  type?: MediaType;
  /** Whether the URL is also available as other media types. */
  hasAlternatives?: boolean;
  /** The value of a Link header. */
  link?: string | undefined;
  /** Whether the link may change while the body stays the same, so that a 304 has to carry it, too. */
  linkMayChange?: boolean;
  /** Whether no event ever makes it stale. */
  isFinal?: boolean;
  /** Additional headers, which replace those of every response. */
  headers?: Readonly<Record<string, string>>;
  /** How long it may be cached, in milliseconds, if events do not report everything that makes it stale. */
  maxAge?: number;
  /** Whether compression would save nothing, as with hashes; of a PNG, true unless given. */
  isIncompressible?: boolean;
  /** Whether the cache leaves it out, because hardly anyone will ask for it again. */
  skipsCache?: boolean;
};

/** A body in one content coding, with its ETag and the header fields of a 200 and of a 304. */
export type EncodedBody = {
  bytes: Buffer;
  etag: string;
  fields: string[];
  notModifiedFields: string[];
};

/** A response that is ready to send, in the codings that clients asked for so far. */
export type CachedResponse = {
  readonly digest: string;
  readonly type: string;
  /** Whether it is sent uncompressed to every client that accepts that. */
  readonly isIncompressible: boolean;
  /** Fields of a 200 only. */
  readonly contentFields: readonly string[];
  /** Fields of a 200 and of a 304. */
  readonly fields: readonly string[];
  readonly bodies: {
    identity: EncodedBody;
    br?: EncodedBody | Promise<EncodedBody>;
    gzip?: EncodedBody | Promise<EncodedBody>;
  };
};

/** Below this size, in bytes, compression saves nothing that a client would notice. */
export const WORTH_COMPRESSING = 1_024;

/** Encodes a draft into the bytes and header fields that are sent. */
export function encodeDraft(draft: ResponseDraft, readers: Readers): CachedResponse {
  const { body, freshness, type = JSON_TYPE, link, linkMayChange, headers = {} } = draft;
  const vary = [
    ...(draft.hasAlternatives ? ['Accept'] : []),
    'Accept-Encoding',
    ...VARY_OF_READERS[readers],
    // To keyed responses, the CORS plugin adds it.
    ...(readers === 'keyed' ? [] : ['Origin']),
  ];
  const linkFields = link === undefined ? [] : ['link', link];
  const everyResponse: Record<string, string> = { ...RESPONSE_HEADERS.every };
  const contentFields = linkMayChange ? [] : linkFields;
  for (const [name, value] of Object.entries(headers)) {
    if (name in everyResponse) everyResponse[name] = value;
    else contentFields.push(name, value);
  }
  contentFields.push(...Object.entries(everyResponse).flat());
  const fields = [
    'cache-control',
    cacheControlOf(freshness, readers),
    'vary',
    vary.join(', '),
    ...(linkMayChange ? linkFields : []),
  ];
  const bytes = withOwnMemory(typeof body === 'string' ? Buffer.from(body) : body);
  const response = {
    digest: draft.digest ?? digestOf(bytes),
    type: CONTENT_TYPES[type],
    isIncompressible: draft.isIncompressible ?? type === PNG_TYPE,
    contentFields,
    fields,
  };
  return { ...response, bodies: { identity: encodedBody(response, 'identity', bytes) } };
}

function encodedBody(
  response: Omit<CachedResponse, 'bodies'>,
  coding: Coding,
  bytes: Buffer,
): EncodedBody {
  const isIdentity = coding === 'identity';
  // Each coding has its own tag, because its bytes differ.
  const etag = isIdentity ? `"${response.digest}"` : `"${response.digest}-${coding}"`;
  const notModifiedFields = ['etag', etag, ...response.fields];
  const fields = [
    'content-type',
    response.type,
    'content-length',
    String(bytes.length),
    ...response.contentFields,
    ...(isIdentity ? [] : ['content-encoding', coding]),
    ...notModifiedFields,
  ];
  return { bytes, etag, fields, notModifiedFields };
}

/** The bytes in memory of their own. A slice would keep the whole buffer alive: Node's 8 KB pool, or zlib's 16 KB. */
function withOwnMemory(bytes: Buffer): Buffer {
  if (bytes.length === bytes.buffer.byteLength) return bytes;
  const own = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(own);
  return own;
}

/** The body in a coding if it is ready to send; undefined if it must be compressed first. */
export function readyBodyOf(
  response: CachedResponse,
  preference: CodingPreference,
): EncodedBody | undefined {
  const body = response.bodies[codingOf(response, preference)];
  return body instanceof Promise ? undefined : body;
}

/**
 * The body in a coding, compressed off the event loop the first time that a client asks for it.
 * @param onCompressed called after it was compressed
 */
export async function bodyOf(
  response: CachedResponse,
  preference: CodingPreference,
  onCompressed: () => void,
): Promise<EncodedBody> {
  const coding = codingOf(response, preference);
  const { bodies } = response;
  if (coding === 'identity') return bodies.identity;
  bodies[coding] ??= COMPRESS[coding](bodies.identity.bytes).then(
    (bytes) => {
      const body = encodedBody(response, coding, withOwnMemory(bytes));
      bodies[coding] = body;
      onCompressed();
      return body;
    },
    () => bodies.identity, // after a failure, uncompressed is better than nothing
  );
  return bodies[coding];
}

function codingOf(
  { bodies, isIncompressible }: CachedResponse,
  preference: CodingPreference,
): Coding {
  if (preference.refusesIdentity) return preference.coding;
  const isSmall = bodies.identity.bytes.length < WORTH_COMPRESSING;
  return isSmall || isIncompressible ? 'identity' : preference.coding;
}

const brotli = promisify<Buffer, object, Buffer>(brotliCompress);
/** Compresses bytes off the event loop. */
export const COMPRESS = {
  gzip: promisify<Buffer, Buffer>(gzip),
  // Higher qualities take up to forty times as long for a few percent.
  br: (bytes: Buffer) => brotli(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }),
};

/** The memory that a response takes, in bytes: its bodies, and the texts and objects around them. */
export function sizeOf(response: CachedResponse, key: string): number {
  let size = 500 + 2 * key.length;
  for (const coding of ['identity', ...CODINGS] as const) {
    const body = response.bodies[coding];
    if (body && !(body instanceof Promise)) size += body.bytes.length + 700;
  }
  return size;
}
