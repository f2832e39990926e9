import type { FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';

export const JSON_TYPE = 'application/json';
export const CSV_TYPE = 'text/csv';
export const EVENT_STREAM_TYPE = 'text/event-stream';
export type MediaType = typeof JSON_TYPE | typeof CSV_TYPE;

/** A media type as `Accept` may name it: also with the parameters that it is served with. */
export const offered = (types: readonly string[]): string[] =>
  types.flatMap((type) => [type, ...(PARAMETERS[type] ?? []).map((each) => `${type}; ${each}`)]);
const PARAMETERS: Record<string, string[]> = {
  [JSON_TYPE]: ['charset=utf-8'],
  [CSV_TYPE]: ['charset=utf-8', 'header=present', 'charset=utf-8; header=present'],
};

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

/** Of JSON and CSV what the client likes better; none where it takes neither. */
export const preferredType = remembered<MediaType | 'none'>(
  (request) => {
    const accepts = request.accepts();
    const first = String(accepts.type(offered([JSON_TYPE, CSV_TYPE])));
    return ([JSON_TYPE, CSV_TYPE] as const).find((type) => first.startsWith(type)) ?? 'none';
  },
  (request) => request.raw.headers.accept ?? '*/*',
);

/** The smallest form that the client takes; the plain one where it likes that best. */
export const acceptedCoding = remembered<Coding>(
  (request) => {
    const accepts = request.accepts();
    if (accepts.encodings([...CODINGS, 'identity']) === 'identity') return 'identity';
    return CODINGS.find((coding) => accepts.encodings([coding]) === coding) ?? 'identity';
  },
  (request) => request.raw.headers['accept-encoding'] ?? '',
);
