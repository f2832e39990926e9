import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import fc from 'fast-check';
import type pg from 'pg';
import { expect, test } from 'vitest';
import { storeMissingSkeletons } from '../../src/access/analysts.ts';
import { deleteExpiredRefusals } from '../../src/access/audit-log.ts';
import { keyHash, keyText } from '../../src/domain/api-keys.ts';
import { endHorizons } from '../../src/ledger/end-horizons.ts';
import { refreshSearch } from '../../src/ledger/refresh-search.ts';
import { verifyLedger } from '../../src/ledger/verification.ts';
import { migrateToLatest } from '../../src/postgres/migrate.ts';
import { inTransaction } from '../../src/postgres/pool.ts';
import { createDatabase, openDatabase } from '../support/database.ts';
import { worlds } from '../support/forecast-worlds.ts';
import { buildSilentApp } from '../support/ledger.ts';
import { naiveSums } from '../support/naive-sums.ts';
import { comparable, readTimes, storedSums } from '../support/stored-sums.ts';
import { readWritten } from '../support/written.ts';
import { WorldWriter } from '../support/world-writer.ts';

const MIGRATIONS = fileURLToPath(new URL('../../migrations', import.meta.url));

/** Brings an empty database to the schema of an earlier release. */
async function migrateTo(pool: pg.Pool, release: number): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'outlook-ledger-release-'));
  try {
    await cp(MIGRATIONS, folder, { recursive: true });
    const file = path.join(folder, 'meta/_journal.json');
    const journal = JSON.parse(await readFile(file, 'utf8')) as { entries: unknown[] };
    const entries = journal.entries.slice(0, release);
    await writeFile(file, JSON.stringify({ ...journal, entries }));
    await migrate(drizzle({ client: pool }), { migrationsFolder: folder });
  } finally {
    await rm(folder, { recursive: true });
  }
}

// Two outlooks, one with a second version of other words and numbers.
const LEDGER = `
  insert into instruments (symbol, name, kind, created_at) values ('RUT', 'Russell 2000 Index', 'index', now());
  insert into analysts (name, created_at) values ('Desk', now());
  insert into outlooks (slug, instrument_id, horizon_from, horizon_to, published_at)
    select slug, 1, '2026-03-31', '2027-03-31', now() from unnest(array['one', 'two']) as slug;
  insert into scenarios (framework_id, name, title, outcome, conditions, direction)
    select id, name, 'T', 'O', 'C', 'lower' from generate_series(101, 103) id, unnest(array['bear', 'base', 'bull']) name;
  insert into headwinds (framework_id, key, rank, title, description)
    values (102, 'rates', 1, 'Refinancing costs', 'They climb.');
  insert into frameworks (id, outlook_id, hash, title, summary, risks, positioning, metrics, faqs, "references")
    select 100 + place, case when place < 3 then 1 else 2 end, sha256('f'), title, 'Summary.', '[]', '[]', '[]', '[]', '[]'
      from unnest(array['Calm', 'Stormy', 'Elsewhere']) with ordinality as f (title, place);
  insert into outlook_versions (outlook_id, version, kind, framework_id, bear_bps, base_bps, bull_bps,
      author_id, rationale, recorded_at, hash, previous_hash)
    select outlook, version, kind, framework, bear, 5000, 5000 - bear, a.id, 'Why.', now(), sha256(hash::bytea), sha256(previous::bytea)
      from analysts a, (values (1, 1, 'created', 101, 1000, 'a', null), (1, 2, 'framework', 102, 4000, 'b', 'a'),
        (2, 1, 'created', 103, 2000, 'c', null)) as v (outlook, version, kind, framework, bear, hash, previous);
  insert into events (kind, outlook_id, version, data, recorded_at)
    select case version when 1 then 'outlook.created' else 'outlook.version.published' end, outlook_id, version, '{}', now()
      from outlook_versions;
  select sequence_events()`;

