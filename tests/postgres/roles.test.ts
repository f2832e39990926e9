import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { migrateToLatest } from '../../src/postgres/migrate.ts';
import { createDatabase, openDatabase, serviceUrl } from '../support/database.ts';
import { missingGrants } from '../../src/postgres/privileges.ts';
import { textOf } from '../support/documents.ts';
import { loadSamples } from '../../src/first-start.ts';
import { buildSilentApp, SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { fillLedger } from '../support/outlooks.ts';
import { attempt, openSession, refusal, rejection, SWEPT, TABLES } from '../support/plain-sql.ts';

let ledger: TestLedger;
let service: pg.Client;
beforeAll(async () => {
  ledger = await startLedger();
  await fillLedger(ledger);
  await ledger.revise(REVISION, { 'idempotency-key': 'one' });
  service = await openSession(serviceUrl(ledger.url));
});
afterAll(async () => {
  await service.end();
  await ledger.close();
});

const REVISION = { probabilities: { bear: 0.31, base: 0.44, bull: 0.25 }, rationale: 'R' };
const OWNER = decodeURIComponent(new URL(inject('serverUrl')).username);
const ALL = [...TABLES, ...SWEPT];

test('the service works as a role that owns nothing', async () => {
  const { rows } = await ledger.servicePool.query(
    `select session_user as name, rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls as strong,
        exists (select from pg_auth_members where member = r.oid) as "isMember",
        exists (select from pg_shdepend where refobjid = r.oid and deptype = 'o') as "isOwner"
      from pg_roles r where rolname = session_user`,
  );
  const name = `${inject('prefix')}service`;
  expect(rows).toEqual([{ name, strong: false, isMember: false, isOwner: false }]);
});

/** The tables that only functions with the rights of their owner fill. */
const READ_ONLY = new Set([
  'digest_progress',
  'erased_openings',
  'erasures',
  'openings',
  'row_digests',
]);

/** What the service does with each table beside reading it and adding rows. */
const CHANGED: Record<string, string> = {
  api_keys: 'update (last_used_at, revoked_at)',
  audit_entries: 'delete',
  desks: 'update (name)',
  events: 'update (position)',
  idempotency_keys: 'update (recorded_at), delete',
  instruments: 'update (closes_id)',
  log_checkpoints: 'delete',
  log_cosignatures: 'delete',
  log_generations: 'update (root, size)',
  log_tiles: 'update (hashes)',
  observations: 'update (superseded_at)',
  outlooks:
    'update (base_bps, bear_bps, bull_bps, condition_states, continued_by, framework_id, hash, horizon_ended_at, internal_to, is_contradicted, latest_version, published_at, review_reasons, status, transaction_id)',
  proposals: 'update (base_version, changed_at, draft, publish_at, state, step)',
  resolutions: 'update (superseded_at)',
  series: 'update (internal_to, source)',
  series_sources:
    'update (attempts, due_at, etag, every_minutes, failures, last_added, last_error, last_error_at, last_modified, last_revised, last_success_at, last_unchanged, started_at), delete',
  webhook_attempts: 'update (fault, milliseconds, status)',
  webhook_deliveries: 'update (attempts, delivered_at, due_at), delete',
  webhooks:
    'update (description, disabled_at, disabled_reason, failing_since, kinds, log_position, position, previous_secret, previous_secret_until, secret, url), delete',
};

test('it may read all tables and add rows, and change or delete only these', async () => {
  const { rows } = await service.query<{ name: string; rights: string }>(`
    select c.relname as name, concat_ws(', ',
        (select string_agg(p, ', ') from unnest(array['select', 'insert', 'update', 'truncate', 'references', 'trigger']) p
          where has_table_privilege(c.oid, p)),
        (select 'update (' || string_agg(attname, ', ' order by attname) || ')' from pg_attribute
          where attrelid = c.oid and attnum > 0 and has_column_privilege(c.oid, attnum, 'update')),
        case when has_table_privilege(c.oid, 'delete') then 'delete' end) as rights
      from pg_class c where relnamespace = 'public'::regnamespace and relkind = 'r'`);
  const rights = Object.fromEntries(rows.map(({ name, rights }) => [name, rights]));
  const expected = ALL.map((table) => [
    table,
    [READ_ONLY.has(table) ? 'select' : 'select, insert', CHANGED[table]].filter(Boolean).join(', '),
  ]);
  expect(rights).toEqual(Object.fromEntries(expected));
});

const OWNER_ONLY = /must be owner of|permission denied/;

describe.each(ALL)('as the service, on %s', (table) => {
  test.each([
    ['disabling its triggers', `alter table ${table} disable trigger user`],
    ['disabling all triggers', `alter table ${table} disable trigger all`],
    ['altering it', `alter table ${table} add note text`],
    ['renaming it', `alter table ${table} rename to other`],
    ['dropping it', `drop table ${table} cascade`],
    ['truncating it', `truncate ${table} cascade`],
    ['giving it another owner', `alter table ${table} owner to current_user`],
    [
      'a trigger',
      `create trigger later before insert on ${table} for each row execute function refuse_change()`,
    ],
    ['a rule', `create rule quiet as on insert to ${table} do instead nothing`],
    ['a policy', `alter table ${table} enable row level security`],
    ['rebuilding its indexes', `reindex table ${table}`],
    ['an index', `create index on ${table} ((1))`],
    ['a child of it', `create table child () inherits (${table})`],
    ['a comment', `comment on table ${table} is 'x'`],
  ])('%s is refused', async (_, statement) => {
    expect((await rejection(service, statement)).message).toMatch(OWNER_ONLY);
  });
});

test.each([
  // Guards
  ['set session_replication_role = replica'],
  [`select set_config('session_replication_role', 'replica', false)`],
  ['alter function refuse_change() owner to current_user'],
  [
    `create or replace function refuse_change() returns trigger language plpgsql as 'begin return new; end'`,
  ],
  ['alter function refuse_change() reset all'],
  ['drop function refuse_change() cascade'],
  ['drop trigger append_only on outlook_versions'],
  ['alter trigger append_only on outlook_versions rename to x'],
  ['alter table outlook_versions drop constraint outlook_versions_sum'],
  ['drop index outlooks_newest'],
  ['update pg_catalog.pg_trigger set tgenabled = default'],
  ['delete from pg_catalog.pg_trigger'],
  [`update pg_catalog.pg_proc set prosrc = ''`],
  // Something of its own, on which a trigger could run, or which would come before the ledger's
  ['create temporary table outlooks (id bigint)'],
  ['create table public.mine (id bigint)'],
  ['create schema mine'],
  ['create schema authorization current_user'],
  [`create function public.refuse(text) returns void language sql as ''`],
  [`create function pg_temp.f() returns int language sql as 'select 1'`],
  ['create view public.mine as select 1'],
  ['create sequence public.mine'],
  ['create type public.mine as (a int)'],
  ['create materialized view public.mine as select 1'],
  ['select 1 as a into temporary mine'],
  ['create extension dblink'],
  ['create event trigger mine on ddl_command_start execute function refuse_change()'],
  ['create publication mine for all tables'],
  ['alter schema public rename to other'],
  ['drop schema public cascade'],
  ['drop schema drizzle cascade'],
  // Other roles
  [`set role "${OWNER}"`],
  [`set session authorization "${OWNER}"`],
  ['create role mine'],
  ['alter role current_user superuser'],
  ['alter role current_user createrole'],
  ['alter role current_user bypassrls'],
  [`grant "${OWNER}" to "${inject('prefix')}service"`],
  ['grant pg_write_server_files to current_user'],
  [`alter role all set session_replication_role = 'replica'`],
  [`alter role current_user set session_replication_role = 'replica'`],
  [`alter role "${OWNER}" set work_mem = '1MB'`],
  ['grant set on parameter session_replication_role to current_user'],
  ['reassign owned by postgres to current_user'],
  // Numbers and the journal of migrations
  [`select setval('frameworks_id_seq', 1)`],
  [`select setval(pg_get_serial_sequence('events', 'id'), 1000)`],
  ['alter sequence frameworks_id_seq restart'],
  [`insert into drizzle.__drizzle_migrations (hash, created_at) values ('x', 1)`],
  ['update drizzle.__drizzle_migrations set created_at = 1'],
  ['delete from drizzle.__drizzle_migrations'],
  // The server
  [`select pg_read_file('PG_VERSION')`],
  [`select pg_ls_dir('.')`],
  [`copy outlooks to program 'true'`],
  [`copy outlooks from program 'true'`],
  [`copy outlooks to '/tmp/outlooks'`],
  [`copy outlooks from '/etc/passwd'`],
  [`select lo_import('/etc/passwd')`],
  [`select lo_export(1, '/tmp/x')`],
  ['select pg_reload_conf()'],
  ['select * from pg_authid'],
  [`select pg_terminate_backend(pid) from pg_stat_activity where usename <> current_user`],
  ['select pg_stat_reset()'],
  [`select pg_switch_wal()`],
  [`select pg_create_physical_replication_slot('mine')`],
])('as the service, %s is refused', async (statement) => {
  const { message } = await rejection(service, statement);
  expect(message).toMatch(/denied|must be owner|must be a? ?superuser|admin option/);
});

// Statements that run in no transaction.
test.each([
  ['alter system set fsync = off'],
  ['create database mine'],
  [`alter database ${inject('prefix')}template set session_replication_role = replica`],
  ['drop database postgres'],
])('as the service, %s is refused, too', async (statement) => {
  await expect(service.query(statement)).rejects.toThrow(/permission denied|must be owner/);
});

test.each(ALL)(
  'the service may not lock out the readers of %s, unless it deletes its rows',
  async (table) => {
    const error = await attempt(service, `lock table ${table} in access exclusive mode`);
    expect(error?.message).toBe(
      CHANGED[table]?.endsWith('delete') ? undefined : `permission denied for table ${table}`,
    );
  },
);

/** The tables that came after migration 0033. */
const NEWER = [
  'desks',
  'disclosures',
  'desk_policies',
  'proposals',
  'proposal_drafts',
  'proposal_steps',
  'analyst_changes',
];

test('instances of the release before write until the role gets its rights to newer tables', async () => {
  const own = await startLedger();
  await fillLedger(own);
  await own.pool.query('delete from webhook_attempts');
  await own.pool.query('delete from webhook_deliveries');
  await own.pool.query(`revoke all on ${NEWER.join(', ')} from ${inject('prefix')}service`);
  const before = await openSession(serviceUrl(own.url));
  try {
    for (const statement of [
      `insert into outlook_versions (outlook_id, version, kind, framework_id, bear_bps, base_bps, bull_bps, author_id, rationale,
         recorded_at, hash, previous_hash)
       select v.outlook_id, v.version + 1, 'probabilities', v.framework_id, 0, 5000, 5000, v.author_id, 'R', v.recorded_at, sha256('d'), v.hash
         from outlook_versions v join outlooks o on o.id = v.outlook_id and o.latest_version = v.version where o.slug = '${SLUG}';
       insert into events (kind, outlook_id, version, data, recorded_at)
       select 'outlook.version.published', id, latest_version, '{}', published_at from outlooks where slug = '${SLUG}'`,
      `insert into resolutions (outlook_id, number, reopens, reason, band_low, band_high, author_id, recorded_at)
       select outlook_id, number + 1, true, 'R', band_low, band_high, author_id, recorded_at from resolutions`,
      `insert into webhook_deliveries (webhook_id, position, outlook_id, planned_at)
       select w.id, e.position, e.outlook_id, now() from webhooks w, events e where e.position is not null`,
      `insert into series (key, name, unit, frequency, source, created_at) values ('new', 'N', 'index', 'daily', 'S', now())`,
      `insert into api_keys (analyst_id, role, hash, hint, created_at)
       select id, 'analyst', sha256('k'), 'olk_', now() from analysts limit 1`,
    ]) {
      expect([statement, (await attempt(before, statement))?.message]).toEqual([
        statement,
        undefined,
      ]);
    }
  } finally {
    await before.end();
    await own.close();
  }
});

test('what PostgreSQL skips with a warning changes nothing', async () => {
  const notices: string[] = [];
  service.on('notice', ({ message }) => notices.push(message ?? ''));
  for (const statement of ['vacuum full outlooks', 'grant select on outlooks to public']) {
    await service.query(statement);
  }
  expect(notices).toEqual([
    expect.stringMatching(/skipping/),
    'no privileges were granted for "outlooks"',
  ]);
});

// Columns that only triggers write are open to the role, so the guards still have to hold.
test.each([
  [`update outlooks set status = 'void'`, 'outlooks_closing'],
  ['update outlooks set bear_bps = 0', 'outlooks_latest_version'],
  [`update outlooks set review_reasons = '{}'::text[] || 'x'::text`, 'outlooks_review'],
  ['update observations set superseded_at = now()', 'observations_append_only'],
  ['update resolutions set superseded_at = now()', 'resolutions_append_only'],
  ['update events set position = position + 1', 'events_append_only'],
  ['update series set source = source', 'series_append_only'],
  ['update idempotency_keys set recorded_at = now()', 'idempotency_keys_append_only'],
  [
    'insert into forecast_leads select id, 0, 10, 0, 0, 10000, null, null, null from forecast_sums limit 1',
    'forecast_leads_derived',
  ],
])('as the service, %s is refused by a guard', async (statement, rule) => {
  expect(await refusal(service, statement)).toBe(rule);
});

// Why no role may have temporary tables: a trigger on one writes at a depth that only the ledger's triggers should reach.
test('a trigger on a temporary table would pass the guards', async () => {
  const session = await openSession(ledger.url);
  const attack = `create temporary table lever ();
    create function pg_temp.pull() returns trigger language plpgsql as
      $$ begin update public.outlooks set bear_bps = 10000, base_bps = 0, bull_bps = 0; return null; end $$;
    create trigger pull after insert on lever execute function pg_temp.pull();
    insert into lever default values`;
  expect(await attempt(session, attack)).toBeNull();
  await session.end();
  expect((await rejection(service, attack)).message).toBe(
    `permission denied to create temporary tables in database "${new URL(ledger.url).pathname.slice(1)}"`,
  );
});

describe('migrations', () => {
  async function openBoth(url: string): Promise<[pg.Pool, pg.Pool]> {
    return [openDatabase(url, 1), openDatabase(serviceUrl(url), 1)];
  }

  test('grant again what is missing and take what is too much, and else write nothing', async () => {
    const url = await createDatabase();
    const [owner, pool] = await openBoth(url);
    const acls = `select array_agg(array[xmin::text, oid::text, acl::text] order by oid) as all from (
      select xmin, oid, relacl as acl from pg_class union all select xmin, oid, proacl from pg_proc
      union all select xmin, oid, nspacl from pg_namespace
      union all select xmin, oid, datacl from pg_database where datname = current_database()) o`;
    const read = async () => (await owner.query<{ all: string[][] }>(acls)).rows[0]?.all ?? [];
    await migrateToLatest(owner, pool);
    const before = await read();
    await migrateToLatest(owner, pool);
    expect(await read()).toEqual(before);
    const role = `${inject('prefix')}service`;
    await owner.query(`revoke insert on outlooks from ${role};
      revoke update (position) on events from ${role};
      revoke usage on sequence frameworks_id_seq from ${role};
      grant delete, truncate on outlook_versions to ${role};
      grant update on sequence frameworks_id_seq to ${role};
      grant create on schema public to ${role};
      grant create on schema public to public;
      grant temporary on database ${new URL(url).pathname.slice(1)} to public`);
    await migrateToLatest(owner, pool);
    const grants = (all: string[][]) =>
      all.map(([, oid, acl]) => [oid, acl?.split(',').toSorted()]);
    expect(grants(await read())).toEqual(grants(before));
    await Promise.all([owner.end(), pool.end()]);
  });

  test('need no superuser, but an owner that may create roles', async () => {
    const url = new URL(await createDatabase({ empty: true }));
    const name = url.pathname.slice(1);
    const [owning, serving] = [`${inject('prefix')}owner`, `${inject('prefix')}new`];
    await ledger.pool.query(`create role ${owning} login password 'x' createrole`);
    await ledger.pool.query(`alter database ${name} owner to ${owning}`);
    url.username = owning;
    url.password = 'x';
    const owner = openDatabase(url.href, 1);
    url.username = serving;
    const pool = openDatabase(url.href, 2);
    await Promise.all([1, 2, 3].map(() => migrateToLatest(owner, pool)));
    const app = await buildSilentApp(pool);
    expect((await app.inject('/readyz')).statusCode).toBe(200);
    await loadSamples(pool, new Date('2026-11-20T16:00:00.000Z'));
    expect((await app.inject('/v1/outlooks')).json()).toMatchObject({ items: [{ slug: SLUG }] });
    await app.close();
    await Promise.all([owner.end(), pool.end()]);
    await ledger.pool.query(`drop database ${name} with (force)`);
    await ledger.pool.query(`drop role ${serving}; drop role ${owning}`);
  });

  // As on a server whose administrator gives each application a role and the two schemas, but not the database.
  test('need no right on a database that has the schema drizzle, and say what its owner has to run', async () => {
    const url = new URL(await createDatabase({ empty: true }));
    const name = url.pathname.slice(1);
    const [owning, serving] = [`${inject('prefix')}tables`, `${inject('prefix')}serving`];
    const administrator = openDatabase(url.href, 1);
    url.username = owning;
    url.password = 'x';
    const owner = openDatabase(url.href, 1);
    url.username = serving;
    const pool = openDatabase(url.href, 2);
    await administrator.query(`create role ${owning} login password 'x';
      create role ${serving} login password 'x';
      grant usage, create on schema public to ${owning};
      revoke connect on database ${name} from public; grant connect on database ${name} to ${owning}`);
    await expect(migrateToLatest(owner)).rejects.toThrow(
      `the role may not do this: set DATABASE_MIGRATION_URL to the URL of the owner of the tables, with the rights that docs/operate/deploying.md lists (permission denied for database ${name})`,
    );
    await administrator.query(
      `create schema drizzle authorization ${owning}; grant connect on database ${name} to ${serving}`,
    );
    await expect(migrateToLatest(owner, pool)).rejects.toThrow(
      `the owner of the database must run this once, then start again: revoke temporary on database ${name} from public;`,
    );
    await administrator.query(`revoke temporary on database ${name} from public`);
    await migrateToLatest(owner, pool);
    const app = await buildSilentApp(pool);
    expect((await app.inject('/readyz')).json()).toMatchObject({ writes: 'accepted' });
    await loadSamples(pool, new Date('2026-11-20T16:00:00.000Z'));
    await app.close();
    await Promise.all([owner.end(), pool.end(), administrator.end()]);
    await ledger.pool.query(`drop database ${name} with (force)`);
    await ledger.pool.query(`drop role ${serving}; drop role ${owning}`);
  });

  // Those who grant rights by hand follow the page; the service then has nothing left to grant.
  test('find nothing to grant after the statements of the page on deploying', async () => {
    const url = await createDatabase({ empty: true });
    const owner = openDatabase(url, 1);
    const role = `${inject('prefix')}by_hand`;
    await owner.query(`create role ${role} login password 'x'`);
    await migrateToLatest(owner);
    const page = textOf('docs/operate/deploying.md');
    const [, statements = ''] = /By hand,[^`]*```sql\n(.*?)```/s.exec(page) ?? [];
    const name = new URL(url).pathname.slice(1);
    await owner.query(
      statements
        .replaceAll('ledger_service', role)
        .replaceAll('DATABASE ledger', `DATABASE ${name}`),
    );
    expect(await missingGrants(owner, role, false)).toEqual([]);
    await owner.query(`drop owned by ${role}; drop role ${role}`);
    await owner.end();
  });

  test('are what a service needs that finds its rights gone', async () => {
    const own = await startLedger();
    const ready = async () => {
      const response = await own.app.inject('/readyz');
      return [response.statusCode, response.json<{ detail?: string }>().detail];
    };
    await own.servicePool.query('drop owned by current_user'); // does nothing but warn
    expect(await ready()).toEqual([200, undefined]);
    await own.pool.query(`drop owned by ${inject('prefix')}service`);
    const unreadable = expect.stringContaining(
      "The role in DATABASE_URL has no rights on the ledger's tables: ",
    );
    expect(await ready()).toEqual([503, unreadable]);
    // The journal of migrations alone says nothing about the ledger.
    await own.pool.query(`grant connect on database ${new URL(own.url).pathname.slice(1)} to public;
      grant usage on schema drizzle, public to ${inject('prefix')}service;
      grant select on all tables in schema drizzle to ${inject('prefix')}service`);
    expect(await ready()).toEqual([503, unreadable]);
    await migrateToLatest(own.pool, own.servicePool);
    expect(await ready()).toEqual([200, undefined]);
    expect((await own.revise(REVISION)).statusCode).toBe(201);
    await own.close();
  });

  test('are what a service needs that may only read, or not write everything', async () => {
    const own = await startLedger();
    const role = `${inject('prefix')}service`;
    const ready = async () => {
      const { status, writes, reason } = (await own.app.inject('/readyz')).json();
      return [status, writes, reason];
    };
    await own.pool.query(`revoke update (position) on events from ${role}`);
    const remedy = 'start the service with DATABASE_MIGRATION_URL, or run `npm run migrate`.';
    expect(await ready()).toEqual([
      'ready',
      'refused',
      `The role in DATABASE_URL lacks rights (update ("position") on table public.events): ${remedy}`,
    ]);
    await own.pool.query(`drop owned by ${role};
      grant usage on schema drizzle, public to ${role};
      grant select on all tables in schema drizzle, public to ${role}`);
    expect(await ready()).toEqual([
      'ready',
      'refused',
      expect.stringMatching(
        /^The role in DATABASE_URL lacks rights \(.+, .+, .+ and \d+ more\): start/,
      ),
    ]);
    await migrateToLatest(own.pool, own.servicePool);
    expect(await ready()).toEqual(['ready', 'accepted', undefined]);
    await own.close();
  });

  test.each([
    ['belongs to the owner', (role: string) => `grant ${OWNER} to ${role}`, 'is a superuser'],
    [
      'may create temporary tables through another',
      (role: string, name: string) =>
        `grant temporary on database ${name} to ${role}_more; grant ${role}_more to ${role}`,
      'may create temporary tables',
    ],
    [
      'may create tables elsewhere',
      (role: string) => `create schema elsewhere; grant create on schema elsewhere to ${role}`,
      'may create tables',
    ],
    [
      'may set session_replication_role',
      (role: string) => `grant set on parameter session_replication_role to ${role}`,
      'may set session_replication_role',
    ],
    [
      'may do several of these',
      (role: string) => `grant pg_write_server_files to ${role}; alter role ${role} createrole`,
      'may create roles and may write files or run programs on the server',
    ],
  ])('refuse a role that %s', async (_, prepare, danger) => {
    const url = await createDatabase();
    const role = `${inject('prefix')}danger`;
    const other = new URL(url);
    other.username = role;
    other.password = 'x';
    const [owner, pool] = [openDatabase(url, 1), openDatabase(other.href, 1)];
    const name = new URL(url).pathname.slice(1);
    await owner.query(`create role ${role} login password 'x'; create role ${role}_more`);
    try {
      await migrateToLatest(owner, pool);
      await owner.query(prepare(role, name));
      await expect(migrateToLatest(owner, pool)).rejects.toThrow(
        `the role ${role} could switch the ledger's guards off, because it ${danger}: set DATABASE_URL to the URL of another role, for the service alone`,
      );
    } finally {
      await Promise.all([owner.end(), pool.end()]);
      await ledger.pool.query(`drop database ${name} with (force)`);
      await ledger.pool.query(`revoke all on parameter session_replication_role from ${role};
        drop role ${role}, ${role}_more`);
    }
  });

  test('leave tables that are not the ledger’s alone', async () => {
    const [owner, pool] = await openBoth(await createDatabase());
    const role = `${inject('prefix')}service`;
    await owner.query(`create role ${role}_other;
      create table beside (id int); alter table beside owner to ${role}_other;
      grant delete on beside to ${role}`);
    await migrateToLatest(owner, pool);
    const { rows } = await owner.query(
      `select has_table_privilege('${role}', 'beside', 'delete') as may, has_table_privilege('${role}', 'beside', 'select') as reads`,
    );
    expect(rows).toEqual([{ may: true, reads: false }]);
    await owner.query(`drop table beside; drop role ${role}_other`);
    await Promise.all([owner.end(), pool.end()]);
  });
});
