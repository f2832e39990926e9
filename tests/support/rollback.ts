import type pg from 'pg';
import { openSession } from './plain-sql.ts';

/** A state of a ledger to which it can go back while services run on it, as by a restore in place. */
export type Snapshot = {
  /** Replaces everything in one transaction, ids to be drawn included. */
  goBack: () => Promise<void>;
};

/** Copies a ledger. Its writers wait meanwhile, the log's loop among them. */
export async function takeSnapshot({ url }: { url: string }): Promise<Snapshot> {
  const owner = await openSession(url);
  try {
    const tables = await tablesOf(owner);
    await lockAll(owner, tables, 'share');
    const sequences = await sequencesOf(owner);
    await owner.query('drop schema if exists saved cascade; create schema saved');
    for (const { name } of tables) {
      await owner.query(`create table saved.${name} as table public.${name}`);
    }
    await owner.query('commit');
    return { goBack: () => restore(url, tables, sequences) };
  } finally {
    await owner.end();
  }
}

type Table = { name: string; columns: string };
type Sequence = { name: string; value: string; isCalled: boolean };

async function restore(
  url: string,
  tables: readonly Table[],
  sequences: readonly Sequence[],
): Promise<void> {
  const owner = await openSession(url);
  try {
    await lockAll(owner, tables, 'access exclusive');
    await owner.query('set local session_replication_role = replica');
    await owner.query(`truncate ${tables.map(({ name }) => `public.${name}`).join(', ')}`);
    for (const { name, columns } of tables) {
      await owner.query(
        `insert into public.${name} (${columns}) overriding system value
         select ${columns} from saved.${name}`,
      );
    }
    for (const { name, value, isCalled } of sequences) {
      await owner.query('select setval($1, $2, $3)', [name, value, isCalled]);
    }
    await owner.query('commit');
  } finally {
    await owner.end();
  }
}

/**
 * Begins a transaction that locks all tables. It begins again after a deadlock: the log's loop locks some of them in another
 * order.
 */
async function lockAll(owner: pg.Client, tables: readonly Table[], mode: string): Promise<void> {
  const names = tables.map(({ name }) => `public.${name}`).join(', ');
  for (;;) {
    try {
      await owner.query(`begin; lock table ${names} in ${mode} mode`);
      return;
    } catch (error) {
      if ((error as pg.DatabaseError).code !== '40P01') throw error;
      await owner.query('rollback');
    }
  }
}

/** All tables, with the columns that hold what was written. */
async function tablesOf(owner: pg.Client): Promise<Table[]> {
  const { rows } = await owner.query<Table>(
    `select quote_ident(c.relname) as name,
       string_agg(quote_ident(a.attname), ', ' order by a.attnum) as columns
       from pg_class c join pg_attribute a on a.attrelid = c.oid
      where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
        and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
      group by c.relname`,
  );
  return rows;
}

async function sequencesOf(owner: pg.Client): Promise<Sequence[]> {
  const { rows } = await owner.query<{ name: string }>(
    `select quote_ident(c.relname) as name from pg_class c
      where c.relkind = 'S' and c.relnamespace = 'public'::regnamespace`,
  );
  const sequences: Sequence[] = [];
  for (const { name } of rows) {
    const { rows: states } = await owner.query<{ value: string; isCalled: boolean }>(
      `select last_value::text as value, is_called as "isCalled" from public.${name}`,
    );
    sequences.push(...states.map((state) => ({ name: `public.${name}`, ...state })));
  }
  return sequences;
}
