import type { Role } from '../../src/domain/api-keys.ts';
import type { TestLedger } from './ledger.ts';
import { outlookBody } from './requests.ts';

/** Sends a request as a caller with a key; without one, as anyone. Fails unless the status is as expected. */
export async function sendWith(
  { app }: TestLedger,
  key: string | null,
  {
    method = 'GET',
    url,
    body,
    status,
    headers = {},
  }: {
    method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
    url: string;
    body?: object;
    /** The expected status; any if not given. */
    status?: number;
    headers?: Record<string, string>;
  },
) {
  const authorization = key === null ? {} : { authorization: `Bearer ${key}` };
  const response = await app.inject({
    method,
    url,
    headers: { ...authorization, ...(body && { 'content-type': typeOf(method) }), ...headers },
    ...(body && { payload: JSON.stringify(body) }),
  });
  if (status !== undefined && response.statusCode !== status) {
    throw new Error(`${method} ${url} got ${response.statusCode}: ${response.body}`);
  }
  return response;
}

const typeOf = (method: string): string =>
  method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';

/** Adds a desk. */
export async function addDesk(ledger: TestLedger, slug: string): Promise<void> {
  const body = { slug, name: `The ${slug} desk` };
  await sendWith(ledger, ledger.keys.admin, {
    method: 'POST',
    url: '/v1/desks',
    body,
    status: 201,
  });
}

/** Issues a key for desks. */
export async function keyFor(
  ledger: TestLedger,
  desks: readonly string[] | '*',
  { role = 'analyst', name = `${role} of ${String(desks)}` }: { role?: Role; name?: string } = {},
): Promise<string> {
  const body = { name, role, desks, expiresAt: null };
  const request = { method: 'POST', url: '/v1/keys', body, status: 201 } as const;
  return (await sendWith(ledger, ledger.keys.admin, request)).json<{ key: string }>().key;
}

/** Publishes an outlook like the sample, for a desk, as one of its analysts. */
export async function publishFor(
  ledger: TestLedger,
  key: string,
  change: { slug: string; desk: string; visibility: 'public' | 'internal'; title?: string },
): Promise<void> {
  const body = outlookBody(change);
  await sendWith(ledger, key, { method: 'POST', url: '/v1/outlooks', body, status: 201 });
}

/** Makes an internal outlook or series public. */
export async function disclose(ledger: TestLedger, key: string, path: string): Promise<void> {
  const url = `${path}/disclosure`;
  const { confirm } = (await sendWith(ledger, key, { url, status: 200 })).json<{
    confirm: string;
  }>();
  await sendWith(ledger, key, { method: 'POST', url, body: { confirm }, status: 200 });
}
