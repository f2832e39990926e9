import { escapeIdentifier } from 'pg';
import type { Session } from './pool.ts';

// The service's role may read everything and add rows. This file lists what else it may do. Triggers and functions run with
// its rights, so the lists include columns that only they write; guards decide which of these updates pass. These have the rights
// of the owner, for what the role, or that of the release before, may not do: sequence_events(), index_author(),
// refresh_search(), change_analyst(), the triggers require_approval, and the functions that digest rows for the log.

/** The columns that the service's role may update, by table. Locking a row (FOR UPDATE, …) needs the right to one of them. */
export const UPDATABLE: Readonly<Record<string, readonly string[]>> = {
  api_keys: ['last_used_at', 'revoked_at'],
  desks: ['name'],
  events: ['position'],
  idempotency_keys: ['recorded_at'], // for locks only; a trigger refuses every update
  instruments: ['closes_id'],
  log_generations: ['size', 'root'],
  log_tiles: ['hashes'],
  observations: ['superseded_at'],
  outlooks: [
    'latest_version',
    'published_at',
    'transaction_id',
    'hash',
    'framework_id',
    'bear_bps',
    'base_bps',
    'bull_bps',
    'condition_states',
    'review_reasons',
    'status',
    'is_contradicted',
    'horizon_ended_at',
    'continued_by',
    'internal_to',
  ],
  proposals: ['state', 'draft', 'step', 'base_version', 'publish_at', 'changed_at'],
  resolutions: ['superseded_at'],
  series: ['source', 'internal_to'], // the source for locks only; a trigger refuses every update of it
  series_sources: [
    'every_minutes',
    'due_at',
    'attempts',
    'started_at',
    'failures',
    'last_success_at',
    'last_added',
    'last_revised',
    'last_unchanged',
    'last_error_at',
    'last_error',
    'etag',
    'last_modified',
  ],
  webhook_attempts: ['milliseconds', 'status', 'fault'],
  webhook_deliveries: ['attempts', 'due_at', 'delivered_at'],
  webhooks: [
    'url',
    'kinds',
    'description',
    'secret',
    'previous_secret',
    'previous_secret_until',
    'position',
    'log_position',
    'failing_since',
    'disabled_at',
    'disabled_reason',
  ],
};

/** The tables whose rows the service's role may delete. A guard decides which rows of the audit trail. */
export const DELETABLE: readonly string[] = [
  'audit_entries',
  'idempotency_keys',
  'log_checkpoints',
  'log_cosignatures',
  'series_sources',
  'webhook_deliveries',
  'webhooks',
];

/** The tables to which the service's role adds no rows: the owner does, or functions with the owner's rights. */
export const READ_ONLY: readonly string[] = [
  'digest_progress',
  'erased_openings',
  'erasures',
  'openings',
  'row_digests',
];

/** The sequences that statements use by name. Identity columns need no right to theirs. */
export const USED_SEQUENCES: readonly string[] = ['forecast_sums_id_seq', 'frameworks_id_seq'];

type LedgerObject = {
  kind: 'database' | 'schema' | 'function' | 'table' | 'sequence';
  /** Its name in SQL. */
  name: string;
  /** The name of a table or sequence, without its schema; else empty. */
  relation: string;
  /** Whether the session may grant rights on it. */
  isGrantable: boolean;
  /** Whether the service's role may connect to the database, or use the schema, by whatever right. */
  isUsable: boolean;
};

// Only tables that the ledger's owner owns: an operator may have others beside them. The database, and the schemas, may
// belong to somebody else.
const OBJECTS = `
  select 'database' as kind, quote_ident(datname) as name, '' as relation, oid, datacl as acl,
      pg_has_role(datdba, 'usage') as "isGrantable", has_database_privilege(coalesce($2::name, session_user), oid, 'connect') as "isUsable"
    from pg_database where datname = current_database()
  union all
  select 'schema', quote_ident(nspname), '', oid, nspacl,
      pg_has_role(nspowner, 'usage'), has_schema_privilege(coalesce($2::name, session_user), oid, 'usage')
    from pg_namespace where nspname in ('public', 'drizzle')
  union all
  select 'function', oid::regprocedure::text, '', oid, proacl, true, true
    from pg_proc where pronamespace = 'public'::regnamespace and prokind = 'f' and proowner = $1
  union all
  select case relkind when 'r' then 'table' else 'sequence' end,
    format('%s.%I', relnamespace::regnamespace, relname), relname, oid, relacl, true, true
    from pg_class
   where relnamespace in ('public'::regnamespace, 'drizzle'::regnamespace) and relkind in ('r', 'S') and relowner = $1`;

