import fc from 'fast-check';
import type { LightMyRequestResponse } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { version as thirdOfSample } from '../support/rows.ts';
import { changeState } from '../support/plain-sql.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import {
  createOutlook,
  faultsOf,
  outlookBody,
  patchFramework,
  send,
  stored,
} from '../support/requests.ts';

const START = Date.parse('2026-11-20T16:00:00.000Z');
const NEWEST = 5;
const at = (milliseconds: number) => new Date(START + milliseconds).toISOString();

// Published at 0, revised after one second, twice in one millisecond after two, reworded after three.
let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  await publish('steady');
  await reviseAt(1000, 'steady');
  await reviseAt(2000, 'steady');
  await revise('steady');
  ledger.clock.now = new Date(START + 3000);
  await patchFramework(ledger, { title: 'T', rationale: 'R' }, { slug: 'steady' });
  ledger.clock.now = new Date(START + 4000);
});
afterAll(() => ledger.close());

const read = (rest: string, slug = 'steady', headers: Record<string, string> = {}) =>
  ledger.call({ url: `/v1/outlooks/${slug}${rest}`, headers });

async function publish(slug: string): Promise<LightMyRequestResponse> {
  const created = await createOutlook(ledger, { slug });
  expect(created.statusCode, created.body).toBe(201);
  return created;
}

let revisions = 0;
/** Publishes the next version of an outlook, with numbers that none had before. */
async function revise(slug: string): Promise<LightMyRequestResponse> {
  const bear = (revisions += 1) / 10_000;
  const probabilities = { bear, base: 0.5, bull: (5000 - revisions) / 10_000 };
  const body = { probabilities, rationale: `Revision ${revisions}.` };
  const revised = await send(ledger, 'POST', `/v1/outlooks/${slug}/revisions`, body);
  expect(revised.statusCode, revised.body).toBe(201);
  return revised;
}

function reviseAt(milliseconds: number, slug: string): Promise<LightMyRequestResponse> {
  ledger.clock.now = new Date(START + milliseconds);
  return revise(slug);
}

const wait = (milliseconds: number) => {
  ledger.clock.now = new Date(ledger.clock.now.getTime() + milliseconds);
};
const versionOf = async (rest: string, slug: string) =>
  (await read(rest, slug)).json<{ version: number }>().version;

