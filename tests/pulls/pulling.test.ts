import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { fredJson, Provider } from '../support/provider.ts';
import { pullerOf, setSource, sourced, sourceOf, valuesOf } from '../support/pulling.ts';
import { createOutlook, send } from '../support/requests.ts';
import type { SeriesPuller } from '../../src/pulls/puller.ts';

const [MINUTE, HOUR] = [60_000, 3_600_000];
const START = new Date('2026-11-20T16:00:00Z');

let ledger: TestLedger;
let provider: Provider;
let puller: SeriesPuller;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());
beforeEach(async () => {
  ledger.clock.now = START;
  provider = await new Provider().open();
  puller = pullerOf(ledger, provider);
});
afterEach(async () => {
  await puller.close();
  await provider.close();
  await ledger.pool.query('delete from series_sources');
});

const advance = (milliseconds: number) => {
  ledger.clock.now = new Date(ledger.clock.now.getTime() + milliseconds);
};
/** A source of the kind `url` at the provider. The service itself may not reach it; the puller of the test may. */
async function fileSource(file: object = {}, everyMinutes = 1_440): Promise<string> {
  const key = await sourced(ledger, { kind: 'fred', id: 'X', everyMinutes });
  await pointTo(key, `${provider.origin}/file.csv`, file);
  return key;
}
async function pointTo(key: string, url: string, file: object = {}): Promise<void> {
  const { rows } = await ledger.pool.query<{ everyMinutes: number }>(
    `delete from series_sources where series_id = (select id from series where key = $1)
      returning every_minutes as "everyMinutes"`,
    [key],
  );
  await ledger.pool.query(
    `insert into series_sources (series_id, kind, url, layout, host, every_minutes, set_at, due_at)
     select id, 'url', $2, $3, $4, $5, $6, $6 from series where key = $1`,
    [
      key,
      url,
      JSON.stringify(file),
      new URL(url).host,
      rows[0]?.everyMinutes ?? 1_440,
      ledger.clock.now,
    ],
  );
}

