import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { createDatabase, databaseSettings, openDatabase } from '../support/database.ts';
import { cleanUp, freePort, run, type Service, startService, until } from '../support/service.ts';

const SLUG = 'russell-2000-downside';
const AUTHORS = 10;
const APPROVERS = 20;
const PROPOSALS = { forOneVersion: 100, atOnce: 700, timed: 200 };
const KILLS = 10;

let pool: pg.Pool;
const settings: Record<string, string>[] = [];
const instances: Service[] = [];
const authors: string[] = [];
const approvers: string[] = [];
let admin = '';

beforeAll(async () => {
  const url = await createDatabase();
  pool = openDatabase(url, 2);
  const issue = async (name: string, role: 'admin' | 'analyst') =>
    (await issueKey(pool, { name, role, expiresAt: null }, new Date())).key;
  admin = await issue('admin', 'admin');
  for (let index = 0; index < AUTHORS; index += 1) {
    authors.push(await issue(`author ${index}`, 'analyst'));
  }
  for (let index = 0; index < APPROVERS; index += 1) {
    approvers.push(await issue(`approver ${index}`, 'analyst'));
  }
  for (let index = 0; index < 2; index += 1) {
    settings.push({
      ...databaseSettings(url),
      LOAD_SAMPLES: 'true',
      PORT: String(await freePort()),
      RATE_LIMIT_PER_ADDRESS: '0',
      RATE_LIMIT_PER_KEY: '0',
      WORK_PER_ADDRESS: '0',
      WORK_PER_KEY: '0',
      LOG_LEVEL: 'warn',
    });
  }
  for (const one of settings) instances.push(await startService(one));
}, 240_000);
afterAll(async () => {
  await cleanUp();
  await pool.end();
});

type Answer = { status: number; body: { id: string; state: string; type?: string } };

/** Sends a request to either instance until one answers it, whatever is killed meanwhile. */
async function send(key: string, method: string, path: string, body: object): Promise<Answer> {
  for (;;) {
    const { origin } = instances[randomInt(2)] as Service;
    const response = await fetch(origin + path, {
      method,
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
    }).catch(() => null);
    const text = await response?.text().catch(() => null);
    if (response && typeof text === 'string' && response.status < 500) {
      return { status: response.status, body: JSON.parse(text) as Answer['body'] };
    }
    await delay(50);
  }
}

async function atOnce<Item>(
  workers: number,
  items: readonly Item[],
  work: (item: Item, worker: number) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const one = async (worker: number) => {
    for (let item = queue.pop(); item !== undefined; item = queue.pop()) await work(item, worker);
  };
  await Promise.all(Array.from({ length: workers }, (_, worker) => one(worker)));
}

async function propose(index: number, publishAt: string | null): Promise<string> {
  const author = authors[index % AUTHORS] as string;
  const isRevision = index < PROPOSALS.forOneVersion;
  const proposal = isRevision
    ? {
        kind: 'revision',
        outlook: SLUG,
        body: {
          probabilities: {
            bear: 0.4,
            base: (3_000 + index) / 10_000,
            bull: (3_000 - index) / 10_000,
          },
          rationale: `Revision ${index}`,
        },
      }
    : {
        kind: 'outlook',
        body: {
          from: { slug: SLUG, version: 1 },
          slug: `outlook-${index}`,
          rationale: `New ${index}`,
        },
      };
  const { status, body } = await send(author, 'POST', '/v1/proposals', {
    ...proposal,
    publishAt,
    submit: true,
  });
  expect(status, JSON.stringify(body)).toBe(201);
  return body.id;
}

async function kill(index: number): Promise<void> {
  const instance = instances[index] as Service;
  instance.kill('SIGKILL');
  await instance.ended;
  instances[index] = await startService(settings[index] as Record<string, string>);
}