describe('as of a given time', () => {
  test.for<[milliseconds: number, version: number]>([
    [0, 1],
    [999, 1],
    [1000, 2],
    [1999, 2],
    [2000, 4],
    [2999, 4],
    [3000, 5],
    [4000, 5],
  ])('at %i ms stands version %i, as its own URL tells it', async ([milliseconds, version]) => {
    const [then, numbered] = [
      await read(`?asOf=${at(milliseconds)}`),
      await read(`/versions/${version}`),
    ];
    expect(then.statusCode).toBe(200);
    expect(then.body).toBe(numbered.body);
    expect(then.json()).toMatchObject({ version });
    expect(then.headers).toMatchObject({
      etag: numbered.headers.etag,
      'cache-control': 'public, no-cache',
    });
  });

  test('before the first version there is nothing, and the response says when it begins', async () => {
    const answer = await read(`?asOf=${at(-1)}`);
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toEqual({
      type: '/problems/not-found',
      title: 'Not found',
      status: 404,
      detail: `"steady" was first published at ${at(0)}.`,
      instance: '/v1/outlooks/steady',
    });
    expect((await read('?asOf=0001-01-01T00:00:00Z')).body).toBe(answer.body);
  });

  test('of an outlook that is unknown is not found', async () => {
    const answer = await read(`?asOf=${at(0)}`, 'nowhere');
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toMatchObject({ detail: 'There is no outlook "nowhere".' });
  });

  test('in the future is refused, until it is past', async () => {
    const now = ledger.clock.now.getTime();
    const next = `?asOf=${new Date(now + 1).toISOString()}`;
    for (const url of [next, '?asOf=9999-12-31T23:59:59.999Z']) {
      const answer = await read(url);
      expect(answer.statusCode).toBe(422);
      expect(answer.json()).toMatchObject({
        type: '/problems/invalid-request',
        detail: 'The requested time is in the future.',
        errors: [
          {
            pointer: '/asOf',
            detail: `must not be in the future; the server time is ${new Date(now).toISOString()}`,
            in: 'query',
          },
        ],
      });
    }
    wait(1);
    expect((await read(next)).json()).toMatchObject({ version: NEWEST });
  });

  test.for([
    '2026-11-20T16:00:01Z',
    '2026-11-20T16:00:01.0Z',
    '2026-11-20T16:00:01.00-00:00',
    '2026-11-20T17:00:01.000%2B01:00',
    '2026-11-21T06:30:01%2b14:30',
    '2026-11-19T16:01:01-23:59',
  ])('%s is the same moment in other words', async (moment) => {
    expect((await read(`?asOf=${moment}`)).body).toBe((await read('/versions/2')).body);
    const before = moment.replace(/01(\.0+)?(?=Z|-|%)/, '00.999');
    expect((await read(`?asOf=${before}`)).body).toBe((await read('/versions/1')).body);
  });

  test('in the past has the same response for ever', async () => {
    await publish('lasting');
    wait(10);
    const url = `?asOf=${new Date(ledger.clock.now.getTime() - 1).toISOString()}`;
    const before = await read(url, 'lasting');
    await revise('lasting');
    wait(86_400_000);
    await revise('lasting');
    const after = await read(url, 'lasting');
    expect(after.json()).toMatchObject({ version: 1 });
    expect([after.body, after.headers.etag]).toEqual([before.body, before.headers.etag]);
  });

  test('now is not over: a version of the same millisecond is shown', async () => {
    await publish('present');
    const url = `?asOf=${ledger.clock.now.toISOString()}`;
    for (const version of [1, 2, 3]) {
      expect(await versionOf(url, 'present')).toBe(version);
      await revise('present');
    }
  });

  test('shows the state in which the version was published', async () => {
    await publish('closed');
    wait(1);
    const url = `?asOf=${ledger.clock.now.toISOString()}`;
    await changeState(ledger.pool, `status = 'void', review_reasons = '{x}'`, `slug = 'closed'`);
    const state = async () => (await read('', 'closed')).json<{ status: string }>().status;
    await expect.poll(state).toBe('void');
    const then = await read(url, 'closed');
    expect(then.json()).toMatchObject({ status: 'open', review: { due: false, reasons: [] } });
    expect(then.body).toBe((await read('/versions/1', 'closed')).body);
  });
});

