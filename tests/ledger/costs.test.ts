import type { FastifyInstance } from 'fastify';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { inTransaction } from '../../src/postgres/pool.ts';
import { recordObservations } from '../../src/ledger/observations.ts';
import { loadSamples } from '../../src/first-start.ts';
import { createDatabase, openDatabase } from '../support/database.ts';
import { buildSilentApp, SLUG } from '../support/ledger.ts';

const VERSIONS = 5_000;
/** More than are read at once for a track record. */
const OUTLOOKS = 1_200;

let pool: pg.Pool;
let app: FastifyInstance;
beforeAll(async () => {
  // One connection, so that its statistics can be read.
  pool = openDatabase(await createDatabase(), 1);
  await loadSamples(pool, new Date('2026-11-20T16:00:00.000Z'));
  // What it looks at would be counted, too.
  for (const table of ['outlook_versions', 'observations', 'forecast_sums']) {
    await pool.query(`alter table ${table} set (autovacuum_enabled = false)`);
  }
  await pool.query('set session_replication_role = replica');
  await addOutlooks(OUTLOOKS);
  await addVersions(VERSIONS);
  await addVintages();
  await pool.query('reset session_replication_role');
  await pool.query('vacuum (analyze)');
  app = await buildSilentApp(pool);
});
afterAll(async () => {
  await app.close();
  await pool.end();
});

/** Copies of the sample outlook, with a version each: most outlooks of a ledger have few. */
async function addOutlooks(count: number): Promise<void> {
  await copyRows('outlooks', `id = 1`, { id: '1 + n', slug: `'outlook-' || n` }, count);
  const hash = `sha256(convert_to('first ' || n, 'UTF8'))`;
  await copyRows('outlook_versions', 'outlook_id = 1', { outlook_id: '1 + n', hash }, count);
  await copyRows('forecasters', 'outlook_id = 1', { outlook_id: '1 + n' }, count);
}

async function addVersions(last: number): Promise<void> {
  const hash = (version: string) => `sha256(convert_to('${SLUG} ' || ${version}, 'UTF8'))`;
  const version = '1 + n';
  const replaced = {
    version,
    kind: `'probabilities'`,
    recorded_at: `s.recorded_at + n * interval '1 second'`,
    hash: hash(version),
    previous_hash: hash('n'),
  };
  await copyRows('outlook_versions', 'outlook_id = 1', replaced, last - 1);
  await pool.query(
    `update outlooks o set latest_version = v.version, published_at = v.recorded_at, hash = v.hash
       from outlook_versions v
      where o.id = 1 and v.outlook_id = 1 and v.version = $1`,
    [last],
  );
}

const SERIES_DAYS = 3_000;
const VINTAGES = 20;

/** The series of closes: three thousand days before today, each revised time and again. */
async function addVintages(): Promise<void> {
  await pool.query(
    `insert into observations (series_id, date, recorded_at, value, provenance, superseded_at)
     select s.id, date '2026-11-20' - day, timestamptz '2026-11-20 16:00Z' + vintage * interval '1 second',
         100 + day % 7, 'sourced',
         case when vintage < $2 then timestamptz '2026-11-20 16:00Z' + (vintage + 1) * interval '1 second' end
       from series s, generate_series(1, $1) day, generate_series(1, $2) vintage
      where s.key = 'rut-close' order by day, vintage`,
    [SERIES_DAYS, VINTAGES],
  );
}

/** @param replaced in SQL over the row `s` that is copied and its number `n` */
async function copyRows(
  table: string,
  where: string,
  replaced: Record<string, string>,
  count: number,
): Promise<void> {
  const { rows } = await pool.query<{ name: string }>(
    `select column_name as name from information_schema.columns
      where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER'`,
    [table],
  );
  const names = rows.map(({ name }) => name);
  await pool.query(
    `insert into ${table} (${names.map((name) => `"${name}"`).join(', ')}) overriding system value
     select ${names.map((name) => replaced[name] ?? `s."${name}"`).join(', ')}
       from (select * from ${table} where ${where}) s cross join generate_series(1, ${count}) n`,
  );
}

/** How many pages of a table and of its indexes were looked at so far. */
async function pagesRead(table: string): Promise<number> {
  await pool.query('select pg_stat_force_next_flush()');
  const { rows } = await pool.query<{ pages: number }>(
    `select (heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::int as pages
       from pg_statio_user_tables where relname = $1`,
    [table],
  );
  return rows[0]?.pages ?? NaN;
}

const PATHS = [
  `/v1/outlooks/${SLUG}`,
  `/v1/outlooks/${SLUG}/versions/${VERSIONS - 10}`,
  `/v1/outlooks/${SLUG}?asOf=2026-11-20T17:00:00Z`,
  `/v1/outlooks/${SLUG}/versions?limit=10`,
  '/v1/outlooks?limit=10',
  '/v1/outlooks?limit=10&horizonEndsAfter=2026-12-31',
  '/v1/outlooks?limit=10&horizonEndsBefore=2026-12-31',
  '/v1/outlooks?limit=10&outcome=bear',
];
test.each(PATHS)('%s reads a few of many versions', async (path) => {
  // Some for a cold start; then as often as Postgres needs to settle on a plan.
  for (let turn = 0; turn < 10; turn += 1) {
    const before = await pagesRead('outlook_versions');
    const { statusCode } = await app.inject({ url: path });
    expect(statusCode).toBe(200);
    expect((await pagesRead('outlook_versions')) - before).toBeLessThan(150);
  }
});

