import { Agent, get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type Balancer, findHaproxy, startHaproxy } from '../tests/support/haproxy.ts';
import { Database } from './database.ts';
import type { Report } from './ledger.ts';
import { cpuOf, newFolder } from './processes.ts';
import { type Service, startService } from './service.ts';

const COUNTS = [1, 2, 4];
const CONNECTIONS = 32;
/** Reads of one URL, and reads that are spread over many. */
const READS = 20_000;
const URLS = 10_000;
const IDLE_SECONDS = 15;

type Used = { statements: number; database: number; services: number };
type Line = { instances: number; what: string; reads: number; seconds: number; used: Used };

/**
 * Measures what reads cost the primary, by the number of instances behind a balancer, and returns a Markdown table. It
 * is of Linux only, because it reads /proc.
 * @throws Error if HAProxy is not installed
 */
export async function measureInstances(dataDir: string, report: Report): Promise<string> {
  const program = findHaproxy();
  if (program === null) throw new Error('HAProxy is not installed: set HAPROXY to the program');
  const settings = { shared_preload_libraries: 'pg_stat_statements', max_connections: '200' };
  const database = await Database.start(dataDir, settings);
  try {
    await database.query((client) =>
      client.query('create extension if not exists pg_stat_statements'),
    );
    const lines: Line[] = [];
    for (const count of COUNTS) {
      const found = await measureCount(database, program, count, report);
      lines.push(...found);
    }
    return tableOf(lines);
  } finally {
    await database.stop();
  }
}

async function measureCount(
  database: Database,
  program: string,
  count: number,
  report: Report,
): Promise<Line[]> {
  const services: Service[] = [];
  let balancer: Balancer | undefined;
  try {
    for (let index = 0; index < count; index += 1) services.push(await serve(database));
    balancer = await startHaproxy(
      program,
      services.map(({ origin }) => origin),
    );
    const { origin } = balancer;
    const lines: Line[] = [];
    const measure = async (what: string, work: () => Promise<number>) => {
      const before = await usedBy(database, services);
      const began = performance.now();
      const reads = await work();
      const seconds = (performance.now() - began) / 1000;
      const after = await usedBy(database, services);
      lines.push({ instances: count, what, reads, seconds, used: difference(before, after) });
      report(`${count} instances, ${what}: ${(reads / seconds).toFixed(0)} reads a second`);
    };
    const urls = Array.from(
      { length: URLS },
      (_, index) =>
        `/v1/outlooks/outlook-${(index % 9_000) + 1}${index < 9_000 ? '' : '/versions/1'}`,
    );
    await measure('nothing', async () => {
      await delay(IDLE_SECONDS * 1000);
      return 0;
    });
    await measure(`each of ${URLS.toLocaleString('en')} URLs once, cold`, () =>
      readAll(origin, urls),
    );
    await measure(`spread over them at random`, () =>
      readAll(
        origin,
        Array.from({ length: READS }, () => urls[Math.floor(Math.random() * URLS)] ?? ''),
      ),
    );
    const one = Array.from({ length: READS }, () => '/v1/outlooks/outlook-1');
    await readAll(origin, one.slice(0, 100));
    await measure('one URL, warm', () => readAll(origin, one));
    return lines;
  } finally {
    await balancer?.stop();
    for (const service of services) await service.stop();
  }
}

const serve = (database: Database): Promise<Service> =>
  startService(newFolder(), {
    DATABASE_URL: database.url,
    TRUSTED_PROXIES: 'loopback',
    WORK_PER_ADDRESS: '0',
    LOG_LEVEL: 'error',
  });

/** Reads URLs over a fixed number of connections; each has to answer 200. */
async function readAll(origin: string, paths: readonly string[]): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  let next = 0;
  const connection = async () => {
    for (let path = paths[next++]; path !== undefined; path = paths[next++]) {
      const status = await read(agent, origin + path);
      if (status !== 200) throw new Error(`${path} answers ${status}`);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, connection));
  agent.destroy();
  return paths.length;
}

function read(agent: Agent, url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode));
    }).once('error', reject);
  });
}

type Usage = { statements: number; database: Map<number, number>; services: number };

async function usedBy(database: Database, services: readonly Service[]): Promise<Usage> {
  const { rows } = await database.query((client) =>
    client.query<{ calls: number }>(
      `select sum(calls)::float8 as calls from pg_stat_statements where query !~ 'pg_stat_statements'`,
    ),
  );
  return {
    statements: rows[0]?.calls ?? 0,
    database: database.cpu(),
    services: services.reduce((sum, { pid }) => sum + (cpuOf(pid) ?? 0), 0),
  };
}

function difference(before: Usage, after: Usage): Used {
  const cpu = [...after.database].map(([pid, used]) => used - (before.database.get(pid) ?? 0));
  return {
    statements: after.statements - before.statements,
    database: cpu.reduce((sum, used) => sum + used, 0),
    services: after.services - before.services,
  };
}

/** What the instances do without any reads is taken off what reads cost. */
function tableOf(lines: readonly Line[]): string {
  const head = [
    'Instances',
    'Reads',
    'Reads a second',
    'Statements',
    "PostgreSQL's CPU, ms",
    "Services' CPU, ms",
  ];
  const idleOf = (instances: number) =>
    lines.find((line) => line.instances === instances && line.reads === 0);
  const rows = lines.map((line) => {
    const { instances, what, reads, seconds, used } = line;
    if (reads === 0) {
      const perSecond = Object.values(used).map(
        (amount) => `${(amount / seconds).toFixed(1)} a second`,
      );
      return [instances, what, '', ...perSecond];
    }
    const idle = idleOf(instances);
    const net = (name: keyof Used) =>
      Math.max(0, used[name] - ((idle?.used[name] ?? 0) / (idle?.seconds ?? 1)) * seconds);
    const per1000 = (name: keyof Used) => ((net(name) / reads) * 1000).toFixed(1);
    return [
      instances,
      what,
      Math.round(reads / seconds),
      per1000('statements'),
      per1000('database'),
      per1000('services'),
    ];
  });
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}
