import { createHash, createHmac } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startFirstGeneration, newestGeneration } from '../../src/log/generations.ts';
import { requireOpening } from '../../src/log/openings.ts';
import { digestExistingRows } from '../../src/log/tree-builder.ts';
import { extendTree, growTree } from '../../src/log/tree.ts';
import { verifyLog } from '../../src/log/verification/verify-log.ts';
import { migrateToLatest } from '../../src/postgres/migrate.ts';
import { JOURNAL } from '../../src/postgres/migrations.ts';
import { inTransaction } from '../../src/postgres/pool.ts';
import { createDatabase, openDatabase, serviceUrl } from '../support/database.ts';
import { buildSilentApp } from '../support/ledger.ts';
import { naiveRoot } from '../support/naive-log.ts';

// Two versions, evidence whose event lacks a member, and observations.
const LEDGER = `
  insert into instruments (symbol, name, kind, created_at) values ('RUT', 'Russell 2000 Index', 'index', now());
  insert into analysts (name, created_at) values ('Desk', now());
  insert into outlooks (slug, instrument_id, horizon_from, horizon_to, published_at)
    values ('one', 1, '2026-03-31', '2027-03-31', now());
  insert into scenarios (framework_id, name, title, outcome, conditions, direction)
    select 101, name, 'T', 'O', 'C', 'lower' from unnest(array['bear', 'base', 'bull']) name;
  insert into frameworks (id, outlook_id, hash, title, summary, risks, positioning, metrics, faqs, "references")
    values (101, 1, sha256('f'), 'Calm', 'Summary.', '[]', '[]', '[]', '[]', '[]');
  insert into outlook_versions (outlook_id, version, kind, framework_id, bear_bps, base_bps, bull_bps,
      author_id, rationale, recorded_at, hash, previous_hash)
    select 1, version, kind, 101, bear, 5000, 5000 - bear, a.id, 'Why.', now(), sha256(hash::bytea), sha256(previous::bytea)
      from analysts a, (values (1, 'created', 1000, 'a', null), (2, 'probabilities', 4000, 'b', 'a'))
        as v (version, kind, bear, hash, previous);
  insert into events (kind, outlook_id, version, data, recorded_at)
    select case version when 1 then 'outlook.created' else 'outlook.version.published' end, outlook_id, version, '{}', now()
      from outlook_versions;
  insert into events (kind, outlook_id, version, data, recorded_at)
    select 'evidence.added', 1, 2, '{}', now() from generate_series(1, 300);
  insert into series (key, name, unit, source, frequency, created_at)
    values ('close', 'Close', 'index points', 'An exchange', 'daily', now());
  insert into observations (series_id, date, value, provenance, recorded_at)
    select 1, date '2024-01-01' + n, 100 + n, 'sourced', now() from generate_series(1, 1200) n;
  select sequence_events()`;

test('a ledger that is older than its log gets its leaves and digests, and says when', async () => {
  const url = await createDatabase({ empty: true });
  const owner = openDatabase(url, 3);
  const pool = openDatabase(serviceUrl(url), 3);
  const app = await buildSilentApp(owner);
  try {
    await migrateToLatest(owner, undefined, { journal: JOURNAL.slice(0, 27) });
    await owner.query(`begin; ${LEDGER}; commit`);
    await migrateToLatest(owner);
    await startFirstGeneration(owner, 'outlooks.example', new Date());
    await growTree(owner);
    const early = (await app.inject('/v1/log')).json();
    expect(early).toMatchObject({ rowsFirstDigestedAt: null });
    expect(early.size).toBeGreaterThanOrEqual(302);
    while (await digestExistingRows(owner));
    await owner.query('select sequence_events()');
    await growTree(owner);

    const { rows } = await owner.query<{ salt: Buffer; content: string }>(
      'select salt, content from events join openings on event_id = id order by coalesce(log_position, position)',
    );
    const entries = rows.map(({ salt, content }) => {
      const commitment = createHmac('sha256', salt).update(content).digest('base64');
      return Buffer.from(`{"v":1,"commitment":"${commitment}"}`);
    });
    const head = { size: entries.length, root: naiveRoot(entries) };
    expect(await newestGeneration(owner)).toMatchObject(head);
    const contents = rows.map(({ content }) => JSON.parse(content) as Record<string, unknown>);
    expect(contents.slice(0, 302).every(({ late }) => late === true)).toBe(true);
    expect(contents[0]).toMatchObject({
      kind: 'outlook.created',
      subject: '/v1/outlooks/one/versions/1',
      by: { name: 'Desk' },
    });
    expect(contents.filter(({ kind }) => kind === 'ledger.digested')).toHaveLength(1);
    const { rows: digested } = await owner.query<{ relation: string; rows: number }>(
      `select relation, sum(cardinality(keys))::int as rows from row_digests
        where operation = 'found' and relation in ('observations', 'outlook_versions', 'frameworks')
        group by relation order by relation`,
    );
    expect(digested).toEqual([
      { relation: 'frameworks', rows: 1 },
      { relation: 'observations', rows: 1200 },
      { relation: 'outlook_versions', rows: 2 },
    ]);
    const { rowsFirstDigestedAt } = (await app.inject('/v1/log')).json();
    expect(new Date(rowsFirstDigestedAt).getTime()).toBeGreaterThan(Date.now() - 300_000);
  } finally {
    await app.close();
    await Promise.all([owner.end(), pool.end()]);
  }
});

