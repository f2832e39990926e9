import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import {
  type EmbeddedPostgres,
  startEmbeddedPostgres,
} from '../../src/postgres/embedded/server.ts';
import { createDatabase, databaseSettings, serviceUrl } from '../support/database.ts';
import { revise } from '../support/http-client.ts';
import { cleanUp, logLines, newFolder, run, startService } from '../support/service.ts';
import { stopService, type UsedFolder, useFolder } from '../support/used-folder.ts';

afterAll(cleanUp);

const OWNER = decodeURIComponent(new URL(inject('serverUrl')).username);
const REVISION = {
  probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
  rationale: 'Yields jumped.',
};

async function query(options: pg.ClientConfig, text: string): Promise<unknown[]> {
  const client = new pg.Client(options);
  await client.connect();
  try {
    return (await client.query<object>(text)).rows;
  } finally {
    await client.end();
  }
}

const ROLES_AT_WORK = `select distinct usename as role from pg_stat_activity
  where application_name like 'outlook-ledger%' and datname = current_database()`;

describe('on an embedded database', () => {
  let used: UsedFolder;
  beforeAll(async () => {
    used = await useFolder();
  });

  const at = (dataDir: string) => ({
    host: path.join(dataDir, 'sock'),
    user: 'postgres',
    database: 'outlook_ledger',
  });

  // An earlier release left no role at all; one that is killed at its first start, a role without rights.
  test.each([
    ['of an earlier release', 'drop owned by ledger_service; drop role ledger_service'],
    ['of an upgrade that was killed', 'drop owned by ledger_service'],
  ])('a folder %s gets the role at the next start, and keeps it', async (_, undo) => {
    const dataDir = used.copy();
    const server: EmbeddedPostgres = await startEmbeddedPostgres({ dataDir });
    await query(server.connection, `${undo}; grant temporary on database outlook_ledger to public`);
    await server.stop();
    for (const status of [201, 422]) {
      const service = await startService({ DATA_DIR: dataDir });
      expect(existsSync(at(dataDir).host)).toBe(true);
      expect(await query(at(dataDir), ROLES_AT_WORK)).toEqual([{ role: 'ledger_service' }]);
      expect((await revise(service.origin, used.key, REVISION)).status).toBe(status);
      const keys = run('commands/keys.js', ['list'], { DATA_DIR: dataDir });
      expect(await keys.ended).toEqual({ code: 0, signal: null });
      const asService = { ...at(dataDir), user: 'ledger_service' };
      await expect(
        query(asService, 'alter table outlook_versions disable trigger user'),
      ).rejects.toThrow('must be owner of table outlook_versions');
      await expect(query(asService, 'create temporary table t ()')).rejects.toThrow(
        'permission denied to create temporary tables',
      );
      expect(service.stdout()).not.toContain('guards');
      await stopService(service, dataDir);
    }
  });
});

