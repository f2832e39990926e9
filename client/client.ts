import createFetchClient from 'openapi-fetch';
import type { Client as FetchClient, FetchOptions, ParseAs, ParseAsResponse } from 'openapi-fetch';
import type {
  ErrorResponse,
  HttpMethod,
  PathsWithMethod,
  RequiredKeysOf,
  SuccessResponse,
} from 'openapi-typescript-helpers';
import type { paths } from './api.ts';
import type { LedgerEvent } from './events.ts';
import { type ItemOf, paginate, type PageQuery } from './paginate.ts';
import { type CallResult, dataOrThrow } from './problems.ts';
import { type OpenStream, subscribe, type SubscribeOptions } from './subscribe.ts';

export type * from './api.ts';
export type { EventData, EventKind, LedgerEvent, StreamReset, WebhookEvent } from './events.ts';
export {
  dataOrThrow,
  isProblem,
  type KnownProblem,
  PROBLEM_CODES,
  type ProblemCode,
  ProblemError,
  type ProblemOf,
  UnexpectedResponseError,
} from './problems.ts';
export {
  type Consistency,
  type Inclusion,
  verifyConsistency,
  verifyInclusion,
} from './merkle-tree.ts';
export {
  type ProvenRecord,
  RECEIPT_CHECKS,
  type ReceiptCheck,
  type ReceiptVerification,
  type TrustedKeys,
  verifyReceipt,
} from './receipt.ts';
export {
  type Note,
  type NoteSignature,
  parseCheckpointText,
  parseNote,
  parseSignatureLine,
  parseVkey,
  type TreeHead,
  verifyCosignature,
  verifySignature,
  type Vkey,
} from './signed-note.ts';
export type { SubscribeOptions } from './subscribe.ts';

type JsonMediaType = 'application/json' | 'application/problem+json';

type RequestOptions<Operation, Parse> = Omit<FetchOptions<Operation>, 'parseAs'> & {
  parseAs?: Parse;
};

type Result<Operation, Parse> = Operation extends {
  responses: infer Responses extends Record<number, unknown>;
}
  ? | {
        data: ParseAsResponse<SuccessResponse<Responses, JsonMediaType>, { parseAs: Parse }>;
        error?: never;
        response: Response;
      }
    | { data?: never; error: ErrorResponse<Responses, JsonMediaType>; response: Response }
  : never;

type Call<Method extends HttpMethod> = <
  Path extends PathsWithMethod<paths, Method>,
  Parse extends ParseAs = 'json',
>(
  path: Path,
  ...options: RequiredKeysOf<FetchOptions<paths[Path][Method]>> extends never
    ? [options?: RequestOptions<paths[Path][Method], Parse>]
    : [options: RequestOptions<paths[Path][Method], Parse>]
) => Promise<Result<paths[Path][Method], Parse>>;

type ResponsesOf<Operation> = Operation extends {
  responses: infer Responses extends Record<number, unknown>;
}
  ? Responses
  : never;

type ItemAt<Path extends PathsWithMethod<paths, 'get'>> = ItemOf<
  SuccessResponse<ResponsesOf<paths[Path]['get']>, JsonMediaType>
>;

/** The paths of lists that are read page by page. */
export type PagedPath = {
  [Path in PathsWithMethod<paths, 'get'>]: [ItemAt<Path>] extends [never] ? never : Path;
}[PathsWithMethod<paths, 'get'>];

/**
 * The client of openapi-fetch with stricter types. Its own types accept an unknown field or query parameter beside a
 * known one, and omit from responses the fields that are always null.
 */
export type Client = Pick<FetchClient<paths>, 'use' | 'eject'> & {
  [Method in HttpMethod as Uppercase<Method>]: Call<Method>;
} & {
  /**
   * Yields the items of a list, page after page. `limit` is the number of items a page, 100 if left out. It waits and
   * asks again while the service is busy or unavailable.
   * @throws ProblemError, UnexpectedResponseError, or the error of `fetch`
   */
  paginate: <Path extends PagedPath>(
    path: Path,
    ...options: RequiredKeysOf<FetchOptions<paths[Path]['get']>> extends never
      ? [options?: RequestOptions<paths[Path]['get'], 'json'>]
      : [options: RequestOptions<paths[Path]['get'], 'json'>]
  ) => AsyncGenerator<ItemAt<Path>, void, undefined>;
  /**
   * Yields each event of the ledger, or of one outlook, once. After a lost connection it resumes after the last event.
   * It ends when the signal aborts.
   * @throws ProblemError where another attempt would fail as well, such as a 401 or a 404; UnexpectedResponseError if
   *   something else answers; and what a callback throws
   */
  subscribe: (options?: SubscribeOptions) => AsyncGenerator<LedgerEvent, void, undefined>;
};

/**
 * Sends a request. In a subscription, the signal replaces that of the request: Node.js may collect the signal of a
 * request as garbage while it waits, and then it never aborts.
 */
export type Fetch = (request: Request, init?: { signal: AbortSignal }) => Promise<Response>;

export type CreateClientOptions = {
  /** The URL of the service. */
  baseUrl: string;
  /** The API key or token to send, if any. A function is called for each request, for tokens that expire. */
  key?: string | (() => string | Promise<string>) | undefined;
  /** Replaces the global `fetch`. */
  fetch?: Fetch | undefined;
};

/** Creates a client. */
export function createClient({
  baseUrl,
  key,
  fetch = globalThis.fetch,
}: CreateClientOptions): Client {
  const client = createFetchClient<paths>({ baseUrl, fetch: (request) => fetch(request) });
  client.use({
    onRequest: async ({ request }) => {
      const current = typeof key === 'function' ? await key() : key;
      if (current) request.headers.set('Authorization', `Bearer ${current}`);
      // The service accepts a PATCH only as a merge patch, and openapi-fetch sends every body as application/json.
      if (request.method === 'PATCH') {
        request.headers.set('Content-Type', 'application/merge-patch+json');
      }
    },
  });
  const read = client.GET as (path: string, options: object) => Promise<CallResult<unknown>>;
  return Object.assign(client, {
    paginate: (path: string, options: PagedOptions = {}) =>
      paginate((page) => read(path, withPage(options, page)), options.signal),
    subscribe: (options: SubscribeOptions = {}) =>
      subscribe(opener(client, fetch, options.slug), options),
  }) as unknown as Client;
}

type PagedOptions = { params?: { query?: object }; signal?: AbortSignal | null };

/** Options with the page to read. What the caller asks for comes first, except a cursor after the first page. */
function withPage(options: PagedOptions, { limit, cursor }: PageQuery): PagedOptions {
  const query = { limit, ...options.params?.query, ...(cursor !== undefined && { cursor }) };
  return { ...options, params: { ...options.params, query } };
}

function opener(client: FetchClient<paths>, fetch: Fetch, slug: string | undefined): OpenStream {
  return async (lastEventId, signal) => {
    const options = {
      parseAs: 'stream',
      fetch: (request: Request) => fetch(request, { signal }),
      headers: {
        Accept: 'text/event-stream',
        ...(lastEventId !== undefined && { 'Last-Event-ID': lastEventId }),
      },
    } as const;
    const result =
      slug === undefined
        ? await client.GET('/v1/events', options)
        : await client.GET('/v1/outlooks/{slug}/events', {
            ...options,
            params: { path: { slug } },
          });
    const body = dataOrThrow(result as CallResult<ReadableStream<Uint8Array>>);
    return { response: result.response, body };
  };
}
