import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, patchFramework, send } from '../support/requests.ts';

type Point = { version: number; publishedAt: string; bear: number; base: number; bull: number };
type History = { slug: string; opening: Point | null; points: Point[] };

const START = Date.parse('2026-11-20T16:00:00.000Z');
const HEADER = 'version,publishedAt,bear,base,bull';
const JSON_TYPE = 'application/json; charset=utf-8';
const CSV_TYPE = 'text/csv; charset=utf-8; header=present';
const at = (milliseconds: number) => new Date(START + milliseconds).toISOString();

const point = (version: number, milliseconds: number, numbers: readonly number[]): Point => {
  const [bear = NaN, base = NaN, bull = NaN] = numbers;
  return { version, publishedAt: at(milliseconds), bear, base, bull };
};
const csvOf = (points: readonly Point[]) =>
  [HEADER, ...points.map((one) => Object.values(one).join(',')), ''].join('\r\n');

// Two versions of one millisecond, and one that leaves the numbers as they are.
const POINTS = [
  point(1, 0, [0.3, 0.45, 0.25]),
  point(2, 1000, [0.0001, 0.9999, 0]),
  point(3, 2000, [1, 0, 0]),
  point(4, 2000, [0.3333, 0.3333, 0.3334]),
  point(5, 3000, [0.3333, 0.3333, 0.3334]),
];

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  await createOutlook(ledger, { slug: 'moving' });
  for (const { publishedAt, bear, base, bull } of POINTS.slice(1, -1)) {
    ledger.clock.now = new Date(publishedAt);
    await revise('moving', { bear, base, bull });
  }
  ledger.clock.now = new Date(START + 3000);
  await patchFramework(ledger, { title: 'T', rationale: 'R' }, { slug: 'moving' });
  ledger.clock.now = new Date(START + 4000);
});
afterAll(() => ledger.close());

const read = (query = '', headers: Record<string, string> = {}, slug = 'moving') =>
  ledger.call({ url: `/v1/outlooks/${slug}/probabilities${query && `?${query}`}`, headers });

async function revise(slug: string, probabilities: object): Promise<void> {
  const body = { probabilities, rationale: 'R' };
  const revised = await send(ledger, 'POST', `/v1/outlooks/${slug}/revisions`, body);
  expect(revised.statusCode, revised.body).toBe(201);
}

describe('a history', () => {
  test('is all versions, oldest first', async () => {
    const answer = await read();
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['content-type']).toBe(JSON_TYPE);
    expect(answer.json()).toEqual({ slug: 'moving', opening: null, points: POINTS });
  });

  test('as CSV is a header line and a line for each, ended by CRLF', async () => {
    const answer = await read('format=csv');
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['content-type']).toBe(CSV_TYPE);
    expect(answer.rawPayload.toString('latin1')).toBe(
      'version,publishedAt,bear,base,bull\r\n' +
        '1,2026-11-20T16:00:00.000Z,0.3,0.45,0.25\r\n' +
        '2,2026-11-20T16:00:01.000Z,0.0001,0.9999,0\r\n' +
        '3,2026-11-20T16:00:02.000Z,1,0,0\r\n' +
        '4,2026-11-20T16:00:02.000Z,0.3333,0.3333,0.3334\r\n' +
        '5,2026-11-20T16:00:03.000Z,0.3333,0.3333,0.3334\r\n',
    );
  });

  test('agrees with each version', async () => {
    const { points } = (await read()).json<History>();
    for (const { version, publishedAt, ...probabilities } of points) {
      const numbered = await ledger.call({ url: `/v1/outlooks/moving/versions/${version}` });
      expect(numbered.json()).toMatchObject({ version, publishedAt, probabilities });
    }
    expect(points).toHaveLength(POINTS.length);
  });

  test.for(['', 'format=csv'])('shows a revision in the next read: %j', async (query) => {
    const slug = `growing-${query.length}`;
    await createOutlook(ledger, { slug });
    for (const version of [2, 3]) {
      const before = await read(query, {}, slug);
      await revise(slug, { bear: version / 10, base: 0.5, bull: (5 - version) / 10 });
      const after = await read(query, { 'if-none-match': String(before.headers.etag) }, slug);
      expect(after.statusCode).toBe(200);
      expect(after.body).toContain(query ? `\r\n${version},` : `{"version":${version},`);
    }
  });

  test.for(['', 'format=csv'])('of an outlook that is unknown is not found: %j', async (query) => {
    const answer = await read(query, {}, 'nowhere');
    expect([answer.statusCode, answer.json()]).toMatchObject([
      404,
      { type: '/problems/not-found', detail: 'There is no outlook "nowhere".' },
    ]);
  });
});

