import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { faultsOf, send, stored, withOneRecord } from '../support/requests.ts';

let ledger: TestLedger;
let key: string;
let count = 0;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());
beforeEach(async () => {
  key = `series-${(count += 1)}`;
  const series = { key, name: 'N', unit: 'percent', frequency: 'daily', source: 'S' };
  const created = await send(ledger, 'POST', '/v1/series', series, { as: 'feed' });
  if (created.statusCode !== 201) throw new Error(created.body);
  ledger.clock.now = new Date('2026-11-20T16:00:00.000Z');
});

const wait = (milliseconds: number) =>
  void (ledger.clock.now = new Date(ledger.clock.now.getTime() + milliseconds));
const post = (body: unknown, type = 'application/json') =>
  send(ledger, 'POST', `/v1/series/${key}/observations`, body, { as: 'feed', type });
type Sent = { date: string; value: unknown; provenance?: string; note?: string | null };
const record = (...observations: Sent[]) => post({ observations });
const csv = (text: string) => post(text, 'text/csv; charset=utf-8');
type Page = { items: Record<string, unknown>[]; nextCursor: string | null };
async function read(query = ''): Promise<Page> {
  const answer = await ledger.call({ url: `/v1/series/${key}/observations?${query}` });
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json<Page>();
}
const pairs = ({ items }: Page) => items.map(({ date, value }) => [date, value]);