describe('a time is refused', () => {
  const MOMENT = 'must be a timestamp with an offset, such as 2026-11-20T16:31:00Z';
  const PLUS = 'must be a timestamp; write the + of its offset as %2B';
  const YEARS = 'must lie in the years 1–9999';
  test.for<[query: string, detail: string]>([
    ['asOf=2026-11-20', MOMENT],
    ['asOf=2026-11-20T16:00:00', MOMENT],
    ['asOf=2026-11-20T16:00:00%2B0100', MOMENT],
    ['asOf=2026-11-20%2016:00:00Z', MOMENT],
    ['asOf=2026-02-29T16:00:00Z', MOMENT],
    ['asOf=2026-11-20T24:00:00Z', MOMENT],
    ['asOf=2026-11-20T16:00:60Z', MOMENT],
    ['asOf=%2B010000-01-01T00:00:00Z', MOMENT],
    ['asOf=1763654400000', MOMENT],
    ['asOf=yesterday', MOMENT],
    ['asOf=', MOMENT],
    ['asOf', MOMENT],
    ['asOf=2026-11-20T16:00:00+01:00', PLUS],
    ['asOf=2026-11-20T16:00:00.000+00:00', PLUS],
    [`asOf=${at(0)}&asOf=${at(0)}`, 'must be given once'],
    ['asOf=2026-11-20T16:00:00.123456', MOMENT],
    ['asOf=2026-11-20T16:00:00.Z', MOMENT],
    ['asOf=9999-12-31T23:59:59-00:01', YEARS],
    ['asOf=0001-01-01T00:00:00%2B00:01', YEARS],
    ['asOf=0000-12-31T23:59:59Z', YEARS],
  ])('%s: %s', async ([query, detail]) => {
    const answer = await read(`?${query}`);
    expect(answer.statusCode).toBe(422);
    expect(answer.json()).toMatchObject({ type: '/problems/invalid-request' });
    expect(answer.json<{ errors: unknown }>().errors).toEqual([
      { pointer: '/asOf', detail, in: 'query' },
    ]);
  });

  // The space is before the time, where a plus can't be.
  test('with a space instead of its T with the usual detail', async () => {
    const answer = await read('?asOf=2026-11-20%2016:00');
    expect(faultsOf(answer.json())).toEqual({ '/asOf': MOMENT });
  });

  test('where the name is another', async () => {
    const answer = await read(`?as_of=${at(0)}`);
    expect(faultsOf(answer.json())).toEqual({
      '/as_of': 'unknown query parameter "as_of"; allowed here: asOf, minVersion, format',
    });
  });
});