test('a batch of events that are all of versions gets its leaves, and verifies', async () => {
  const url = await createDatabase({ empty: true });
  const owner = openDatabase(url, 3);
  try {
    await migrateToLatest(owner, undefined, { journal: JOURNAL.slice(0, 27) });
    await owner.query(`begin; ${LEDGER}; commit`);
    await migrateToLatest(owner);
    await startFirstGeneration(owner, 'outlooks.example', new Date());
    expect(await extendTree(owner, 2)).toMatchObject({ size: 2 });
    const { rows } = await owner.query<{ content: string }>(
      `select content from openings where content like '%"late":true%'`,
    );
    const root = createHash('sha256').digest('base64');
    for (const { content } of rows)
      expect(JSON.parse(content)).toMatchObject({ rows: { count: 0, root } });
    await growTree(owner);
    while (await digestExistingRows(owner));
    const { faults } = await inTransaction(owner, (session) => verifyLog(session, null));
    expect(faults.filter(({ relation }) => ['openings', 'row_digests'].includes(relation))).toEqual(
      [],
    );
  } finally {
    await owner.end();
  }
});

// Releases before migration 0034 wrote such openings, and keys whose literal %2C was that of a comma.
describe('a ledger of the release before', () => {
  let owner: pg.Pool;
  beforeEach(async () => {
    const url = await createDatabase({ empty: true });
    owner = openDatabase(url, 3);
    await migrateToLatest(owner, undefined, { journal: JOURNAL.slice(0, 27) });
    await owner.query(`begin; ${LEDGER}; commit`);
  });
  afterEach(() => owner.end());
  const upgradeTo = (migrations: number) =>
    migrateToLatest(owner, undefined, { journal: JOURNAL.slice(0, migrations) });
  const verify = () => inTransaction(owner, (session) => verifyLog(session, null));

  test('whose openings are malformed says so, and gives no receipt', async () => {
    await upgradeTo(33);
    await startFirstGeneration(owner, 'outlooks.example', new Date());
    await extendTree(owner, 2);
    await migrateToLatest(owner);
    await growTree(owner);
    while (await digestExistingRows(owner));
    const { faults, sentences } = await verify();
    expect(faults.filter(({ relation }) => relation === 'openings')).toMatchObject([
      { fault: 'is not the JSON of an opening', key: '1', count: 2 },
    ]);
    expect(sentences).toContainEqual(
      'openings: event_id 1 is not the JSON of an opening (and 1 more). It was written with event 1 (outlook.created).',
    );
    await owner.query(`insert into log_checkpoints (generation, size, root, note, vkeys, signed_at)
      select generation, size, root, 'note', '{}', now() from log_generations`);
    await expect(requireOpening(owner, { eventId: 1 })).rejects.toMatchObject({
      code: 'record-altered',
      message: expect.stringContaining('not valid JSON'),
    });
  });

  const IDENTITIES = ['a,b', 'a%2Cb', 'a%252Cb', '100%', '%25', 'a'];
  const addIdentities = (issuer: string) =>
    owner.query(
      `insert into analyst_identities (issuer, subject, analyst_id)
        select $1, subject, a.id from analysts a, unnest($2::text[]) as subject where a.name = 'Desk'`,
      [issuer, IDENTITIES],
    );

  test.each([
    ['all', true],
    ['some', false],
  ])('that digested %s identities, with literal percent signs, verifies', async (_, isDigested) => {
    await addIdentities('https://older.example/%7E');
    await upgradeTo(33);
    await startFirstGeneration(owner, 'outlooks.example', new Date());
    await addIdentities('https://newer.example/%7E');
    await owner.query(
      `update digest_progress set is_done = relation <> 'analyst_identities' where not is_done`,
    );
    await owner.query('select digest_existing_rows($1)', [isDigested ? 500 : 2]);
    await migrateToLatest(owner);
    while (await digestExistingRows(owner));
    await addIdentities('https://newest.example/%7E');
    const faults = async () =>
      (await verify()).faults.filter(({ relation }) => relation === 'analyst_identities');
    expect(await faults()).toEqual([]);
    const { rows } = await owner.query<{ keys: number }>(
      `select count(distinct key)::int as keys from row_digests, unnest(keys) as key where relation = 'analyst_identities'`,
    );
    expect(rows).toEqual([{ keys: 3 * IDENTITIES.length }]);
    await owner.query(
      `insert into erasures (analyst_id, recorded_at) select id, now() from analysts where name = 'Desk'`,
    );
    expect(await faults()).toEqual([]);
  });

  test('keeps what an erasure deleted', async () => {
    await upgradeTo(33);
    await owner.query(`insert into analysts (name, created_at) values ('Other', now())`);
    await owner.query(`insert into analyst_identities (issuer, subject, analyst_id)
      select 'https://newer.example/%7E', name || ',%2C', id from analysts`);
    await owner.query(
      `insert into erasures (analyst_id, recorded_at) select id, now() from analysts where name = 'Other'`,
    );
    await migrateToLatest(owner);
    const { rows } = await owner.query<{ key: string; isErased: boolean }>(
      `select key, salt is null as "isErased" from row_digests, unnest(keys) as key
        where relation = 'analyst_identities' order by 2, 1`,
    );
    const key = 'https://newer.example/%257E,Desk%2C%252C';
    expect(rows).toEqual([
      { key, isErased: false },
      { key: 'erased', isErased: true },
      { key, isErased: true },
    ]);
    await expect(
      owner.query(`update row_digests set keys = array_fill('x'::text, array[cardinality(keys)])`),
    ).rejects.toThrow('UPDATE is refused');
    const { faults } = await verify();
    expect(faults.filter(({ relation }) => relation === 'analyst_identities')).toEqual([]);
  });
});

