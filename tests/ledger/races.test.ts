import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { inTransaction } from '../../src/postgres/pool.ts';
import { SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { chainFault, type Outlook } from '../support/chain.ts';
import { distinctRevision, historyOf } from '../support/outlooks.ts';

let ledger: TestLedger;
beforeEach(async () => {
  ledger = await startLedger();
  return () => ledger.close();
});

const read = async (url: string) => (await ledger.call({ url })).json<Outlook>();

const statusesOf = (answers: { statusCode: number }[]) =>
  answers.map(({ statusCode }) => statusCode).sort((a, b) => a - b);

const patch = (body: object) =>
  ledger.call({
    method: 'PATCH',
    url: `/v1/outlooks/${SLUG}/framework`,
    as: 'analyst',
    headers: { 'content-type': 'application/merge-patch+json' },
    payload: JSON.stringify(body),
  });

test('200 revisions by 20 clients are versions 2 … 201, each complete', async () => {
  await ledger.app.listen({ host: '127.0.0.1', port: 0 });
  const url = `${ledger.app.listeningOrigin}/v1/outlooks/${SLUG}/revisions`;
  const headers = {
    authorization: `Bearer ${ledger.keys.analyst}`,
    'content-type': 'application/json',
  };
  const answered: Outlook[] = [];
  const client = async (_: unknown, index: number) => {
    for (let turn = 0; turn < 10; turn += 1) {
      const body = JSON.stringify(distinctRevision(index * 10 + turn));
      const response = await fetch(url, { method: 'POST', headers, body });
      expect(response.status).toBe(201);
      answered.push((await response.json()) as Outlook);
    }
  };
  await Promise.all(Array.from({ length: 20 }, client));

  const versions = answered.map(({ version }) => version).sort((a, b) => a - b);
  expect(versions).toEqual(Array.from({ length: 200 }, (_, index) => index + 2));
  const history = await historyOf(SLUG, read);
  expect(history).toHaveLength(201);
  expect(chainFault(history)).toBeNull();
  for (const answer of answered) expect(history[answer.version - 1]).toEqual(answer);
});

test('of two simultaneous creations of one slug, one succeeds', async () => {
  const body = { ...SAMPLE_OUTLOOK, slug: 'contested' };
  const create = () =>
    ledger.call({ method: 'POST', url: '/v1/outlooks', as: 'analyst', payload: body });
  const answers = await Promise.all([create(), create(), create()]);
  expect(statusesOf(answers)).toEqual([201, 409, 409]);
  const { rows } = await ledger.pool.query('select count(*)::int as frameworks from frameworks');
  expect(rows).toEqual([{ frameworks: 2 }]);
});

test('of two simultaneous creations of one instrument, one succeeds', async () => {
  const payload = { symbol: 'SPX', name: 'S&P 500', kind: 'index' };
  const create = () =>
    ledger.call({ method: 'POST', url: '/v1/instruments', as: 'analyst', payload });
  const answers = await Promise.all([create(), create()]);
  expect(statusesOf(answers)).toEqual([201, 409]);
});

test('simultaneous framework patches and revisions lose nothing of each other', async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      index % 2 === 0
        ? patch({ rationale: `Patch ${index}.`, summary: `Summary ${index}.` })
        : ledger.revise(distinctRevision(index)),
    ),
  );
  expect(answers.map(({ statusCode }) => statusCode)).toEqual(answers.map(() => 201));
  const history = await historyOf(SLUG, read);
  expect(history).toHaveLength(21);
  expect(chainFault(history)).toBeNull();
  for (const [index, version] of history.entries()) {
    const before = history[index - 1];
    if (!before) continue;
    const isPatch = version.rationale.startsWith('Patch');
    const kept = ({ probabilities, frameworkHash }: Outlook) =>
      isPatch ? probabilities : frameworkHash;
    expect(version.change.kind).toBe(isPatch ? 'framework' : 'probabilities');
    expect(kept(version)).toEqual(kept(before));
  }
});

test('of writers who read the same version, one succeeds with If-Match', async () => {
  const { etag } = (await ledger.call({ url: `/v1/outlooks/${SLUG}` })).headers;
  const headers = { 'if-match': String(etag) };
  const answers = await Promise.all(
    [1, 2, 3, 4].map((index) => ledger.revise(distinctRevision(index), headers)),
  );
  expect(statusesOf(answers)).toEqual([201, 412, 412, 412]);
  expect((await read(`/v1/outlooks/${SLUG}`)).version).toBe(2);
});

test('keys issued at once under one new name belong to one analyst', async () => {
  const now = new Date();
  const issue = () =>
    inTransaction(ledger.servicePool, (session) =>
      issueKey(session, { name: 'Night desk', role: 'analyst', expiresAt: null }, now),
    );
  const issued = await Promise.all(Array.from({ length: 8 }, issue));
  expect(new Set(issued.map(({ key }) => key)).size).toBe(8);
  expect(new Set(issued.map((each) => each.issued.analyst.id)).size).toBe(1);
});