describe('a provider as it documents itself', () => {
  test('FRED: JSON, with a point for a holiday', async () => {
    provider.sends(fredJson({ '2026-11-25': '4.19', '2026-11-26': '.', '2026-11-18': '4.31' }), {
      'content-type': 'application/json; charset=utf-8',
    });
    ledger.clock.now = new Date('2026-11-27T16:00:00Z');
    const key = await sourced(ledger, { kind: 'fred', id: 'DGS30' });
    await puller.pullDue();
    expect(await valuesOf(ledger, key)).toEqual(['2026-11-18 4.31', '2026-11-25 4.19']);
    const url = new URL(provider.requests[0]?.target ?? '', provider.origin);
    expect(url.pathname).toBe('/fred/series/observations');
    expect(Object.fromEntries(url.searchParams)).toEqual({
      series_id: 'DGS30',
      file_type: 'json',
      api_key: expect.stringMatching(/^[a-f0-9]{32}$/),
    });
    expect(await sourceOf(ledger, key)).toMatchObject({
      state: 'waiting',
      lastSuccess: { at: '2026-11-27T16:00:00.000Z', added: 2, revised: 0, unchanged: 0 },
      lastFailure: null,
    });
  });

  test('the ECB: SDMX-CSV of one series, by day', async () => {
    provider.sends(
      'KEY,FREQ,CURRENCY,CURRENCY_DENOM,EXR_TYPE,EXR_SUFFIX,TIME_PERIOD,OBS_VALUE\r\n' +
        'EXR.D.USD.EUR.SP00.A,D,USD,EUR,SP00,A,2026-11-18,1.1583\r\n' +
        'EXR.D.USD.EUR.SP00.A,D,USD,EUR,SP00,A,2026-11-19,\r\n' +
        'EXR.D.USD.EUR.SP00.A,D,USD,EUR,SP00,A,2026-11-20,1.1512\r\n',
      { 'content-type': 'application/vnd.sdmx.data+csv;version=1.0.0;charset=utf-8' },
    );
    const key = await sourced(ledger, { kind: 'ecb', id: 'EXR/D.USD.EUR.SP00.A' });
    await puller.pullDue();
    expect(await valuesOf(ledger, key)).toEqual(['2026-11-18 1.1583', '2026-11-20 1.1512']);
    expect(provider.requests[0]?.target).toBe(
      '/service/data/EXR/D.USD.EUR.SP00.A?format=csvdata&detail=dataonly',
    );
  });

  test.each([
    ['end', ['2026-02-28 2.1', '2026-03-31 2.2']],
    ['start', ['2026-02-01 2.1', '2026-03-01 2.2']],
  ])('the ECB: months get the day by which the series is dated, %s', async (dated, expected) => {
    provider.sends('TIME_PERIOD,OBS_VALUE\n2026-02,2.1\n2026-03,2.2\n');
    const series = { frequency: 'monthly', dated };
    const key = await sourced(ledger, { kind: 'ecb', id: 'ICP/M.U2.N.000000.4.ANR' }, series);
    await puller.pullDue();
    expect(await valuesOf(ledger, key)).toEqual(expected);
  });

  test.each([
    ['annual', 'end', '2024', '2024-12-31'],
    ['annual', 'start', '2024', '2024-01-01'],
    ['semiannual', 'end', '2025-S1', '2025-06-30'],
    ['semiannual', 'start', '2025-S2', '2025-07-01'],
    ['quarterly', 'end', '2025-Q3', '2025-09-30'],
    ['weekly', 'end', '2026-W01', '2026-01-04'],
    ['weekly', 'start', '2026-W01', '2025-12-29'],
    ['weekly', 'end', '2020-W53', '2021-01-03'],
  ])('the ECB: %s periods, dated by the %s', async (frequency, dated, period, day) => {
    provider.sends(`KEY,TIME_PERIOD,OBS_VALUE\nX,${period},2.5\n`);
    const key = await sourced(ledger, { kind: 'ecb', id: 'X/X' }, { frequency, dated });
    await puller.pullDue();
    expect(await valuesOf(ledger, key)).toEqual([`${day} 2.5`]);
  });

  test.each([
    [
      'KEY,FREQ,TIME_PERIOD,OBS_VALUE\nA,M,2026-03,1\n',
      /^the ECB's series is monthly, and this one daily$/,
    ],
    [
      'KEY,FREQ,TIME_PERIOD,OBS_VALUE\nA,D,2026-03-02,1\nB,D,2026-03-03,1\n',
      /^the id names 2 series of the ECB, not one$/,
    ],
    [
      'DATE,VALUE\n2026-03-02,1\n',
      /^line 1: the ECB's files have the columns TIME_PERIOD and OBS_VALUE$/,
    ],
    ['TIME_PERIOD,OBS_VALUE\n2026-W60,1\n', /^line 2, column date: "2026-W60" is not a date/],
    ['TIME_PERIOD,OBS_VALUE\n2026-03-02,"1\n', /^the file is not valid CSV/],
  ])('the ECB: %j is refused', async (text, detail) => {
    provider.sends(text);
    const key = await sourced(ledger, { kind: 'ecb', id: 'X/X' });
    await puller.pullDue();
    expect((await sourceOf(ledger, key)).lastFailure?.detail).toMatch(detail);
    expect(await valuesOf(ledger, key)).toEqual([]);
  });

  test('Stooq: the closes of a CSV file', async () => {
    provider.sends(
      'Date,Open,High,Low,Close,Volume\r\n2026-11-18,2801.1,2815,2790.25,2810.4,0\r\n2026-11-19,2810,2822,2800,2805.75,0\r\n',
      { 'content-type': 'text/plain; charset=UTF-8' },
    );
    const key = await sourced(ledger, { kind: 'stooq', id: '^RUT' });
    await puller.pullDue();
    expect(await valuesOf(ledger, key)).toEqual(['2026-11-18 2810.4', '2026-11-19 2805.75']);
    expect(provider.requests[0]?.target).toBe('/q/d/l/?s=%5Erut&i=d');
  });

  test('any file, by a description of its columns', async () => {
    const text =
      'Tag;Schluss;Umsatz\n18.11.2026;2.810,40;1\n19.11.2026;n/v;1\n20.11.2026;2.805,75;1\n';
    provider.sends(gzipSync(text), { 'content-type': 'text/csv', 'content-encoding': 'gzip' });
    const key = await fileSource({
      dateColumn: 'Tag',
      valueColumn: 'Schluss',
      dateFormat: 'DD.MM.YYYY',
      decimal: ',',
      missing: ['n/v'],
    });
    await puller.pullDue();
    expect((await sourceOf(ledger, key)).lastFailure).toBeNull();
    expect(await valuesOf(ledger, key)).toEqual(['2026-11-18 2810.4', '2026-11-20 2805.75']);
  });
});

