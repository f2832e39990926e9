import type { Session } from './pool.ts';

// What pg_stat_activity shows of other roles' sessions without pg_read_all_stats: no more than pid, program and role.
const DESCRIBED = `
  select b.pid, coalesce(nullif(a.application_name, ''), a.backend_type) as program, a.usename as role, a.state,
      extract(epoch from clock_timestamp() - a.xact_start)::int as "openFor",
      left(regexp_replace(a.query, '\\s+', ' ', 'g'), 80) as query
    from blockers b left join pg_stat_activity a on a.pid = b.pid order by a.xact_start, b.pid`;

// A waiting statement is known by its text, because behind a pooler its client does not know the server's process.
const WAITING = `
  select pid from pg_stat_activity
   where wait_event_type = 'Lock' and datname = current_database() and pid <> pg_backend_pid()
     and starts_with($1, left(query, 80))`;

const BLOCKERS = `with blockers as (select distinct unnest(pg_blocking_pids(pid)) as pid from (${WAITING}) w) ${DESCRIBED}`;

// The two halves of the key: PostgreSQL's documentation of pg_locks.
const HOLDERS = `
  with blockers as (
    select pid from pg_locks
     where locktype = 'advisory' and granted and objsubid = 1 and classid = ($1::bigint >> 32)::oid
       and objid = ($1::bigint & 4294967295)::oid
       and database = (select oid from pg_database where datname = current_database())
  ) ${DESCRIBED}`;

type Blocker = {
  pid: number;
  program: string | null;
  role: string | null;
  state: string | null;
  openFor: number | null;
  query: string | null;
};

/** Sessions that others wait for: in words, and as the statement that ends them. */
export type Blockers = { text: string; remedy: string };

/** Which sessions hold the locks that a waiting statement needs; null if none does (any more). */
export async function blockersOf(session: Session, statement: string): Promise<Blockers | null> {
  return read(session, BLOCKERS, statement);
}

/** Which session holds an advisory lock; null if none does (any more). */
export async function holderOf(session: Session, lock: number): Promise<Blockers | null> {
  return read(session, HOLDERS, lock);
}

async function read(session: Session, query: string, value: unknown): Promise<Blockers | null> {
  const { rows } = await session.query<Blocker>(query, [value]);
  if (rows.length === 0) return null;
  return {
    text: rows.map(describe).join('; '),
    remedy: rows.map(({ pid }) => (pid === 0 ? FINISH : terminate(pid))).join(' '),
  };
}

// PostgreSQL gives 0 for a transaction that PREPARE TRANSACTION left without a session.
const FINISH = 'ROLLBACK PREPARED … (see pg_prepared_xacts);';
const terminate = (pid: number) => `SELECT pg_terminate_backend(${pid});`;

function describe({ pid, program, role, state, openFor, query }: Blocker): string {
  if (pid === 0) return 'a prepared transaction';
  const facts = [
    program,
    role && `role ${role}`,
    state,
    openFor !== null && `in a transaction for ${openFor} s`,
    query && `last statement: ${query}`,
  ].filter(Boolean);
  return `process ${pid} (${facts.join(', ')})`;
}
