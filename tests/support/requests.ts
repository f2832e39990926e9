import type { LightMyRequestResponse } from 'fastify';
import type { Role } from '../../src/domain/api-keys.ts';
import { SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';
import { SLUG, type TestLedger } from './ledger.ts';

export const MERGE_PATCH = 'application/merge-patch+json';

type Options = { as?: Role; type?: string; headers?: Record<string, string> };

/** Sends a body as JSON, or text as it is, under an analyst's key unless `as` names another. */
export function send(
  ledger: TestLedger,
  method: 'POST' | 'PUT' | 'PATCH',
  url: string,
  body: unknown,
  { as = 'analyst', type, headers = {} }: Options = {},
): Promise<LightMyRequestResponse> {
  const contentType = type ?? (method === 'PATCH' ? MERGE_PATCH : 'application/json');
  return ledger.call({
    method,
    url,
    as,
    headers: {
      'content-type': contentType,
      ...headers,
    },
    payload: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

/** The sample as the body of a POST, with other members. */
export function outlookBody(change: Record<string, unknown> = {}): Record<string, unknown> {
  return { ...structuredClone(SAMPLE_OUTLOOK), ...change };
}

export function createOutlook(
  ledger: TestLedger,
  change: Record<string, unknown>,
): Promise<LightMyRequestResponse> {
  return send(ledger, 'POST', '/v1/outlooks', outlookBody(change));
}

/** Patches the sample's framework; with a slug, another outlook's. */
export function patchFramework(
  ledger: TestLedger,
  body: unknown,
  { slug = SLUG, ...options }: Options & { slug?: string } = {},
): Promise<LightMyRequestResponse> {
  return send(ledger, 'PATCH', `/v1/outlooks/${slug}/framework`, body, options);
}

/** What a problem says of each field, by its pointer. */
export function faultsOf(problem: {
  errors?: { pointer: string; detail: string }[];
}): Record<string, string> {
  return Object.fromEntries((problem.errors ?? []).map(({ pointer, detail }) => [pointer, detail]));
}

/** How many rows each table has, and the newest version of each outlook. */
export async function stored({ pool }: TestLedger): Promise<Record<string, unknown>> {
  const { rows: tables } = await pool.query<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = 'public'`,
  );
  const counts = tables.map(async ({ name }) => {
    const { rows } = await pool.query<{ rows: string }>(`select count(*) as rows from "${name}"`);
    return [name, Number(rows[0]?.rows)] as const;
  });
  const versions = await pool.query('select slug, latest_version from outlooks order by slug');
  return { ...Object.fromEntries(await Promise.all(counts)), versions: versions.rows };
}

/**
 * What `stored` counts after a request that changed nothing since `before`: the record that it was sent, and what the
 * transparency log needs of that (an event, its opening, and a digest of each row).
 */
export function withOneRecord(before: Record<string, unknown>): Record<string, unknown> {
  const added = { audit_entries: 1, events: 1, openings: 1, row_digests: 2 };
  const counts = Object.entries(added).map(([table, rows]) => [
    table,
    Number(before[table]) + rows,
  ]);
  return { ...before, ...Object.fromEntries(counts) };
}