test('a ledger of the previous release can be read, searched and revised', async () => {
  const pool = openDatabase(await createDatabase({ empty: true }), 3);
  const app = await buildSilentApp(pool);
  try {
    await migrateTo(pool, 2);
    await pool.query(`begin; ${LEDGER}; commit`);
    await migrateToLatest(pool);

    const one = await app.inject('/v1/outlooks/one');
    expect(one.json()).toMatchObject({ version: 2, title: 'Stormy', probabilities: { bear: 0.4 } });
    const found = async (query: string) =>
      (await app.inject(`/v1/outlooks?${query}`))
        .json<{ items: { slug: string }[] }>()
        .items.map(({ slug }) => slug);
    expect(await found('q=refinancing')).toEqual(['one']);
    expect(await found('q=calm')).toEqual([]);
    expect(await found('q=elsewhere')).toEqual(['two']);
    // The words that no release before collected.
    expect(await found('q=russ')).toEqual([]);
    await refreshSearch(pool, () => false);
    expect(await found('q=russ&sort=slug')).toEqual(['one', 'two']);
    expect(await found('q=desk%20storm')).toEqual(['one']);
    expect(await found('q=calm')).toEqual([]);
    expect((await pool.query('select from search_backlog')).rowCount).toBe(0);
    expect(await found('scenario=bear&minProbability=0.3')).toEqual(['one']);
    expect(await found('sort=slug&reviewDue=false')).toEqual(['one', 'two']);
    await pool.query(
      `insert into outlook_versions (outlook_id, version, kind, framework_id, bear_bps, base_bps,
          bull_bps, author_id, rationale, recorded_at, hash, previous_hash)
        select outlook_id, 3, 'probabilities', framework_id, 0, 5000, 5000, author_id, 'R', recorded_at,
          sha256('d'), hash from outlook_versions where outlook_id = 1 and version = 2`,
    );
    expect((await app.inject('/v1/outlooks/one')).json()).toMatchObject({ version: 3 });
    expect(await found('scenario=bear&maxProbability=0')).toEqual(['one']);
    // The authors of versions from before the upgrade are known, too.
    const { rows } = await pool.query<{ id: string }>('select id from analysts');
    const record = await app.inject(`/v1/analysts/${rows[0]?.id}/track-record`);
    expect(record.json()).toMatchObject({ n: 0, counts: { open: 2 } });
  } finally {
    await app.close();
    await pool.end();
  }
});

// By the release before exact outcomes: `edge` rose from 100 to 115, exactly 15 %, with a base band up to 15 %, and was
// resolved as base; `sure` was, too, with a reason. The horizon of `over` ended with a triggered condition, that of
// `fresh` with one that is not expired yet, and that of `running` is to come.
const OUTCOMES = `
  insert into series (key, name, unit, frequency, source, created_at) values ('closes', 'N', 'points', 'daily', 'S', '2020-01-01');
  insert into observations (series_id, date, recorded_at, value, provenance)
    values (1, '2019-12-31', '2020-01-01', 100, 'sourced'), (1, '2020-12-31', '2020-12-31 21:00Z', 115, 'sourced');
  insert into instruments (symbol, name, kind, created_at, closes_id) values ('RUT', 'Russell 2000 Index', 'index', '2020-01-01', 1);
  insert into analysts (name, created_at) values ('Desk', '2020-01-01');
  insert into outlooks (slug, instrument_id, horizon_from, horizon_to, published_at)
    select slug, 1, '2020-01-01', case slug when 'running' then date '9999-01-01' else '2021-01-01' end, '2020-02-01'
      from unnest(array['edge', 'sure', 'over', 'fresh', 'running']) as slug;
  insert into scenarios (framework_id, name, title, outcome, conditions, direction, return_min, return_max)
    select id, name, 'T', 'O', 'C', 'lower', low, high from generate_series(101, 105) id,
      (values ('bear', null, -0.1), ('base', -0.1, 0.15), ('bull', 0.15, null)) s (name, low, high);
  insert into invalidation_conditions (framework_id, key, position, invalidates, statement)
    select id, 'watched', 1, 'bear', 'S' from generate_series(103, 105) id;
  insert into frameworks (id, outlook_id, hash, title, summary, risks, positioning, metrics, faqs, "references")
    select 100 + id, id, sha256('f'), 'T', 'S', '[]', '[]', '[]', '[]', '[]' from generate_series(1, 5) id;
  insert into outlook_versions (outlook_id, version, kind, framework_id, bear_bps, base_bps, bull_bps,
      author_id, rationale, recorded_at, hash)
    select n, 1, 'created', 100 + n, 3000, 4500, 2500, a.id, 'R', '2020-02-01', sha256('h')
      from analysts a, generate_series(1, 5) n;
  insert into events (kind, outlook_id, version, data, recorded_at)
    select 'outlook.created', outlook_id, 1, '{}', recorded_at from outlook_versions;
  insert into condition_changes (outlook_id, key, state, cause, invalidates, version, reason, observations,
      author_id, rationale, recorded_at)
    select o.id, 'watched', 'triggered', 'assessment', 'bear', 0, 'It happened.', '[]', a.id, 'R', '2020-03-01'
      from analysts a, (values (3), (5)) o (id);
  insert into resolutions (outlook_id, number, outcome, realised_return, reason, band_low, band_high, start_date,
      start_value, end_date, end_value, author_id, recorded_at)
    select r.id, 1, 'base', 115::float8 / 100 - 1, reason, -0.1, 0.15, '2019-12-31', 100, '2020-12-31', 115, a.id, '2021-01-05'
      from analysts a, (values (1, null), (2, 'Costs.')) r (id, reason);
  select sequence_events()`;