describe('as of any time', () => {
  const step = fc.record({
    // Few and rare waits, so that versions share their times.
    wait: fc.constantFrom(0, 0, 1, 2, 1000, 86_400_000),
    isReworded: fc.boolean(),
  });
  /** Near one of the versions or, in thousandths, anywhere in the time that they took. */
  const moment = fc.oneof(
    fc.record({ near: fc.nat(), by: fc.integer({ min: -2, max: 2 }) }),
    fc.record({ place: fc.nat(1000) }),
  );
  const question = fc.record({ moment, offset: fc.integer({ min: -1439, max: 1439 }) });
  let rounds = 0;

  /** A time as local clocks show it, `offset` minutes ahead of UTC. */
  function written(milliseconds: number, offset: number): string {
    const local = new Date(milliseconds + 60_000 * offset).toISOString().slice(0, -1);
    const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60];
    const two = (amount: number) => String(amount).padStart(2, '0');
    return encodeURIComponent(`${local}${offset < 0 ? '-' : '+'}${two(hours)}:${two(minutes)}`);
  }

  test('the last version published until then is current', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 10 }),
        fc.array(question, { minLength: 10, maxLength: 10 }),
        async (steps, questions) => {
          const slug = `round-${(rounds += 1)}`;
          const times: number[] = [];
          for (const [index, { wait: pause, isReworded }] of steps.entries()) {
            wait(pause);
            const title = `Reworded by step ${index}`;
            if (index === 0) await publish(slug);
            else if (isReworded) await patchFramework(ledger, { title, rationale: 'R' }, { slug });
            else await revise(slug);
            times.push(ledger.clock.now.getTime());
            // Cached from now on, and stale if the next step takes no time.
            expect(await versionOf(`?asOf=${written(times.at(-1) ?? 0, 0)}`, slug)).toBe(index + 1);
          }
          wait(2);
          const [first = 0, last = 0] = [times[0], times.at(-1)];
          const asked = questions.map(({ moment, offset }): [number, number] => [
            'near' in moment
              ? (times[moment.near % times.length] ?? 0) + moment.by
              : first + Math.floor(((last - first) * moment.place) / 1000),
            offset,
          ]);
          for (const [then, offset] of [...asked, ...times.map((time) => [time, 0] as const)]) {
            const version = 1 + times.findLastIndex((time) => time <= then);
            const answer = await read(`?asOf=${written(then, offset)}`, slug);
            const numbered = await read(`/versions/${version}`, slug);
            // There is no version 0, and before version 1 there was none.
            expect(answer.statusCode).toBe(version === 0 ? 404 : 200);
            expect([answer.statusCode, answer.headers.etag]).toEqual([
              numbered.statusCode,
              numbered.headers.etag,
            ]);
          }
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe('links (RFC 5829)', () => {
  const linksOf = ({ headers }: LightMyRequestResponse) =>
    Object.fromEntries(
      String(headers.link)
        .split(', ')
        .map((link) => {
          const [, url, rel] = /^<([^>]+)>; rel="([^"]+)"$/.exec(link) ?? [];
          return [rel, url];
        }),
    );
  const links = (slug: string, before: number | null, after: number | null) => {
    const outlook = `/v1/outlooks/${slug}`;
    return {
      'latest-version': outlook,
      'version-history': `${outlook}/versions`,
      ...(before && { 'predecessor-version': `${outlook}/versions/${before}` }),
      ...(after && { 'successor-version': `${outlook}/versions/${after}` }),
    };
  };

  test.for<[view: string, before: number | null, after: number | null]>([
    ['', 4, null],
    [`?minVersion=${NEWEST}`, 4, null],
    ['/versions/1', null, 2],
    ['/versions/3', 2, 4],
    ['/versions/4', 3, 5],
    ['/versions/5', 4, null],
    [`?asOf=${at(999)}`, null, 2],
    [`?asOf=${at(1000)}`, 1, 3],
    [`?asOf=${at(2000)}`, 3, 5],
    [`?asOf=${at(4000)}`, 4, null],
  ])('of %j lead to %j and %j', async ([view, before, after]) => {
    const answer = await read(view);
    expect(linksOf(answer)).toEqual(links('steady', before, after));
    const urls = Object.values(linksOf(answer)).map(String);
    const linked = await Promise.all(urls.map((url) => ledger.call({ url })));
    expect(linked.map(({ statusCode }) => statusCode)).toEqual(urls.map(() => 200));
  });

  test('of a version that was just written are those of later reads', async () => {
    expect(linksOf(await publish('written'))).toEqual(links('written', null, null));
    expect(linksOf(await revise('written'))).toEqual(links('written', 1, null));
    const reworded = await patchFramework(
      ledger,
      { title: 'T', rationale: 'R' },
      { slug: 'written' },
    );
    expect(linksOf(reworded)).toEqual(links('written', 2, null));
    expect((await read('', 'written')).headers.link).toBe(reworded.headers.link);
  });

  test('gain a successor once there is one; the body stays the same', async () => {
    await publish('growing');
    const asOf = `?asOf=${ledger.clock.now.toISOString()}`;
    wait(1);
    const views = ['/versions/1', asOf];
    const before = await Promise.all(views.map((view) => read(view, 'growing')));
    for (const one of before) expect(linksOf(one)).toEqual(links('growing', null, null));
    await revise('growing');
    for (const [index, view] of views.entries()) {
      const after = await read(view, 'growing');
      const etag = String(before[index]?.headers.etag);
      const known = await read(view, 'growing', { 'if-none-match': etag });
      expect([after.body, after.headers.etag]).toEqual([before[index]?.body, etag]);
      expect(known.statusCode).toBe(304);
      for (const one of [after, known]) expect(linksOf(one)).toEqual(links('growing', null, 2));
    }
    expect(linksOf(await read('/versions/2', 'growing'))).toEqual(links('growing', 1, null));
  });
});

