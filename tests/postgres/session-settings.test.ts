import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyLedger } from '../../src/ledger/verification.ts';
import { migrateToLatest } from '../../src/postgres/migrate.ts';
import { dumpSchema } from '../../src/postgres/schema-dump.ts';
import { LIMITS, PINNED } from '../../src/postgres/session-settings.ts';
import { createDatabase, openDatabase, serviceUrl } from '../support/database.ts';
import { HARMLESS_SETTINGS, roundsOf, settingsOfRoles } from '../support/every-setting.ts';
import { startLedger, SLUG, type TestLedger } from '../support/ledger.ts';
import { openSession } from '../support/plain-sql.ts';
import { createOutlook, send } from '../support/requests.ts';

const HARMFUL = [
  'default_transaction_read_only',
  'dynamic_library_path',
  'ignore_checksum_failure',
  'max_stack_depth',
  'session_replication_role',
  'temp_file_limit',
  'track_counts',
  'zero_damaged_pages',
];

/** Gives a database settings, which reach every session of every role; those that it refuses are left out. */
async function setUp(url: string, assignments: readonly string[]): Promise<string> {
  const session = await openSession(url);
  // A table and an operator that a wrong search_path would take for PostgreSQL's or the ledger's.
  await session.query(`create schema elsewhere; grant usage on schema elsewhere to public;
    create table elsewhere.outlooks (id int); create table elsewhere.events (id int);
    create function elsewhere.never(int, int) returns boolean language sql as 'select false';
    create operator elsewhere.= (function = elsewhere.never, leftarg = int, rightarg = int)`);
  await assign(session, assignments);
  await session.end();
  return url;
}

async function assign(own: pg.Client, assignments: readonly string[]): Promise<void> {
  const { rows } = await own.query<{ name: string }>('select current_database() as name');
  for (const assignment of assignments) {
    await own.query(`alter database ${rows[0]?.name} set ${assignment}`).catch((error: Error) => {
      // Some need another at the same time, or a server built for it.
      if (!/^(Cannot|cannot|invalid value|must be)/.test(error.message)) {
        throw new Error(`${assignment}: ${error.message}`, { cause: error });
      }
      refused.add(assignment);
    });
  }
}

const refused = new Set<string>();

/** What statements return that depend on settings. */
async function answers(pool: pg.Pool): Promise<unknown> {
  const { rows } = await pool.query({
    text: String.raw`select date '2026-03-31' as date, timestamptz '2026-03-31 12:00:00Z' as time, 'now'::date >= '2026-01-02' as day,
      (0.1::float8 + 0.2)::text as float, 1.5::float4 / 7 as single, '{a,NULL,"NULL"}'::text[] as array, (1 = null) is null as null,
      '\x41'::bytea::text as bytea, interval '1 day 2 hours'::text as interval, 'a\b' as backslash, E'\'' as quote, 'é€' as letters,
      length('é€') as length, to_tsvector('running') as words, current_user = session_user as self, 'outlooks'::regclass::text as name,
      format('%I', 'plain') as identifier, array_to_json($1::text[]) as given, current_setting('transaction_isolation') as isolation,
      current_setting('statement_timeout') as timeout, ${LIMITS.map((name) => `current_setting('${name}')`).join(' || ')} as limits`,
    values: [['NULL', null, 'x']],
  });
  return rows;
}

/** All that a client sees of a ledger in which a rule triggers, with the checks of the ledger itself. */
async function story(ledger: TestLedger): Promise<unknown> {
  const told: unknown[] = [];
  const note = ({ statusCode, body }: { statusCode: number; body: string }) =>
    told.push(statusCode, withoutIds(body));
  ledger.clock.now = new Date('2026-10-05T12:00:00.000Z');
  const series = { key: 's', name: 'N', unit: 'percent', source: 'S', frequency: 'daily' };
  note(await send(ledger, 'POST', '/v1/series', series, { as: 'feed' }));
  const rule = { series: 's', operator: 'lt', threshold: 5, forObservations: 2 };
  const condition = { key: 'met', invalidates: 'bear', statement: 'Ünder € 5.', rule };
  const horizon = { from: '2026-10-01', to: '2027-10-01' };
  note(
    await createOutlook(ledger, { slug: 'ruled', horizon, invalidationConditions: [condition] }),
  );
  const observations = [
    { date: '2026-10-01', value: 4.9 },
    { date: '2026-10-02', value: 0.1 },
  ];
  note(await send(ledger, 'POST', '/v1/series/s/observations', { observations }, { as: 'feed' }));
  const revision = {
    probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
    rationale: String.raw`Back\slash's "é€".`,
    acknowledges: [{ condition: 'met', reason: 'It will pass.' }],
  };
  note(await send(ledger, 'POST', '/v1/outlooks/ruled/revisions', revision));
  ledger.clock.now = new Date('2026-10-06T12:00:00.000Z');
  for (const url of [
    '/v1/outlooks/ruled',
    '/v1/outlooks/ruled/versions',
    '/v1/outlooks/ruled/conditions/met',
    '/v1/outlooks?q=small&sort=slug',
    `/v1/outlooks/${SLUG}/versions/1`,
    '/v1/series/s/observations',
    '/v1/audit?limit=5',
    '/readyz',
  ]) {
    note(await ledger.call({ url, as: 'admin' }));
  }
  const events = await ledger.servicePool.query(
    'select position, kind, version, data from events order by log_position',
  );
  told.push(withoutIds(JSON.stringify(events.rows)), await verifyLedger(ledger.servicePool));
  told.push(await answers(ledger.servicePool));
  return told;
}

