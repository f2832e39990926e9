import { readFileSync } from 'node:fs';
import type { OpenAPIV3_1 } from 'openapi-types';
import { CSV_TYPE, EVENT_STREAM_TYPE, NDJSON_TYPE } from '../negotiation.ts';
import { examplePath } from './parameters.ts';
import { problemExample, problemsOf } from './problem-examples.ts';
import { STATUS_TEXTS } from './texts.ts';

type Response = OpenAPIV3_1.ResponseObject;
type Responses = Record<string, Response | OpenAPIV3_1.ReferenceObject>;
type Media = OpenAPIV3_1.MediaTypeObject;

/** Bodies of responses by operation and by status and media type, recorded by tests/http/openapi/examples.test.ts. */
const RECORDED = JSON.parse(
  readFileSync(new URL('../../../samples/responses.json', import.meta.url), 'utf8'),
) as Record<string, Record<string, unknown>>;

/** `required`: every response that declares it has it. */
export const HEADERS: Record<string, OpenAPIV3_1.HeaderObject> = {
  ETag: {
    description:
      'The validator of the body. It is strong, except for a CSV of more than 1 MiB and for the export.',
    required: true,
    schema: { type: 'string' },
    example: '"n1qqmwXCpBqHUqJIKsXBSjuAMWU"',
  },
  CurrentETag: {
    description: 'The ETag that `If-Match` has to name. Absent if the response has no strong one.',
    schema: { type: 'string' },
    example: '"n1qqmwXCpBqHUqJIKsXBSjuAMWU"',
  },
  Location: {
    description: 'The URL of the resource that the request created, or that an import found.',
    required: true,
    schema: { type: 'string' },
    example: '/v1/outlooks/russell-2000-downside/versions/2',
  },
  Link: {
    description:
      'Related URLs (RFC 8288): of a list the next page, as `rel="next"`; of a version the latest one, its neighbours and its history (RFC 5829).',
    schema: { type: 'string' },
    example: '</v1/outlooks?limit=20&cursor=WyJydXNzZWxsLTIwMDAtZG93bnNpZGUiLDJd>; rel="next"',
  },
  ContentDisposition: {
    description: 'The name of the file, where the response is one.',
    schema: { type: 'string' },
    example: 'attachment; filename="outlooks.csv"',
  },
  RetryAfter: {
    description: 'Seconds to wait.',
    required: true,
    schema: { type: 'integer' },
    example: 12,
  },
  RetryAfterRunning: {
    description: 'Seconds to wait, while a request with the same `Idempotency-Key` is running.',
    schema: { type: 'integer' },
    example: 1,
  },
  RequestId: {
    description: 'The id of the request in the log of the service: yours if it is fit, else a UUID.',
    required: true,
    schema: { type: 'string' },
    example: '8e03978e-40d5-43e8-bc93-6894a57f9324',
  },
  RateLimit: {
    description:
      'How many requests are left (`r`) for how many seconds (`t`). Absent without a limit, and if the response is cached.',
    schema: { type: 'string' },
    example: '"address";r=599;t=60',
  },
  RateLimitPolicy: {
    description: 'The requests (`q`) that a window of seconds (`w`) allows. Absent as RateLimit is.',
    schema: { type: 'string' },
    example: '"address";q=600;w=60',
  },
  Age: {
    description:
      'While the database is away: how many seconds ago the service last heard from the ledger.',
    schema: { type: 'integer' },
    example: 7,
  },
  CacheStatus: {
    description: 'While the database is away: that the response may be out of date (RFC 9211).',
    schema: { type: 'string' },
    example: 'outlook-ledger; hit; ttl=-7; detail=STALE',
  },
  Authenticate: {
    description: 'How to authenticate (RFC 6750).',
    required: true,
    schema: { type: 'string' },
    example: 'Bearer realm="Outlook Ledger"',
  },
};

const header = (name: string) => ({ $ref: `#/components/headers/${name}` });

const OF_EVERY = { 'X-Request-Id': header('RequestId') };
const OF_LIMITED = {
  RateLimit: header('RateLimit'),
  'RateLimit-Policy': header('RateLimitPolicy'),
};
const RETRY = { 'Retry-After': header('RetryAfter') };

/** Problems that are the same for all operations, by status, as the names of components. */
const SHARED: Record<string, string> = {
  400: 'MalformedRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  406: 'NotAcceptable',
  408: 'RequestTimeout',
  412: 'PreconditionFailed',
  413: 'BodyTooLarge',
  415: 'UnsupportedMediaType',
  417: 'ExpectationFailed',
  429: 'RateLimited',
  431: 'HeadersTooLarge',
  500: 'InternalError',
  501: 'NotImplemented',
  503: 'Unavailable',
};

/** Operations that return a version, with links to its neighbours. */
const VERSIONS =
  /^(?:getOutlook|getVersion|createOutlook|reviseOutlook|reviseFramework|publishConsensus|withdrawOutlook)$/;

/** Statuses with which Node.js itself answers, without the headers of the service. */
const BEFORE_ROUTES = new Set(['408', '431']);