describe('a source over time', () => {
  test('what repeats changes nothing, and what is revised gets a vintage that names the source', async () => {
    provider.sends('date,value\n2026-11-18,1\n2026-11-19,2\n');
    const key = await fileSource();
    await puller.pullDue();
    advance(25.5 * HOUR);
    await puller.pullDue();
    expect(await sourceOf(ledger, key)).toMatchObject({
      lastSuccess: { added: 0, revised: 0, unchanged: 2 },
    });
    provider.sends('date,value\n2026-11-18,1\n2026-11-19,2.5\n2026-11-20,3\n');
    advance(25.5 * HOUR);
    await puller.pullDue();
    expect(await sourceOf(ledger, key)).toMatchObject({
      lastSuccess: { added: 1, revised: 1, unchanged: 1 },
    });
    const vintages = await ledger.call({ url: `/v1/series/${key}/observations?vintages=all` });
    expect(vintages.json<{ items: object[] }>().items).toMatchObject([
      { date: '2026-11-18', value: 1, provenance: 'sourced' },
      { date: '2026-11-19', value: 2 },
      { date: '2026-11-19', value: 2.5, note: new URL(provider.origin).host },
      { date: '2026-11-20', value: 3 },
    ]);
    const audit = await ledger.call({
      url: `/v1/audit?subject=/v1/series/${key}/observations`,
      as: 'admin',
    });
    expect(audit.json<{ items: object[] }>().items).toMatchObject([
      { summary: expect.stringMatching(/^Pulled from 127\.0\.0\.1:\d+: added 1, revised 1$/) },
      { summary: expect.stringMatching(/added 2, revised 0$/) },
    ]);
  });

  test('a day that the source no longer has stays', async () => {
    provider.sends('date,value\n2026-11-18,1\n2026-11-19,2\n');
    const key = await fileSource();
    await puller.pullDue();
    provider.sends('date,value\n2026-11-18,\n2026-11-20,3\n');
    advance(25.5 * HOUR);
    await puller.pullDue();
    expect(await valuesOf(ledger, key)).toEqual(['2026-11-18 1', '2026-11-19 2', '2026-11-20 3']);
  });

  test('a correction by hand stays until the source has a new value; so does a retraction', async () => {
    const url = `/v1/series/${await fileSource()}/observations`;
    const key = url.split('/')[3] ?? '';
    provider.sends('date,value\n2026-11-18,28.6\n2026-11-19,99999\n');
    await puller.pullDue();
    advance(HOUR);
    const observations = [
      { date: '2026-11-18', value: 2860 },
      { date: '2026-11-19', value: null },
    ];
    const corrected = await send(ledger, 'POST', url, { observations }, { as: 'feed' });
    expect(corrected.json()).toMatchObject({ revised: 1, retracted: 1 });
    advance(25.5 * HOUR);
    await puller.pullDue();
    expect(await valuesOf(ledger, key)).toEqual(['2026-11-18 2860']);
    provider.sends('date,value\n2026-11-18,2861\n2026-11-19,2870\n');
    advance(25.5 * HOUR);
    await puller.pullDue();
    expect(await valuesOf(ledger, key)).toEqual(['2026-11-18 2861', '2026-11-19 2870']);
    // And back, because nobody but the source wrote since.
    provider.sends('date,value\n2026-11-18,28.6\n');
    advance(25.5 * HOUR);
    await puller.pullDue();
    expect(await valuesOf(ledger, key)).toEqual(['2026-11-18 28.6', '2026-11-19 2870']);
  });

  test('the same value with another provenance is no new value', async () => {
    const key = await fileSource();
    const observations = [{ date: '2026-11-18', value: 1, provenance: 'editorial', note: 'Mine' }];
    await send(ledger, 'POST', `/v1/series/${key}/observations`, { observations }, { as: 'feed' });
    provider.sends('date,value\n2026-11-18,1\n');
    await puller.pullDue();
    expect(await sourceOf(ledger, key)).toMatchObject({
      lastSuccess: { revised: 0, unchanged: 1 },
    });
  });

  test('a server that says that a file has not changed, which it never sent, is at fault', async () => {
    provider.refuses(304);
    const key = await fileSource();
    await puller.pullDue();
    expect(await sourceOf(ledger, key)).toMatchObject({
      lastSuccess: null,
      lastFailure: { detail: 'the server answered 304' },
    });
  });

  test('a server that knows validators is asked whether the file has changed', async () => {
    const headers = { etag: '"one"', 'last-modified': 'Wed, 18 Nov 2026 08:00:00 GMT' };
    provider.sends('date,value\n2026-11-18,1\n', { 'content-type': 'text/csv', ...headers });
    const key = await fileSource();
    await puller.pullDue();
    provider.refuses(304);
    for (const _ of [1, 2]) {
      advance(25.5 * HOUR);
      await puller.pullDue();
      expect(provider.requests.at(-1)?.headers).toMatchObject({
        'if-none-match': '"one"',
        'if-modified-since': 'Wed, 18 Nov 2026 08:00:00 GMT',
      });
      expect(await sourceOf(ledger, key)).toMatchObject({
        state: 'waiting',
        lastSuccess: { at: ledger.clock.now.toISOString(), added: 0, unchanged: 0 },
      });
    }
    expect(await valuesOf(ledger, key)).toEqual(['2026-11-18 1']);
  });
});

