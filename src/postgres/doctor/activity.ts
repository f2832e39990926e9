import {
  type Finding,
  fail,
  orOk,
  rowOf,
  rowsOf,
  type Sessions,
  unknown,
  warn,
} from './finding.ts';

/** How long a transaction may be open before it is named, in seconds. */
const LONG_TRANSACTION = 60;
/** How long a statement may wait for a lock before it is named, in seconds. */
const LONG_WAIT = 1;

const NOT_NEEDED = 'if it is not needed, run: SELECT pg_terminate_backend';

type OtherSession = {
  pid: number;
  /** Null if the role may not see it. */
  kind: string | null;
  isMe: boolean;
  who: string;
  state: string;
  seconds: number;
};

// A role sees no more of another role's session than its process.
const SESSIONS = `
  select pid, backend_type as kind, pid = pg_backend_pid() as "isMe", state,
      concat_ws(', ', nullif(application_name, ''), 'role ' || usename) as who,
      coalesce(extract(epoch from clock_timestamp() - xact_start)::int, -1) as seconds
    from pg_stat_activity
   where datname = current_database()`;

/** Transactions that have been open for long: their snapshots keep dead rows, and their locks block migrations. */
export async function checkTransactions(
  { service, owner }: Sessions,
  seconds = LONG_TRANSACTION,
): Promise<Finding[]> {
  const known = new Map<number, OtherSession>();
  let hidden: number[] = [];
  for (const session of new Set([service, owner])) {
    const rows = await rowsOf<OtherSession>(session, SESSIONS);
    for (const row of rows) {
      if (row.kind !== null && !known.get(row.pid)?.isMe) known.set(row.pid, row);
    }
    // Of the last session only: one that the first can't see may have ended since.
    hidden = rows.filter(({ kind }) => kind === null).map(({ pid }) => pid);
  }
  const faults = [...known.values()]
    .filter((row) => row.kind === 'client backend' && !row.isMe && row.seconds >= seconds)
    .toSorted((a, b) => b.seconds - a.seconds)
    .map(({ pid, who, state, seconds: age }) =>
      warn(
        `Process ${pid} (${who}) has had a transaction open for ${age} s (${state}).`,
        `See what it does; ${NOT_NEEDED}(${pid}).`,
      ),
    );
  if (hidden.some((pid) => !known.has(pid))) {
    const remedy =
      'Needs pg_monitor. Run: GRANT pg_monitor TO … for the role that the doctor uses.';
    faults.push(
      unknown('Not known: how long the transactions of other roles have been open.', remedy),
    );
  }
  return orOk(faults, `No transaction has been open for ${seconds} s.`);
}

type Wait = { pid: number; blockers: number[]; seconds: number };
type TableLock = { pid: number; table: string };

/** Statements that wait for locks, and locks that lock everyone out of a table. Any role may see both. */
export async function checkLocks({ owner }: Sessions, seconds = LONG_WAIT): Promise<Finding[]> {
  const waits = await rowsOf<Wait>(
    owner,
    `select l.pid, pg_blocking_pids(l.pid) as blockers,
        extract(epoch from clock_timestamp() - l.waitstart)::int as seconds
       from pg_locks l join pg_stat_activity a using (pid)
      where not l.granted and a.datname = current_database()
        and l.waitstart <= clock_timestamp() - make_interval(secs => $1) order by l.waitstart`,
    [seconds],
  );
  const locks = await rowsOf<TableLock>(
    owner,
    `select l.pid, l.relation::regclass::text as table from pg_locks l join pg_class c on c.oid = l.relation
      where l.granted and l.mode = 'AccessExclusiveLock' and l.pid <> pg_backend_pid()
        and l.database = (select oid from pg_database where datname = current_database())
        and c.relkind = 'r' and c.relnamespace = 'public'::regnamespace order by 2`,
  );
  const faults = [
    ...waits.map(({ pid, blockers, seconds: age }) =>
      warn(
        `Process ${pid} has waited ${age} s for a lock that process ${blockers.join(', ')} holds.`,
        `See what process ${blockers[0]} does; ${NOT_NEEDED}(${blockers[0]}).`,
      ),
    ),
    ...locks.map(({ pid, table }) =>
      warn(
        `Process ${pid} locks everyone out of the table ${table} (ACCESS EXCLUSIVE).`,
        `See what it does; ${NOT_NEEDED}(${pid}).`,
      ),
    ),
  ];
  return orOk(faults, 'No statement waits for a lock.');
}

