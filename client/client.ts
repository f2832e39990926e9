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

type Json = 'application/json' | 'application/problem+json';

type Init<Operation, Parse> = Omit<FetchOptions<Operation>, 'parseAs'> & { parseAs?: Parse };

type Answer<Operation, Parse> = Operation extends {
  responses: infer Responses extends Record<number, unknown>;
}
  ? | {
        data: ParseAsResponse<SuccessResponse<Responses, Json>, { parseAs: Parse }>;
        error?: never;
        response: Response;
      }
    | { data?: never; error: ErrorResponse<Responses, Json>; response: Response }
  : never;

type Call<Method extends HttpMethod> = <
  Path extends PathsWithMethod<paths, Method>,
  Parse extends ParseAs = 'json',
>(
  path: Path,
  ...init: RequiredKeysOf<FetchOptions<paths[Path][Method]>> extends never
    ? [init?: Init<paths[Path][Method], Parse>]
    : [init: Init<paths[Path][Method], Parse>]
) => Promise<Answer<paths[Path][Method], Parse>>;

/**
 * openapi-fetch's client under stricter types: its own accept an unknown field or query parameter
 * beside a known one, and leave out of answers the fields that are always null.
 */
export type Client = Pick<FetchClient<paths>, 'use' | 'eject'> & {
  [Method in HttpMethod as Uppercase<Method>]: Call<Method>;
};

/** A client of the service at `baseUrl`; with `key`, it sends that key. */
export function createClient({
  key,
  ...options
}: Pick<ClientOptions, 'fetch'> & { baseUrl: string; key?: string | undefined }): Client {
  const client = createFetchClient<paths>({
    ...options,
    headers: key ? { Authorization: `Bearer ${key}` } : {},
  });
  // The service takes a PATCH as a merge patch only; openapi-fetch says application/json of any body.
  client.use({
    onRequest: ({ request }) => {
      if (request.method === 'PATCH') {
        request.headers.set('Content-Type', 'application/merge-patch+json');
      }
    },
  });
  return client as Client;
}