function withoutIds(body: string): string {
  return body.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'id');
}

async function tell(assignments: readonly string[]): Promise<unknown> {
  const ledger = await startLedger({ through: (url) => setUp(url, assignments) });
  try {
    return await story(ledger);
  } finally {
    await ledger.close();
  }
}

let session: pg.Client;
let rounds: string[][];
let plain: unknown;
beforeAll(async () => {
  session = await openSession(await createDatabase());
  const settings = await settingsOfRoles(session);
  rounds = roundsOf(settings.filter(({ name }) => !HARMFUL.includes(name)));
  plain = await tell([]);
});
afterAll(() => session.end());

test('every setting of this PostgreSQL that a role can be given is pinned, harmless or named', async () => {
  const names = (await settingsOfRoles(session)).map(({ name }) => name);
  const known = new Set([
    ...Object.keys(PINNED),
    ...LIMITS,
    'synchronous_commit',
    ...HARMFUL,
    ...HARMLESS_SETTINGS,
  ]);
  expect(names.filter((name) => !known.has(name))).toEqual([]);
});

describe('a ledger is the same under', () => {
  test.each([
    "datestyle to 'German'",
    'extra_float_digits to -15',
    'array_nulls to off',
    "default_transaction_isolation to 'serializable'",
    "default_transaction_isolation to 'repeatable read'",
    "client_encoding to 'LATIN1'",
    'search_path to elsewhere, public',
    'standard_conforming_strings to off',
    "plpgsql.extra_errors to 'all'",
  ])('%s', async (assignment) => {
    expect(await tell([assignment])).toEqual(plain);
  });

  test('every setting at once, in each of its values', async () => {
    for (const assignments of rounds) expect(await tell(assignments)).toEqual(plain);
    expect([...refused]).toEqual([]);
  });
});

test('a role that triggers skip is refused in one line that says what to run', async () => {
  const url = await createDatabase();
  const name = new URL(url).pathname.slice(1);
  await session.query(`alter database ${name} set session_replication_role to replica`);
  const pool = openDatabase(serviceUrl(url), 1);
  await expect(pool.query('select 1')).rejects.toThrow(
    /^session_replication_role of the role \w+ is replica, which switches the ledger's guards off. Run: ALTER ROLE \w+ RESET session_replication_role;/,
  );
  await pool.end();
});

test.each(['off', 'local', 'remote_write'])(
  'a commit is durable although the role asks for synchronous_commit = %s',
  async (value) => {
    const url = await createDatabase();
    await session.query(
      `alter database ${new URL(url).pathname.slice(1)} set synchronous_commit to ${value}`,
    );
    const pool = openDatabase(serviceUrl(url), 1);
    const { rows } = await pool.query('show synchronous_commit');
    expect(rows).toEqual([{ synchronous_commit: 'on' }]);
    await pool.end();
  },
);

test('but not if the server as a whole lets commits return early, or waits for more', async () => {
  const url = await createDatabase();
  const { rows: server } = await session.query('show synchronous_commit');
  const pool = openDatabase(serviceUrl(url), 1);
  expect((await pool.query('show synchronous_commit')).rows).toEqual(server);
  await session.query(
    `alter database ${new URL(url).pathname.slice(1)} set synchronous_commit to remote_apply`,
  );
  const later = openDatabase(serviceUrl(url), 1);
  expect((await later.query('show synchronous_commit')).rows).toEqual([
    { synchronous_commit: 'remote_apply' },
  ]);
  await Promise.all([pool.end(), later.end()]);
});

test('migrations make the same schema under every setting', async () => {
  const schema = await migrated([]);
  for (const assignments of rounds.slice(0, 2)) expect(await migrated(assignments)).toBe(schema);
});

async function migrated(assignments: readonly string[]): Promise<string> {
  const url = await createDatabase({ empty: true });
  const ownSession = await openSession(url);
  await assign(ownSession, assignments);
  await ownSession.end();
  const [owner, service] = [openDatabase(url, 1), openDatabase(serviceUrl(url), 1)];
  await migrateToLatest(owner, service);
  const schema = await dumpSchema(owner);
  await Promise.all([owner.end(), service.end()]);
  return schema;
}
