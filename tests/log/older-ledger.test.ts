import { createHmac } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startFirstGeneration, newestGeneration } from '../../src/log/generations.ts';
import { digestExistingRows } from '../../src/log/tree-builder.ts';
import { growTree } from '../../src/log/tree.ts';
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