const whole = 'date,value\n2026-11-18,1\n';
describe('a source that fails', () => {
  test.each<[string, () => void, RegExp]>([
    ['a 500', () => provider.refuses(500), /^the server answered 500$/],
    ['a 404', () => provider.refuses(404), /^the server answered 404$/],
    ['a 204', () => provider.refuses(204), /^the server answered 204$/],
    [
      'a page',
      () => provider.sends('<!doctype html><title>Log in</title>', { 'content-type': 'text/html' }),
      /^the server sent a page \(text\/html\) in place of CSV$/,
    ],
    [
      'a page that says it is CSV',
      () => provider.sends('\n <html></html>'),
      /^the server sent a page \(text\/csv\)/,
    ],
    [
      'JSON',
      () => provider.sends('{"error":"limit"}', { 'content-type': 'application/json' }),
      /^the server sent JSON/,
    ],
    [
      'an image',
      () => provider.sends('x', { 'content-type': 'image/png' }),
      /^the server sent something else/,
    ],
    [
      'words',
      () => provider.sends('Exceeded the daily hits limit'),
      /^line 1: .*Exceeded the daily hits limit/,
    ],
    ['nothing', () => provider.sends(''), /empty/],
    ['a header only', () => provider.sends('date,value\n'), /no day with a value/],
    [
      'text in Latin-1',
      () => provider.sends(Buffer.from(`${whole}2026-11-19,2 \xe9\n`, 'latin1')),
      /not UTF-8/,
    ],
    ['one faulty row', () => provider.sends(`${whole}2026-11-19,two\n`), /^line 3, column value: /],
    ['a day twice', () => provider.sends(`${whole}2026-11-18,2\n`), /repeats the date of line 2/],
    [
      'a day to come',
      () => provider.sends(`${whole}2027-01-04,2\n`),
      /2027-01-04, which is in the future/,
    ],
    [
      'dates that can mean two things',
      () => provider.sends('date,value\n03/04/2026,2\n'),
      /^line 2, column date: /,
    ],
    [
      'a bomb',
      () => provider.sends(gzipSync(Buffer.alloc(10_000_000, 'x')), { 'content-encoding': 'gzip' }),
      /larger than 8 MiB, decompressed$/,
    ],
    [
      'what is no gzip',
      () => provider.sends(whole, { 'content-encoding': 'gzip' }),
      /not validly compressed/,
    ],
    [
      'a cut gzip',
      () => provider.sends(gzipSync(whole).subarray(0, 30), { 'content-encoding': 'gzip' }),
      /not validly compressed/,
    ],
    [
      'another coding',
      () => provider.sends(whole, { 'content-encoding': 'zstd' }),
      /a content coding other than/,
    ],
    [
      'an endless body',
      () => {
        provider.answer = (_, response) => {
          const more = () => response.write('2026-11-18,1\n'.repeat(10_000), more);
          response.writeHead(200, { 'content-type': 'text/csv' });
          more();
        };
      },
      /larger than 8 MiB/,
    ],
    [
      'half a body',
      () => {
        provider.answer = (_, response) => {
          response.writeHead(200, { 'content-type': 'text/csv', 'content-length': 1_000 });
          response.write(whole, () => response.destroy());
        };
      },
      /^the connection closed before the response was complete$/,
    ],
    [
      'a body whose end nothing proves',
      () => {
        provider.answer = ({ socket }) =>
          socket.end(`HTTP/1.1 200 OK\r\ncontent-type: text/csv\r\n\r\n${whole}2026-11-19,2`);
      },
      /may be cut off/,
    ],
    [
      'no answer',
      () => {
        provider.answer = ({ socket }) => socket.destroy();
      },
      /reset before a response|closed without a response/,
    ],
    [
      'another protocol',
      () => {
        provider.answer = ({ socket }) => socket.end('SSH-2.0-OpenSSH\r\n');
      },
      /./,
    ],
    [
      'a redirect to a private address',
      () => provider.refuses(302, { location: 'http://127.0.0.1:1/x' }),
      /^the URL must be an https URL$/,
    ],
    [
      'a redirect to the cloud',
      () => provider.refuses(302, { location: 'https://169.254.169.254/latest/meta-data' }),
      /169\.254\.169\.254 is not public/,
    ],
    [
      'a redirect to a file',
      () => provider.refuses(302, { location: 'file:///etc/passwd' }),
      /other than an http or https URL/,
    ],
    [
      'a redirect without an end',
      () => provider.refuses(302, { location: '/file.csv' }),
      /^more than 5 redirects$/,
    ],
  ])('by %s stores nothing, and says so', async (_, prepare, words) => {
    prepare();
    const key = await fileSource();
    await puller.pullDue();
    const source = await sourceOf(ledger, key);
    expect(source).toMatchObject({
      state: 'failing',
      lastSuccess: null,
      lastFailure: { at: START.toISOString(), detail: expect.stringMatching(words), failures: 1 },
    });
    expect(Date.parse(source.nextPullAt) - START.getTime()).toBeGreaterThanOrEqual(MINUTE);
    expect(Date.parse(source.nextPullAt) - START.getTime()).toBeLessThanOrEqual(1.1 * MINUTE);
    expect(await valuesOf(ledger, key)).toEqual([]);
  });

  test('by taking too long stores nothing, and says so', async () => {
    puller = pullerOf(ledger, provider, { timeout: 50 });
    provider.answer = (_, response) =>
      response.writeHead(200, { 'content-type': 'text/csv' }).write(whole);
    const key = await fileSource();
    await puller.pullDue();
    expect((await sourceOf(ledger, key)).lastFailure?.detail).toBe(
      'no complete response within 0.05 s',
    );
  });

  test('is asked again later and later, then succeeds, and shows both', async () => {
    provider.refuses(503);
    const key = await fileSource();
    const waits = [];
    for (let turn = 0; turn < 9; turn += 1) {
      await puller.pullDue();
      const { nextPullAt } = await sourceOf(ledger, key);
      waits.push((Date.parse(nextPullAt) - ledger.clock.now.getTime()) / MINUTE);
      ledger.clock.now = new Date(nextPullAt);
    }
    const least = [1, 5, 15, 60, 180, 360, 720, 720, 720];
    waits.forEach((wait, turn) => {
      expect(wait).toBeGreaterThanOrEqual(least[turn] ?? 0);
      expect(wait).toBeLessThanOrEqual(1.101 * (least[turn] ?? 0));
    });
    expect(provider.requests.length).toBe(9);
    const failedAt = (await sourceOf(ledger, key)).lastFailure?.at;
    provider.sends(whole);
    await puller.pullDue();
    expect(await sourceOf(ledger, key)).toMatchObject({
      state: 'waiting',
      lastSuccess: { added: 1 },
      lastFailure: { at: failedAt, detail: 'the server answered 503', failures: 0 },
    });
  });

  test.each([
    ['7200', 120, 132],
    ['Fri, 20 Nov 2026 18:00:00 GMT', 120, 132],
    ['999999999', 1_440, 1_584],
    ['soon', 1, 1.1],
    ['-5', 1, 1.1],
    ['0', 1, 1.1],
  ])('waits as long as Retry-After: %s asks for', async (retryAfter, least, most) => {
    provider.refuses(429, { 'retry-after': retryAfter });
    const key = await fileSource();
    await puller.pullDue();
    const wait = (Date.parse((await sourceOf(ledger, key)).nextPullAt) - START.getTime()) / MINUTE;
    expect(wait).toBeGreaterThanOrEqual(least);
    expect(wait).toBeLessThanOrEqual(most + 0.001);
  });

  test('after a success keeps the values that it had', async () => {
    provider.sends(whole);
    const key = await fileSource();
    await puller.pullDue();
    provider.sends(`date,value\n2026-11-18,7\n2026-11-19,x\n`);
    advance(25.5 * HOUR);
    await puller.pullDue();
    expect(await valuesOf(ledger, key)).toEqual(['2026-11-18 1']);
    expect(await sourceOf(ledger, key)).toMatchObject({
      state: 'failing',
      lastSuccess: { added: 1 },
    });
  });

  test('at a provider says what its status means', async () => {
    provider.refuses(400, {}, '{"error_code":400,"error_message":"Bad Request."}');
    const fred = await sourced(ledger, { kind: 'fred', id: 'NOPE' });
    await puller.pullDue();
    provider.refuses(404);
    const ecb = await sourced(ledger, { kind: 'ecb', id: 'EXR/NOPE' });
    await puller.pullDue();
    const details = [await sourceOf(ledger, fred), await sourceOf(ledger, ecb)];
    expect(details.map(({ lastFailure }) => lastFailure?.detail)).toEqual([
      'the server answered 400: FRED has no such series, or does not accept FRED_API_KEY',
      "the server answered 404: the ECB's data portal has no such series",
    ]);
  });
});