const HELD = `
  with object as (${OBJECTS}), role as (select oid from pg_roles where rolname = $2)
  select format('%s on %s %s', lower(privilege_type), kind, name) as right, "isGrantable"
    from object, aclexplode(acl) where grantee = (select oid from role)
  union all
  select format('%s ("%s") on table %s', lower(privilege_type), attname, name), "isGrantable"
    from object join pg_attribute on attrelid = object.oid and attnum > 0, aclexplode(attacl)
   where kind = 'table' and grantee = (select oid from role)`;

// With a trigger on a table of its own, a role passes the guards that look at the depth of triggers. PostgreSQL lets
// everyone create temporary tables, and before version 15, tables in public.
const OPEN_TO_ALL = `
  select format('%s on database %I', lower(privilege_type), datname) as right,
      pg_has_role(datdba, 'usage') as "isGrantable"
    from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))
   where datname = current_database() and grantee = 0 and privilege_type in ('TEMPORARY', 'CREATE')
  union all
  select format('create on schema %I', nspname), pg_has_role(nspowner, 'usage')
    from pg_namespace, aclexplode(nspacl)
   where nspname in ('public', 'drizzle') and grantee = 0 and privilege_type = 'CREATE'`;

/** A GRANT or REVOKE, and whether the session may run it. */
export type Grant = { statement: string; isGrantable: boolean };

/**
 * What gives the service's role exactly the rights that it needs, and takes the rights to create tables from everyone
 * (PUBLIC). Empty if that is so already.
 * @param owner a session of the owner of the ledger's tables
 * @param role the name of the service's role
 * @param keepsOthers whether the role keeps what it does not need, because a newer release may need it
 */
export async function missingGrants(
  owner: Session,
  role: string,
  keepsOthers: boolean,
): Promise<Grant[]> {
  const { rows: owners } = await owner.query<{ id: string }>(
    `select relowner::text as id from pg_class where oid = 'public.outlooks'::regclass`,
  );
  const values = [owners[0]?.id, role];
  const { rows: objects } = await owner.query<LedgerObject>(OBJECTS, values);
  const held = await rights(owner, HELD, values);
  const needed = objects.flatMap(neededOn);
  const isIn = (list: readonly Right[], { right }: Right) =>
    list.some((one) => one.right === right);
  const to = escapeIdentifier(role);
  const open = await rights(owner, OPEN_TO_ALL, []);
  const extra = keepsOthers ? [] : held.filter((right) => !isIn(needed, right));
  const missing = needed.filter((right) => !right.isUsable && !isIn(held, right));
  return [
    ...open.map(({ right, isGrantable }) => ({
      statement: `revoke ${right} from public`,
      isGrantable,
    })),
    ...extra.map(({ right, isGrantable }) => ({
      statement: `revoke ${right} from ${to}`,
      isGrantable,
    })),
    ...missing.map(({ right, isGrantable }) => ({
      statement: `grant ${right} to ${to}`,
      isGrantable,
    })),
  ];
}

/** A right on an object as GRANT words it, such as `update ("position") on table public.events`. */
type Right = { right: string; isGrantable: boolean };

async function rights(session: Session, query: string, values: unknown[]): Promise<Right[]> {
  const { rows } = await session.query<Right>(query, values);
  return rows;
}

const MISSING = `
  with object as (${OBJECTS}),
  needed as (select * from unnest($3::text[], $4::text[], $5::text[], $6::text[]) as n (kind, name, privilege, attribute)),
  -- Joined first, whatever the plan: the functions below fail for a right on an object of another kind.
  pair as materialized (select * from needed join object using (kind, name))
  select format('%s%s on %s %s', privilege, ' (' || quote_ident(attribute) || ')', kind, name) as right
    from pair
   where not case kind
     when 'database' then has_database_privilege(oid, privilege)
     when 'schema' then has_schema_privilege(oid, privilege)
     when 'function' then has_function_privilege(oid, privilege)
     when 'sequence' then has_sequence_privilege(oid, privilege)
     else case when attribute is null then has_table_privilege(oid, privilege)
       else has_column_privilege(oid, attribute, privilege) end end
   order by 1`;

