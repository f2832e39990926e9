import { setTimeout as delay } from 'node:timers/promises';
import { issueKey } from '../src/access/api-keys.ts';
import { Database } from './database.ts';
import { median } from './figures.ts';
import type { Report } from './ledger.ts';
import { EXPLAIN_ALL, type Explained, PlanLog, type Scan, scansOf } from './plan-log.ts';
import { newFolder } from './processes.ts';
import { type Named, readsOf, unread } from './reads-of-all.ts';
import { type Service, startService } from './service.ts';
import { ANALYSTS } from './whole-ledger.ts';

/** Statements that are run this often on a connection may get a generic plan (PostgreSQL documentation, PREPARE). */
const TURNS = 8;
/** A scan of more rows than this grows with the ledger, or is what the response holds. */
const MANY_ROWS = 1_000;

type Measured = {
  path: string;
  status: number;
  bytes: number;
  /** The median of the turns. */
  milliseconds: number;
  statements: number;
  scans: Scan[];
};

/**
 * Reads every GET path of the API on a filled ledger, by a service without a cache, and returns a Markdown table of times
 * and of how each table was read.
 */
export async function measurePlans(dataDir: string, report: Report): Promise<string> {
  const log = new PlanLog();
  const database = await Database.start(dataDir, EXPLAIN_ALL, (line) => log.read(line));
  let service: Service | undefined;
  try {
    service = await startService(newFolder(), {
      DATABASE_URL: database.url,
      DATABASE_POOL_MAX: '2',
      CACHE_MAX_BYTES: '0',
      WORK_PER_ADDRESS: '0',
      WORK_PER_KEY: '0',
    });
    const { named, key } = await prepare(database);
    const paths = readsOf(named);
    const missing = unread(paths);
    if (missing.length > 0) throw new Error(`no request for ${missing.join(', ')}`);
    const measured: Measured[] = [];
    for (const path of paths) {
      const one = await measure(service.origin + path, key, log);
      measured.push({ path, ...one });
      report(`${one.status} ${one.milliseconds.toFixed(1)} ms  ${path}`);
    }
    return tableOf(measured);
  } finally {
    await service?.stop();
    await database.stop();
  }
}

async function prepare(database: Database): Promise<{ named: Named; key: string }> {
  return database.query(async (client) => {
    const request = { name: 'Benchmark', role: 'admin' as const, expiresAt: null };
    const { key } = await issueKey(client, request, new Date());
    const { rows } = await client.query<Named>(`
      with half as (select 'outlook-' || count(*) / 2 as slug from outlooks)
      select (select slug from half) as outlook,
        (select slug from outlooks where status = 'resolved' order by id desc limit 1) as resolved,
        (select id from analysts where name = 'Analyst ${ANALYSTS}') as analyst,
        (select author_id from outlook_versions limit 1) as author,
        (select e.id from evidence e join outlooks m on m.id = e.outlook_id
          where m.slug = (select slug from half) limit 1) as evidence,
        (select id from api_keys limit 1) as "apiKey",
        (select id from webhooks where url = 'https://example.com/1') as webhook,
        to_json(min(o.published_at)) #>> '{}' as early,
        to_json(min(o.published_at) + (max(o.published_at) - min(o.published_at)) / 2) #>> '{}' as middle,
        min(o.latest_version) filter (where o.slug like 'outlook-%') as versions
        from outlooks o`);
    const [named] = rows;
    if (!named) throw new Error('the ledger is empty');
    const utc = (time: string) => new Date(time).toISOString();
    return { key, named: { ...named, early: utc(named.early), middle: utc(named.middle) } };
  });
}

async function measure(url: string, key: string, log: PlanLog): Promise<Omit<Measured, 'path'>> {
  const times: number[] = [];
  const scans = new Map<string, Scan>();
  let [status, bytes, statements] = [0, 0, 0];
  for (
    let turn = 0;
    turn < TURNS && times.reduce((sum, time) => sum + time, 0) < 20_000;
    turn += 1
  ) {
    log.take();
    const began = performance.now();
    ({ status, bytes } = await read(url, key));
    times.push(performance.now() - began);
    await delay(30); // Until the log is read.
    const explained = log.take().filter(({ text }) => !isOfBackground(text));
    statements = explained.length;
    for (const scan of explained.flatMap(({ plan }: Explained) => scansOf(plan))) {
      const name = `${scan.table} ${scan.index}`;
      if ((scans.get(name)?.rows ?? -1) < scan.rows) scans.set(name, scan);
    }
  }
  return { status, bytes, milliseconds: median(times), statements, scans: [...scans.values()] };
}

async function read(url: string, key: string): Promise<{ status: number; bytes: number }> {
  const headers = { authorization: `Bearer ${key}` };
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(60_000) });
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
    return { status: response.status, bytes: (await response.arrayBuffer()).byteLength };
  }
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += (chunk as Uint8Array).byteLength;
    if (bytes > 1_000) break;
  }
  return { status: response.status, bytes };
}

/** The event follower, the webhooks and maintenance ask all the time. */
const isOfBackground = (text: string): boolean =>
  /sequence_events|from webhooks w|last_used_at|update api_keys/.test(text);

function tableOf(measured: readonly Measured[]): string {
  const head = [
    'Request',
    'Status',
    'ms',
    'KB',
    'Statements',
    'Rows',
    'Many rows, or without an index',
  ];
  const rows = measured.map(({ path, status, milliseconds, bytes, statements, scans }) => {
    const most = Math.max(0, ...scans.map(({ rows }) => rows));
    const faults = scans.filter(({ index, rows }) => rows > (index === null ? 100 : MANY_ROWS));
    return [
      `\`${path}\``,
      status,
      milliseconds.toFixed(1),
      (bytes / 1000).toFixed(1),
      statements,
      most.toLocaleString('en'),
      faults
        .map(({ table, index, rows }) => `${index ?? `**${table}**`} ${rows.toLocaleString('en')}`)
        .join(', '),
    ];
  });
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}
