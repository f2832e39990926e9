import type { FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import Negotiator from 'negotiator';

export const JSON_TYPE = 'application/json' as const;
export const CSV_TYPE = 'text/csv' as const;
export const SVG_TYPE = 'image/svg+xml' as const;
export const PNG_TYPE = 'image/png' as const;
export const HTML_TYPE = 'text/html' as const;
export const MARKDOWN_TYPE = 'text/markdown' as const;
export const JSON_FEED_TYPE = 'application/feed+json' as const;
export const ATOM_TYPE = 'application/atom+xml' as const;
export const XML_TYPE = 'application/xml' as const;
export const CSS_TYPE = 'text/css' as const;
export const JAVASCRIPT_TYPE = 'text/javascript' as const;
export const NDJSON_TYPE = 'application/x-ndjson' as const;
export const BINARY_TYPE = 'application/octet-stream' as const;
export const EVENT_STREAM_TYPE = 'text/event-stream' as const;

/** The media types of reads, each with its Content-Type. */
export const CONTENT_TYPES = {
  [JSON_TYPE]: 'application/json; charset=utf-8',
  [CSV_TYPE]: 'text/csv; charset=utf-8; header=present',
  [SVG_TYPE]: 'image/svg+xml; charset=utf-8',
  [PNG_TYPE]: 'image/png',
  [HTML_TYPE]: 'text/html; charset=utf-8',
  [MARKDOWN_TYPE]: 'text/markdown; charset=utf-8; variant=GFM',
  [CSS_TYPE]: 'text/css; charset=utf-8',
  [JAVASCRIPT_TYPE]: 'text/javascript; charset=utf-8',
  [JSON_FEED_TYPE]: 'application/feed+json; charset=utf-8',
  [ATOM_TYPE]: 'application/atom+xml; charset=utf-8',
  [XML_TYPE]: 'application/xml; charset=utf-8',
  [NDJSON_TYPE]: 'application/x-ndjson; charset=utf-8',
  [BINARY_TYPE]: 'application/octet-stream',
} as const;
export type MediaType = keyof typeof CONTENT_TYPES;

/** The media types of a route that declares none. */
export const ONLY_JSON: readonly string[] = [JSON_TYPE];

/** Media types as `Accept` may name them: bare, or with the parameters of their Content-Type. */
export const acceptableTypes = (types: readonly string[]): string[] =>
  types.flatMap((type) => {
    const [, ...parameters] = (CONTENT_TYPES[type as MediaType] ?? type).split('; ');
    return [...new Set([[], ...parameters.map((one) => [one]), parameters])].map((some) =>
      [type, ...some].join('; '),
    );
  });

/** The content codings in which responses are cached, besides the plain one. Of two with the same weight, the first is sent. */
export const CODINGS = ['br', 'gzip'] as const;
export type Coding = (typeof CODINGS)[number] | 'identity';

/**
 * The length in characters above which a header is ignored, as RFC 9110, 12.1 allows: parsing 16 KiB takes longer than most
 * responses.
 */
const LONGEST_HEADER = 400;

/** Parses each value of a header once. The memory is bounded, so clients can't make it grow. */
function remembered<Parsed extends {}>(
  name: 'accept' | 'accept-encoding',
  parse: (negotiator: Negotiator) => Parsed,
): (request: FastifyRequest) => Parsed {
  const known = new LRUCache<string, Parsed>({
    max: 500,
    maxSize: 65_536,
    sizeCalculation: (_, header) => header.length + 1,
  });
  const withoutHeader = parse(new Negotiator({ headers: {} }));
  return (request) => {
    const header = request.raw.headers[name];
    if (!header || header.length > LONGEST_HEADER) return withoutHeader;
    const earlier = known.get(header);
    if (earlier !== undefined) return earlier;
    const parsed = parse(new Negotiator({ headers: { [name]: header } }));
    known.set(header, parsed);
    return parsed;
  };
}

const preferences = new WeakMap<readonly string[], (request: FastifyRequest) => string>();

/** The media type of a route that the client prefers; `none` if it accepts none of them. */
export function preferredType(request: FastifyRequest, serves: readonly string[]): string {
  const { accept } = request.raw.headers;
  const [first = JSON_TYPE] = serves;
  if (accept === undefined || accept === '*/*') return first;
  let prefer = preferences.get(serves);
  if (!prefer) {
    const acceptable = acceptableTypes(serves);
    prefer = remembered('accept', (negotiator) => {
      const best = negotiator.mediaTypes(acceptable)[0] ?? 'none';
      return serves.find((type) => best === type || best.startsWith(`${type};`)) ?? 'none';
    });
    preferences.set(serves, prefer);
  }
  return prefer(request);
}

/** Names of media types in URLs: a link or a spreadsheet can't set the header. */
export const FORMATS = {
  json: JSON_TYPE,
  csv: CSV_TYPE,
  svg: SVG_TYPE,
  png: PNG_TYPE,
  md: MARKDOWN_TYPE,
} as const satisfies Record<string, MediaType>;
export type Format = keyof typeof FORMATS;

/**
 * The media type of the response to a read: the format that its URL names, else the one of the route that
 * the client prefers.
 */
export function wantedType(request: FastifyRequest, format: Format | undefined): MediaType {
  if (format !== undefined) return FORMATS[format];
  const { serves = ONLY_JSON } = request.routeOptions.config;
  const preferred = preferredType(request, serves);
  return (preferred === 'none' ? serves[0] : preferred) as MediaType;
}

/** The content coding that a client prefers, and whether it refuses a plain body. */
export type CodingPreference = { coding: Coding; refusesIdentity: boolean };

/**
 * The content coding with the highest weight; of several, the one that compresses best. A client that refuses all of them
 * still gets a plain body: a 406 would help it less (RFC 9110, 12.5.3 and 15.5.7).
 */
export const acceptedCoding = remembered<CodingPreference>('accept-encoding', (negotiator) => {
  const accepted = negotiator.encodings([...CODINGS, 'identity'], { preferred: [...CODINGS] });
  const [coding = 'identity'] = accepted;
  return { coding, refusesIdentity: coding !== 'identity' && !accepted.includes('identity') };
});