describe('minVersion', () => {
  test('returns the newest version if it is at least as new', async () => {
    const { body } = await read('');
    for (const least of [1, 4, NEWEST])
      expect((await read(`?minVersion=${least}`)).body).toBe(body);
  });

  test('is not found before it is published, and found right after', async () => {
    await publish('awaited');
    for (const next of [2, 3, 4]) {
      const [early, far] = [`?minVersion=${next}`, '?minVersion=2147483647'];
      const missing = await read(early, 'awaited');
      expect(missing.statusCode).toBe(404);
      expect(missing.json()).toMatchObject({
        type: '/problems/not-found',
        detail: `"awaited" has no version ${next}; its newest is ${next - 1}.`,
      });
      const { body } = await revise('awaited');
      expect((await read(early, 'awaited')).body).toBe(body);
      expect((await read(far, 'awaited')).json()).toMatchObject({
        detail: `"awaited" has no version 2147483647; its newest is ${next}.`,
      });
    }
  });

  test('bypasses the cache for a version that another instance published', async () => {
    await revise(SLUG);
    await ledger.pool.query(thirdOfSample()); // which no event reports
    expect(await versionOf('', SLUG)).toBe(2);
    expect(await versionOf('?minVersion=3', SLUG)).toBe(3);
  });

  test('of an outlook that is unknown is not found', async () => {
    const answer = await read('?minVersion=1', 'nowhere');
    expect([answer.statusCode, answer.json()]).toMatchObject([
      404,
      { detail: 'There is no outlook "nowhere".' },
    ]);
  });

  const WHOLE = 'must be a whole number of at least 1';
  test.for<[query: string, detail: string]>([
    ['minVersion=0', WHOLE],
    ['minVersion=-1', WHOLE],
    ['minVersion=1.0', WHOLE],
    ['minVersion=01', WHOLE],
    ['minVersion=1e1', WHOLE],
    ['minVersion=', WHOLE],
    ['minVersion=latest', WHOLE],
    ['minVersion=1&minVersion=1', WHOLE],
    ['minVersion=99999999999', WHOLE],
    ['minVersion=2147483648', 'must be at most 2147483647'],
    [`minVersion=1&asOf=${at(0)}`, 'cannot be combined with asOf: leave one of them out'],
    [
      'minVersion=9&asOf=9999-01-01T00:00:00Z',
      'cannot be combined with asOf: leave one of them out',
    ],
  ])('is refused: %s', async ([query, detail]) => {
    const answer = await read(`?${query}`);
    expect(answer.statusCode).toBe(422);
    expect(answer.json<{ errors: unknown }>().errors).toEqual([
      { pointer: '/minVersion', detail, in: 'query' },
    ]);
  });
});

describe('nothing is back-dated', () => {
  const probabilities = { bear: 0.5, base: 0.25, bull: 0.25 };
  const revision = { probabilities, rationale: 'R' };
  const WRITES = {
    'POST /v1/outlooks': outlookBody({ slug: 'back-dated' }),
    'POST /v1/outlooks/steady/revisions': revision,
    'PATCH /v1/outlooks/steady/framework': { ...revision, title: 'Another' },
  };

  describe.each(Object.entries(WRITES))('by %s', (operation, body) => {
    const [method, url] = operation.split(' ') as ['POST' | 'PATCH', string];
    test.for<[name: string, value: unknown]>([
      ['publishedAt', at(0)],
      ['publishedAt', null],
      ['recordedAt', at(0)],
      ['asOf', at(0)],
    ])('with %s %s', async ([name, value]) => {
      const before = await stored(ledger);
      const answer = await send(ledger, method, url, { ...body, [name]: value });
      expect(answer.statusCode).toBe(422);
      expect(faultsOf(answer.json())).toEqual({
        [`/${name}`]: expect.stringMatching(
          `^unknown property "${name}"; allowed here: .*probabilities`,
        ) as string,
      });
      expect(await stored(ledger)).toEqual(before);
    });
  });

  test('without such members, each is published at the time of the clock', async () => {
    for (const [operation, body] of Object.entries(WRITES)) {
      wait(7);
      const [method, url] = operation.split(' ') as ['POST' | 'PATCH', string];
      const answer = await send(ledger, method, url.replace('steady', 'back-dated'), body);
      expect(answer.statusCode, answer.body).toBe(201);
      expect(answer.json()).toMatchObject({ publishedAt: ledger.clock.now.toISOString() });
    }
  });
});