describe('several instances', () => {
  test('pull a source once', async () => {
    provider.sends(whole);
    const others = [pullerOf(ledger, provider), pullerOf(ledger, provider)];
    const key = await fileSource();
    await Promise.all([puller, ...others].map((one) => one.pullDue()));
    expect(provider.requests.length).toBe(1);
    expect(await valuesOf(ledger, key)).toEqual(['2026-11-18 1']);
    await Promise.all(others.map((one) => one.close()));
  });

  test('do not ask one host at the same time', async () => {
    provider.answer = () => {}; // never answers
    const other = pullerOf(ledger, provider);
    await fileSource();
    await fileSource();
    void puller.pullDue();
    await expect.poll(() => provider.requests.length).toBe(1);
    provider.sends(whole);
    await other.pullDue();
    expect(provider.requests.length).toBe(1);
    await other.close();
  });

  test('take over what an instance that is gone had claimed, once its lease is over', async () => {
    provider.answer = () => {}; // never answers
    const gone = pullerOf(ledger, provider);
    const key = await fileSource();
    void gone.pullDue();
    await expect.poll(() => provider.requests.length).toBe(1);
    expect((await sourceOf(ledger, key)).state).toBe('pulling');
    provider.sends(whole);
    advance(2 * MINUTE);
    await puller.pullDue();
    expect(provider.requests.length).toBe(1);
    advance(1.1 * MINUTE);
    await puller.pullDue();
    expect(await sourceOf(ledger, key)).toMatchObject({
      state: 'waiting',
      lastSuccess: { added: 1 },
    });
    await gone.close();
    expect(await sourceOf(ledger, key)).toMatchObject({ state: 'waiting', lastFailure: null });
  });

  test('store nothing of a pull that another has overtaken', async () => {
    let finish: (text: string) => unknown = () => null;
    provider.answer = (_, response) => {
      finish = (text) => response.writeHead(200, { 'content-type': 'text/csv' }).end(text);
    };
    const slow = pullerOf(ledger, provider);
    const key = await fileSource();
    const late = slow.pullDue();
    await expect.poll(() => provider.requests.length).toBe(1);
    advance(4 * MINUTE);
    provider.sends('date,value\n2026-11-18,2\n');
    await puller.pullDue();
    finish(whole);
    await late;
    expect(await valuesOf(ledger, key)).toEqual(['2026-11-18 2']);
    expect(slow.outcomes).toEqual({ stored: 0, unchanged: 0, failed: 0, discarded: 1 });
    await slow.close();
  });

  test('give a pull back when they stop', async () => {
    provider.answer = () => {}; // never answers
    const stopping = pullerOf(ledger, provider);
    const key = await fileSource();
    void stopping.pullDue();
    await expect.poll(() => provider.requests.length).toBe(1);
    await stopping.close();
    expect(await sourceOf(ledger, key)).toMatchObject({
      state: 'waiting',
      nextPullAt: START.toISOString(),
      lastFailure: null,
    });
  });
});

