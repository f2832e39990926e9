import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fillLedger } from '../support/outlooks.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { nastyOutlook } from '../support/nasty.ts';
import { DOCUMENT } from '../support/openapi.ts';
import { ANALYST_ID, READS } from '../support/operations.ts';
import { createOutlook, send } from '../support/requests.ts';

let ledger: TestLedger;
/** An analyst who wrote an outlook. */
let author = '';
beforeAll(async () => {
  ledger = await startLedger();
  await fillLedger(ledger);
  const { rows } = await ledger.pool.query<{ id: string }>(
    'select author_id as id from outlook_versions',
  );
  author = rows[0]?.id ?? '';
});
afterAll(() => ledger.close());

const LISTS = READS.filter(({ operationId }) =>
  /^list(?!ProblemTypes)|^getView$/.test(operationId),
);

const read = (url: string, headers: Record<string, string> = {}) =>
  ledger.call({ url, as: 'admin', headers });

type Row = Record<string, string>;
const rowsOf = (body: string): Row[] => parse(body, { columns: true }) as Row[];

/** The cell for a member of an item. */
function cell(item: Record<string, unknown>, column: string): string {
  const value = column
    .split('.')
    .reduce<unknown>((inner, name) => (inner as Record<string, unknown> | null)?.[name], item);
  if (value === null || value === undefined) return '';
  if (Array.isArray(value) && value.every((one) => typeof one === 'string'))
    return value.join('; ');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

test('every list of the document is also available as CSV', () => {
  expect(LISTS.map(({ operationId }) => operationId).toSorted()).toEqual([
    'getView',
    'listAnalysts',
    'listAudit',
    'listConditions',
    'listDesks',
    'listEvidence',
    'listInstruments',
    'listKeys',
    'listObservations',
    'listOutlooks',
    'listOutlooksOfAnalyst',
    'listProposals',
    'listSeries',
    'listVersions',
    'listViews',
    'listViewsOfAnalyst',
    'listWebhookDeliveries',
    'listWebhooks',
  ]);
  for (const { path } of LISTS) {
    const content = DOCUMENT.paths[path]?.['get']?.responses['200']?.content ?? {};
    expect([path, Object.keys(content)]).toEqual([path, ['application/json', 'text/csv']]);
  }
});

describe.each(LISTS)('$operationId', ({ operationId, url: path }) => {
  let url = path;
  beforeAll(() => {
    if (operationId === 'listOutlooksOfAnalyst') url = path.replace(ANALYST_ID, author);
  });

  test('has the same content as CSV and as JSON, by Accept and by format', async () => {
    const [csv, json] = [await read(url, { accept: 'text/csv' }), await read(url)];
    expect(csv.headers['content-type']).toBe('text/csv; charset=utf-8; header=present');
    expect(csv.headers.etag).not.toBe(json.headers.etag);
    const { items } = json.json<{ items: Record<string, unknown>[] }>();
    expect(items.length).toBeGreaterThan(0);
    const rows = rowsOf(csv.body);
    expect(rows).toHaveLength(items.length);
    for (const [index, row] of rows.entries()) {
      for (const [column, value] of Object.entries(row)) {
        const shown = cell(items[index] ?? {}, column);
        expect([column, value.replace(/^'(?=[=+\-@])/, '')]).toEqual([column, shown]);
      }
    }
    // Reads by admins do not add to the audit trail.
    const named = await read(`${url}${url.includes('?') ? '&' : '?'}format=csv`);
    expect(named.body).toBe(csv.body);
    expect(String(csv.headers.vary)).toContain('Accept,');
    expect(String(named.headers.vary)).not.toContain('Accept,');
    const asJson = await read(`${url}?format=json`, { accept: 'text/csv' });
    expect(asJson.headers['content-type']).toContain('application/json');
    expect(asJson.body).toBe(json.body);
  });

  test('has its columns even if it is empty', async () => {
    const example = JSON.stringify(
      DOCUMENT.paths[LISTS.find((one) => one.url === path)?.path ?? '']?.['get']?.responses['200']
        ?.content,
    );
    const [header = ''] = (await read(url, { accept: 'text/csv' })).body.split('\r\n', 1);
    expect(example).toContain(header);
  });
});

test('a page of CSV links to the next one', async () => {
  const first = await read('/v1/series?limit=1&format=csv');
  const [, next = ''] = /<([^>]+)>; rel="next"/.exec(String(first.headers.link)) ?? [];
  expect(next).toContain('format=csv');
  const second = await read(next);
  expect(rowsOf(second.body)).toHaveLength(1);
  expect(rowsOf(second.body)[0]?.['key']).not.toBe(rowsOf(first.body)[0]?.['key']);
});

test('any text comes back unchanged', async () => {
  const sent = nastyOutlook('nasty');
  expect((await createOutlook(ledger, sent)).statusCode).toBe(201);
  const rationale = 'a\n=HYPERLINK(1)\rb; \u0001 =d';
  const revised = await send(ledger, 'POST', '/v1/outlooks/nasty/revisions', {
    probabilities: { bear: 0.2, base: 0.5, bull: 0.3 },
    rationale,
  });
  expect(revised.statusCode).toBe(201);
  const { body } = await read('/v1/outlooks/nasty/versions?format=csv');
  // Some readers take a lone CR or LF for the end of a row, so it must be quoted.
  expect(body).toContain(`"${rationale}"`);
  const versions = rowsOf(body);
  expect(versions.map((row) => row['rationale'])).toEqual([
    rationale,
    `'${String(sent['rationale'])}`,
  ]);
  const outlooks = rowsOf((await read('/v1/outlooks?format=csv')).body);
  expect(outlooks.find(({ slug }) => slug === 'nasty')?.['title']).toBe(
    `'${String(sent['title'])}`,
  );
});

test('a cached response has the requested media type', async () => {
  const url = `/v1/outlooks/${SLUG}/versions`;
  const browser = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
  for (const _ of [1, 2, 3]) {
    expect((await read(url, { accept: 'text/csv' })).body).toMatch(/^version,/);
    expect((await read(url)).body).toMatch(/^\{/);
    expect((await read(url, browser)).body).toMatch(/^\{/);
    expect((await read(url, { accept: 'text/csv;q=0.5, application/json' })).body).toMatch(/^\{/);
    expect((await read(url, { accept: 'text/html' })).statusCode).toBe(406);
    expect((await read(`${url}?format=csv`, { accept: 'text/html' })).body).toMatch(/^version,/);
    const words = '/v1/outlooks?q=format=Russell';
    expect((await read(words, { accept: 'text/csv' })).body).toMatch(/^slug,/);
    expect((await read(words)).body).toMatch(/^\{/);
  }
});