/** The rights that the session's role lacks for the service, as GRANT words them; empty if the ledger is not there yet. */
export async function missingRights(session: Session): Promise<string[]> {
  const { rows: owners } = await session.query<{ id: string }>(
    `select c.relowner::text as id from pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relname = 'outlooks'`,
  );
  if (!owners[0]) return [];
  const values = [owners[0].id, null];
  const { rows: objects } = await session.query<LedgerObject>(OBJECTS, values);
  const needed = objects.flatMap((object) =>
    neededOn(object).map(({ right }) => {
      const [, privilege, attribute = null] = /^(\w+)(?: \("(\w+)"\))? on /.exec(right) ?? [];
      return { ...object, privilege, attribute };
    }),
  );
  const missing = await rights(session, MISSING, [
    ...values,
    needed.map(({ kind }) => kind),
    needed.map(({ name }) => name),
    needed.map(({ privilege }) => privilege),
    needed.map(({ attribute }) => attribute),
  ]);
  return missing.map(({ right }) => right);
}

/** The rights that the service needs, and which of them it has without a grant that the session could make. */
function neededOn({ kind, name, relation, isGrantable, isUsable }: LedgerObject) {
  const needed: Record<LedgerObject['kind'], string[]> = {
    database: ['connect'],
    schema: ['usage'],
    function: ['execute'],
    // A backup reads them all.
    sequence: USED_SEQUENCES.includes(relation) ? ['select', 'usage'] : ['select'],
    table: name.startsWith('public.') ? neededOnTable(relation) : ['select'],
  };
  return needed[kind].map((right) => ({
    right: `${right} on ${kind} ${name}`,
    isGrantable,
    isUsable: isUsable && !isGrantable,
  }));
}

function neededOnTable(table: string): string[] {
  const updates = (UPDATABLE[table] ?? []).map((column) => `update ("${column}")`);
  const inserts = READ_ONLY.includes(table) ? [] : ['insert'];
  return ['select', ...inserts, ...updates, ...(DELETABLE.includes(table) ? ['delete'] : [])];
}

// What the role can do, or any role that it is a member of.
const DANGERS = `
  with able as (select oid, rolname, rolsuper, rolcreaterole from pg_roles where pg_has_role($1, oid, 'member')),
  ledger as (select oid, relkind, relowner from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'S'))
  select danger from (values
    (1, 'is a superuser', exists (select from able where rolsuper)),
    (2, 'may create roles', exists (select from able where rolcreaterole)),
    (3, 'may write files or run programs on the server', exists (select from able
      where rolname in ('pg_write_server_files', 'pg_execute_server_program'))),
    (4, 'owns the database or what is in it', exists (select from able where oid in (
      select datdba from pg_database where datname = current_database()
      union select nspowner from pg_namespace where nspname in ('public', 'drizzle')
      union select relowner from ledger
      union select proowner from pg_proc where pronamespace = 'public'::regnamespace))),
    (5, 'may truncate tables or add triggers', exists (select from able, ledger
      where relkind = 'r' and has_table_privilege(able.oid, ledger.oid, 'truncate, trigger'))),
    (6, 'may set sequences', exists (select from able, ledger
      where relkind = 'S' and has_sequence_privilege(able.oid, ledger.oid, 'update'))),
    (7, 'may create schemas', exists (select from able
      where has_database_privilege(oid, current_database(), 'create'))),
    (8, 'may create temporary tables', exists (select from able
      where has_database_privilege(oid, current_database(), 'temporary'))),
    (9, 'may create tables', exists (select from able, pg_namespace n
      where nspname !~ '^pg_' and has_schema_privilege(able.oid, n.oid, 'create'))),
    (10, 'may set session_replication_role', exists (select from able
      where has_parameter_privilege(oid, 'session_replication_role', 'set')))
  ) as d (number, danger, is_given) where is_given order by number`;

/**
 * How a role could switch the ledger's guards off or pass them, each as the end of a sentence such as "it may create roles".
 * Empty if it can't. A superuser can do everything, so the list has only that.
 */
export async function dangersOf(session: Session, role: string): Promise<string[]> {
  const { rows } = await session.query<{ danger: string }>(DANGERS, [role]);
  return rows
    .map(({ danger }) => danger)
    .slice(0, rows[0]?.danger === 'is a superuser' ? 1 : undefined);
}
