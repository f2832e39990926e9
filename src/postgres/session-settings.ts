import { type ClientBase, escapeIdentifier } from 'pg';

// As Session of pool.ts, which needs this module.
type Session = Pick<ClientBase, 'query'>;

/**
 * The settings that change what a statement means or returns, or that cut it off, as SQL for `SET … TO`. A role or a
 * database may have others; every session of this service has these. PostgreSQL's documentation: "Server Configuration".
 */
export const PINNED: Readonly<Record<string, string>> = {
  transaction_timeout: '0',
  idle_session_timeout: '0',
  // Schemas and temporary tables that are named like the ledger's must not hide them.
  search_path: 'public, pg_temp',
  role: 'none',
  client_encoding: "'UTF8'",
  standard_conforming_strings: 'on',
  backslash_quote: 'safe_encoding',
  datestyle: "'ISO, MDY'",
  intervalstyle: "'postgres'",
  timezone: "'UTC'",
  timezone_abbreviations: "'Default'",
  extra_float_digits: '1',
  bytea_output: "'hex'",
  array_nulls: 'on',
  transform_null_equals: 'off',
  quote_all_identifiers: 'off',
  lc_monetary: "'C'",
  lc_numeric: "'C'",
  lc_time: "'C'",
  default_text_search_config: "'pg_catalog.simple'",
  gin_fuzzy_search_limit: '0',
  row_security: 'on',
  restrict_nonsystem_relation_kind: "''",
  default_transaction_isolation: "'read committed'",
  default_transaction_deferrable: 'off',
  exit_on_error: 'off',
  // Of migrations.
  check_function_bodies: 'on',
  default_table_access_method: 'heap',
  // Of the ledger's functions.
  'plpgsql.check_asserts': 'on',
  'plpgsql.extra_errors': "'none'",
  'plpgsql.extra_warnings': "'none'",
};

/** Limits in milliseconds, which each connection chooses; 0 for none. */
export const LIMITS = [
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
] as const;

export type SessionLimits = Record<(typeof LIMITS)[number], number>;

/** What a new connection leads to. */
export type ConnectionFacts = {
  /** The process that serves the connection. */
  pid: number;
  role: string;
  /** Which of {@link PINNED} the server has. */
  known: string[];
  /** Whether the role or the database lets a commit return before it is durable, which the server as a whole does not. */
  commitsEarly: boolean;
  /** Whether triggers, and with them the ledger's guards, are off. */
  skipsTriggers: boolean;
};

// Where a setting of the server as a whole comes from (pg_settings.source).
const OF_SERVER = ['default', 'environment variable', 'configuration file', 'command line'];

// The operators are named in full: a role's search_path may put others before PostgreSQL's own.
const EQUALS = 'operator(pg_catalog.=)';

// It means the same under all settings, and changes none: behind a pooler, others use the connection next.
const FACTS = `
  select pg_catalog.pg_backend_pid() as pid, session_user as role,
    array(select name from unnest(array[${literals(Object.keys(PINNED))}]) name
      where name like 'plpgsql.%' or name ${EQUALS} 'role'
        or pg_catalog.current_setting(name, true) is not null) as known,
    exists (select from pg_catalog.pg_settings
      where name ${EQUALS} 'synchronous_commit'
        and setting ${EQUALS} any (array['off', 'local', 'remote_write'])
        and not source ${EQUALS} any (array[${literals(OF_SERVER)}])) as "commitsEarly",
    pg_catalog.current_setting('session_replication_role') ${EQUALS} 'replica' as "skipsTriggers"`;

function literals(texts: readonly string[]): string {
  return texts.map((text) => `'${text}'`).join(', ');
}

/** Reads what a new connection leads to. Changes nothing on it. */
export async function readFacts(session: Session): Promise<ConnectionFacts> {
  const { rows } = await session.query<ConnectionFacts>(FACTS);
  if (!rows[0]) throw new Error('the query for the facts of the connection returned no row');
  return rows[0];
}

