import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase, databaseSettings, openDatabase, serviceUrl } from '../support/database.ts';
import { findPgbouncer, startPgbouncer } from '../support/pgbouncer.ts';
import {
  cleanUp,
  freePort,
  newFolder,
  run,
  type Settings,
  startService,
} from '../support/service.ts';
import { stopService, type UsedFolder, useFolder } from '../support/used-folder.ts';

afterAll(cleanUp);

type Finding = { check: string; state: string; message: string; remedy?: string };

async function doctor(settings: Settings, ...args: string[]) {
  const program = run('commands/doctor.js', args, settings);
  const { code } = await program.ended;
  return { code, stdout: program.stdout(), stderr: program.stderr() };
}

async function findings(settings: Settings): Promise<{ code: number | null; found: Finding[] }> {
  const { code, stdout } = await doctor(settings, '--json');
  return { code, found: JSON.parse(stdout) as Finding[] };
}

const of = (found: Finding[], check: string) => found.filter((one) => one.check === check);

describe('on the embedded database', () => {
  let used: UsedFolder;
  beforeAll(async () => {
    used = await useFolder();
  });

  test('every check passes beside a running service', async () => {
    const settings = { DATA_DIR: used.copy() };
    const service = await startService(settings);
    await expect.poll(() => service.stdout()).toContain('backed up');
    const { code, stdout, stderr } = await doctor(settings);
    expect([code, stderr]).toEqual([0, '']);
    const lines = stdout.trimEnd().split('\n');
    // How full the disk of this machine is, and who works on it, is not the doctor's fault.
    const others = lines.filter((line) => !line.startsWith('ok  ') && !/^warn +disk/.test(line));
    expect(others).toEqual([expect.stringMatching(/^Failed: 0, warnings: [01], not known: 0/)]);
    expect(stdout).toMatch(/^ok +backups +Backups: 1; the newest is 0\.\d h old/m);
    expect(stdout).toMatch(/^ok +version +PostgreSQL 18\./m);
    await stopService(service, settings.DATA_DIR);
  });

  test('it starts the database if no service runs, and warns if backups are off', async () => {
    const { code, found } = await findings({ DATA_DIR: used.copy(), BACKUP_EVERY: 'off' });
    expect(code).toBe(0);
    expect(of(found, 'backups')).toMatchObject([{ state: 'warn' }]);
  });

  test('the metrics have the time of the first backup', async () => {
    const settings = { DATA_DIR: used.copy(), BACKUP_EVERY: '7d' };
    const service = await startService(settings);
    const metric = async (name: string) => {
      const text = await (await fetch(`${service.origin}/metrics`)).text();
      return Number(new RegExp(`^outlook_ledger_${name} (.*)$`, 'm').exec(text)?.[1]);
    };
    await expect.poll(() => metric('last_backup_timestamp_seconds')).toBeGreaterThan(1.7e9);
    expect(await metric('backup_interval_seconds')).toBe(604_800);
    await stopService(service, settings.DATA_DIR);
  });
});

describe('on the database that DATABASE_URL names', () => {
  test('every check passes, and no secret is printed', async () => {
    const settings = databaseSettings(await createDatabase());
    const { code, stdout } = await doctor(settings);
    // Tests run on a server that does not wait for its disk.
    expect(stdout).not.toMatch(/^(fail|\?) +(?! |durability)/m);
    expect(code).toBe(/^fail/m.test(stdout) ? 1 : 0);
    for (const url of Object.values(settings)) {
      const { password } = new URL(url);
      expect(stdout).not.toContain(password || 'only-for-tests');
    }
  });

  test('a server that does not answer is one line, with what to do', async () => {
    const url = `postgres://desk:hunter2@127.0.0.1:${await freePort()}/ledger`;
    const { code, stdout } = await doctor({ DATABASE_URL: url });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^fail +connection +No connection: .*ECONNREFUSED.* → See docs/m);
    expect(stdout).not.toContain('hunter2');
  });

  test('an empty database, or one of the wrong encoding, fails', async () => {
    const empty = await createDatabase({ empty: true });
    const { code, found } = await findings({ DATABASE_URL: empty });
    expect(code).toBe(1);
    expect(of(found, 'schema')).toMatchObject([{ state: 'fail' }]);
    const owner = openDatabase(empty, 1);
    const name = `${new URL(empty).pathname.slice(1)}_ascii`;
    await owner.query(`create database ${name} template template0 encoding 'SQL_ASCII' locale 'C'`);
    const ascii = await findings({ DATABASE_URL: empty.replace(/\w+(?=$|\?)/, name) });
    await owner.query(`drop database ${name} with (force)`);
    await owner.end();
    expect(of(ascii.found, 'encoding')).toMatchObject([
      { state: 'fail', message: 'The encoding is SQL_ASCII.' },
    ]);
  });

  test('the owner as the role of the service is a warning', async () => {
    const { found } = await findings({ DATABASE_URL: await createDatabase() });
    expect(of(found, 'role')).toMatchObject([{ state: 'warn' }]);
  });

  test('wrong settings are named in one line', async () => {
    const { code, stderr } = await doctor({ PORT: 'abc', LOG_LEVEL: 'loud' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Invalid settings: .*PORT.*LOG_LEVEL.*\n$/);
  });
});