test('from a time in the future is refused', async () => {
  const answer = await read(`from=${at(4001)}`);
  expect([answer.statusCode, answer.json()]).toMatchObject([
    422,
    {
      errors: [
        {
          pointer: '/from',
          in: 'query',
          detail: `must not be in the future; the server time is ${at(4000)}`,
        },
      ],
    },
  ]);
  expect((await read(`from=${at(4000)}`)).statusCode).toBe(200);
});

describe('a part of a history', () => {
  const [NOW, AFTER, BEFORE] = [4000, 86_400_000, -1000];
  test.for<[from: number | null, to: number | null, opening: number | null, shown: number[]]>([
    [BEFORE, null, null, [1, 2, 3, 4, 5]],
    [0, null, null, [1, 2, 3, 4, 5]],
    [1, null, 1, [2, 3, 4, 5]],
    [1000, null, 1, [2, 3, 4, 5]],
    [1001, null, 2, [3, 4, 5]],
    [2000, null, 2, [3, 4, 5]],
    [2001, null, 4, [5]],
    [3001, null, 5, []],
    [NOW, null, 5, []],
    [null, BEFORE, null, []],
    [null, 0, null, []],
    [null, 1, null, [1]],
    [null, 2000, null, [1, 2]],
    [null, 2001, null, [1, 2, 3, 4]],
    [null, AFTER, null, [1, 2, 3, 4, 5]],
    [BEFORE, 0, null, []],
    [0, 1000, null, [1]],
    [1000, 2000, 1, [2]],
    [1000, 2001, 1, [2, 3, 4]],
    [1500, 1600, 2, []],
    [2001, 3000, 4, []],
    [BEFORE, AFTER, null, [1, 2, 3, 4, 5]],
    [BEFORE, BEFORE, null, []],
    [0, 0, null, []],
    [2000, 2000, 2, []],
    [2001, 2001, 4, []],
    [NOW, NOW, 5, []],
  ])('from %s to %s opens with %s and shows %j', async ([from, to, opening, shown]) => {
    const query = new URLSearchParams();
    if (from !== null) query.set('from', at(from));
    if (to !== null) query.set('to', at(to));
    const answer = await read(query.toString());
    expect(answer.statusCode, answer.body).toBe(200);
    const points = POINTS.filter(({ version }) => shown.includes(version));
    expect(answer.json()).toEqual({
      slug: 'moving',
      opening: POINTS.find(({ version }) => version === opening) ?? null,
      points,
    });
    expect((await read(`${query.toString()}&format=csv`)).body).toBe(csvOf(points));
  });

  test('is the same if the same times are written differently', async () => {
    const answer = await read('from=2026-11-20T17:00:01%2B01:00&to=2026-11-20T08:00:02.001-08:00');
    expect(answer.body).toBe((await read(`from=${at(1000)}&to=${at(2001)}`)).body);
    expect(answer.json<History>().points).toHaveLength(3);
  });

  test('of an outlook that is unknown is not found, though it would be empty', async () => {
    expect((await read(`from=${at(0)}&to=${at(0)}`, {}, 'nowhere')).statusCode).toBe(404);
  });

  const MOMENT = 'must be a timestamp with an offset, such as 2026-11-20T16:31:00Z';
  test.for<[query: string, faults: Record<string, string>]>([
    [`from=${at(1)}&to=${at(0)}`, { '/from': `must not be after to, ${at(0)}` }],
    [`to=${at(0)}&from=${at(2001)}&format=csv`, { '/from': `must not be after to, ${at(0)}` }],
    [
      `from=${at(0)}&to=2026-11-20T17:59:59.999%2B02:00`,
      { '/from': `must not be after to, ${at(-1)}` },
    ],
    ['from=2026-11-20&to=now', { '/from': MOMENT, '/to': MOMENT }],
    [
      'to=2026-11-20T16:00:00+01:00',
      { '/to': 'must be a timestamp; write the + of its offset as %2B' },
    ],
    ['from=2026-11-20T16:00:00.0001', { '/from': MOMENT }],
    ['to=9999-12-31T23:59:59-00:01', { '/to': 'must lie in the years 1–9999' }],
    [`to=${at(0)}&to=${at(0)}`, { '/to': 'must be given once' }],
    ['since=0', { '/since': 'unknown query parameter "since"; allowed here: from, to, format' }],
  ])('is refused: %s', async ([query, faults]) => {
    const answer = await read(query);
    expect(answer.statusCode).toBe(422);
    const problem = answer.json<{ type: string; errors: { in: string }[] }>();
    expect(problem.type).toBe('/problems/invalid-request');
    expect(faultsOf(problem as never)).toEqual(faults);
    for (const error of problem.errors) expect(error.in).toBe('query');
  });
});

