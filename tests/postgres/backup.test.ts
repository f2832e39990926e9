import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { backUp, restore } from '../../src/postgres/backup.ts';
import { migrateToLatest } from '../../src/postgres/migrate.ts';
import { verifyLedger } from '../../src/ledger/verification.ts';
import { createDatabase, openDatabase, serviceUrl } from '../support/database.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook } from '../support/requests.ts';
import { fillLedger } from '../support/outlooks.ts';
import { openSession, refusal, SWEPT, TABLES } from '../support/plain-sql.ts';

const NOW = new Date('2026-11-20T16:00:00.000Z');
/** What a format of lines and columns could stumble over. */
const ODD = 'a\tb\\n\r\nc\\.\n\\.\n\u2028d\u0085 COPY x FROM stdin;\nCOMMIT;\n📉';

let ledger: TestLedger;
let folder = '';
let file = '';
let target = '';
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'backup-'));
  file = path.join(folder, 'ledger.sql');
  target = path.join(folder, 'target');
  ledger = await startLedger();
  await fillLedger(ledger);
  await ledger.pool.query(`
    insert into analysts (name, created_at) values ('Gone desk', now());
    insert into views (outlook_id, analyst_id, version, bear_bps, base_bps, bull_bps, rationale, recorded_at)
      select o.id, a.id, 1, 4000, 4000, 2000, 'More so.', o.published_at from outlooks o, analysts a
       where o.slug = '${SLUG}' and a.name = 'Gone desk'`);
  await ledger.pool.query(`
    insert into erasures (analyst_id, recorded_at) select id, now() from analysts where name = 'Gone desk';
    insert into digest_progress values ('series', null, true);
    insert into log_cosignatures select generation, size, 'witness.example/w1', '— witness.example/w1 AAAA', signed_at
      from log_checkpoints`);
  const probabilities = { bear: 0.31, base: 0.44, bull: 0.25 };
  await ledger.revise({ probabilities, rationale: ODD }, { 'idempotency-key': 'kept' });
  await ledger.pool.query('select sequence_events()'); // as the feed does, a moment later
  await backUp(ledger.servicePool, file, NOW);
});
afterAll(async () => {
  await ledger.close();
  rmSync(folder, { recursive: true });
});

/** All rows of all tables as text, without transaction ids. */
async function contents(pool: pg.Pool): Promise<Record<string, string[]>> {
  const tables = [...TABLES, ...SWEPT].map(async (table) => {
    const { rows } = await pool.query<{ row: string }>(
      `select (to_jsonb(t) - 'transaction_id')::text as row from ${table} t order by 1`,
    );
    return [table, rows.map(({ row }) => row)] as const;
  });
  return Object.fromEntries(await Promise.all(tables));
}

/** The outlooks of a list, page by page, in the order of their slugs. */
async function walk({ call }: TestLedger): Promise<string[]> {
  const slugs: string[] = [];
  for (let cursor = ''; ;) {
    const page = (await call({ url: `/v1/outlooks?limit=1${cursor}` })).json<{
      items: { slug: string }[];
      nextCursor: string | null;
    }>();
    slugs.push(...page.items.map(({ slug }) => slug));
    if (page.nextCursor === null) return slugs.toSorted();
    cursor = `&cursor=${page.nextCursor}`;
  }
}

async function restored(from = file): Promise<{ url: string; pool: pg.Pool }> {
  const url = await createDatabase({ empty: true });
  const pool = openDatabase(url, 2);
  const servicePool = openDatabase(serviceUrl(url), 1);
  try {
    await restore(pool, from);
    await migrateToLatest(pool, servicePool);
  } catch (error) {
    await pool.end();
    throw error;
  } finally {
    await servicePool.end();
  }
  return { url, pool };
}