describe('on an external database', () => {
  const warnings = (stdout: string) =>
    logLines(stdout)
      .filter((line) => line.includes('guards'))
      .map((line) => JSON.parse(line));

  test('one URL, of the owner, works and warns once', async () => {
    const url = await createDatabase({ empty: true });
    const service = await startService({ DATABASE_URL: url, LOAD_SAMPLES: 'true' });
    expect(warnings(service.stdout())).toMatchObject([
      {
        level: 40,
        msg: `the role ${OWNER} could switch the ledger's guards off, because it is a superuser: set DATABASE_MIGRATION_URL to this URL, and DATABASE_URL to the URL of another role, for the service alone`,
      },
    ]);
    service.kill('SIGTERM');
    expect(await service.ended).toEqual({ code: 0, signal: null });
  });

  test('with both URLs it migrates as the owner and works as the other role, which can start alone later', async () => {
    const url = await createDatabase({ empty: true });
    const settings = { DATABASE_URL: serviceUrl(url), LOAD_SAMPLES: 'true' };
    const early = run('server.js', [], settings);
    expect(await early.ended).toEqual({ code: 1, signal: null });
    expect(early.stderr()).toMatch(
      /the role may not do this: set DATABASE_MIGRATION_URL to the URL of the owner of the tables, with the rights that docs\/operate\/deploying\.md lists \(permission denied [^\n]*\)\n$/,
    );
    const migration = run('commands/migrate.js', [], { ...settings, DATABASE_MIGRATION_URL: url });
    expect([await migration.ended, migration.stderr()]).toEqual([{ code: 0, signal: null }, '']);
    for (const extra of [{}, { DATABASE_MIGRATION_URL: url }]) {
      const service = await startService({ ...settings, ...extra });
      expect(warnings(service.stdout())).toEqual([]);
      expect(await query({ connectionString: url }, ROLES_AT_WORK)).toEqual([
        { role: `${inject('prefix')}service` },
      ]);
      service.kill('SIGTERM');
      expect(await service.ended).toEqual({ code: 0, signal: null });
    }
  });

  test.each([
    [
      'the owner twice',
      (url: string) => [url, url],
      'because it is a superuser: set DATABASE_URL to the URL of another role',
    ],
    [
      'different databases',
      (url: string, other: string) => [serviceUrl(other), url],
      'DATABASE_URL and DATABASE_MIGRATION_URL name different databases',
    ],
  ])('two URLs that name %s are refused in one line', async (_, urlsOf, reason) => {
    const [DATABASE_URL = '', DATABASE_MIGRATION_URL = ''] = urlsOf(
      await createDatabase({ empty: true }),
      await createDatabase({ empty: true }),
    );
    const program = run('server.js', [], { DATABASE_URL, DATABASE_MIGRATION_URL });
    expect(await program.ended).toEqual({ code: 1, signal: null });
    expect(program.stderr()).toMatch(/^Outlook Ledger can't start: [^\n]+\n$/);
    expect(program.stderr()).toContain(reason);
  });

  test('the URL of the owner alone is refused', async () => {
    const program = run('server.js', [], { DATABASE_MIGRATION_URL: await createDatabase() });
    expect(await program.ended).toEqual({ code: 1, signal: null });
    expect(program.stderr()).toContain(
      'DATABASE_URL is required when DATABASE_MIGRATION_URL is set',
    );
  });
});

test('a ledger is restored by the owner, and its service works as its own role', async () => {
  const file = path.join(newFolder(), 'ledger.sql');
  const from = { DATABASE_URL: serviceUrl(await createDatabase()) };
  const backup = run('commands/backup.js', [file], from);
  expect([await backup.ended, backup.stderr()]).toEqual([{ code: 0, signal: null }, '']);
  const url = await createDatabase({ empty: true });
  const to = databaseSettings(url);
  const alone = run('commands/restore.js', [file], { DATABASE_URL: to['DATABASE_URL'] ?? '' });
  expect([await alone.ended, alone.stderr()]).toEqual([
    { code: 1, signal: null },
    `the role may not do this: set DATABASE_MIGRATION_URL to the URL of the owner of the tables, with the rights that docs/operate/deploying.md lists (permission denied for database ${new URL(url).pathname.slice(1)})\n`,
  ]);
  const restore = run('commands/restore.js', [file], to);
  expect([await restore.ended, restore.stderr()]).toEqual([{ code: 0, signal: null }, '']);
  const service = await startService({
    DATABASE_URL: to['DATABASE_URL'] ?? '',
    LOAD_SAMPLES: 'true',
  });
  service.kill('SIGTERM');
  expect(await service.ended).toEqual({ code: 0, signal: null });
});

test('a role that is missing is created with its password, which later starts leave alone', async () => {
  const dataDir = newFolder();
  const server = await startEmbeddedPostgres({ dataDir });
  try {
    const { host, database } = server.connection;
    const asks = 'local all "the desk" scram-sha-256\nlocal all all trust\n';
    writeFileSync(path.join(dataDir, 'pg18/pg_hba.conf'), asks);
    await query(server.connection, 'select pg_reload_conf()');
    const urlOf = (user: string) =>
      `postgres://${user}@localhost/${database}?host=${encodeURIComponent(host)}`;
    const migrate = async (password: string) => {
      const program = run('commands/migrate.js', [], {
        DATABASE_URL: urlOf(`the%20desk:${password}`),
        DATABASE_MIGRATION_URL: urlOf('postgres'),
      });
      return { ...(await program.ended), stderr: program.stderr() };
    };
    const [first, second] = ['p%C3%A4ss%27w%24rd', 'other'] as const;
    expect(await migrate(first)).toMatchObject({ code: 0, stderr: '' });
    expect(await migrate(first)).toMatchObject({ code: 0, stderr: '' });
    expect(await migrate(second)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('password authentication failed for user "the desk"'),
    });
    expect(
      await query({ connectionString: urlOf(`the%20desk:${first}`) }, 'select 1 as one'),
    ).toEqual([{ one: 1 }]);
    expect(
      await query(
        server.connection,
        `select starts_with(rolpassword, 'SCRAM-SHA-256$') as hashed, rolinherit as inherits
          from pg_authid where rolname = 'the desk'`,
      ),
    ).toEqual([{ hashed: true, inherits: false }]);
  } finally {
    await server.stop();
  }
});