describe('observations', () => {
  test('are added, revised and left unchanged, and earlier vintages stay', async () => {
    const first = await record(
      { date: '2026-11-18', value: 4.7 },
      { date: '2026-11-17', value: 4.6 },
    );
    expect(first.statusCode, first.body).toBe(200);
    expect(first.json()).toEqual({
      series: key,
      added: 2,
      revised: 0,
      retracted: 0,
      unchanged: 0,
      skipped: 0,
      recordedAt: '2026-11-20T16:00:00.000Z',
      preview: null,
    });
    wait(60_000);
    const second = await record(
      { date: '2026-11-17', value: 4.6 },
      { date: '2026-11-18', value: 4.71, provenance: 'computed', note: 'A guess.' },
      { date: '2026-11-19', value: -0.5 },
    );
    expect(second.json()).toMatchObject({
      added: 1,
      revised: 1,
      unchanged: 1,
      recordedAt: '2026-11-20T16:01:00.000Z',
    });
    const known = { provenance: 'sourced', note: null, supersededAt: null };
    const earlier = { ...known, recordedAt: '2026-11-20T16:00:00.000Z' };
    const later = { ...known, recordedAt: '2026-11-20T16:01:00.000Z' };
    expect((await read()).items).toEqual([
      { date: '2026-11-17', value: 4.6, ...earlier },
      { date: '2026-11-18', value: 4.71, ...later, provenance: 'computed', note: 'A guess.' },
      { date: '2026-11-19', value: -0.5, ...later },
    ]);
    expect((await read('asOf=2026-11-20T16:00:59.999Z')).items).toEqual([
      { date: '2026-11-17', value: 4.6, ...earlier },
      { date: '2026-11-18', value: 4.7, ...earlier },
    ]);
    expect((await read('asOf=2026-11-20T16:01:00.000Z')).items).toHaveLength(3);
    expect((await read('asOf=2026-11-20T15:59:59.999Z')).items).toEqual([]);
    expect(pairs(await read('vintages=all'))).toEqual([
      ['2026-11-17', 4.6],
      ['2026-11-18', 4.7],
      ['2026-11-18', 4.71],
      ['2026-11-19', -0.5],
    ]);
    expect((await read('vintages=all')).items[1]).toMatchObject({
      supersededAt: '2026-11-20T16:01:00.000Z',
    });
  });

  test('may be sent again: nothing is new then', async () => {
    const batch = [
      { date: '2026-11-17', value: 4.6 },
      { date: '2026-11-18', value: 4.7 },
    ];
    await record(...batch);
    const before = await stored(ledger);
    wait(1000);
    expect((await record(...batch)).json()).toMatchObject({
      added: 0,
      revised: 0,
      unchanged: 2,
      recordedAt: null,
    });
    expect(await stored(ledger)).toEqual(withOneRecord(before));
  });

  test('get a new vintage for another provenance, or another note, of the same value', async () => {
    const one = { date: '2026-11-17', value: 1 };
    for (const change of [{}, { provenance: 'computed' }, { provenance: 'computed', note: 'N' }]) {
      wait(1000);
      expect((await record({ ...one, ...change })).json()).toMatchObject({ unchanged: 0 });
    }
    expect((await read('vintages=all')).items).toHaveLength(3);
  });

  test('may be retracted: the day has no value from then on, and the vintages stay', async () => {
    await record({ date: '2026-11-17', value: 4.6 }, { date: '2026-11-18', value: 4.7 });
    wait(60_000);
    const retraction = { date: '2026-11-18', value: null, note: 'A holiday.' };
    const sent = await record(retraction, { date: '2026-11-19', value: 4.8 });
    expect(sent.statusCode, sent.body).toBe(200);
    const counts = { added: 1, revised: 0, retracted: 1, unchanged: 0 };
    expect(sent.json()).toMatchObject({ ...counts, recordedAt: '2026-11-20T16:01:00.000Z' });
    expect(pairs(await read())).toEqual([
      ['2026-11-17', 4.6],
      ['2026-11-19', 4.8],
    ]);
    expect(pairs(await read('asOf=2026-11-20T16:00:59Z'))).toEqual([
      ['2026-11-17', 4.6],
      ['2026-11-18', 4.7],
    ]);
    expect(pairs(await read('asOf=2026-11-20T16:01:00Z'))).toHaveLength(2);
    expect((await read('vintages=all')).items.slice(1, 3)).toMatchObject([
      { date: '2026-11-18', value: 4.7, supersededAt: '2026-11-20T16:01:00.000Z' },
      { date: '2026-11-18', value: null, note: 'A holiday.', supersededAt: null },
    ]);
    const exported = await ledger.call({
      url: `/v1/series/${key}/observations?vintages=all&format=csv`,
    });
    expect(exported.body).toContain('\r\n2026-11-18,,sourced,A holiday.,');

    const again = await record(retraction);
    expect(again.json()).toMatchObject({ retracted: 0, unchanged: 1, recordedAt: null });
    wait(60_000);
    const restored = await record({ date: '2026-11-18', value: 4.7 });
    expect(restored.json()).toMatchObject({ added: 0, revised: 1, retracted: 0 });
    expect(pairs(await read())).toHaveLength(3);
  });

  test('that never were cannot be retracted', async () => {
    await record({ date: '2026-11-17', value: 4.6 });
    const before = await stored(ledger);
    const refused = await record(
      { date: '2026-11-16', value: null },
      { date: '2026-11-17', value: null },
      { date: '2026-11-18', value: null },
    );
    expect(refused.statusCode).toBe(422);
    const fault = (day: string) =>
      `there is nothing to retract: ${key} has no observation of ${day}`;
    expect(faultsOf(refused.json())).toEqual({
      '/observations/0/value': fault('2026-11-16'),
      '/observations/2/value': fault('2026-11-18'),
    });
    expect(await stored(ledger)).toEqual(before);
    // Nor does PostgreSQL take a retraction of nothing.
    const statement = `insert into observations (series_id, date, recorded_at, provenance)
      select id, '2026-11-16', now(), 'sourced' from series where key = $1`;
    await expect(ledger.pool.query(statement, [key])).rejects.toThrow('observations_retraction');
  });

  test('of two writers at once become one vintage each day', async () => {
    const batch = Array.from({ length: 20 }, (_, n) => ({ date: dayAt(n), value: n }));
    const answers = await Promise.all(Array.from({ length: 8 }, () => record(...batch)));
    const sums = answers.map((answer) => answer.json<{ added: number; unchanged: number }>());
    expect(sums.map(({ added }) => added).toSorted((a, b) => b - a)).toEqual([
      20, 0, 0, 0, 0, 0, 0, 0,
    ]);
    expect((await read('vintages=all')).items).toHaveLength(20);
  });

  test('never share a time nor go back in time, whatever the clock does', async () => {
    await record({ date: '2026-11-17', value: 1 });
    await record({ date: '2026-11-17', value: 2 });
    wait(-3_600_000);
    await record({ date: '2026-11-17', value: 3 });
    const { items } = await read('vintages=all');
    expect(items.map(({ value, recordedAt }) => [value, recordedAt])).toEqual([
      [1, '2026-11-20T16:00:00.000Z'],
      [2, '2026-11-20T16:00:00.001Z'],
      [3, '2026-11-20T16:00:00.002Z'],
    ]);
  });

  test('may be 10,000 at once, and are read page by page', async () => {
    const batch = Array.from({ length: 10_000 }, (_, n) => ({ date: dayAt(-n), value: n / 7 }));
    expect((await record(...batch)).json()).toMatchObject({ added: 10_000 });
    expect((await read('limit=10000')).items).toHaveLength(10_000);
    const dates: unknown[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const page = await read(`limit=3000${cursor && `&cursor=${cursor}`}`);
      dates.push(...page.items.map(({ date }) => date));
      cursor = page.nextCursor;
    }
    expect(dates).toEqual(batch.map(({ date }) => date).toReversed());
    const one = await record(...batch, { date: '2026-11-20', value: 1 });
    expect(faultsOf(one.json())).toMatchObject({
      '/observations': 'must have at most 10000 entries',
    });
  });

  test('are read of the days from and to, half-open', async () => {
    await record(...[0, 1, 2, 3].map((n) => ({ date: dayAt(n), value: n })));
    expect(pairs(await read(`from=${dayAt(1)}&to=${dayAt(3)}`))).toEqual([
      [dayAt(1), 1],
      [dayAt(2), 2],
    ]);
    expect(pairs(await read(`to=${dayAt(1)}&asOf=2026-11-20T16:00:00Z`))).toEqual([[dayAt(0), 0]]);
    const url = `/v1/series/${key}/observations`;
    const refused = async (query: string) => {
      const answer = await ledger.call({ url: `${url}?${query}` });
      expect(answer.statusCode).toBe(422);
      return faultsOf(answer.json());
    };
    expect(await refused('from=2026-01-02&to=2026-01-01')).toEqual({
      '/from': 'must not be after to, 2026-01-01',
    });
    expect(await refused('asOf=2026-11-20T16:00:00.001Z')).toEqual({
      '/asOf': 'must not be in the future; the server time is 2026-11-20T16:00:00.000Z',
    });
    expect(await refused('vintages=all&asOf=2026-11-20T16:00:00Z')).toEqual({
      '/vintages': 'cannot be combined with asOf: leave one of them out',
    });
    expect(await refused('limit=10001')).toEqual({
      '/limit': 'must be a whole number in 1–10000',
    });
    const { nextCursor } = await read('limit=1');
    expect(await refused(`limit=1&vintages=all&cursor=${nextCursor}`)).toEqual({
      '/cursor':
        'belongs to a query with other filters: keep the filters, or start without a cursor',
    });
  });

  test('of an unknown series are a 404', async () => {
    key = 'nowhere';
    expect((await record({ date: '2026-11-17', value: 1 })).statusCode).toBe(404);
    expect((await ledger.call({ url: '/v1/series/nowhere/observations' })).statusCode).toBe(404);
    expect((await ledger.call({ url: '/v1/series/nowhere' })).statusCode).toBe(404);
  });
});