/** The statements that pin the settings, for the session or for a transaction. */
export function pinningStatements(
  scope: 'session' | 'local',
  { known, commitsEarly }: ConnectionFacts,
  limits: SessionLimits,
): string {
  const settings = [
    ...LIMITS.map((name) => [name, limits[name]]),
    ...Object.entries(PINNED).filter(([name]) => known.includes(name)),
    ...(commitsEarly ? [['synchronous_commit', 'on']] : []),
  ];
  return settings.map(([name, value]) => `set ${scope} ${name} to ${value}`).join('; ');
}

const OFF = /^(off|false|no|0)$/i;
const ON = /^(on|true|yes|1)$/i;

/** The settings that this service respects or can't change, each with the values that do no harm, and the harm of others. */
const HARMFUL: Readonly<Record<string, { harmless: RegExp; harm: string }>> = {
  default_transaction_read_only: { harmless: OFF, harm: 'refuses all writes' },
  session_replication_role: {
    harmless: /^(origin|local)$/i,
    harm: "switches the ledger's guards off",
  },
  zero_damaged_pages: { harmless: OFF, harm: 'takes damaged pages for empty ones' },
  ignore_checksum_failure: { harmless: OFF, harm: 'returns damaged rows' },
  track_counts: { harmless: ON, harm: 'keeps autovacuum from its work' },
  temp_file_limit: { harmless: /^-1$/, harm: 'fails large reads' },
  max_stack_depth: { harmless: /^(\d+ ?MB|\d{4,}(kB)?)$/i, harm: 'fails complex statements' },
  dynamic_library_path: { harmless: /\$libdir/, harm: "keeps the ledger's functions from loading" },
};

type OwnSetting = { role: string | null; database: string | null; entry: string };

/** A setting that a role or a database should not have: what it does, and the statement that takes it away. */
export type SettingFault = { isHarmful: boolean; fault: string; remedy: string };

/**
 * The settings of the session's role or database that are harmful, or that have no effect on this service. Those equal to
 * the service's own, or of no consequence, are left out.
 */
export async function settingFaults(session: Session): Promise<SettingFault[]> {
  const { rows } = await session.query<OwnSetting>(`
    select r.rolname as role, d.datname as database, entry
      from pg_catalog.pg_db_role_setting s
      left join pg_catalog.pg_roles r on r.oid = s.setrole
      left join pg_catalog.pg_database d on d.oid = s.setdatabase
     cross join unnest(s.setconfig) as entry
     where s.setrole in (0, (select oid from pg_catalog.pg_roles where rolname = session_user))
       and s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = current_database()))
     order by entry, role, database`);
  return rows.flatMap((row) => settingFault(row) ?? []);
}

function settingFault({ role, database, entry }: OwnSetting): SettingFault | null {
  const [, name = '', value = ''] = /^([^=]*)=(.*)$/s.exec(entry) ?? [];
  const effect = effectOf(name.toLowerCase(), value);
  if (effect === null) return null;
  const object = role === null && database !== null ? 'DATABASE' : 'ROLE';
  const owner = role ?? database;
  const within = role !== null && database !== null ? ` IN DATABASE ${quoted(database)}` : '';
  const target = `${object} ${owner === null ? 'ALL' : quoted(owner)}${within}`;
  return {
    isHarmful: name.toLowerCase() in HARMFUL,
    fault: `${name} = ${value} ${effect}`,
    remedy: `ALTER ${target} RESET ${name};`,
  };
}

/** What a role's or database's setting does, in words; null if it does nothing that matters. */
function effectOf(name: string, value: string): string | null {
  const harmful = HARMFUL[name];
  if (harmful) return harmful.harmless.test(value) ? null : harmful.harm;
  if (name === 'synchronous_commit' && /^(on|remote_apply)$/i.test(value)) return null;
  const isOurs = name in PINNED || name === 'synchronous_commit' || LIMITS.some((l) => l === name);
  const isEqual = PINNED[name]?.replaceAll("'", '').toLowerCase() === value.toLowerCase();
  return isOurs && !isEqual ? 'has no effect on this service' : null;
}

function quoted(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : escapeIdentifier(name);
}
