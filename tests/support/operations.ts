import { DOCUMENT } from './openapi.ts';
import { SLUG } from './ledger.ts';

export type DocumentedOperation = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  path: string;
  /** The path with parameters that name what every test ledger has. */
  url: string;
  operationId: string;
  /** Whether its response continues until the client leaves. */
  isStream: boolean;
  /** Who is let in: anyone, anyone unless reads need a key, or keys only. */
  access: 'public' | 'read' | 'key';
};

const NO_ID = '00000000-0000-4000-8000-000000000000';
/** An item of evidence of the sample, where a test lets `fillLedger` add it. */
export const EVIDENCE_ID = '00000000-0000-4000-8000-00000000e41d';
/** An analyst who holds a view of the sample, where a test lets `fillLedger` add it. */
export const ANALYST_ID = '00000000-0000-4000-8000-00000000a4a1';
/** A webhook of the sample, disabled, where a test lets `fillLedger` add it. */
export const WEBHOOK_ID = '00000000-0000-4000-8000-00000000eb00';
/** A discarded proposal for the sample, where a test lets `fillLedger` add it. */
export const PROPOSAL_ID = '00000000-0000-4000-8000-000000009409';
const PARAMETERS: Record<string, string> = {
  desk: 'main',
  analyst: ANALYST_ID,
  slug: SLUG,
  version: '1',
  symbol: 'RUT',
  code: 'not-found',
  generation: '1',
  level: '0',
  tile: '000.p%2F1',
  id: NO_ID,
};

/** Where the same name is that of something else. */
const OTHERS: Record<string, Record<string, string>> = {
  '/v1/outlooks/{slug}/conditions/{key}': { key: 'rate-relief' },
  '/v1/outlooks/{slug}/conditions/{key}/assessments': { key: 'domestic-breadth' },
  '/v1/outlooks/{slug}/evidence/{id}': { id: EVIDENCE_ID },
  '/v1/outlooks/{slug}/evidence/{id}/receipt': { id: EVIDENCE_ID },
  '/v1/outlooks/{slug}/resolution/receipt': { slug: 'resolved-case' },
  ...Object.fromEntries(
    ['', '/outlooks', '/views', '/track-record'].map((part) => [
      `/v1/analysts/{id}${part}`,
      { id: ANALYST_ID },
    ]),
  ),
  ...Object.fromEntries(
    ['', '/deliveries', '/secret', '/test'].map((part) => [
      `/v1/webhooks/{id}${part}`,
      { id: WEBHOOK_ID },
    ]),
  ),
  '/v1/proposals/{id}': { id: PROPOSAL_ID },
  '/v1/series/{key}': { key: 'rut-close' },
  '/v1/series/{key}/disclosure': { key: 'rut-close' },
  '/v1/series/{key}/observations': { key: 'rut-close' },
  '/v1/series/{key}/source': { key: 'rut-close' },
};

/** What reads ask for that can't be left out. The second version is for the test to publish. */
const QUERIES: Record<string, string> = {
  getOutlooks: `?slugs=${SLUG}`,
  getDiff: '?against=2',
};

type Described = {
  operationId: string;
  security?: Record<string, unknown>[];
  responses: Record<string, { content?: object }>;
};

function accessOf({ security = [] }: Described): DocumentedOperation['access'] {
  if (security.length === 0) return 'public';
  return security.some((requirement) => Object.keys(requirement).length === 0) ? 'read' : 'key';
}

/** Every operation of the committed document. */
export const OPERATIONS: DocumentedOperation[] = Object.entries(DOCUMENT.paths).flatMap(
  ([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      method: method.toUpperCase() as DocumentedOperation['method'],
      path,
      url:
        path.replace(
          /\{(\w+)\}/g,
          (_, name: string) => OTHERS[path]?.[name] ?? PARAMETERS[name] ?? `no-${name}`,
        ) + (QUERIES[operation.operationId] ?? ''),
      isStream: 'text/event-stream' in (operation.responses['200']?.content ?? {}),
      operationId: operation.operationId,
      access: accessOf(operation),
    })),
);

export const READS = OPERATIONS.filter(({ method, isStream }) => method === 'GET' && !isStream);
