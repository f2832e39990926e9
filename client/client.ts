import createFetchClient from 'openapi-fetch';
import type {
  Client as FetchClient,
  ClientOptions,
  FetchOptions,
  ParseAs,
  ParseAsResponse,
} from 'openapi-fetch';
import type {
  ErrorResponse,
  HttpMethod,
  PathsWithMethod,
  RequiredKeysOf,
  SuccessResponse,
} from 'openapi-typescript-helpers';
import type { paths } from './api.ts';

export type * from './api.ts';

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

/**
 * The client of openapi-fetch with stricter types. Its own types accept an unknown field or query parameter beside a
 * known one, and omit from responses the fields that are always null.
 */
export type Client = Pick<FetchClient<paths>, 'use' | 'eject'> & {
  [Method in HttpMethod as Uppercase<Method>]: Call<Method>;
};

/**
 * Creates a client.
 * @param options.baseUrl the URL of the service
 * @param options.key the API key or token to send, if any
 * @param options.fetch replaces the global `fetch`
 */
export function createClient({
  key,
  ...options
}: Pick<ClientOptions, 'fetch'> & { baseUrl: string; key?: string | undefined }): Client {
  const client = createFetchClient<paths>({
    ...options,
    headers: key ? { Authorization: `Bearer ${key}` } : {},
  });
  // The service accepts a PATCH only as a merge patch, and openapi-fetch sends every body as application/json.
  client.use({
    onRequest: ({ request }) => {
      if (request.method === 'PATCH') {
        request.headers.set('Content-Type', 'application/merge-patch+json');
      }
    },
  });
  return client as Client;
}