describe('a source that changes while it is pulled', () => {
  async function pulledMeanwhile(change: (key: string) => Promise<unknown>): Promise<string> {
    let finish: () => unknown = () => null;
    provider.answer = (_, response) => {
      finish = () => response.writeHead(200, { 'content-type': 'text/csv' }).end(whole);
    };
    const key = await fileSource();
    const pulling = puller.pullDue();
    await expect.poll(() => provider.requests.length).toBe(1);
    provider.refuses(500);
    await change(key);
    finish();
    await pulling;
    return key;
  }

  test('to another place gets nothing of the place before', async () => {
    const key = await pulledMeanwhile((series) =>
      setSource(ledger, series, { kind: 'fred', id: 'OTHER' }),
    );
    expect(await valuesOf(ledger, key)).toEqual([]);
    expect(await sourceOf(ledger, key)).toMatchObject({
      lastSuccess: null,
      lastFailure: { failures: 1 },
    });
    expect(puller.outcomes).toMatchObject({ stored: 0, discarded: 1, failed: 1 });
  });

  test('to another place and back gets nothing of the pull before', async () => {
    const key = await pulledMeanwhile(async (series) => {
      await setSource(ledger, series, { kind: 'fred', id: 'OTHER' });
      await pointTo(series, `${provider.origin}/file.csv`);
    });
    expect(await valuesOf(ledger, key)).toEqual([]);
  });

  test('that is removed gets nothing', async () => {
    const key = await pulledMeanwhile((series) =>
      ledger.call({ method: 'DELETE', url: `/v1/series/${series}/source`, as: 'feed' }),
    );
    expect(await valuesOf(ledger, key)).toEqual([]);
    const gone = await ledger.call({ url: `/v1/series/${key}/source`, as: 'feed' });
    expect(gone.json()).toMatchObject({
      status: 404,
      detail: `The series "${key}" has no source.`,
    });
  });
});

