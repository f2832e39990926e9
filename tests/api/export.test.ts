import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PUBLIC_AUDIENCE } from '../../src/domain/desks.ts';
import { hashFramework } from '../../src/domain/framework.ts';
import { hashDocument } from '../../src/domain/hash-chain.ts';
import { exportBatches, type ExportRecord } from '../../src/ledger/export.ts';
import { fillLedger } from '../support/outlooks.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, send } from '../support/requests.ts';

type Line = Record<string, unknown> & { type: string };

let ledger: TestLedger;
let lines: Line[];
let records: Line[];
beforeAll(async () => {
  ledger = await startLedger();
  await fillLedger(ledger);
  // More than are read at once.
  const slugs = Array.from({ length: 105 }, (_, number) => `o-${number}`);
  await Promise.all(slugs.map((slug) => createOutlook(ledger, { slug })));
  lines = await exported();
  records = lines.slice(1, -1);
});
afterAll(() => ledger.close());

const read = (headers: Record<string, string> = {}, method: 'GET' | 'HEAD' = 'GET') =>
  ledger.call({ url: '/v1/export', as: 'admin', headers, method });
const linesOf = (body: string): Line[] =>
  body
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
const exported = async (): Promise<Line[]> => linesOf((await read()).body);
const ofType = (type: string): Line[] => records.filter((one) => one.type === type);
/** A record without members that the API's item does not have. */
const without = (record: Line, ...names: string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(record).filter(([name]) => !names.includes(name)));
const json = async (url: string) =>
  (await ledger.call({ url, as: 'admin' })).json<Record<string, unknown>>();

/** Where the rows of a table are in the export, or why they are not. A new table has to be in one of both. */
const EXPORTED: Record<string, string> = {
  outlooks: 'outlook',
  outlook_versions: 'version',
  frameworks: 'framework',
  resolutions: 'resolution',
  resolution_contradictions: 'contradiction',
  condition_changes: 'conditionChange',
  drawdown_changes: 'drawdownChange',
  views: 'view',
  evidence: 'evidence',
  instruments: 'instrument',
  series: 'series',
  observations: 'observation',
};
const INSIDE: Record<string, string> = {
  analysts: 'authors',
  desks: 'outlook and series',
  scenarios: 'framework',
  headwinds: 'framework',
  drawdown_labels: 'framework',
  invalidation_conditions: 'framework',
  condition_comparisons: 'framework',
  evidence_claims: 'evidence',
  version_evidence: 'version',
  version_views: 'version',
  condition_answers: 'version',
  condition_evidence: 'conditionChange',
  resolution_evidence: 'resolution',
};
const EXCLUDED: Record<string, string> = {
  disclosures: 'events of outlooks',
  desk_policies: 'read at /v1/desks',
  analyst_identities: 'who has which token is secret',
  analyst_changes: 'earlier names of analysts are for the log',
  analyst_skeletons: 'computed from names',
  api_keys: 'secret',
  audit_entries: 'for admins',
  idempotency_keys: 'responses to the writes of others',
  events: 'streamed by /v1/events, from `position` on',
  event_watermark: 'how far events have positions',
  forecasters: 'computed from versions and views',
  forecast_sums: 'computed from versions and views',
  forecast_buckets: 'computed from versions and views',
  forecast_leads: 'computed from versions and views',
  search_backlog: 'the upkeep of an index',
  series_sources: 'how series are pulled, for who feeds them',
  webhooks: 'for admins',
  webhook_deliveries: 'for admins',
  webhook_attempts: 'for admins',
  row_digests: 'given with receipts: it has salts',
  openings: 'given with receipts, and secret until then',
  erasures: 'of names, for admins',
  erased_openings: 'of names, for admins',
  digest_progress: 'how far the rows of before have digests',
  log_generations: 'served by /v1/log',
  log_tiles: 'served by /log',
  log_checkpoints: 'served by /log',
  log_cosignatures: 'served with receipts and by /v1/log',
  proposals: 'for keys of the desk',
  proposal_drafts: 'for keys of the desk',
  proposal_steps: 'for keys of the desk',
};

test('each table is exported, or named as left out', async () => {
  const { rows } = await ledger.pool.query<{ name: string }>(
    `select table_name as name from information_schema.tables
      where table_schema = 'public' and table_type = 'BASE TABLE'`,
  );
  expect(rows.map(({ name }) => name).toSorted()).toEqual(
    Object.keys({ ...EXPORTED, ...INSIDE, ...EXCLUDED }).toSorted(),
  );
});

test.for(Object.entries(EXPORTED))('every row of %s is there, as %s', async ([table, type]) => {
  const { rows } = await ledger.pool.query<{ count: number }>(`select count(*) from ${table}`);
  expect(ofType(type)).toHaveLength(Number(rows[0]?.count));
});