describe('the format', () => {
  /** Reads both formats, so that the next read may come from the cache. */
  async function fill(query: string): Promise<void> {
    for (const accept of ['application/json', 'text/csv']) await read(query, { accept });
  }

  test.for<[accept: string, type: string]>([
    ['', JSON_TYPE],
    ['*/*', JSON_TYPE],
    ['application/json', JSON_TYPE],
    ['application/*', JSON_TYPE],
    ['text/csv', CSV_TYPE],
    ['TEXT/CSV', CSV_TYPE],
    ['text/*', CSV_TYPE],
    ['application/json;q=0.5, text/csv', CSV_TYPE],
    ['application/json;q=0.5,text/csv;q=0.4', JSON_TYPE],
    ['*/*;q=0.1, text/csv', CSV_TYPE],
    ['application/json;q=0, */*', CSV_TYPE],
    ['text/csv;q=0, */*', JSON_TYPE],
    ['text/html, application/xhtml+xml, */*;q=0.8', JSON_TYPE],
  ])('to who accepts %j is %s', async ([accept, type]) => {
    const query = `to=${at(2000 + accept.length)}`;
    for (const time of ['asked for first', 'asked for again']) {
      const answer = await read(query, { accept });
      expect([time, answer.statusCode]).toEqual([time, 200]);
      expect(answer.headers).toMatchObject({
        'content-type': type,
        vary: 'Accept, Accept-Encoding, Authorization, Cookie, Origin',
      });
      expect(answer.body.startsWith(type === CSV_TYPE ? HEADER : '{')).toBe(true);
      await fill(query);
    }
  });

  test.for(['text/html', 'text/csv;q=0', 'application/xml, text/html;q=0.5'])(
    'to who accepts %j is none, whatever is kept',
    async (accept) => {
      const query = `to=${at(2500 + accept.length)}`;
      for (const time of ['asked for first', 'asked for again']) {
        const answer = await read(query, { accept });
        expect([time, answer.statusCode]).toEqual([time, 406]);
        expect(answer.json()).toMatchObject({
          type: '/problems/not-acceptable',
          detail: 'This URL is available as application/json or text/csv.',
        });
        await fill(query);
      }
    },
  );

  test('is JSON without an Accept header', async () => {
    const answer = await read(`to=${at(5000)}`);
    expect(answer.headers).toMatchObject({
      'content-type': JSON_TYPE,
      vary: 'Accept, Accept-Encoding, Authorization, Cookie, Origin',
    });
  });

  test.for<[format: string, accept: string, type: string]>([
    ['csv', '*/*', CSV_TYPE],
    ['csv', 'application/json', CSV_TYPE],
    ['csv', 'text/html, */*;q=0.1', CSV_TYPE],
    ['json', 'text/csv', JSON_TYPE],
    ['json', 'text/csv, application/json;q=0.1', JSON_TYPE],
    ['json', 'application/json;q=0, text/csv', JSON_TYPE],
  ])('asked for as %s goes before the header %s', async ([format, accept, type]) => {
    const query = `format=${format}&to=${at(3000 + accept.length)}`;
    for (const time of ['asked for first', 'asked for again']) {
      const answer = await read(query, { accept });
      expect([time, answer.statusCode]).toEqual([time, 200]);
      expect(answer.headers).toMatchObject({
        'content-type': type,
        vary: 'Accept-Encoding, Authorization, Cookie, Origin',
      });
      expect(answer.body.startsWith(type === CSV_TYPE ? HEADER : '{')).toBe(true);
      await fill(query);
    }
  });

  test.for(['csv', 'json'])('requested as %s takes precedence over any header', async (format) => {
    const query = `format=${format}&to=${at(4000)}`;
    const statuses: number[] = [];
    for (const accept of ['text/html', '*/*', 'text/html']) {
      statuses.push((await read(query, { accept })).statusCode);
    }
    expect(statuses).toEqual([200, 200, 200]);
  });

  test.for(['xml', 'CSV', 'text/csv', '', 'csv&format=csv', 'csv&format=json'])(
    'is not %j',
    async (format) => {
      const answer = await read(`format=${format}`, { accept: 'text/csv' });
      expect(answer.statusCode).toBe(422);
      expect(answer.json()).toMatchObject({
        type: '/problems/invalid-request',
        errors: [{ pointer: '/format', detail: 'must be one of json, csv', in: 'query' }],
      });
    },
  );

  test('of each kind has an ETag of its own, and only that one is answered 304', async () => {
    const views: [query: string, accept: string][] = [
      ['', 'application/json'],
      ['', 'text/csv'],
      ['format=json', '*/*'],
      ['format=csv', '*/*'],
    ];
    const answers = await Promise.all(views.map(([query, accept]) => read(query, { accept })));
    const [json, csv, asJson, asCsv] = answers.map(({ headers }) => String(headers.etag));
    expect([asJson, asCsv]).toEqual([json, csv]);
    expect(csv).not.toBe(json);
    for (const [index, [query, accept]] of views.entries()) {
      const own = index % 2 === 0 ? json : csv;
      for (const tag of [String(json), String(csv)]) {
        const answer = await read(query, { accept, 'if-none-match': tag });
        expect([tag, answer.statusCode]).toEqual([tag, tag === own ? 304 : 200]);
        expect(answer.body).toBe(tag === own ? '' : answers[index]?.body);
        expect(answer.headers).toMatchObject({
          etag: own,
          'cache-control': 'public, no-cache',
          vary: query
            ? 'Accept-Encoding, Authorization, Cookie, Origin'
            : 'Accept, Accept-Encoding, Authorization, Cookie, Origin',
        });
      }
    }
  });
});