/** The components that the responses of operations refer to. */
export const RESPONSES: Record<string, Response> = Object.fromEntries(
  Object.entries(SHARED).map(([status, name]) => [
    name,
    problemResponse(status, '', '/v1/outlooks/russell-2000-downside/revisions', false),
  ]),
);

export type Completed = {
  operationId: string;
  method: string;
  path: string;
  /** Whether the operation may need a key, takes an `Idempotency-Key`, has pages, or is left out of all limits. */
  takesKey: boolean;
  isIdempotent: boolean;
  isList: boolean;
  isUnlimited: boolean;
};

/** Adds to an operation the responses that all have, and to each response its headers and examples. */
export function completeResponses(responses: Responses, operation: Completed): Responses {
  const { operationId, method, takesKey, isIdempotent, isUnlimited, path } = operation;
  const isStream = isStreaming(responses);
  const hasBody = method === 'post' || method === 'put' || method === 'patch';
  const statuses = new Set([
    ...Object.keys(responses),
    ...['400', '406', '417', '431', '500', '501', '503'],
    ...(takesKey ? ['401'] : []),
    ...(isUnlimited ? [] : ['429']),
    ...(hasBody ? ['408'] : []),
    ...(isIdempotent ? ['409'] : []),
    ...(method === 'get' && !isStream ? ['304', '412'] : []),
  ]);
  const completed: Responses = {};
  for (const status of [...statuses].toSorted()) {
    if (Number(status) < 400) {
      completed[status] = success(status, responses[status] as Response | undefined, operation);
      continue;
    }
    const { areOwn } = problemsOf(operationId, status, isIdempotent);
    const shared = SHARED[status];
    const recorded = recordedProblem(operationId, status);
    completed[status] =
      shared && !areOwn && !recorded
        ? { $ref: `#/components/responses/${shared}` }
        : problemResponse(status, operationId, examplePath(path), isIdempotent);
  }
  return completed;
}

export const isStreaming = (responses: Responses): boolean =>
  EVENT_STREAM_TYPE in ((responses['200'] as Response | undefined)?.content ?? {});

function success(
  status: string,
  { content, headers }: Partial<Response> = {},
  operation: Completed,
): Response {
  const { operationId } = operation;
  const examples = RECORDED[operationId] ?? {};
  const media = Object.entries(status === '204' ? {} : (content ?? {})).map(
    ([type, described]): [string, Media] => {
      const example = examples[`${status} ${type}`];
      return [type, example === undefined ? described : { ...described, example }];
    },
  );
  return {
    description: STATUS_TEXTS[status] ?? '',
    headers: { ...headers, ...headersOf(status, content ?? {}, operation) },
    ...(media.length > 0 && { content: Object.fromEntries(media) }),
  };
}

function headersOf(status: string, content: Record<string, Media>, operation: Completed) {
  const { operationId, method, isList, isUnlimited } = operation;
  const isStream = EVENT_STREAM_TYPE in content;
  const isVersion = VERSIONS.test(operationId);
  const isReceipt = operationId.endsWith('Receipt');
  // The item that the outlook has already.
  const isImported = status === '200' && operationId === 'addEvidence';
  // The body of a POST with the status 200 is not a representation of its URL.
  const hasETag = status === '201' || status === '304' || (status === '200' && method !== 'post');
  return {
    ...OF_EVERY,
    ...(!isUnlimited && OF_LIMITED),
    ...(hasETag && !isStream && { ETag: header('ETag') }),
    ...((status === '201' || status === '202' || isImported) && { Location: header('Location') }),
    ...((isList || isVersion) && { Link: header('Link') }),
    ...((CSV_TYPE in content || NDJSON_TYPE in content || isReceipt) && {
      'Content-Disposition': header('ContentDisposition'),
    }),
    ...(method === 'get' &&
      !isStream && { Age: header('Age'), 'Cache-Status': header('CacheStatus') }),
  };
}

function problemResponse(
  status: string,
  operationId: string,
  instance: string,
  isIdempotent: boolean,
): Response {
  const { codes } = problemsOf(operationId, status, isIdempotent);
  const recorded = recordedProblem(operationId, status);
  const examples = codes.map((code) => {
    const isRecorded = recorded?.type === `/problems/${code}`;
    return [code, { value: isRecorded ? recorded : problemExample(code, instance, status) }];
  });
  return {
    description: STATUS_TEXTS[status] ?? '',
    ...(!BEFORE_ROUTES.has(status) && {
      headers: {
        ...OF_EVERY,
        ...OF_LIMITED,
        ...((status === '429' || status === '503') && RETRY),
        ...(status === '409' && isIdempotent && { 'Retry-After': header('RetryAfterRunning') }),
        ...(status === '412' && { ETag: header('CurrentETag') }),
        ...(status === '401' && { 'WWW-Authenticate': header('Authenticate') }),
      },
    }),
    content: {
      'application/problem+json': {
        schema: { $ref: '#/components/schemas/Problem' },
        examples: Object.fromEntries(examples),
      },
    },
  };
}

function recordedProblem(operationId: string, status: string): { type: string } | undefined {
  const recorded = RECORDED[operationId]?.[`${status} application/problem+json`];
  return recorded as { type: string } | undefined;
}
