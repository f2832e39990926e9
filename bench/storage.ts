import { type Bench, type Case, fullSpeed, type Outcome } from './bench.ts';
import { median } from './figures.ts';
import type { Ledger } from './ledger.ts';
import { fire } from './load.ts';
import { RATIONALE, revisionShot } from './revision-bodies.ts';

const OUTLOOKS = 1_000;
/** The bytes of a revision that say what it is: its hash, the hash before it, and its rationale. */
const OWN = 2 * 32 + Buffer.byteLength(RATIONALE);

/** What a revision writes: to the disk for good, and to the log. */
export const storageCases: Case[] = [
  {
    name: 'storage-disk',
    title: 'Bytes that a revision adds on disk, beside its hashes and text',
    goal: { atMost: 250, unit: 'B' },
    measure: (bench) => measure(bench, ({ disk }) => disk),
  },
  {
    name: 'storage-wal',
    title: 'Bytes that a revision adds to the WAL, without page images, beside its hashes and text',
    goal: { atMost: 900, unit: 'B' },
    measure: (bench) => measure(bench, ({ wal }) => wal),
  },
];

type Written = {
  wal: number;
  disk: number;
  /** The share of the updates of outlooks that touched no index. */
  hot: number;
  /** Bytes that each table grew by, with its indexes, largest first. */
  tables: string;
};

async function measure(bench: Bench, resultOf: (written: Written) => number): Promise<Outcome> {
  const ledger = await bench.ledgers.standard();
  const service = await ledger.serve({});
  const slugs = bench.ledgers.ordinaryOf('standard').slice(0, OUTLOOKS);
  const rounds: Written[] = [];
  for (let round = 0; round < bench.options.rounds; round += 1) {
    const shots = [...slugs, ...slugs].map((slug) => revisionShot(slug, ledger.key));
    service.clearLog();
    const written = await writtenBy(ledger, async () => {
      await fire(bench.generator, fullSpeed(bench, service, shots, 201));
    });
    rounds.push(written);
    const { wal, disk, hot, tables } = written;
    bench.report(
      `  round ${round + 1}: ${wal.toFixed(0)} B of WAL, ${disk.toFixed(0)} B on disk, HOT ${hot.toFixed(2)}: ${tables}`,
    );
  }
  const result = median(rounds.map(resultOf));
  const hot = median(rounds.map((round) => round.hot));
  return {
    result,
    reference: `HOT ${hot.toFixed(2)}`,
    service: `${result.toFixed(0)} B`,
    latency: '',
    cpu: null,
    generator: '',
    rounds,
  };
}

type Reading = {
  lsn: string;
  revisions: number;
  updates: number;
  hot: number;
  sizes: Record<string, number>;
};

const READING = `
  select pg_current_wal_insert_lsn() as lsn,
    (select count(*) from outlook_versions) as revisions,
    (select n_tup_upd from pg_stat_user_tables where relname = 'outlooks') as updates,
    (select n_tup_hot_upd from pg_stat_user_tables where relname = 'outlooks') as hot,
    (select json_object_agg(relname, pg_total_relation_size(oid)) from pg_class
      where relnamespace = 'public'::regnamespace and relkind = 'r') as sizes`;

async function writtenBy(ledger: Ledger, work: () => Promise<void>): Promise<Written> {
  return ledger.query(async (client) => {
    const read = async () => {
      await client.query('select pg_stat_force_next_flush()');
      return (await client.query<Reading>(READING)).rows[0] as Reading;
    };
    // Page images depend on when the last checkpoint was, and on what else is on a page.
    await client.query('alter system set full_page_writes = off');
    await client.query('select pg_reload_conf()');
    await client.query('vacuum outlooks');
    await client.query('checkpoint');
    const before = await read();
    await work();
    const after = await read();
    const { rows } = await client.query<{ bytes: number }>(
      'select pg_wal_lsn_diff($1, $2)::float8 as bytes',
      [after.lsn, before.lsn],
    );
    await client.query('alter system reset full_page_writes');
    await client.query('select pg_reload_conf()');
    const count = after.revisions - before.revisions;
    const grown = Object.entries(after.sizes)
      .map(([table, size]) => ({ table, bytes: (size - (before.sizes[table] ?? 0)) / count }))
      .filter(({ bytes }) => bytes >= 1)
      .toSorted((a, b) => b.bytes - a.bytes);
    return {
      wal: (rows[0]?.bytes ?? NaN) / count - OWN,
      disk: grown.reduce((sum, { bytes }) => sum + bytes, 0) - OWN,
      hot: (after.hot - before.hot) / (after.updates - before.updates),
      tables: grown.map(({ table, bytes }) => `${table} ${bytes.toFixed(0)}`).join(', '),
    };
  });
}