function dayAt(index: number): string {
  return new Date(Date.UTC(2026, 0, 1 + index)).toISOString().slice(0, 10);
}

test('any batches, in any order and repeated, read back as they were known at each time', async () => {
  const batch = fc.uniqueArray(
    fc.record({
      day: fc.integer({ min: 0, max: 5 }),
      value: fc.constantFrom(1, 2, -0.5, 2 ** 53 - 1, null),
    }),
    { selector: ({ day }) => day, minLength: 1, maxLength: 6 },
  );
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(batch, { minLength: 1, maxLength: 6 }), async (batches) => {
      key = `any-${(run += 1)}`;
      const series = { key, name: 'N', unit: 'percent', frequency: 'daily', source: 'S' };
      await send(ledger, 'POST', '/v1/series', series, { as: 'feed' });
      const known = new Map<string, number | null>();
      const moments: { asOf: string; expected: [string, number | null][] }[] = [];
      for (const sent of batches) {
        wait(10);
        const observations = sent
          .map(({ day, value }) => ({ date: dayAt(day), value }))
          .filter(({ date, value }) => value !== null || known.has(date));
        if (observations.length === 0) continue;
        const fresh = observations.filter(({ date, value }) => known.get(date) !== value);
        const retracted = fresh.filter(({ value }) => value === null).length;
        const added = fresh.filter(({ date }) => !known.has(date)).length;
        for (const { date, value } of observations) known.set(date, value);
        const answer = await record(...observations);
        expect(answer.json()).toMatchObject({
          added,
          revised: fresh.length - added - retracted,
          retracted,
          unchanged: observations.length - fresh.length,
        });
        const expected = [...known]
          .filter(([, value]) => value !== null)
          .toSorted(([a], [b]) => (a < b ? -1 : 1));
        moments.push({ asOf: ledger.clock.now.toISOString(), expected });
      }
      expect(pairs(await read())).toEqual(moments.at(-1)?.expected ?? []);
      for (const { asOf, expected } of moments) {
        expect(pairs(await read(`asOf=${asOf}`))).toEqual(expected);
      }
    }),
    { numRuns: 20 },
  );
});