test('a revocation that races a request persists', async () => {
  const { rows } = await ledger.pool.query(`select id from api_keys where role = 'feed'`);
  const url = `/v1/keys/${rows[0].id}`;
  const revoke = () => ledger.call({ method: 'DELETE', url, as: 'admin' });
  const answers = await Promise.all([revoke(), revoke(), revoke()]);
  expect(answers.map(({ statusCode }) => statusCode)).toEqual([204, 204, 204]);
});

describe('while another session holds the outlook', () => {
  const lockOutlook = async () => {
    const holder = await ledger.pool.connect();
    await holder.query('begin; select 1 from outlooks for update');
    let isHeld = true;
    const letGo = async () => {
      if (!isHeld) return;
      isHeld = false;
      await holder.query('rollback');
      holder.release();
    };
    release = letGo;
    return letGo;
  };
  const shortenWaits = async (pool: TestLedger['pool']) => {
    const shorten = (client: pg.ClientBase) => client.query(`set lock_timeout = '100ms'`);
    pool.on('connect', (client) => void shorten(client));
    const clients = await Promise.all(
      Array.from({ length: pool.totalCount }, () => pool.connect()),
    );
    for (const client of clients) {
      await shorten(client);
      client.release();
    }
  };
  let release = async () => {};
  afterEach(() => release());

  /** The backend that waits for a lock, once there is one. */
  const waiting = async (): Promise<number> => {
    for (const deadline = Date.now() + 60_000; Date.now() < deadline;) {
      const { rows } = await ledger.pool.query<{ pid: number }>(
        `select pid from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`,
      );
      if (rows[0]) return rows[0].pid;
    }
    return expect.fail('nobody waits for the lock');
  };

  test.each(['pg_terminate_backend', 'pg_cancel_backend'])(
    'a revision that %s ends is 503, stores nothing, and the next succeeds',
    async (end) => {
      const letGo = await lockOutlook();
      const revising = ledger.revise(distinctRevision(1));
      await ledger.pool.query(`select ${end}($1)`, [await waiting()]);
      const refused = await revising;
      expect(refused.statusCode).toBe(503);
      expect(refused.headers['retry-after']).toMatch(/^\d+$/);
      await letGo();
      expect((await read(`/v1/outlooks/${SLUG}`)).version).toBe(1);
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, index) => ledger.revise(distinctRevision(index))),
      );
      expect(answers.map(({ statusCode }) => statusCode)).toEqual(answers.map(() => 201));
    },
  );

  test('a revision that waits too long for the lock is 503', async () => {
    const { rows } = await ledger.pool.query('show lock_timeout');
    expect(rows).toEqual([{ lock_timeout: '2s' }]);
    await shortenWaits(ledger.servicePool);
    const letGo = await lockOutlook();
    const refused = await ledger.revise(distinctRevision(1));
    expect(refused.statusCode).toBe(503);
    await letGo();
    expect((await ledger.revise(distinctRevision(2))).statusCode).toBe(201);
    expect((await read(`/v1/outlooks/${SLUG}`)).version).toBe(2);
  });

  test('reads continue', async () => {
    const letGo = await lockOutlook();
    const revising = ledger.revise(distinctRevision(1));
    await waiting();
    expect((await read(`/v1/outlooks/${SLUG}`)).version).toBe(1);
    await letGo();
    expect((await revising).statusCode).toBe(201);
  });
});

describe.each([
  ['the event', 'events'],
  ['the version', 'outlook_versions'],
])('where %s can not be written', (_, table) => {
  beforeEach(() =>
    ledger.pool.query(
      `create function fail() returns trigger language plpgsql as
         $$ begin raise exception 'the secret of %', tg_table_name; end $$;
       create trigger zz_fail after insert on ${table} for each row execute function fail()`,
    ),
  );

  test.each([
    ['a revision', () => ledger.revise(distinctRevision(1))],
    ['a patch', () => patch({ rationale: 'Why.', summary: 'Another summary.' })],
    [
      'a new outlook',
      () => {
        const payload = { ...SAMPLE_OUTLOOK, slug: 'another' };
        return ledger.call({ method: 'POST', url: '/v1/outlooks', as: 'analyst', payload });
      },
    ],
  ])('%s leaves nothing behind and its 500 tells nothing', async (_, write) => {
    const count = `select (select count(*) from frameworks) as frameworks,
      (select count(*) from scenarios) as scenarios, (select count(*) from outlooks) as outlooks,
      (select count(*) from outlook_versions) as versions, (select count(*) from events) as events,
      (select max(latest_version) from outlooks) as pointer`;
    const before = await ledger.pool.query(count);
    const { statusCode, body } = await write();
    expect(statusCode).toBe(500);
    expect(body).not.toMatch(/secret|insert|trigger|relation|events|outlook_versions|Revision 1/i);
    expect((await ledger.pool.query(count)).rows).toEqual(before.rows);
    await ledger.pool.query(`drop trigger zz_fail on ${table}`);
    expect((await write()).statusCode).toBe(201);
  });
});