test('outcomes of the previous release stay, and what is wrong or over is marked without events', async () => {
  const pool = openDatabase(await createDatabase({ empty: true }), 3);
  const app = await buildSilentApp(pool);
  try {
    await migrateTo(pool, 9);
    await pool.query(`begin; ${OUTCOMES}; commit`);
    const stored = async (text: string) => (await pool.query<object>(text)).rows;
    const RESOLUTIONS = `select outlook_id, number, outcome, realised_return, reason, band_low, band_high,
      start_value, end_value, recorded_at, superseded_at from resolutions order by 1`;
    const EVENTS =
      'select id, kind, outlook_id, version, data, recorded_at, position from events where outlook_id is not null order by id';
    const before = [await stored(RESOLUTIONS), await stored(EVENTS)];
    await migrateToLatest(pool);
    const after = [await stored(RESOLUTIONS), await stored(EVENTS)];
    expect(after).toEqual(before);

    const read = async (path: string) => (await app.inject(`/v1/outlooks/${path}`)).json<object>();
    expect(await read('edge/resolution')).toMatchObject({
      status: 'resolved',
      resolution: {
        outcome: 'base',
        realisedReturn: 0.15,
        decidedBy: 'statement',
        closes: { value: 0.15 },
        knownAt: '2021-01-05T00:00:00.000Z',
      },
      contradiction: { outcome: 'bull', closes: { end: { value: 115 } } },
    });
    expect(await read('edge')).toMatchObject({
      resolution: { realisedReturn: 0.15 },
      review: {
        reasons: [
          'Closes now imply bull; resolution 1 says base: correct it, or confirm it with a reason.',
        ],
      },
    });
    expect(await read('sure/resolution')).toMatchObject({ contradiction: null });
    expect(await read('over')).toMatchObject({
      status: 'open',
      review: { due: true, reasons: ['The horizon ended on 2020-12-31; record the outcome.'] },
    });
    expect(await read('fresh')).toMatchObject({ review: { due: false } });
    expect(await read('running')).toMatchObject({ review: { reasons: ['It happened.'] } });
    const listed = async (query: string) =>
      (await app.inject(`/v1/outlooks?sort=slug&${query}`))
        .json<{ items: { slug: string }[] }>()
        .items.map(({ slug }) => slug);
    expect(await listed('awaitingResolution=true')).toEqual(['over']);
    expect(await listed('contradicted=true')).toEqual(['edge']);
    // Its condition is still to expire, which maintenance does together with the note of the end.
    expect(await endHorizons(pool, new Date())).toEqual(['fresh']);
    expect(await listed('awaitingResolution=true')).toEqual(['fresh', 'over']);
    const { faults } = await verifyLedger(pool);
    expect(faults.filter(({ fault }) => fault.includes('resolutions'))).toEqual([]);
  } finally {
    await app.close();
    await pool.end();
  }
});

const close = (value: number): unknown => expect.closeTo(value, 12);

test('sums of forecasts of the previous release are computed anew', async () => {
  const pool = openDatabase(await createDatabase({ empty: true }), 3);
  try {
    await migrateTo(pool, 9);
    await pool.query('alter table outlooks disable trigger require_first_version');
    const writer = await WorldWriter.open(pool, { isOld: true });
    const written = [];
    for (const world of fc.sample(worlds, 40)) written.push(await writer.write(world));
    await migrateToLatest(pool);
    await pool.query('alter table outlooks enable trigger require_first_version');
    let corrections = 0;
    for (const { id, resolved } of written) {
      for (const { number, outlook, resolution } of resolved) {
        const times = await readTimes(pool, id, number, resolution);
        corrections += number > 1 ? 1 : 0;
        expect(comparable(await storedSums(pool, id, number))).toEqual(
          comparable(naiveSums(outlook, { ...resolution, ...times }), close),
        );
      }
    }
    expect(corrections).toBeGreaterThan(0);
    // The hashes of these rows are none of the ledger's, so only its other rules are verified.
    const { faults } = await verifyLedger(pool);
    expect(faults.filter(({ fault }) => !fault.includes('hash'))).toEqual([]);
  } finally {
    await pool.end();
  }
});

type Dump = Record<string, { columns: string[]; rows: unknown[][] }>;