test('each of 1,000 proposals is published once or returned, whatever is killed', async () => {
  const policy = {
    approvals: {
      outlook: 1,
      revision: 1,
      framework: 1,
      resolution: 1,
      withdrawal: 1,
      consensus: 1,
    },
    authorMayResolve: true,
  };
  expect((await send(admin, 'PUT', '/v1/desks/main/policy', policy)).status).toBe(200);
  const started = performance.now();
  const ids: string[] = [];
  const count = PROPOSALS.forOneVersion + PROPOSALS.atOnce + PROPOSALS.timed;
  const indexes = Array.from({ length: count }, (_, index) => index);
  await atOnce(10, indexes.slice(0, -PROPOSALS.timed), async (index) => {
    ids.push(await propose(index, null));
  });
  const due = new Date(Date.now() + 300_000).toISOString();
  await atOnce(10, indexes.slice(-PROPOSALS.timed), async (index) => {
    ids.push(await propose(index, due));
  });
  const opened = performance.now();

  const over = new AbortController();
  const killing = (async () => {
    for (let index = 0; index < KILLS && !over.signal.aborted; index += 1) {
      await delay(randomInt(500, 3_000));
      await kill(index % 2);
    }
  })();
  // Each by two of them at about the same time.
  const twice = ids.flatMap((id) => [id, id]);
  const states = new Map<number, number>();
  await atOnce(APPROVERS, twice, async (id, worker) => {
    const path = `/v1/proposals/${id}/approvals`;
    const { status } = await send(approvers[worker] as string, 'POST', path, { draft: 1 });
    states.set(status, (states.get(status) ?? 0) + 1);
    expect([200, 409]).toContain(status);
  });
  const approved = performance.now();
  over.abort();
  await killing;
  // An embargo that ends while no instance runs is kept by the next one.
  for (const instance of instances) instance.kill('SIGKILL');
  await Promise.all(instances.map(({ ended }) => ended));
  await delay(Math.max(0, Date.parse(due) - Date.now() + 1_000));
  const early = await pool.query(
    `select from proposal_steps s join proposals p on p.id = s.proposal_id
      where s.kind = 'published' and s.recorded_at < p.publish_at`,
  );
  expect(early.rowCount).toBe(0);
  for (const [index, one] of settings.entries()) instances[index] = await startService(one);
  await until(async () => {
    const { rowCount } = await pool.query(
      `select from proposals where state in ('submitted', 'approved')`,
    );
    return rowCount === 0;
  });

  const { rows } = await pool.query<{ kind: string; state: string; count: number }>(
    `select kind, state, count(*) from proposals group by 1, 2 order by 1, 2`,
  );
  expect(rows).toEqual([
    { kind: 'outlook', state: 'published', count: PROPOSALS.atOnce + PROPOSALS.timed },
    { kind: 'revision', state: 'published', count: 1 },
    { kind: 'revision', state: 'returned', count: PROPOSALS.forOneVersion - 1 },
  ]);
  // One version each, and one step that says so; the versions of each outlook have no gap.
  const { rows: wrong } = await pool.query(
    `select p.id from proposals p
      where (select count(*) from outlook_versions v where v.proposal_id = p.id) <> (p.state = 'published')::int
         or (select count(*) from proposal_steps s where s.proposal_id = p.id and s.kind = 'published') <> (p.state = 'published')::int
     union all
     select null from outlook_versions group by outlook_id having count(*) <> max(version)`,
  );
  expect(wrong).toEqual([]);
  const { rows: versions } = await pool.query<{ count: number }>(
    `select count(*) from outlook_versions v join outlooks o on o.id = v.outlook_id where o.slug = $1`,
    [SLUG],
  );
  expect(versions[0]?.count).toBe(2);
  const seconds = (from: number, to: number) => ((to - from) / 1_000).toFixed(1);
  process.stdout.write(
    `${count} proposals submitted in ${seconds(started, opened)} s, approved in ${seconds(opened, approved)} s over ${KILLS} kills; ` +
      `answers ${JSON.stringify([...states])}\n`,
  );
  const verify = run('commands/verify.js', [], settings[0] as Record<string, string>);
  expect([(await verify.ended).code, verify.stderr()]).toEqual([0, '']);
});
