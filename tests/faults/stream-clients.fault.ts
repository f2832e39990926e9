import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { createDatabase, databaseSettings, openDatabase } from '../support/database.ts';
import { distinctRevision } from '../support/outlooks.ts';
import { findProgram, missingPrograms } from '../support/programs.ts';
import { Proxy } from '../support/proxy.ts';
import { cleanUp, type Service, startService } from '../support/service.ts';
import { startExpress, startNginx, type StreamProxy } from '../support/stream-proxies.ts';
import { publish } from '../support/writers.ts';

// Clients of Server-Sent Events that others wrote, each on a network that breaks their connections in the middle of what
// they read. Python's are found in the interpreter that PYTHON3 names, or the first in the path.

const SLUG = 'followed';
/** How long connections are cut, in milliseconds. */
const CUTTING = 12_000;
const FOLDER = fileURLToPath(new URL('./stream-clients/', import.meta.url));

type Line = { type: string; id: string; data: unknown };
type Follower = { name: string; lines: Line[]; stop: () => Promise<void> };

const SCRIPTS = ['eventsource-2', 'eventsource-4', 'eventsource-client', 'fetch-event-source'];
const PYTHON = findProgram('python3');
const PYTHON_MODULES = { sseclient: ['sseclient', 'requests'], httpx_sse: ['httpx_sse'] };

/** What this machine can run. */
const PYTHON_SCRIPTS = Object.entries(PYTHON_MODULES)
  .filter(([name, modules]) => {
    const found = PYTHON && spawnSync(PYTHON, ['-c', `import ${modules.join(', ')}`]).status === 0;
    if (!found)
      console.warn(`SKIPPED: ${name}: PYTHON3=… names a Python with ${modules.join(' and ')}`);
    return found;
  })
  .map(([name]) => `follow_${name}.py`);
const hasNginx = missingPrograms(['nginx']).length === 0;

let pool: pg.Pool;
let service: Service;
let browser: Browser | null;
let key: string;
beforeAll(async () => {
  const url = await createDatabase();
  service = await startService({
    ...databaseSettings(url),
    STREAMS_PER_ADDRESS: '1000',
    RATE_LIMIT_PER_ADDRESS: '0',
    RATE_LIMIT_PER_KEY: '0',
    WORK_PER_ADDRESS: '0',
    WORK_PER_KEY: '0',
    LOAD_SAMPLES: 'true',
    LOG_LEVEL: 'error',
  });
  pool = openDatabase(url, 1);
  const desk = { name: 'Desk', role: 'analyst' as const, expiresAt: null };
  ({ key } = await issueKey(pool, desk, new Date()));
  await publish({ origin: service.origin, key }, SLUG);
  const executablePath = process.env['CHROMIUM_PATH'];
  browser = await chromium
    .launch({
      ...(executablePath ? { executablePath } : { channel: 'chrome' }),
      chromiumSandbox: false,
    })
    .catch(() => null);
  if (!browser) console.warn('SKIPPED: the browser: CHROMIUM_PATH=… names one');
});
afterAll(async () => {
  await browser?.close();
  await cleanUp();
  await pool.end();
});

let proxies: { stop: () => Promise<void> }[];
let followers: Follower[];
beforeEach(() => void ([proxies, followers] = [[], []]));
afterEach(async () => {
  for (const one of [...followers, ...proxies]) await one.stop();
});

function startScript(name: string, url: string): Follower {
  const isPython = name.endsWith('.py');
  const file = FOLDER + (isPython ? name : `${name}.mjs`);
  const child: ChildProcess = spawn(
    isPython ? (PYTHON ?? '') : process.execPath,
    [file, url, key],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const lines: Line[] = [];
  if (child.stdout) {
    createInterface(child.stdout).on('line', (line) => lines.push(JSON.parse(line) as Line));
  }
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  return { name, lines, stop };
}

async function startPage({ origin }: Service, url: string): Promise<Follower[]> {
  if (!browser) return [];
  const context = await browser.newContext({ bypassCSP: true });
  const page = await context.newPage();
  const lines: Line[] = [];
  await page.exposeFunction('report', (type: string, id: string, data: string) => {
    lines.push({ type, id, data: JSON.parse(data) as unknown });
  });
  await page.goto(`${origin}/healthz`);
  await page.evaluate((stream) => {
    const { report } = globalThis as unknown as { report: (...parts: string[]) => void };
    const source = new EventSource(stream);
    for (const type of ['stream.opened', 'stream.reset', 'outlook.version.published', 'message']) {
      source.addEventListener(type, (event) => {
        const { data, lastEventId } = event as MessageEvent<string>;
        report(type, lastEventId, data);
      });
    }
    // A browser gives a network up that refuses to connect for long; a page then starts anew.
  }, url);
  return [{ name: 'Chromium', lines, stop: () => context.close() }];
}

/** Publishes versions until it is told to stop. */
async function keepRevising(isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    await revise();
    await delay(40);
  }
}