test('has a first line that says what it is, and a last one that says that it is whole', async () => {
  const [head] = lines as [Line];
  expect(head).toMatchObject({
    type: 'export',
    format: 1,
    startedAt: ledger.clock.now.toISOString(),
  });
  expect(head['position']).toMatch(/^\d+-[\da-f]{8}$/);
  expect(lines.at(-1)).toEqual({ type: 'end', records: records.length });
  expect(new Set(records.map(({ type }) => type))).toEqual(
    new Set((head['types'] as string[]).filter((type) => ofType(type).length > 0)),
  );
});

test('is the same each time', async () => {
  expect(await exported()).toEqual(lines);
});

test('has no secret', async () => {
  const { body } = await read();
  for (const key of Object.values(ledger.keys)) expect(body).not.toContain(key.slice(0, 12));
  expect(body).not.toMatch(/olk_|whsec_|secret/i);
});

describe('a record has what the API shows', () => {
  test('of a version', async () => {
    const versions = ofType('version').filter(({ outlook }) => outlook === SLUG);
    for (const version of versions) {
      const shown = await json(`/v1/outlooks/${SLUG}/versions/${String(version['version'])}`);
      const { evidence, kind } = version;
      const rest = without(version, 'type', 'outlook', 'evidence', 'kind');
      expect(shown).toMatchObject({
        ...rest,
        change: { kind },
        evidence: (evidence as string[]).map((id) => ({ id })),
      });
    }
    expect(versions.length).toBeGreaterThan(1);
  });

  test.for([
    ['resolution', 'resolution', 'number'],
    ['view', 'views', 'version'],
    ['evidence', 'evidence', 'id'],
  ] as const)('of each %s', async ([type, path]) => {
    const slugs = new Set(ofType(type).map(({ outlook }) => String(outlook)));
    expect(slugs.size).toBeGreaterThan(0);
    for (const slug of slugs) {
      const shown = await json(
        `/v1/outlooks/${slug}/${path}?limit=100`.replace('resolution?limit=100', 'resolution'),
      );
      const items = (
        type === 'resolution'
          ? [shown['current'] ?? shown['resolution'], ...(shown['superseded'] as unknown[])]
          : (shown['items'] as unknown[])
      ) as Record<string, unknown>[];
      const own = ofType(type).filter(({ outlook }) => outlook === slug);
      for (const one of own) {
        const { closes } = one;
        const record = without(one, 'type', 'outlook', 'closes');
        if (type === 'view' && record['kind'] === 'withdrawn') continue;
        expect(items).toContainEqual(expect.objectContaining(record));
        expect(closes === undefined || typeof closes === 'object').toBe(true);
      }
    }
  });

  test('of series, instruments and observations', async () => {
    const { items: instruments } = await json('/v1/instruments?limit=100');
    expect(ofType('instrument').map((one) => without(one, 'type'))).toEqual(
      expect.arrayContaining(instruments as unknown[]),
    );
    const { items: series } = await json('/v1/series?limit=100');
    expect(ofType('series').map((one) => without(one, 'type'))).toEqual(
      expect.arrayContaining(series as unknown[]),
    );
    const [{ series: key } = { series: '' }] = ofType('observation');
    const { items } = await json(`/v1/series/${String(key)}/observations?vintages=all&limit=10000`);
    const own = ofType('observation').filter((one) => one['series'] === key);
    expect(own.map((one) => without(one, 'type', 'series'))).toEqual(items);
  });
});

test('the hash chain can be recomputed from it', () => {
  const outlooks = new Map(ofType('outlook').map((one) => [one['slug'], one]));
  const frameworks = new Map<unknown, Line>();
  const last = new Map<unknown, unknown>();
  for (const record of records) {
    if (record.type === 'framework') frameworks.set(record['hash'], record);
    if (record.type !== 'version') continue;
    const { outlook, version, publishedAt, rationale, kind, hash, previousHash } = record;
    const fractions = record['probabilities'] as Record<string, number>;
    const points = Object.fromEntries(
      Object.entries(fractions).map(([name, value]) => [name, Math.round(value * 10_000)]),
    );
    const frameworkHash = record['frameworkHash'];
    const authorId = (record['author'] as { id: string }).id;
    const chained = { slug: outlook, version, publishedAt, authorId, rationale, kind };
    expect(hashDocument({ ...chained, probabilities: points, frameworkHash, previousHash })).toBe(
      hash,
    );
    expect(previousHash).toBe(last.get(outlook) ?? null);
    last.set(outlook, hash);
    const framework = without(frameworks.get(frameworkHash) as Line, 'type', 'outlook', 'hash');
    const { instrument, horizon } = outlooks.get(outlook) as never;
    expect(hashFramework(framework as never, { instrument, horizon })).toBe(frameworkHash);
  }
  expect(last.size).toBe(outlooks.size);
});

test('whatever a record refers to is there', () => {
  const keys = (type: string, key: string) => new Set(ofType(type).map((one) => one[key]));
  const slugs = keys('outlook', 'slug');
  for (const record of records.filter((one) => 'outlook' in one))
    expect(slugs).toContain(record['outlook']);
  const symbols = keys('instrument', 'symbol');
  for (const { instrument } of ofType('outlook')) expect(symbols).toContain(instrument);
  const evidence = keys('evidence', 'id');
  for (const record of [...ofType('version'), ...ofType('resolution')])
    for (const id of record['evidence'] as string[]) expect(evidence).toContain(id);
  const series = keys('series', 'key');
  for (const one of ofType('observation')) expect(series).toContain(one['series']);
});

