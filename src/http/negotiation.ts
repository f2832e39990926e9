import type { FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';

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
export const EVENT_STREAM_TYPE = 'text/event-stream' as const;

/** The media types that reads are rendered as, each with how it is written in Content-Type. */
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
} as const;
export type MediaType = keyof typeof CONTENT_TYPES;

/** What a route is served as where it says nothing else. */
export const ONLY_JSON: readonly string[] = [JSON_TYPE];

/** A media type as `Accept` may name it: also with the parameters that it is served with. */
export const offered = (types: readonly string[]): string[] =>
  types.flatMap((type) => {
    const [, ...parameters] = (CONTENT_TYPES[type as MediaType] ?? type).split('; ');
    return [...new Set([[], ...parameters.map((one) => [one]), parameters])].map((some) =>
      [type, ...some].join('; '),
    );
  });

/** Content codings that replies are kept in, besides their plain form. */
export const CODINGS = ['br', 'gzip'] as const;
export type Coding = (typeof CODINGS)[number] | 'identity';

/** A header's value is parsed once; there are few of them, and clients can't make this grow. */
function remembered<Answer extends string>(
  read: (request: FastifyRequest) => Answer,
  headerOf: (request: FastifyRequest) => string,
): (request: FastifyRequest) => Answer {
  const known = new LRUCache<string, Answer>({ max: 500 });
  return (request) => {
    const header = headerOf(request);
    const answer = known.get(header);
    if (answer !== undefined) return answer;
    const made = read(request);
    known.set(header, made);
    return made;
  };
}

const preferences = new WeakMap<readonly string[], (request: FastifyRequest) => string>();

/** Of what a route is served as, what the client likes best; none where it takes nothing of it. */
export function preferredType(request: FastifyRequest, serves: readonly string[]): string {
  const { accept } = request.raw.headers;
  const [first = JSON_TYPE] = serves;
  if (accept === undefined || accept === '*/*') return first;
  let prefer = preferences.get(serves);
  if (!prefer) {
    prefer = remembered(
      (asking) => {
        const best = String(asking.accepts().type(offered(serves)));
        return serves.find((type) => best === type || best.startsWith(`${type};`)) ?? 'none';
      },
      (asking) => asking.raw.headers.accept ?? '*/*',
    );
    preferences.set(serves, prefer);
  }
  return prefer(request);
}

/** Names of media types in URLs, as for a link or a spreadsheet, which have no say in the header. */
export const FORMATS = {
  json: JSON_TYPE,
  csv: CSV_TYPE,
  svg: SVG_TYPE,
  png: PNG_TYPE,
  md: MARKDOWN_TYPE,
} as const satisfies Record<string, MediaType>;
export type Format = keyof typeof FORMATS;

/**
 * What a read is answered as: the format that its URL names, else what the client likes best of what the
 * route is served as.
 */
export function wantedType(request: FastifyRequest, format: Format | undefined): MediaType {
  if (format !== undefined) return FORMATS[format];
  const { serves = ONLY_JSON } = request.routeOptions.config;
  const preferred = preferredType(request, serves);
  return (preferred === 'none' ? serves[0] : preferred) as MediaType;
}

/** The smallest form that the client takes; the plain one where it likes that best. */
export const acceptedCoding = remembered<Coding>(
  (request) => {
    const accepts = request.accepts();
    if (accepts.encodings([...CODINGS, 'identity']) === 'identity') return 'identity';
    return CODINGS.find((coding) => accepts.encodings([coding]) === coding) ?? 'identity';
  },
  (request) => request.raw.headers['accept-encoding'] ?? '',
);