describe('of ten thousand versions', () => {
  const VERSIONS = 10_000;
  const PART = 250;
  const BEGIN = 10_000;
  /** Three to each millisecond that has any, which is every other one. */
  const timeOf = (version: number) => BEGIN + 2 * Math.floor(version / 3);
  const END = timeOf(VERSIONS);
  const expected = Array.from({ length: VERSIONS }, (_, index) => {
    const version = index + 1;
    const bear = version === 1 ? 3000 : version % 4000;
    const bull = version === 1 ? 2500 : 2000;
    const numbers = [bear, 10_000 - bear - bull, bull].map((points) => points / 10_000);
    return point(version, timeOf(version), numbers);
  });

  beforeAll(async () => {
    ledger.clock.now = new Date(START + BEGIN);
    await createOutlook(ledger, { slug: 'long' });
    // Without the service, but with all guards. In parts, because each version updates the outlook's row, and a
    // statement is cancelled after 15 seconds.
    for (let first = 2; first <= VERSIONS; first += PART) {
      await ledger.pool.query(`do $$
        declare
          last outlook_versions;
        begin
          select v.* into last from outlook_versions v join outlooks o on o.id = v.outlook_id
           where o.slug = 'long' and v.version = o.latest_version;
          for number in ${first}..${Math.min(first + PART - 1, VERSIONS)} loop
            insert into outlook_versions (outlook_id, version, kind, framework_id, bear_bps, base_bps,
              bull_bps, author_id, rationale, recorded_at, hash, previous_hash)
            values (last.outlook_id, number, 'probabilities', last.framework_id, number % 4000,
              8000 - number % 4000, 2000, last.author_id, 'R', timestamptz '${at(BEGIN)}'
              + 2 * (number / 3) * interval '1 millisecond', sha256(number::text::bytea), last.hash)
            returning * into last;
          end loop;
        end $$`);
    }
    ledger.clock.now = new Date(START + 2 * END);
  });

  test('all come, in order, in both formats and compressed', async () => {
    const json = await read('', {}, 'long');
    expect(json.json()).toEqual({ slug: 'long', opening: null, points: expected });
    const csv = await read('format=csv', {}, 'long');
    expect(csv.body).toBe(csvOf(expected));
    const accepted = { accept: 'text/csv', 'accept-encoding': 'gzip' };
    const zipped = await read('', accepted, 'long');
    expect(zipped.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(zipped.rawPayload).equals(csv.rawPayload)).toBe(true);
  });

  test('any part has what was published in it, after the version current at its start', async () => {
    const moment = fc.integer({ min: BEGIN - 2, max: END + 2 });
    const length = fc.oneof(fc.nat(5), fc.nat(300));
    await fc.assert(
      fc.asyncProperty(moment, length, fc.constantFrom('both', 'from', 'to'), async (...drawn) => {
        const [start, span, given] = drawn;
        // With one end open it stays near the other end of the history.
        const from = given === 'from' ? END - span : start;
        const to = given === 'to' ? BEGIN + span : start + span;
        const query = new URLSearchParams();
        if (given !== 'to') query.set('from', at(from));
        if (given !== 'from') query.set('to', at(to));
        const part = expected.filter(
          ({ publishedAt }) =>
            (given === 'to' || publishedAt >= at(from)) &&
            (given === 'from' || publishedAt < at(to)),
        );
        const stood = expected.findLast(({ publishedAt }) => publishedAt < at(from));
        const answer = await read(query.toString(), {}, 'long');
        expect(answer.json()).toEqual({
          slug: 'long',
          opening: given === 'to' ? null : (stood ?? null),
          points: part,
        });
      }),
      { numRuns: 60 },
    );
  });

  test('the next one comes in the next read', async () => {
    await revise('long', { bear: 0.5, base: 0.25, bull: 0.25 });
    const points = [...expected, point(VERSIONS + 1, 2 * END, [0.5, 0.25, 0.25])];
    expect((await read('', {}, 'long')).json<History>().points).toEqual(points);
    expect((await read('format=csv', {}, 'long')).body).toBe(csvOf(points));
  });
});