/** Stores rows as they are, without triggers. */
async function load(pool: pg.Pool, dump: Dump): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('set session_replication_role = replica');
    for (const [table, { columns, rows }] of Object.entries(dump)) {
      const names = columns.map((name) => `"${name}"`).join(', ');
      const objects = rows.map((row) => Object.fromEntries(row.map((one, i) => [columns[i], one])));
      await client.query(
        `insert into ${table} (${names}) overriding system value
         select ${names} from jsonb_populate_recordset(null::${table}, $1)`,
        [JSON.stringify(objects)],
      );
    }
    // Later migrations add events of their own.
    await client.query(`select setval('events_id_seq', max(id)) from events`);
  } finally {
    client.release(true);
  }
}

test('a ledger that release 0.1 wrote is migrated, verified and summed up anew', async () => {
  const pool = openDatabase(await createDatabase({ empty: true }), 3);
  try {
    await migrateTo(pool, 9);
    // Its API wrote these rows: outlooks resolved by closes, corrected, void, withdrawn and open, with two bands and views.
    const vector = new URL('../vectors/ledger-of-0.1.json', import.meta.url);
    await load(pool, JSON.parse(await readFile(vector, 'utf8')) as Dump);
    await migrateToLatest(pool);

    expect(await verifyLedger(pool)).toEqual({ versions: 17, faults: [] });
    const written = await readWritten(pool);
    expect(written.map(({ slug, number }) => `${slug} ${number}`)).toEqual([
      'corrected 1',
      'corrected 2',
      'early 1',
      'resolved 1',
      'withdrawn 1',
    ]);
    for (const { outlookId, number, outlook, resolution } of written) {
      expect(comparable(await storedSums(pool, outlookId, number))).toEqual(
        comparable(naiveSums(outlook, resolution), close),
      );
    }
  } finally {
    await pool.end();
  }
});

test('names of the previous release that look alike go on working, and are listed', async () => {
  const pool = openDatabase(await createDatabase({ empty: true }), 3);
  const app = await buildSilentApp(pool);
  try {
    await migrateTo(pool, 14);
    const keys = ['first', 'second', 'third'].map((text) => keyText(Buffer.from(text.padEnd(32))));
    const names = ['Admin', 'admin', '\u0410dmin'];
    for (const [index, name] of names.entries()) {
      await pool.query(
        `with analyst as (insert into analysts (name, created_at) values ($1, $2) returning id)
         insert into api_keys (analyst_id, role, hash, hint, created_at)
           select id, 'admin', $3, 'olk_', $2 from analyst`,
        [name, new Date(Date.UTC(2020, 0, 1 + index)), keyHash(keys[index] ?? '')],
      );
    }
    await pool.query(
      `insert into audit_entries (recorded_at, kind, method, path, status, problem, detail, times)
       values ('2020-01-01', 'refusal', 'GET', '/', 401, 'unauthorized', 'D', 7)`,
    );
    await migrateToLatest(pool);

    const lists = await Promise.all(
      [1, 2].map(() => inTransaction(pool, storeMissingSkeletons)), // two instances that start
    );
    for (const list of lists) {
      expect(list.map(({ analyst, looksLike }) => [analyst.name, looksLike.name])).toEqual([
        ['admin', 'Admin'],
        ['\u0410dmin', 'Admin'],
      ]);
    }
    for (const [index, key] of keys.entries()) {
      const headers = { authorization: `Bearer ${key}` };
      const { statusCode, body } = await app.inject({ url: '/v1/keys', headers });
      expect(statusCode).toBe(200);
      expect(JSON.parse(body)).toMatchObject({
        items: names.map((name) => ({ name, issuedBy: null, issuedWith: null })).toReversed(),
      });
      const payload = { name: names[index], role: 'feed' };
      const again = await app.inject({ method: 'POST', url: '/v1/keys', headers, payload });
      expect([again.statusCode, again.json()]).toMatchObject([201, { name: names[index] }]);
      await pool.query(`alter table api_keys disable trigger user;
        delete from api_keys where issued_with is not null;
        alter table api_keys enable trigger user`);
    }
    // An instance of the previous release still runs beside this one, and knows nothing of skeletons.
    await pool.query(`insert into analysts (name, created_at) values ('ADMIN', now())`);
    expect(await inTransaction(pool, storeMissingSkeletons)).toHaveLength(3);
    await deleteExpiredRefusals(pool, new Date('2021-01-01'));
    expect((await pool.query(`select from audit_entries where times = 7`)).rows).toEqual([]);
  } finally {
    await app.close();
    await pool.end();
  }
});