describe('observations in CSV', () => {
  test('are read by their header, with quotes, either line end and a byte order mark', async () => {
    expect((await csv('date,value\n2026-11-17,4.6\n2026-11-18,-1e-3\n')).json()).toMatchObject({
      added: 2,
    });
    const whole =
      '\ufeffdate,value,provenance,note\r\n2026-11-18,+.5,computed,"A ""guess"", by hand"\r\n2026-11-19,4.,,\r\n';
    expect((await csv(whole)).json()).toMatchObject({ added: 1, revised: 1 });
    expect((await read()).items).toMatchObject([
      { date: '2026-11-17', value: 4.6 },
      { date: '2026-11-18', value: 0.5, provenance: 'computed', note: 'A "guess", by hand' },
      { date: '2026-11-19', value: 4, provenance: 'sourced', note: null },
    ]);
  });

  test.for<[string, string, Record<string, string>]>([
    [
      'a wrong header',
      'foo;bar\nx;4.6\n',
      {
        '': 'line 1: the header must name a column of dates and one of values, such as date,value, not "foo,bar"; or name them with dateColumn and valueColumn',
      },
    ],
    [
      'nothing at all',
      '',
      { '': 'line 1: the file is empty; it needs a header, such as date,value, and rows' },
    ],
    ['a header alone', 'date,value\n', { '/observations': 'must have at least 1 entry' }],
    [
      'faults by line and column, all at once',
      'date,value\n2026-02-30,1\n2026-11-17,"1,23.45"\n2026-11-19,4\n2026-11-19,1e999\n2026-11-20\n2026-11-21,9007199254740993\n2026-11-22,-1e-400\n2026-11-23,0.0e-999\n',
      {
        '/observations/0/date': 'line 2, column date: "2026-02-30" is not a day of the calendar',
        '/observations/1/value':
          'line 3, column value: "1,23.45" is not a number: write digits with a decimal point, such as 2793.3, and leave out days without a value, or say with missing which text means no value',
        '/observations/3/date':
          'line 5, column date: repeats the date of line 4: send each day once',
        '/observations/3/value':
          'line 5, column value: 1e999 is beyond ±9007199254740991, up to which JSON numbers are exact: use a larger unit',
        '/observations/5/value':
          'line 7, column value: 9007199254740993 is beyond ±9007199254740991, up to which JSON numbers are exact: use a larger unit',
        '/observations/6/value':
          'line 8, column value: -1e-400 is too small for a JSON number, which would be 0: send 0 or use a smaller unit',
        '/observations/4': 'line 6: has 1 column, but the header has 2',
      },
    ],
    [
      'an unknown provenance',
      'date,value,provenance,note\n2026-11-17,1,guessed,\n',
      {
        '/observations/0/provenance':
          'line 2, column provenance: must be one of sourced, editorial, illustrative, computed',
      },
    ],
    [
      'the future',
      'date,value\n2026-11-21,1\n2026-11-22,1\n',
      {
        '/observations/1/date':
          'line 3, column date: must not be in the future; the server time is 2026-11-20T16:00:00.000Z',
      },
    ],
  ])('is refused: %s', async ([, text, faults]) => {
    const before = await stored(ledger);
    const refused = await csv(text);
    expect(refused.statusCode, refused.body).toBe(422);
    expect(faultsOf(refused.json())).toEqual(faults);
    expect(await stored(ledger)).toEqual(before);
  });

  test("that can't be parsed is refused", async () => {
    const refused = await csv('date,value\n"2026-11-17,1\n');
    expect([refused.statusCode, refused.json().type]).toEqual([400, '/problems/malformed-request']);
    expect((await post('<a/>', 'application/xml')).statusCode).toBe(415);
  });
});

