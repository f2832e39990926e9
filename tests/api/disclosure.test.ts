import type { LightMyRequestResponse } from 'fastify';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  addDesk,
  fillInternally,
  INTERNAL,
  keyFor,
  writerWith,
} from '../support/internal-world.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { openSession } from '../support/plain-sql.ts';
import { outlookBody } from '../support/requests.ts';

let ledger: TestLedger;
/** Keys: analysts of the desk `credit`, of the desk `main` and of all desks. */
let keys: Record<'credit' | 'main' | 'all', string>;
beforeAll(async () => {
  ledger = await startLedger();
  await addDesk(ledger, 'credit');
  keys = {
    credit: await keyFor(ledger, 'analyst', ['credit']),
    main: await keyFor(ledger, 'analyst', ['main']),
    all: await keyFor(ledger, 'analyst', ['*']),
  };
  const feed = writerWith(ledger, await keyFor(ledger, 'feed', ['credit']));
  await fillInternally(ledger, { analyst: writerWith(ledger, keys.credit), feed });
}, 120_000);
afterAll(() => ledger.close());

type Opened = { slug: string; versions: number; evidence: number; events: number; views: number };
type Disclosure = {
  confirm: string;
  outlooks: (Opened & { newestEvidence: { headline: string }[]; newestVersions: object[] })[];
  series: { key: string; observations: number }[];
  needs: { key: string }[];
};

const get = (url: string, key?: keyof typeof keys) =>
  ledger.app.inject({
    url,
    headers: key === undefined ? {} : { authorization: `Bearer ${keys[key]}` },
  });
const post = (url: string, payload: object, key: keyof typeof keys = 'credit') =>
  ledger.app.inject({
    method: 'POST',
    url,
    payload,
    headers: { authorization: `Bearer ${keys[key]}` },
  });
const codeOf = (response: LightMyRequestResponse) => [
  response.statusCode,
  response.json<{ type: string }>().type.replace('/problems/', ''),
];
const read = async (url: string): Promise<Disclosure> => {
  const response = await get(url, 'credit');
  expect(response.statusCode, response.body).toBe(200);
  return response.json<Disclosure>();
};

const OUTLOOK = `/v1/outlooks/${INTERNAL.slug}`;
const SERIES = `/v1/series/${INTERNAL.series}`;

describe('while the outlook is internal', () => {
  test('its desk reads what would open: all outlooks of the chain, and the series that they need', async () => {
    const { outlooks, series, needs } = await read(`${OUTLOOK}/disclosure`);
    expect(outlooks.map(({ slug }) => slug)).toEqual([INTERNAL.slug, INTERNAL.continuing]);
    expect(outlooks[0]).toMatchObject({ versions: 3, evidence: 1, views: 1 });
    expect(outlooks[0]?.newestEvidence[0]?.headline).toBe('Xylograph. Spreads widen');
    expect(outlooks[0]?.newestVersions).toHaveLength(3);
    expect([series, needs.map(({ key }) => key)]).toEqual([[], [INTERNAL.series]]);
    const continuing = await read(`/v1/outlooks/${INTERNAL.continuing}/disclosure`);
    expect(continuing.outlooks).toEqual(outlooks);
  });

  test('it does not open while a rule watches an internal series', async () => {
    const { confirm } = await read(`${OUTLOOK}/disclosure`);
    const refused = await post(`${OUTLOOK}/disclosure`, { confirm });
    expect(codeOf(refused)).toEqual([409, 'series-internal']);
    expect(refused.json<{ detail: string }>().detail).toContain(`"${INTERNAL.series}"`);
    expect((await get(OUTLOOK)).statusCode).toBe(404);
  });
});