const pgbouncer = findPgbouncer();
test.skipIf(pgbouncer === null)('a pooler without a way past it is a warning', async () => {
  const settings = databaseSettings(await createDatabase());
  const service = new URL(settings['DATABASE_URL'] ?? '');
  const pooler = await startPgbouncer(pgbouncer ?? '', {
    mode: 'transaction',
    serverUrl: service.href,
    users: { [service.username]: service.password },
  });
  try {
    const pooled = `postgres://${service.username}:${service.password}@127.0.0.1:${pooler.port}${service.pathname}`;
    const behind = await findings({ ...settings, DATABASE_URL: pooled });
    expect(of(behind.found, 'pooler')).toMatchObject([{ state: 'warn' }]);
    expect(of(behind.found, 'connection')).toMatchObject([{ state: 'ok' }]);
    const faults = behind.found.filter(
      ({ state, check }) => state === 'fail' && check !== 'durability',
    );
    expect(faults).toEqual([]);
    const DIRECT_DATABASE_URL = service.href;
    const past = await findings({ ...settings, DATABASE_URL: pooled, DIRECT_DATABASE_URL });
    expect(of(past.found, 'pooler')).toMatchObject([{ state: 'ok' }]);
    expect(of(past.found, 'direct')).toMatchObject([{ state: 'ok' }]);
  } finally {
    await pooler.stop();
  }
});

test.each([['--all'], ['now']])('it explains itself to %s', async (...args) => {
  const { code, stdout, stderr } = await doctor({ DATA_DIR: newFolder() }, ...args);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toContain('Usage:');
});

test('every document that a remedy names is there', () => {
  const folder = new URL('../../', import.meta.url);
  const sources = ['src/commands/doctor.ts', 'src/commands/check-folders.ts'].concat(
    ['activity', 'connection', 'ledger', 'server'].map((name) => `src/postgres/doctor/${name}.ts`),
  );
  const named = sources.flatMap((source) =>
    [...readFileSync(new URL(source, folder), 'utf8').matchAll(/docs\/[\w/.-]+\.md/g)].map(
      ([name]) => name,
    ),
  );
  expect(named.length).toBeGreaterThan(3);
  for (const name of named) {
    expect(readFileSync(path.join(folder.pathname, name), 'utf8')).not.toBe('');
  }
});

test('the doctor of a service that may only read names the rights that are missing', async () => {
  const url = await createDatabase();
  const owner = openDatabase(url, 1);
  const role = `reader_${process.pid}`;
  await owner.query(`create role ${role} login`);
  try {
    // It may delete from some tables, so that the rights that are named include one to insert.
    await owner.query(`grant select on all tables in schema public to ${role};
      grant delete on table log_checkpoints, log_cosignatures, series_sources to ${role};
      grant usage on schema drizzle to ${role}; grant select on all tables in schema drizzle to ${role}`);
    const reader = new URL(serviceUrl(url));
    [reader.username, reader.password] = [role, ''];
    const { code, found } = await findings({ DATABASE_URL: reader.href });
    expect(code).toBe(1);
    const [rights] = of(found, 'rights');
    expect(rights).toMatchObject({ state: 'fail' });
    expect(rights?.message).toMatch(
      /delete on table public\.webhooks, insert on .* and \d+ more\.$/,
    );
    expect(rights?.remedy).toContain('npm run migrate');
  } finally {
    await owner.query(`drop owned by ${role}; drop role ${role}`);
    await owner.end();
  }
});