test.for<[string, unknown, Record<string, string>]>([
  ['none', { observations: [] }, { '/observations': 'must have at least 1 entry' }],
  [
    'values that are no finite numbers',
    { observations: [{ date: '2026-11-17', value: '4.6' }, { date: '2026-11-18' }] },
    {
      '/observations/0/value': 'must be a number without quotes, such as 2793.3',
      '/observations/1/value': 'is required',
    },
  ],
  [
    'two rows for one day, beside another fault',
    {
      observations: [
        { date: '2026-11-17', value: 1 },
        { date: '2026-11-18', value: true },
        { date: '2026-11-17', value: 2 },
      ],
    },
    {
      '/observations/1/value': 'must be a finite number, such as 2793.3',
      '/observations/2/date': 'repeats the date of entry 0: send each day once',
    },
  ],
  [
    'a day that is none, and members that there are not',
    { observations: [{ date: '17.11.2026', value: 1, volume: 2 }], as: 'x' },
    {
      '/observations/0/date': 'must be a valid date, such as 2026-03-31',
      '/observations/0/volume':
        'unknown property "volume"; allowed here: date, value, provenance, note',
      '/as': 'unknown property "as"; allowed here: observations',
    },
  ],
])('a batch is refused whole: %s', async ([, body, faults]) => {
  const before = await stored(ledger);
  const refused = await post(body);
  expect(refused.statusCode, refused.body).toBe(422);
  expect(faultsOf(refused.json())).toEqual(faults);
  expect(await stored(ledger)).toEqual(before);
});

test('a number that a double cannot stand for is refused as it is written, with all other faults', async () => {
  const rows = ['1e999', '9007199254740993', '-1e-400', '"1"', '9007199254740991', '0e-400'];
  const text = `{"observations":[${rows
    .map((value, index) => `{"date":"${dayAt(index)}","value":${value}}`)
    .join()}]}`;
  const before = await stored(ledger);
  const refused = await post(text);
  expect(refused.json()).toMatchObject({ type: '/problems/invalid-request', status: 422 });
  expect(faultsOf(refused.json())).toEqual({
    '/observations/0/value':
      '1e999 is beyond ±9007199254740991, up to which JSON numbers are exact: use a larger unit',
    '/observations/1/value':
      '9007199254740993 is beyond ±9007199254740991, up to which JSON numbers are exact: use a larger unit',
    '/observations/2/value':
      '-1e-400 is too small for a JSON number, which would be 0: send 0 or use a smaller unit',
    '/observations/3/value': 'must be a number without quotes, such as 2793.3',
  });
  expect(await stored(ledger)).toEqual(before);
});

test('a body may be larger than others, and has a limit', async () => {
  const note = 'x'.repeat(290);
  const batch = (length: number) =>
    Array.from({ length }, (_, n) => ({ date: dayAt(-n), value: n, note }));
  expect((await record(...batch(5_000))).statusCode).toBe(200);
  const refused = await post(
    JSON.stringify({ observations: batch(9_000), pad: note.repeat(9_000) }),
  );
  expect(refused.statusCode).toBe(413);
  expect(refused.json()).toMatchObject({ detail: 'The body exceeds the limit of 4 MiB.' });
});

describe('series', () => {
  test('are listed and read by key, and each key is taken once', async () => {
    const described = await ledger.call({ url: `/v1/series/${key}` });
    expect(described.json()).toEqual({
      key,
      name: 'N',
      unit: 'percent',
      frequency: 'daily',
      dated: 'end',
      source: 'S',
      desk: { slug: 'main', name: 'Main desk' },
      visibility: 'public',
    });
    const taken = await send(ledger, 'POST', '/v1/series', described.json(), { as: 'feed' });
    expect(taken.statusCode).toBe(409);
    expect(taken.json()).toMatchObject({ type: '/problems/series-taken' });
    const keys: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const url: string = `/v1/series?limit=2${cursor && `&cursor=${cursor}`}`;
      const page: Page = (await ledger.call({ url })).json<Page>();
      keys.push(...page.items.map((item) => String(item['key'])));
      cursor = page.nextCursor;
    }
    expect(keys).toEqual([...new Set(keys)].toSorted());
    expect(keys).toContain(key);
    expect(keys).toContain('rut-close');
  });

  test('of no known frequency, without a unit, are refused', async () => {
    const body = { key: 'Upper', name: 'N', frequency: 'hourly', source: 'S' };
    expect(
      faultsOf((await send(ledger, 'POST', '/v1/series', body, { as: 'feed' })).json()),
    ).toEqual({
      '/key':
        'must be words of lower-case letters and digits, joined by hyphens, such as rate-relief',
      '/unit': 'is required',
      '/frequency':
        'must be one of daily, weekly, biweekly, monthly, quarterly, semiannual, annual',
    });
  });
});