describe('the disclosure of a series', () => {
  test('is refused if anything was recorded since', async () => {
    const { confirm, series } = await read(`${SERIES}/disclosure`);
    expect(series).toMatchObject([{ key: INTERNAL.series, observations: 2 }]);
    const feed = writerWith(ledger, await keyFor(ledger, 'feed', ['credit', 'main']));
    const observations = [{ date: '2026-11-17', value: 7 }];
    await feed('POST', `${SERIES}/observations`, { observations });
    const refused = await post(`${SERIES}/disclosure`, { confirm });
    expect(codeOf(refused)).toEqual([409, 'disclosure-changed']);
    const { disclosure } = refused.json<{ disclosure: Disclosure }>();
    expect(disclosure.series).toMatchObject([{ observations: 3 }]);
    expect((await get(SERIES)).statusCode).toBe(404);
  });

  test('opens it for everyone, and not the outlooks that watch it', async () => {
    const { confirm } = await read(`${SERIES}/disclosure`);
    const opened = await post(`${SERIES}/disclosure`, { confirm });
    expect([opened.statusCode, opened.json()]).toMatchObject([
      200,
      { outlooks: [], series: [INTERNAL.series], disclosedBy: { name: 'analyst of credit' } },
    ]);
    expect((await get(SERIES)).statusCode).toBe(200);
    expect((await get('/v1/series')).body).toContain(INTERNAL.series);
    expect((await get(OUTLOOK)).statusCode).toBe(404);
    expect(codeOf(await post(`${SERIES}/disclosure`, { confirm }))).toEqual([
      409,
      'already-public',
    ]);
  });
});

describe('the disclosure of an outlook', () => {
  test('is refused if anything was added since, to any outlook of the chain', async () => {
    const { confirm } = await read(`${OUTLOOK}/disclosure`);
    const write = writerWith(ledger, keys.all);
    await write('POST', `/v1/outlooks/${INTERNAL.continuing}/evidence`, {
      headline: 'Later news',
      summary: 'More of it.',
      publisher: 'A newswire',
      publishedAt: '2026-11-19T12:00:00Z',
    });
    const refused = await post(`${OUTLOOK}/disclosure`, { confirm });
    expect(codeOf(refused)).toEqual([409, 'disclosure-changed']);
    const { disclosure } = refused.json<{ disclosure: Disclosure }>();
    expect(disclosure.outlooks.map(({ evidence }) => evidence)).toEqual([1, 1]);
    expect(disclosure).toEqual(await read(`${OUTLOOK}/disclosure`));
  });

  test('needs a confirmation', async () => {
    expect(codeOf(await post(`${OUTLOOK}/disclosure`, {}))).toEqual([422, 'invalid-request']);
    expect(codeOf(await post(`${OUTLOOK}/disclosure`, { confirm: 'yes' }))).toEqual([
      409,
      'disclosure-changed',
    ]);
  });

  test('opens the chain for everyone, once, and improves no record', async () => {
    const record = (await get('/v1/track-record')).body;
    const { confirm } = await read(`${OUTLOOK}/disclosure`);
    const answers = await Promise.all(
      [1, 2, 3].map(() => post(`${OUTLOOK}/disclosure`, { confirm })),
    );
    const codes = answers.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b);
    expect(codes).toEqual([200, 409, 409]);
    const opened = answers.find(({ statusCode }) => statusCode === 200);
    expect(opened?.json()).toMatchObject({ outlooks: [INTERNAL.slug, INTERNAL.continuing] });
    for (const url of [
      OUTLOOK,
      `${OUTLOOK}/versions/1`,
      `${OUTLOOK}/evidence`,
      `/outlooks/${INTERNAL.slug}`,
    ]) {
      const response = await get(url);
      expect([url, response.statusCode]).toEqual([url, 200]);
    }
    const listed = (await get('/v1/outlooks?limit=100')).body;
    expect(listed).toContain(`"${INTERNAL.continuing}"`);
    expect(listed).not.toContain(`"${INTERNAL.resolved}"`);
    const exported = (await get('/v1/export')).body;
    expect(exported).toContain('Xylograph. Less likely.');
    expect((await get('/v1/track-record')).body).toBe(record);
  });

  test('is an event of each outlook', async () => {
    const { rows } = await ledger.pool.query(
      `select o.slug, e.data from events e join outlooks o on o.id = e.outlook_id
        where e.kind = 'outlook.disclosed' order by o.slug`,
    );
    expect(rows).toEqual(
      [INTERNAL.continuing, INTERNAL.slug].map((slug) => ({
        slug,
        data: { visibility: 'public' },
      })),
    );
  });

  test('of a public one, or by another desk, is refused', async () => {
    const body = { confirm: 'x' };
    expect(codeOf(await get(`${OUTLOOK}/disclosure`, 'credit'))).toEqual([409, 'already-public']);
    expect(codeOf(await get(`${OUTLOOK}/disclosure`, 'main'))).toEqual([403, 'wrong-desk']);
    expect(codeOf(await post(`${OUTLOOK}/disclosure`, body, 'main'))).toEqual([403, 'wrong-desk']);
    const hidden = `/v1/outlooks/${INTERNAL.resolved}/disclosure`;
    expect(codeOf(await get(hidden, 'main'))).toEqual([404, 'not-found']);
    expect(codeOf(await post(hidden, body, 'main'))).toEqual([404, 'not-found']);
  });
});