async function observeNewSeries(busy: TestLedger): Promise<void> {
  const key = 'new-series';
  const series = { key, name: 'New', unit: 'USD', frequency: 'daily', source: 'A provider' };
  const made = await send(busy, 'POST', '/v1/series', series, { as: 'feed' });
  expect(made.statusCode, made.body).toBe(201);
  const observations = [{ date: '2026-11-18', value: 1 }];
  const url = `/v1/series/${key}/observations`;
  const observed = await send(busy, 'POST', url, { observations }, { as: 'feed' });
  expect(observed.statusCode, observed.body).toBe(200);
}

async function reviseSample(busy: TestLedger): Promise<void> {
  const probabilities = { bear: 0.5, base: 0.3, bull: 0.2 };
  const revised = await busy.revise({ probabilities, rationale: 'Worse.' });
  expect(revised.statusCode, revised.body).toBe(201);
  const url = `/v1/outlooks/${SLUG}/conditions/orders-and-spending/assessments`;
  const assessment = { state: 'untriggered', rationale: 'Published again.' };
  const assessed = await send(busy, 'POST', url, assessment);
  expect(assessed.statusCode, assessed.body).toBe(201);
}

test('a record refers to nothing that was written after what it would be in', async () => {
  const busy = await startLedger();
  try {
    await fillLedger(busy);
    const seen: ExportRecord[] = [];
    const isNew = (type: string) => seen.every((one) => one.type !== type);
    for await (const batch of exportBatches(busy.pool, PUBLIC_AUDIENCE)) {
      if (batch.some(({ type }) => type === 'version') && isNew('version'))
        await reviseSample(busy);
      const isReference = batch.some(({ type }) => type === 'observation' || type === 'series');
      if (isReference && isNew('observation') && isNew('series')) await observeNewSeries(busy);
      seen.push(...batch);
    }
    const of = (type: string) => seen.filter((one) => one.type === type);
    const versionOf = ({ outlook, version }: ExportRecord) => [outlook, version];
    const versions = of('version').map(versionOf);
    for (const type of ['conditionChange', 'drawdownChange'])
      for (const one of of(type)) expect(versions).toContainEqual(versionOf(one));
    const series = of('series').map(({ key }) => key);
    for (const one of of('observation')) expect(series).toContain(one['series']);
  } finally {
    await busy.close();
  }
});

describe('the response', () => {
  test('has a file name, and an ETag that any write changes, observations included', async () => {
    const { headers } = await read();
    const etag = String(headers.etag);
    expect(headers['content-type']).toBe('application/x-ndjson; charset=utf-8');
    expect(headers['content-disposition']).toBe(
      `attachment; filename="outlook-ledger-${ledger.clock.now.toISOString().slice(0, 10)}.ndjson"`,
    );
    const known = await read({ 'if-none-match': etag });
    expect([known.statusCode, known.body]).toEqual([304, '']);
    const head = await read({}, 'HEAD');
    expect([head.statusCode, head.body, head.headers.etag]).toEqual([200, '', etag]);
    const observations = [{ date: '1980-01-02', value: 1 }];
    const url = '/v1/series/rut-close/observations';
    expect((await send(ledger, 'POST', url, { observations }, { as: 'feed' })).statusCode).toBe(
      200,
    );
    const changed = await read({ 'if-none-match': etag });
    expect([changed.statusCode, changed.headers.etag === etag]).toEqual([200, false]);
  });

  test('is compressed', async () => {
    const zipped = await read({ 'accept-encoding': 'gzip' });
    expect(linesOf(gunzipSync(zipped.rawPayload).toString()).at(-1)?.type).toBe('end');
  });

  test('takes no parameters and no other media type', async () => {
    expect((await ledger.call({ url: '/v1/export?limit=1' })).statusCode).toBe(422);
    expect((await read({ accept: 'text/csv' })).statusCode).toBe(406);
  });
});

test('needs a key where reads do', async () => {
  const closed = await startLedger({ requireKeyForReads: true });
  try {
    expect((await closed.call({ url: '/v1/export' })).statusCode).toBe(401);
    const { statusCode, headers } = await closed.call({ url: '/v1/export', as: 'feed' });
    expect([statusCode, headers['cache-control']]).toEqual([200, 'private, no-cache']);
  } finally {
    await closed.close();
  }
});

test('an empty ledger has its two lines and its series', async () => {
  const empty = await startLedger({ samples: false });
  try {
    const [head, ...rest] = linesOf((await empty.call({ url: '/v1/export' })).body);
    expect(head).toMatchObject({ type: 'export', position: '0' });
    expect(new Set(rest.map(({ type }) => type))).toEqual(new Set(['series', 'end']));
  } finally {
    await empty.close();
  }
});