test.each(['', '&sort=slug', '&sort=publishedAt'])(
  'a list of an author of all outlooks reads those of a page%s',
  async (sort) => {
    for (let turn = 0; turn < 7; turn += 1) {
      const before = await pagesRead('outlook_versions');
      const { statusCode } = await app.inject(`/v1/outlooks?limit=10&author=Sample%20desk${sort}`);
      expect(statusCode).toBe(200);
      // The authors of 21 outlooks, and what a list shows of them.
      expect((await pagesRead('outlook_versions')) - before).toBeLessThan(250);
    }
  },
);

const OBSERVED = `/v1/series/rut-close/observations?from=2026-11-01&to=2026-11-11`;
test.each([
  OBSERVED,
  `${OBSERVED}&asOf=2026-11-20T16:00:05Z`,
  `/v1/outlooks/${SLUG}/drawdown?since=2026-11-01`,
  `/v1/outlooks/${SLUG}/drawdown?since=2026-11-01&asOf=2026-11-20T16:00:05Z`,
])('%s looks at the days that are asked for, not at all vintages', async (path) => {
  for (let turn = 0; turn < 10; turn += 1) {
    const before = await pagesRead('observations');
    const { statusCode, body } = await app.inject({ url: path });
    expect(statusCode, body).toBe(200);
    expect((await pagesRead('observations')) - before).toBeLessThan(150);
  }
});

test('new observations are evaluated by reading a few of many', async () => {
  const now = () => new Date('2026-11-21T00:00:00Z');
  for (let turn = 0; turn < 7; turn += 1) {
    const before = await pagesRead('observations');
    const sent = {
      date: '2026-11-20',
      value: 90 + turn,
      provenance: 'sourced' as const,
      note: null,
    };
    await inTransaction(pool, (session) =>
      recordObservations(session, 'rut-close', 'all', [sent], now),
    );
    // The closes since the horizon began, which drawdowns are computed from, are some 240.
    expect((await pagesRead('observations')) - before).toBeLessThan(600);
  }
});

/** Resolves all outlooks but one, of which one is on an instrument of its own. */
async function resolveOutlooks(): Promise<void> {
  await pool.query(`insert into instruments (symbol, name, kind, created_at)
    values ('OWN', 'Own', 'index', '2026-11-20Z')`);
  await pool.query('set session_replication_role = replica');
  await pool.query(`update outlooks set instrument_id = (select id from instruments where symbol = 'OWN')
    where slug = 'outlook-500'`);
  await pool.query('reset session_replication_role');
  // In parts, none of which meets the statement timeout on a busy machine.
  for (let last = 1; last <= OUTLOOKS; last += 300) {
    await pool.query(
      `insert into resolutions (outlook_id, number, outcome, reason, author_id, recorded_at)
       select o.id, 1, (array['bear', 'base', 'bull'])[1 + o.id % 3], 'R', v.author_id, '2026-11-21Z'
         from outlooks o join outlook_versions v on v.outlook_id = o.id and v.version = 1
        where o.id > $1 and o.id <= $1 + 300`,
      [last],
    );
  }
  await pool.query('vacuum (analyze)');
}

test('a track record reads only its own outlooks, page by page', async () => {
  await resolveOutlooks();
  // Each with its versions, and its author with them.
  const record = async (url: string) => {
    const before = await pagesRead('forecast_sums');
    const answer = await app.inject({ url });
    expect(answer.statusCode, answer.body).toBe(200);
    const pages = (await pagesRead('forecast_sums')) - before;
    return { pages, ...answer.json<{ n: number; counts: object; scores: object }>() };
  };
  const all = await record('/v1/track-record');
  expect(all).toMatchObject({ n: OUTLOOKS, counts: { open: 1, resolved: OUTLOOKS } });
  const own = await record('/v1/instruments/OWN/track-record');
  expect(own).toMatchObject({ n: 1, counts: { open: 0, resolved: 1 } });
  expect(own.pages).toBeLessThan(20);
  const nobody = await record('/v1/instruments/RUT/track-record?to=2027-01-01');
  expect(nobody.n).toBe(0);
  const { rows } = await pool.query<{ id: string }>('select id from analysts limit 1');
  const author = await record(`/v1/analysts/${rows[0]?.id}/track-record`);
  expect([author.n, author.scores]).toEqual([OUTLOOKS, all.scores]);
  // With many rows a page starts at its key, so its cost depends only on its own rows.
  expect(author.pages).toBeLessThan(2 * all.pages + 100);
});