describe('while another session works on it', () => {
  let owner: pg.Pool;
  let other: pg.PoolClient;
  beforeEach(async () => {
    const url = await createDatabase({ empty: true });
    owner = openDatabase(url, 3);
    await migrateToLatest(owner, undefined, { journal: JOURNAL.slice(0, 27) });
    await owner.query(`begin; ${LEDGER}; commit`);
    await migrateToLatest(owner);
    other = await owner.connect();
  });
  afterEach(async () => {
    other.release();
    await owner.end();
  });

  /** Runs statements in an open transaction, then `concurrent`, and commits soon after that began. */
  async function during<Result>(statements: string, concurrent: () => Promise<Result>) {
    await other.query(`begin; ${statements}`);
    const result = concurrent();
    await Promise.race([result, delay(200)]);
    await other.query('commit');
    return result;
  }

  test('two instances digest it, and the log says once that they are done', async () => {
    await owner.query(
      `update digest_progress set is_done = relation not in ('frameworks', 'scenarios')`,
    );
    while (await during('select digest_existing_rows(500)', () => digestExistingRows(owner)));
    expect(await digestExistingRows(owner)).toBe(false);
    const { rowCount } = await owner.query(`select from events where kind = 'ledger.digested'`);
    expect(rowCount).toBe(1);
  });

  test('an erasure of a name leaves it in no opening, and no false alarm', async () => {
    const erase = () =>
      owner.query(
        'insert into erasures (analyst_id, recorded_at) select id, now() from analysts limit 1',
      );
    await during('select open_late_events(1, 302), digest_existing_rows(500)', erase);
    const { rows } = await owner.query(
      `select (select count(*) from openings where content like '%"Desk"%') as openings,
        (select count(*) from row_digests where relation = 'analysts' and salt is not null) as digests`,
    );
    expect(rows).toEqual([{ openings: 0, digests: 1 }]);
    while (await digestExistingRows(owner));
    const { faults } = await inTransaction(owner, (session) => verifyLog(session, null));
    expect(faults.filter(({ relation }) => relation === 'analysts')).toEqual([]);
  });

  test('a change of a row is digested after what it was before', async () => {
    await owner.query(
      `insert into instruments (symbol, name, kind, created_at) values ('NEW', 'New', 'index', now())`,
    );
    await owner.query(`update digest_progress set is_done = relation <> 'instruments'`);
    await during('update instruments set closes_id = 1 where id = 1', () =>
      digestExistingRows(owner),
    );
    const { faults } = await inTransaction(owner, (session) => verifyLog(session, null));
    expect(faults.filter(({ relation }) => relation === 'instruments')).toEqual([]);
  });
});