let turn = 0;
async function revise(): Promise<void> {
  turn = (turn + 1) % 2_000;
  const response = await fetch(`${service.origin}/v1/outlooks/${SLUG}/revisions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(distinctRevision(turn)),
  });
  if (response.status !== 201) throw new Error(await response.text());
}

const positionOf = (id: string) => Number(id.split('-')[0]);
const isOpening = ({ type }: Line) => type === 'stream.opened';

/** What is wrong with what a client got up to a position. */
function faultsOf({ name, lines }: Follower, last: number): string[] {
  const first = positionOf(lines.find(isOpening)?.id ?? '');
  const got = lines.filter((line) => !isOpening(line)).map(({ id }) => positionOf(id));
  const due = Array.from({ length: last - first }, (_, index) => first + index + 1);
  const missing = due.filter((position) => !got.includes(position));
  const repeated = got.filter((position, index) => got.indexOf(position) !== index);
  return [
    ...(missing.length > 0 ? [`${name} missed ${missing.join(' ')}`] : []),
    ...(repeated.length > 0 ? [`${name} repeated ${repeated.join(' ')}`] : []),
    ...lines.filter(({ type }) => type === 'message').map(() => `${name} got an empty message`),
  ];
}

type Chain = (target: string) => Promise<StreamProxy>;
const CHAINS: [name: string, start: Chain | null, isPossible: boolean][] = [
  ['without a proxy', null, true],
  ['through nginx', (target) => startNginx(findProgram('nginx') ?? '', target), hasNginx],
  ['through Express that compresses', startExpress, true],
];

for (const [chain, start, isPossible] of CHAINS) {
  test.skipIf(!isPossible)(`each client gets each event once, ${chain}`, async () => {
    const proxy = await start?.(service.origin);
    if (proxy) proxies.push(proxy);
    const network = new Proxy(proxy?.origin ?? service.origin);
    const url = `${(await network.listen()).replace(/\/$/, '')}/v1/events`;
    proxies.unshift({ stop: () => network.close() });
    const names = [...SCRIPTS, 'own-client', ...PYTHON_SCRIPTS];
    followers = [
      ...names.map((name) => startScript(name, url)),
      ...(await startPage(service, url)),
    ];
    const isOpen = ({ lines }: Follower) => lines.some(isOpening);
    await expect
      .poll(() => followers.filter((one) => !isOpen(one)), { timeout: 60_000 })
      .toEqual([]);

    let isOver = false;
    const writing = keepRevising(() => isOver);
    network.weather = 'cutting';
    await delay(CUTTING);
    network.weather = 'calm';
    isOver = true;
    await writing;
    await revise();
    const { rows } = await pool.query<{ last: number }>(
      'select max(position)::int as last from events',
    );
    const last = rows[0]?.last ?? 0;
    const isDone = ({ lines }: Follower) =>
      lines.some((line) => !isOpening(line) && positionOf(line.id) === last);
    const waiting = () => followers.filter((one) => !isDone(one)).map(({ name }) => name);
    await expect.poll(waiting, { timeout: 60_000, interval: 200 }).toEqual([]);
    await delay(500); // what comes twice, comes soon

    const rowsOf = followers.map(({ name, lines }) => {
      const openings = lines.filter(isOpening).length;
      return `${name}: ${lines.length - openings} events over ${openings} connections`;
    });
    process.stdout.write(`${chain}\n  ${rowsOf.join('\n  ')}\n`);
    expect(followers.flatMap((one) => faultsOf(one, last))).toEqual([]);
    for (const { lines } of followers) expect(lines.filter(isOpening).length).toBeGreaterThan(2);
  });
}

// Without `no-transform`, nothing arrives until the compressor's block is full.
test('a compressing proxy passes an event on at once', async () => {
  const proxy = await startExpress(service.origin);
  proxies.push(proxy);
  const follower = startScript('eventsource-4', `${proxy.origin}/v1/events`);
  followers.push(follower);
  await expect.poll(() => follower.lines.length, { timeout: 20_000 }).toBe(1);
  await revise();
  await expect.poll(() => follower.lines.length, { timeout: 20_000 }).toBe(2);
});