describe('a backup', () => {
  test('restored is the same ledger, to the last row', async () => {
    const before = await contents(ledger.pool);
    for (const [table, rows] of Object.entries(before)) {
      expect([table, rows.length > 0]).toEqual([table, true]);
    }
    expect(JSON.stringify(before)).toContain(JSON.stringify(JSON.stringify(ODD)).slice(1, -1));
    const { pool } = await restored();
    expect(await contents(pool)).toEqual(before);
    const { versions, faults } = await verifyLedger(pool);
    expect([versions, faults]).toEqual([before['outlook_versions']?.length, []]);
    await pool.end();
  });

  test('restored continues: new versions follow, and the guards work', async () => {
    const { url, pool } = await restored();
    await pool.end();
    const other = await startLedger({ through: async () => url });
    other.clock.now = new Date('2026-11-20T17:00:00.000Z');
    const { version } = (await other.call({ url: `/v1/outlooks/${SLUG}` })).json<{
      version: number;
    }>();
    const probabilities = { bear: 0.29, base: 0.46, bull: 0.25 };
    const revised = await other.revise({ probabilities, rationale: 'R' });
    expect([revised.statusCode, revised.json()]).toMatchObject([201, { version: version + 1 }]);
    for (const slug of ['one', 'two']) {
      expect((await createOutlook(other, { slug })).statusCode).toBe(201);
    }
    expect(await walk(other)).toEqual(['one', 'resolved-case', SLUG, 'two']);
    const owner = await openSession(url);
    for (const table of TABLES) {
      expect(await refusal(owner, `delete from ${table}`)).toBe(`${table}_append_only`);
    }
    const disabled = await owner.query(`select from pg_trigger where tgenabled <> 'O'`);
    expect(disabled.rowCount).toBe(0);
    await owner.end();
    await other.close();
  });

  test('restored sends to no webhook until an admin enables it', async () => {
    const own = await startLedger();
    const payload = { url: 'https://hooks.desk.example' };
    const { id } = (
      await own.call({ method: 'POST', url: '/v1/webhooks', as: 'admin', payload })
    ).json<{ id: string }>();
    const each = path.join(folder, 'webhooks.sql');
    await backUp(own.servicePool, each, NOW);
    const { pool } = await restored(each);
    const state = async (of: pg.Pool) => {
      const { rows } = await of.query(
        'select disabled_at is not null as disabled, disabled_reason as reason from webhooks where id = $1',
        [id],
      );
      return rows;
    };
    expect(await state(pool)).toEqual([{ disabled: true, reason: 'restored' }]);
    expect(await state(own.pool)).toEqual([{ disabled: false, reason: null }]);
    await pool.end();
    rmSync(each);
    await own.close();
  });

  test('has no transaction ids, which mean nothing on another server', () => {
    const copies = readFileSync(file, 'utf8').match(/^COPY .* FROM stdin;$/gm) ?? [];
    expect(copies.length).toBe(TABLES.length + SWEPT.length + 2);
    expect(copies.filter((line) => line.includes('transaction_id'))).toEqual([]);
  });

  test('is for its owner only, complete or absent, and overwrites nothing', async () => {
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const before = readFileSync(file);
    await expect(backUp(ledger.servicePool, file, NOW)).rejects.toThrow(`${file} is there already`);
    expect(readFileSync(file).equals(before)).toBe(true);
    const pool = openDatabase(await createDatabase({ empty: true }), 1);
    const none = path.join(folder, 'none.sql');
    await expect(backUp(pool, none, NOW)).rejects.toThrow('Migrations of this release');
    await pool.end();
    expect(readdirSync(folder)).toEqual(['ledger.sql']);
  });

  test.each([
    ['a file that others may read', (part: string) => writeFileSync(part, '', { mode: 0o644 })],
    ['a link to a file', (part: string) => symlinkSync(target, part)],
    ['a link to nothing', (part: string) => symlinkSync(path.join(folder, 'nothing'), part)],
  ])('is not written into %s', async (_, prepare) => {
    const each = path.join(folder, 'trap.sql');
    writeFileSync(target, 'mine');
    prepare(`${each}.part`);
    const before = lstatSync(`${each}.part`);
    await expect(backUp(ledger.servicePool, each, NOW)).rejects.toThrow(
      `${each}.part is there already: another backup is writing it or was cut off. If none is running, remove it.`,
    );
    expect(readFileSync(target, 'utf8')).toBe('mine');
    const { ino, size } = lstatSync(`${each}.part`);
    expect([ino, size]).toEqual([before.ino, before.size]);
    expect(readdirSync(folder).toSorted()).toEqual(['ledger.sql', 'target', 'trap.sql.part']);
    rmSync(`${each}.part`);
    rmSync(target);
  });

  test('does not follow a link of its name', async () => {
    const each = path.join(folder, 'link.sql');
    symlinkSync(target, each);
    await expect(backUp(ledger.servicePool, each, NOW)).rejects.toThrow('is there already');
    expect(readdirSync(folder).toSorted()).toEqual(['ledger.sql', 'link.sql']);
    rmSync(each);
  });

  test('does not replace a file that is made while it is written', async () => {
    const each = path.join(folder, 'raced.sql');
    const owner = await openSession(ledger.url);
    await owner.query('begin; lock table webhooks in access exclusive mode');
    const taking = backUp(ledger.servicePool, each, NOW);
    await expect.poll(() => existsSync(`${each}.part`)).toBe(true);
    writeFileSync(each, 'mine');
    await owner.query('rollback');
    await owner.end();
    await expect(taking).rejects.toThrow(`${each} is there already`);
    expect(readFileSync(each, 'utf8')).toBe('mine');
    expect(readdirSync(folder).toSorted()).toEqual(['ledger.sql', 'raced.sql']);
    rmSync(each);
  });

  test('is as of its start, however long it takes', async () => {
    const slow = await startLedger();
    const each = path.join(folder, 'slow.sql');
    const owner = await openSession(slow.url);
    // Of the tables between outlooks and their versions, one that a revision does without.
    await owner.query('begin; lock table forecast_sums in access exclusive mode');
    const taking = backUp(slow.servicePool, each, NOW);
    const waits = async () => {
      const { rowCount } = await slow.pool.query(
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return rowCount;
    };
    await expect.poll(waits).toBe(1);
    const probabilities = { bear: 0.35, base: 0.4, bull: 0.25 };
    expect((await slow.revise({ probabilities, rationale: 'R' })).statusCode).toBe(201);
    await owner.query('rollback');
    await owner.end();
    await taking;
    const { pool } = await restored(each);
    expect(await verifyLedger(pool)).toEqual({ versions: 1, faults: [] });
    await pool.end();
    rmSync(each);
    await slow.close();
  });

  test('is as of one time, despite concurrent writes', async () => {
    const busy = await startLedger();
    const over = new AbortController();
    const writing = (async () => {
      for (let turn = 0; !over.signal.aborted; turn += 1) {
        const bear = (turn % 1000) / 10_000;
        const probabilities = { bear, base: 0.5, bull: Number((0.5 - bear).toFixed(4)) };
        await busy.revise({ probabilities, rationale: 'R' });
        await createOutlook(busy, { slug: `case-${turn}` });
      }
    })();
    const files = ['1', '2', '3'].map((name) => path.join(folder, `busy-${name}.sql`));
    for (const each of files) await backUp(busy.servicePool, each, NOW);
    over.abort();
    await writing;
    const counts: number[] = [];
    for (const each of files) {
      const { pool } = await restored(each);
      const { versions, faults } = await verifyLedger(pool);
      expect(faults).toEqual([]);
      counts.push(versions);
      await pool.end();
      rmSync(each);
    }
    expect(counts[2]).toBeGreaterThan(counts[0] ?? 0);
    await busy.close();
  });
});

describe('a restore', () => {
  const at = (text: string, where: (whole: string) => number) => text.slice(0, where(text));
  const CUTS: [string, (whole: string) => string, RegExp][] = [
    ['in its first line', (whole) => whole.slice(0, 10), /no backup of this service/],
    ['of something else', (whole) => `--\n${whole}`, /no backup of this service/],
    ['of nothing', () => '', /no backup of this service/],
    [
      'within its schema',
      (whole) => at(whole, (text) => text.indexOf('CREATE TABLE')),
      /ends before the backup does/,
    ],
    [
      'within rows',
      (whole) => at(whole, (text) => text.lastIndexOf(String.raw`\.`) - 5),
      /ends before the backup does/,
    ],
    [
      'behind rows',
      (whole) => at(whole, (text) => text.lastIndexOf(String.raw`\.`) + 3),
      /ends before the backup does/,
    ],
    ['before its end', (whole) => whole.slice(0, -'COMMIT;\n'.length), /ends before the backup/],
    [
      'with a row twice',
      (whole) => whole.replace(/(\n[^\t\n]+\tanalyst desk\t.*)/, '$1$1'),
      /unique/,
    ],
    [
      'with probabilities that do not add up',
      (whole) => whole.replace('\t3500\t4000\t2500\t', '\t3500\t4000\t2501\t'),
      /outlook_versions_sum|check constraint/,
    ],
    [
      'without what others point to',
      (whole) => whole.replace(/\n[^\n]*\trut-close\t[^\n]*/, ''),
      /foreign key/,
    ],
  ];
  test.for(CUTS)('of a file cut %s leaves an empty database', async ([, cut, reason]) => {
    const bad = path.join(folder, 'bad.sql');
    const whole = readFileSync(file, 'utf8');
    const text = cut(whole);
    expect(text).not.toBe(whole);
    writeFileSync(bad, text);
    const pool = openDatabase(await createDatabase({ empty: true }), 1);
    await expect(restore(pool, bad)).rejects.toThrow(reason);
    const { rowCount } = await pool.query(
      `select from pg_class where relnamespace = 'public'::regnamespace`,
    );
    expect(rowCount).toBe(0);
    await restore(pool, file); // nothing is in its way
    await pool.end();
    rmSync(bad);
  });

  test('into a ledger is refused', async () => {
    const { url, pool } = await restored();
    await expect(restore(pool, file)).rejects.toThrow('the database is not empty');
    await pool.end();
    expect(url).not.toBe('');
  });
});

test('all pages of a copy from a server with more transactions are complete', async () => {
  const copy = await startLedger();
  for (const slug of ['one', 'two', 'three']) await createOutlook(copy, { slug });
  await copy.pool.query(`
    alter table outlooks disable trigger user; alter table outlook_versions disable trigger user;
    update outlooks set transaction_id = '99999999999';
    update outlook_versions set transaction_id = '99999999999';
    alter table outlooks enable trigger user; alter table outlook_versions enable trigger user`);
  expect(await walk(copy)).not.toHaveLength(4);
  await migrateToLatest(copy.pool);
  await copy.close();
  const settled = await startLedger({ through: async () => copy.url });
  expect(await walk(settled)).toEqual(['one', SLUG, 'three', 'two']);
  expect((await verifyLedger(settled.servicePool)).faults).toEqual([]);
  await settled.close();
});