describe('a record without a key', () => {
  type TrackRecord = { counts: { resolved: number }; n: number };
  const record = async (key?: keyof typeof keys) =>
    (await get('/v1/track-record', key)).json<TrackRecord>();

  test('leaves out what was internal at first, also once it is public', async () => {
    const before = await record();
    const hidden = `/v1/outlooks/${INTERNAL.resolved}/disclosure`;
    const { confirm } = await read(hidden);
    expect((await post(hidden, { confirm })).statusCode).toBe(200);
    expect(await record()).toEqual(before);
    const own = await record('credit');
    expect(own.counts.resolved).toBe(before.counts.resolved + 1);
    expect(await record('main')).toEqual(before);
    expect(await record('all')).toEqual(own);
  });
});

describe('an outlook that is continued while it is disclosed', () => {
  const internal = { desk: 'credit', visibility: 'internal' };
  const waiting = async (session: pg.Client, count: number) => {
    await expect
      .poll(
        async () => {
          const { rows } = await session.query<{ count: string }>(
            `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          );
          return Number(rows[0]?.count);
        },
        { timeout: 20_000 },
      )
      .toBe(count);
  };

  test.each(['continued', 'disclosed'])('and is %s first', async (first) => {
    const slugs = [`${first}-first`, `${first}-next`];
    const write = writerWith(ledger, keys.credit);
    await write('POST', '/v1/outlooks', outlookBody({ slug: slugs[0], ...internal }));
    const { confirm } = await read(`/v1/outlooks/${slugs[0]}/disclosure`);
    const { horizon } = outlookBody() as { horizon: { from: string; to: string } };
    const next = outlookBody({
      slug: slugs[1],
      continues: slugs[0],
      ...internal,
      horizon: { from: horizon.from, to: `2030${horizon.to.slice(4)}` },
    });
    const owner = await openSession(ledger.url);
    await owner.query('begin');
    await owner.query('select from outlooks where slug = $1 for no key update', [slugs[0]]);
    const writes = [
      () => post('/v1/outlooks', next),
      () => post(`/v1/outlooks/${slugs[0]}/disclosure`, { confirm }),
    ];
    const running = [];
    for (const run of first === 'continued' ? writes : writes.toReversed()) {
      running.push(run().then(({ statusCode }) => statusCode));
      await waiting(owner, running.length);
    }
    await owner.query('commit');
    await owner.end();
    await Promise.all(running);
    const { rows } = await ledger.pool.query(
      'select distinct internal_to from outlooks where slug = any($1)',
      [slugs],
    );
    expect(rows).toHaveLength(1);
  });
});
