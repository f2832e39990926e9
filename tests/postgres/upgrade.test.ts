import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import type pg from 'pg';
import { expect, test } from 'vitest';
import { migrateToLatest } from '../../src/postgres/migrate.ts';
import { createDatabase, openDatabase } from '../support/database.ts';
import { buildSilentApp } from '../support/ledger.ts';

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
