import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Logger, pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { type Backups, backupsIn, isDue, startBackups } from '../src/backups.ts';
import { restore } from '../src/postgres/backup.ts';
import { createDatabase, openDatabase } from './support/database.ts';
import { startLedger, type TestLedger } from './support/ledger.ts';
import { until } from './support/service.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const START = new Date('2026-11-20T16:00:00.000Z');
const FIRST = 'outlook-ledger-2026-11-20T16-00-00Z.sql';

let ledger: TestLedger;
let folder = '';
let clock = START;
let lines: Record<string, unknown>[] = [];
const log: Logger = pino({ level: 'info' }, { write: (line) => void lines.push(JSON.parse(line)) });
const running: Backups[] = [];

beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  folder = path.join(mkdtempSync(path.join(tmpdir(), 'backups-')), 'backups');
  [clock, lines] = [START, []];
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((backups) => backups.stop()));
  vi.useRealTimers();
  rmSync(path.dirname(folder), { recursive: true });
});

async function start({ keep = 2, pool = ledger.servicePool, into = folder } = {}) {
  const schedule = { every: DAY, keep, folder: into };
  const backups = await startBackups({ pool, schedule, now: () => clock, log });
  running.push(backups);
  return backups;
}

const files = () => readdirSync(folder).toSorted();
const logged = (count: number) => until(() => lines.length === count);

/** Lets time pass, and whatever is due run. */
function wait(milliseconds: number): void {
  clock = new Date(clock.getTime() + milliseconds);
  vi.advanceTimersByTime(60_000);
}

test('the first start writes a complete backup, which only its user may read', async () => {
  const backups = await start();
  await logged(1);
  expect(lines[0]).toMatchObject({ msg: 'backed up', file: path.join(folder, FIRST) });
  expect(files()).toEqual([FIRST]);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(statSync(path.join(folder, FIRST)).mode & 0o777).toBe(0o600);
  expect(backups.takenAt()).toEqual(START);
  const pool = openDatabase(await createDatabase({ empty: true }), 1);
  await restore(pool, path.join(folder, FIRST));
  await pool.end();
});

test('a restart takes no backup before one is due', async () => {
  const first = await start();
  await logged(1);
  await first.stop();
  clock = new Date(START.getTime() + DAY - 1_000);
  const second = await start();
  expect(second.takenAt()).toEqual(START);
  await second.stop();
  expect(files()).toEqual([FIRST]);
  clock = new Date(START.getTime() + DAY);
  await start();
  await logged(2);
  expect(files()).toEqual([FIRST, FIRST.replace('20T', '21T')]);
});

test('old backups are deleted once a new one is complete, and no other files', async () => {
  mkdirSync(folder);
  const others = ['ledger.sql', 'outlook-ledger-2020-01-01.sql', `${FIRST}.gz`];
  for (const name of others) writeFileSync(path.join(folder, name), name);
  const subfolder = FIRST.replace('20T', '19T');
  mkdirSync(path.join(folder, subfolder));
  await start({ keep: 2 });
  await logged(1);
  for (const count of [2, 3, 4]) {
    wait(DAY);
    await logged(count);
  }
  await Promise.all(running.map((backups) => backups.stop()));
  expect(files()).toEqual(
    [...others, subfolder, FIRST.replace('20T', '22T'), FIRST.replace('20T', '23T')].toSorted(),
  );
});

test('a failed backup is logged, keeps the old ones, and is tried again after ten minutes', async () => {
  await start({ keep: 1 });
  await logged(1);
  const taken = `${FIRST.replace('20T', '21T')}.part`;
  writeFileSync(path.join(folder, taken), '');
  wait(DAY);
  await logged(2);
  expect(lines[1]).toMatchObject({ level: 40, msg: expect.stringContaining('failed') as string });
  expect(files()).toEqual([FIRST, taken]);
  wait(599_000);
  expect(lines).toHaveLength(2);
  wait(1_000);
  await logged(3);
  expect(lines[2]).toMatchObject({ msg: 'backed up' });
  await expect.poll(files).toEqual([taken, FIRST.replace('20T16-00', '21T16-10')]);
});

test('a folder that cannot be made does not stop the service', async () => {
  writeFileSync(path.join(path.dirname(folder), 'file'), '');
  const backups = await start({ into: path.join(path.dirname(folder), 'file', 'backups') });
  await logged(1);
  expect(lines[0]).toMatchObject({ level: 40 });
  expect(backups.takenAt()).toBeNull();
});

test('a disk with less room than the database takes gets no backup', async () => {
  const pool = { query: async () => ({ rows: [{ bytes: 1e18 }] }) };
  await start({ pool: pool as never });
  await logged(1);
  expect(JSON.stringify(lines[0])).toMatch(/has \d+ MB of free space, but a backup may need/);
  expect(files()).toEqual([]);
});

test('the partial backup of a killed service is deleted; one that is being written stays', async () => {
  mkdirSync(folder);
  const [old, young] = ['18T', '19T'].map((day) => `${FIRST.replace('20T', day)}.part`);
  for (const name of [old, young]) writeFileSync(path.join(folder, name ?? ''), 'half');
  const long = new Date(START.getTime() - 600_001);
  utimesSync(path.join(folder, old ?? ''), long, long);
  utimesSync(path.join(folder, young ?? ''), START, START);
  await start();
  await logged(1);
  expect(files()).toEqual([young, FIRST]);
});

test('a stop cuts off a backup that waits, and leaves no file', async () => {
  const holder = await ledger.pool.connect();
  await holder.query('begin; lock table observations in access exclusive mode');
  const backups = await start();
  await expect.poll(files).toEqual([`${FIRST}.part`]);
  const { rows } = await holder.query('select 1 as one');
  expect(rows).toHaveLength(1);
  await expect
    .poll(async () => (await holder.query('select from pg_locks where not granted')).rowCount)
    .toBe(1);
  await backups.stop();
  expect(files()).toEqual([]);
  expect(lines).toEqual([]);
  await holder.query('rollback');
  holder.release();
});

test('what a wrong clock dated into the future delays no backup, and is not the newest', async () => {
  mkdirSync(folder);
  const future = FIRST.replace('2026', '2036');
  writeFileSync(path.join(folder, future), 'from the future');
  const backups = await start({ keep: 1 });
  await logged(1);
  expect(files()).toEqual([FIRST, future]);
  expect(backups.takenAt()).toEqual(START);
  expect(await backupsIn(folder, clock)).toEqual([
    { file: path.join(folder, FIRST), takenAt: START },
  ]);
});

test('a clock that is set back delays no backup', () => {
  const later = new Date(START.getTime() + HOUR);
  expect(isDue(START, { takenAt: later, failedAt: null, every: DAY })).toBe(true);
  expect(isDue(START, { takenAt: START, failedAt: null, every: DAY })).toBe(false);
  expect(isDue(START, { takenAt: null, failedAt: START, every: DAY })).toBe(false);
  expect(isDue(later, { takenAt: null, failedAt: START, every: DAY })).toBe(true);
  const soon = new Date(START.getTime() + 60_000);
  expect(isDue(soon, { takenAt: null, failedAt: START, every: 60_000 })).toBe(true);
});

test('two backups in a row differ only in their time', async () => {
  await start();
  await logged(1);
  wait(DAY);
  await logged(2);
  const [first, second] = files().map((name) =>
    readFileSync(path.join(folder, name), 'utf8').replace(/made at .*/, ''),
  );
  expect(first).toBe(second);
});