test('sources at one host wait for each other, and others do not wait for them', async () => {
  let underWay = 0;
  let most = 0;
  provider.answer = (_, response) => {
    underWay += 1;
    most = Math.max(most, underWay);
    setImmediate(() => {
      underWay -= 1;
      response.writeHead(200, { 'content-type': 'text/csv' }).end(whole);
    });
  };
  const keys = [await fileSource(), await fileSource(), await fileSource(), await fileSource()];
  await puller.pullDue();
  expect(most).toBe(1);
  for (const key of keys) expect(await valuesOf(ledger, key)).toEqual(['2026-11-18 1']);
});

test('a pull evaluates the conditions that watch the series', async () => {
  const key = await fileSource();
  const rule = { series: key, operator: 'gt', threshold: 5.5, forObservations: 1 };
  const condition = { key: 'watched', invalidates: 'bull', statement: 'Yields rise.', rule };
  const created = await createOutlook(ledger, {
    slug: 'watching',
    invalidationConditions: [condition],
  });
  expect(created.statusCode, created.body).toBe(201);
  provider.sends('date,value\n2026-11-19,5.4\n2026-11-20,5.6\n');
  advance(HOUR);
  await puller.pullDue();
  const read = await ledger.call({ url: '/v1/outlooks/watching/conditions' });
  expect(read.json()).toMatchObject({ items: [{ key: 'watched', state: 'triggered' }] });
});
