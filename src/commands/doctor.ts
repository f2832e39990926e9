import { parseArgs } from 'node:util';
import type pg from 'pg';
import { errorLine } from '../error-line.ts';
import {
  checkConnections,
  checkLocks,
  checkPrepared,
  checkSlots,
  checkTransactions,
} from '../postgres/doctor/activity.ts';
import {
  checkClock,
  checkPooler,
  checkSettings,
  checkTransport,
} from '../postgres/doctor/connection.ts';
import { fail, type Finding, ok, type Sessions, unknown } from '../postgres/doctor/finding.ts';
import {
  checkGuards,
  checkIndexes,
  checkRights,
  checkRole,
  checkSchema,
} from '../postgres/doctor/ledger.ts';
import {
  checkArchive,
  checkCollation,
  checkDurability,
  checkEncoding,
  checkPrimary,
  checkSize,
  checkStandbys,
  checkVacuum,
  checkVersion,
  checkWraparound,
} from '../postgres/doctor/server.ts';
import { tlsRemedy } from '../postgres/connection-url.ts';
import type { OpenDatabase } from '../postgres/database.ts';
import { checkBackups, checkDisk } from './check-folders.ts';
import { type Context, DATABASE_USAGE, print, runCommand } from './run-command.ts';

const MARKS: Record<Finding['state'], string> = {
  ok: 'ok  ',
  warn: 'warn',
  fail: 'fail',
  unknown: '?   ',
};

/** What to do about a refused connection, by SQLSTATE. */
const REMEDIES: Record<string, string> = {
  '28000':
    'if the role is missing, start the service once or run npm run migrate, which create it; else see pg_hba.conf',
  '28P01': 'correct the password in the URL, or run: ALTER ROLE … PASSWORD …',
  '3D000': 'run: CREATE DATABASE …, or correct its name in the URL',
  '53300': 'lower DATABASE_POOL_MAX, or raise max_connections',
  '57P03': 'wait until the server has started; its log says what it does',
};

await runCommand({
  usage: `Usage:
  npm run doctor [-- --json]

Examines the settings, the database and its server. Each line names what was checked and, if something is wrong, says what
to do. It changes nothing. Lines begin with ok, warn or fail, or with ? if the role may not see the answer.

${DATABASE_USAGE} The exit status is 1 if a line begins with fail.`,
  read: (args) =>
    parseArgs({ args, options: { json: { type: 'boolean', default: false } } }).values.json,
  migrates: false, // it changes nothing
  work: async (database, isJson, context) => {
    const findings: NamedFinding[] = [];
    for await (const finding of examine(database, context)) {
      findings.push(finding);
      if (!isJson) print(lineOf(finding));
    }
    print(isJson ? JSON.stringify(findings, null, 2) : summaryOf(findings));
    return findings.every(({ state }) => state !== 'fail');
  },
});

type NamedFinding = { check: string } & Finding;
type Check = () => Promise<Finding[]> | Finding[];

/** Runs the checks one by one. Without a connection, there is nothing more to ask. */
async function* examine(
  database: OpenDatabase,
  { config, service: shared }: Context,
): AsyncGenerator<NamedFinding> {
  yield { check: 'settings', ...ok('All settings are valid.') };
  const connections = new Map<pg.Pool, Connected>();
  try {
    for (const [check, pool] of Object.entries({
      connection: shared,
      direct: database.pool,
      owner: database.owner,
    })) {
      if (connections.has(pool)) continue;
      const connected = await connectTo(pool);
      connections.set(pool, connected);
      yield { check, ...connected.finding };
    }
    const clientOf = (pool: pg.Pool) => connections.get(pool)?.client;
    const client = clientOf(shared);
    if (!client) return;
    const service = clientOf(database.pool) ?? client;
    const sessions = { service, owner: clientOf(database.owner) ?? service };
    for (const [check, run] of Object.entries(checksOf(client, sessions, config))) {
      for (const finding of await findingsOf(run)) yield { check, ...finding };
    }
  } finally {
    for (const { client } of connections.values()) client?.release();
  }
}

function checksOf(client: pg.PoolClient, sessions: Sessions, config: Context['config']) {
  const isEmbedded = config.databaseUrl === null;
  const now = () => new Date();
  // The change feed has a connection of its own.
  const connections = config.databasePoolMax + 1;
  return {
    // First what can block the rest.
    locks: () => checkLocks(sessions),
    transactions: () => checkTransactions(sessions),
    prepared: () => checkPrepared(sessions),
    version: () => checkVersion(sessions),
    primary: () => checkPrimary(sessions),
    encoding: () => checkEncoding(sessions),
    collation: () => checkCollation(sessions),
    tls: () => checkTransport(client),
    pooler: () => checkPooler(client, sessions),
    clock: () => checkClock(sessions, now),
    connections: () => checkConnections(sessions, connections),
    role: () => checkRole(sessions),
    'role settings': () => checkSettings(sessions),
    rights: () => checkRights(sessions),
    schema: () => checkSchema(sessions),
    guards: () => checkGuards(sessions),
    indexes: () => checkIndexes(sessions),
    durability: () => checkDurability(sessions),
    standbys: () => checkStandbys(sessions),
    slots: () => checkSlots(sessions),
    vacuum: () => checkVacuum(sessions),
    wraparound: () => checkWraparound(sessions),
    size: () => checkSize(sessions),
    ...(isEmbedded
      ? {
          disk: () => checkDisk(config.dataDir),
          backups: () => checkBackups(config.backups, now()),
        }
      : { archive: () => checkArchive(sessions) }),
  } satisfies Record<string, Check>;
}

type Connected = { client: pg.PoolClient | null; finding: Finding };

async function connectTo(pool: pg.Pool): Promise<Connected> {
  const began = performance.now();
  try {
    const client = await pool.connect();
    const { host, port, user = '', database = '' } = client as pg.PoolClient & pg.Client;
    const milliseconds = Math.round(performance.now() - began);
    const where = `${database} at ${host}:${port} as ${user}`;
    return { client, finding: ok(`Connected to ${where} in ${milliseconds} ms.`) };
  } catch (error) {
    const remedy =
      tlsRemedy(error) ??
      REMEDIES[(error as pg.DatabaseError).code ?? ''] ??
      'see docs/operate/runbooks/database-unavailable.md; the URL has the host, the port, the role and its password';
    const sentence = `${remedy.slice(0, 1).toUpperCase()}${remedy.slice(1)}.`;
    return { client: null, finding: fail(`No connection: ${errorLine(error)}.`, sentence) };
  }
}

/** What a check finds. What the role may not see is not a fault; a check that fails is. */
async function findingsOf(run: Check): Promise<Finding[]> {
  try {
    return await run();
  } catch (error) {
    const isRefused = (error as pg.DatabaseError).code === '42501';
    const message = `Not known: ${errorLine(error)}.`;
    if (isRefused)
      return [unknown(message, 'Needs pg_monitor: GRANT pg_monitor TO the role that asks.')];
    return [fail(message, 'Correct what the message says, and run the doctor again.')];
  }
}

function lineOf({ check, ...finding }: NamedFinding): string {
  const remedy = finding.state === 'ok' ? '' : ` → ${finding.remedy}`;
  return `${MARKS[finding.state]}  ${check.padEnd(13)}  ${finding.message}${remedy}`;
}

function summaryOf(findings: NamedFinding[]): string {
  const count = (state: Finding['state']) => findings.filter((one) => one.state === state).length;
  return `Failed: ${count('fail')}, warnings: ${count('warn')}, not known: ${count('unknown')}, well: ${count('ok')}.`;
}