type Slot = { name: string; isActive: boolean; isLost: boolean; held: string | null };

export async function checkSlots({ owner }: Sessions): Promise<Finding[]> {
  const slots = await rowsOf<Slot>(
    owner,
    `select slot_name as name, active as "isActive", wal_status in ('unreserved', 'lost') as "isLost",
        pg_size_pretty(pg_wal_lsn_diff(
          case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, restart_lsn)) as held
       from pg_replication_slots where not active or wal_status in ('unreserved', 'lost') order by 1`,
  );
  const faults = slots.map(({ name, isActive, isLost, held }) => {
    const state = isActive ? 'lags' : 'has no reader';
    const effect = isLost
      ? 'has lost what its reader needs'
      : `keeps ${held ?? 'no'} write-ahead log from being removed`;
    const remedy = `Connect its reader, or run: SELECT pg_drop_replication_slot('${name}').`;
    return warn(`The replication slot ${name} ${state} and ${effect}.`, remedy);
  });
  return orOk(faults, 'No replication slot lacks its reader.');
}

export async function checkPrepared({ owner }: Sessions): Promise<Finding[]> {
  const rows = await rowsOf<{ gid: string; seconds: number }>(
    owner,
    `select quote_literal(gid) as gid, extract(epoch from clock_timestamp() - prepared)::int as seconds
       from pg_prepared_xacts where database = current_database() order by prepared`,
  );
  const faults = rows.map(({ gid, seconds }) =>
    warn(
      `The prepared transaction ${gid} has held its locks and its snapshot for ${seconds} s; this service prepares none.`,
      `Run: ROLLBACK PREPARED ${gid}, or COMMIT PREPARED ${gid}, as its owner.`,
    ),
  );
  return orOk(faults, 'No transaction is prepared.');
}

type Connections = { usable: number; open: number; ofRole: number; ofDatabase: number };

/** @param needed the most connections that an instance opens */
export async function checkConnections({ service }: Sessions, needed: number): Promise<Finding[]> {
  const { usable, open, ofRole, ofDatabase } = await rowOf<Connections>(
    service,
    `select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true), '0')::int as usable,
      (select count(*) from pg_stat_activity where datid is not null) as open,
      (select rolconnlimit from pg_roles where rolname = session_user) as "ofRole",
      (select datconnlimit from pg_database where datname = current_database()) as "ofDatabase"`,
  );
  const faults: Finding[] = [];
  const limits: [string, number, string][] = [
    ['The server takes', usable, 'raise max_connections'],
    ["The service's role may have", ofRole, 'run: ALTER ROLE … CONNECTION LIMIT -1'],
    ['The database takes', ofDatabase, 'run: ALTER DATABASE … CONNECTION LIMIT -1'],
  ];
  for (const [who, limit, remedy] of limits) {
    if (limit < 0 || limit >= needed) continue;
    const message = `${who} ${limit} connections, but an instance opens up to ${needed}.`;
    faults.push(fail(message, `Lower DATABASE_POOL_MAX, or ${remedy}.`));
  }
  const message = `Connections: ${open} of ${usable} are open; an instance opens up to ${needed}.`;
  if (open > 0.8 * usable) {
    faults.push(
      warn(message, 'Lower DATABASE_POOL_MAX, raise max_connections, or put a pooler in front.'),
    );
  }
  return orOk(faults, message);
}
