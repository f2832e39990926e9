import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { faultsOf, send, stored } from '../support/requests.ts';

let ledger: TestLedger;
let key: string;
let count = 0;
beforeAll(async () => {
  ledger = await startLedger({ samples: false });
  ledger.clock.now = new Date('2026-11-30T16:00:00.000Z');
});
afterAll(() => ledger.close());
beforeEach(async () => {
  key = `import-${(count += 1)}`;
  await createSeries(key);
});

async function createSeries(name: string, more: object = {}): Promise<void> {
  const series = {
    key: name,
    name: 'N',
    unit: 'percent',
    frequency: 'daily',
    source: 'S',
    ...more,
  };
  const created = await send(ledger, 'POST', '/v1/series', series, { as: 'feed' });
  expect(created.statusCode, created.body).toBe(201);
}

const post = (text: string, query = '', type = 'text/csv') =>
  send(ledger, 'POST', `/v1/series/${key}/observations?${query}`, text, { as: 'feed', type });
async function imported(text: string, query = '', type?: string) {
  const answer = await post(text, query, type);
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json<Record<string, unknown>>();
}
async function pairs(): Promise<[string, number][]> {
  const answer = await ledger.call({ url: `/v1/series/${key}/observations` });
  return answer
    .json<{ items: { date: string; value: number }[] }>()
    .items.map(({ date, value }) => [date, value]);
}

const OHLC = '1,2,3';
// Each written by hand after the provider's documentation; the values are invented.
const FILES: [string, string, string, [string, number][], number][] = [
  [
    "FRED's graph",
    'format=fred',
    'observation_date,DGS30\n2026-11-25,4.58\n2026-11-26,\n2026-11-27,4.6\n',
    [
      ['2026-11-25', 4.58],
      ['2026-11-27', 4.6],
    ],
    1,
  ],
  [
    "FRED's older graph",
    'format=fred',
    'DATE,DGS30\r\n2026-11-25,4.58\r\n2026-11-26,.\r\n',
    [['2026-11-25', 4.58]],
    1,
  ],
  [
    "Yahoo's history",
    'format=yahoo',
    `Date,Open,High,Low,Close,Adj Close,Volume\n2026-11-25,${OHLC},2871.990000,2866.5,45\n2026-11-26,null,null,null,null,null,null\n`,
    [['2026-11-25', 2871.99]],
    1,
  ],
  [
    "another column of Yahoo's",
    'format=yahoo&valueColumn=Adj%20Close',
    `Date,Open,High,Low,Close,Adj Close,Volume\n2026-11-25,${OHLC},2871.99,2866.5,45\n`,
    [['2026-11-25', 2866.5]],
    0,
  ],
  [
    "yfinance's history",
    'format=yahoo',
    `Date,Open,High,Low,Close,Volume,Dividends,Stock Splits\n2026-10-30 00:00:00-04:00,${OHLC},2850.5,0,0.0,0.0\n2026-11-25 00:00:00-05:00,${OHLC},2871.99,0,0.0,0.0\n`,
    [
      ['2026-10-30', 2850.5],
      ['2026-11-25', 2871.99],
    ],
    0,
  ],
  [
    "Stooq's history",
    'format=stooq',
    `Date,Open,High,Low,Close,Volume\r\n2026-11-25,${OHLC},2871.99,45\r\n`,
    [['2026-11-25', 2871.99]],
    0,
  ],
  [
    "Alpha Vantage's prices",
    'format=alphavantage',
    `timestamp,open,high,low,close,volume\r\n2026-11-27,${OHLC},2880,45\r\n2026-11-25,${OHLC},2871.99,45\r\n`,
    [
      ['2026-11-25', 2871.99],
      ['2026-11-27', 2880],
    ],
    0,
  ],
  [
    "Alpha Vantage's indicator",
    'format=alphavantage',
    'timestamp,value\r\n2026-11-26,.\r\n2026-11-25,4.58\r\n',
    [['2026-11-25', 4.58]],
    1,
  ],
  [
    'a German bank, by description',
    'dateColumn=Stichtag&valueColumn=Kurs&dateFormat=DD.MM.YYYY&decimal=,&missing=k.A.',
    'Stichtag;Kurs;Menge\r\n11.11.2026;2.861;7\r\n12.11.2026;k.A.;0\r\n25.11.2026;2.871,99;7\r\n',
    [
      ['2026-11-11', 2861],
      ['2026-11-25', 2871.99],
    ],
    1,
  ],
  [
    'an American desk, by description',
    'dateColumn=As%20of&valueColumn=Level&dateFormat=M/D/YY&decimal=.',
    'As of,Level\n1/2/26,"2,861"\n11/25/26,"2,871.99"\n',
    [
      ['2026-01-02', 2861],
      ['2026-11-25', 2871.99],
    ],
    0,
  ],
  [
    "a program's log, by description",
    'dateColumn=t&valueColumn=px&dateFormat=%25Y%25m%25d&delimiter=|&missing=-1',
    't|px|a,b\n20261124|-1|x\n20261125|2871.99|x\n',
    [['2026-11-25', 2871.99]],
    1,
  ],
  [
    "Excel's Date,Value",
    '',
    'sep=;\r\nDate;Value\r\n11/24/2026;2861,99\r\n11/25/2026;2871,5\r\n;\r\n',
    [
      ['2026-11-24', 2861.99],
      ['2026-11-25', 2871.5],
    ],
    0,
  ],
];

describe('a file', () => {
  test.for(FILES)(
    'of %s is imported; again, nothing is new',
    async ([, query, text, days, skipped]) => {
      expect(await imported(text, query)).toMatchObject({
        added: days.length,
        revised: 0,
        skipped,
      });
      expect(await pairs()).toEqual(days);
      expect(await imported(text, query)).toMatchObject({
        unchanged: days.length,
        recordedAt: null,
      });
    },
  );

  test.for([
    'application/csv',
    'text/csv; header=present',
    'text/comma-separated-values',
    'text/tab-separated-values',
    'application/vnd.ms-excel',
    'text/plain;charset=UTF-8',
  ])('may be sent as %s', async (type) => {
    expect(await imported('date,value\n2026-11-25,1\n', '', type)).toMatchObject({ added: 1 });
  });

  test('without a value retracts nothing, even if the day has one', async () => {
    await imported('date,value\n2026-11-25,1\n2026-11-26,2\n');
    const before = await pairs();
    expect(await imported('date,value\n2026-11-25,\n2026-11-26,NaN\n')).toMatchObject({
      retracted: 0,
      skipped: 2,
      recordedAt: null,
    });
    expect(await pairs()).toEqual(before);
  });

  test('of months is read by the dating of the series', async () => {
    key = 'months-by-start';
    await createSeries(key, { frequency: 'monthly', dated: 'start' });
    await imported('TIME_PERIOD,OBS_VALUE\n2026-09,1.5\n2026-10,1.6\n');
    expect(await pairs()).toEqual([
      ['2026-09-01', 1.5],
      ['2026-10-01', 1.6],
    ]);
    key = 'months-by-end';
    await createSeries(key, { frequency: 'monthly' });
    await imported('TIME_PERIOD,OBS_VALUE\n2026-09,1.5\n');
    expect(await pairs()).toEqual([['2026-09-30', 1.5]]);
  });

  test.for(['daily', 'weekly', 'biweekly'])(
    'of months is refused for a %s series, also where they are days as YYMMDD',
    async (frequency) => {
      key = `months-${frequency}`;
      await createSeries(key, { frequency });
      for (const period of ['2026-09', '2026-Q3', '201112']) {
        const answer = await post(`date,value\n${period},1.5\n`);
        expect(answer.statusCode).toBe(422);
        expect(Object.values(faultsOf(answer.json()))[0]).toContain('is a period, not a day');
      }
    },
  );

  test('of more than 10,000 days is one import, and sees the future by its line', async () => {
    const day = (index: number) =>
      new Date(Date.UTC(1970, 0, 1 + index)).toISOString().slice(0, 10);
    const rows = Array.from({ length: 20_700 }, (_, index) => `${day(index)},${index % 97}`);
    expect(await imported(`Date,Close\n${rows.join('\n')}`)).toMatchObject({ added: 20_700 });
    const refused = await post('Date,Close\n2026-11-25,\n2026-12-05,1\n');
    expect(faultsOf(refused.json())).toMatchObject({
      '/observations/1/date': expect.stringMatching(
        /^line 3, column date: must not be in/,
      ) as string,
    });
  });
});

describe('a file is refused', () => {
  test.for<[string, string | Buffer, number, string]>([
    [
      'as HTML',
      '<!doctype html>',
      400,
      'The body is an HTML or XML page, not CSV: the download may have failed, or need a login.',
    ],
    [
      'as JSON',
      '{"Note": "…"}',
      400,
      'The body is JSON, not CSV: a provider may have answered with an error, so open the file and read it.',
    ],
    [
      'in Latin-1',
      Buffer.from('date,value,provenance,note\n2026-11-25,1,sourced,café\n', 'latin1'),
      400,
      'The body is not valid UTF-8: see line 2. Save the file as UTF-8, not as Latin-1 or Windows-1252.',
    ],
    [
      'in UTF-16',
      Buffer.from('\ufeffdate,value\n2026-11-25,1\n', 'utf16le'),
      400,
      'The body is not valid UTF-8, but UTF-16: save the file as UTF-8.',
    ],
    [
      'as a workbook',
      Buffer.from('504b0304ff', 'hex'),
      400,
      'The body is not valid UTF-8, but a workbook of Excel or another archive: save it as CSV in UTF-8.',
    ],
    [
      'compressed, without a word',
      gzipSync('date,value\n2026-11-25,1\n'),
      400,
      'The body is not valid UTF-8, but gzip, where a route takes it: send it with Content-Encoding: gzip.',
    ],
  ])('%s', async ([, payload, status, detail]) => {
    const before = await stored(ledger);
    const refused = await ledger.call({
      method: 'POST',
      url: `/v1/series/${key}/observations`,
      as: 'feed',
      headers: { 'content-type': 'text/csv' },
      payload,
    });
    expect(refused.json()).toMatchObject({ status, detail });
    expect(await stored(ledger)).toEqual(before);
  });

  test('that leaves a date or a decimal mark open, with what to say', async () => {
    const refused = await post('Date,Value\n11/12/2026,"2,861"\n');
    expect(refused.statusCode).toBe(422);
    expect(faultsOf(refused.json())).toEqual({
      '/observations/0/date': expect.stringContaining('dateFormat=MM/DD/YYYY') as string,
      '/observations/0/value': expect.stringContaining('decimal=.') as string,
    });
    const stated = 'dateFormat=DD/MM/YYYY&decimal=,';
    expect(await imported('Date,Value\n11/10/2026,"2,861"\n', stated)).toMatchObject({ added: 1 });
    expect(await pairs()).toEqual([['2026-10-11', 2.861]]);
  });

  test('with a description that is none', async () => {
    const refused = await post(
      'date,value\n2026-11-25,1\n',
      'format=bloomberg&dateFormat=DD/MM&decimal=x&dryRun=yes&maxJump=0&separator=;',
    );
    expect(faultsOf(refused.json())).toEqual({
      '/format': 'must be one of fred, yahoo, stooq, alphavantage',
      '/dateFormat':
        'must have the year, the month and the day once, such as DD/MM/YYYY, MM/DD/YY, YYYYMMDD, D MMM YYYY or %d/%m/%Y',
      '/decimal': 'must be a point or a comma: decimal=. or decimal=,',
      '/dryRun': 'must be true or false',
      '/maxJump': 'must be a number above 0, such as 0.2',
      '/separator': expect.stringContaining('unknown query parameter "separator"') as string,
    });
    const json = await send(
      ledger,
      'POST',
      `/v1/series/${key}/observations?format=fred&maxJump=0.1`,
      { observations: [{ date: '2026-11-25', value: 1 }] },
      { as: 'feed' },
    );
    expect(faultsOf(json.json())).toEqual({
      '/maxJump': 'needs dryRun=true, which lists the jumps',
    });
    const described = await post(
      '{"observations":[{"date":"2026-11-25","value":1}]}',
      'format=fred',
      'application/json',
    );
    expect(faultsOf(described.json())).toEqual({
      '/format': 'describes CSV: send it with Content-Type: text/csv',
    });
  });

  test('for a series that there is not', async () => {
    key = 'nowhere';
    expect((await post('date,value\n2026-11-25,1\n')).statusCode).toBe(404);
    expect((await post('date,value\n2026-11-25,1\n', 'dryRun=true')).statusCode).toBe(404);
  });
});

describe('a body compressed by gzip', () => {
  const zipped = (payload: Buffer, type = 'text/csv') =>
    ledger.call({
      method: 'POST',
      url: `/v1/series/${key}/observations`,
      as: 'feed',
      headers: { 'content-type': type, 'content-encoding': 'gzip' },
      payload,
    });

  test('is taken, as CSV and as JSON', async () => {
    expect((await zipped(gzipSync('date,value\n2026-11-25,1\n'))).json()).toMatchObject({
      added: 1,
    });
    const json = gzipSync('{"observations":[{"date":"2026-11-26","value":1}]}');
    expect((await zipped(json, 'application/json')).json()).toMatchObject({ added: 1 });
  });

  test('is bounded after decompression, and refused if it is cut off or none', async () => {
    const before = await stored(ledger);
    const bomb = gzipSync(Buffer.alloc(40_000_000, 'date,value\n'));
    expect(bomb.length).toBeLessThan(200_000);
    expect((await zipped(bomb)).statusCode).toBe(413);
    const cut = gzipSync('date,value\n2026-11-25,1\n'.repeat(100)).subarray(0, -10);
    expect((await zipped(cut)).json()).toMatchObject({
      status: 400,
      detail: 'The body cannot be read: it is not valid gzip (unexpected end of file).',
    });
    expect((await zipped(Buffer.from('date,value\n'))).json()).toMatchObject({
      status: 400,
      detail: 'The body cannot be read: it is not valid gzip (incorrect header check).',
    });
    expect(await stored(ledger)).toEqual(before);
  });
});

describe('a dry run', () => {
  test('says what would be added, revised and skipped, and where values jump; nothing is stored', async () => {
    await imported('date,value\n2026-11-20,100\n2026-11-23,101\n2026-11-27,103\n');
    const before = await stored(ledger);
    const text =
      'date,value\n2026-11-23,102\n2026-11-24,10.3\n2026-11-25,\n2026-11-26,103\n2026-11-20,100\n';
    expect(await imported(text, 'dryRun=true')).toEqual({
      series: key,
      added: 2,
      revised: 1,
      retracted: 0,
      unchanged: 1,
      skipped: 1,
      recordedAt: null,
      preview: {
        from: '2026-11-20',
        to: '2026-11-26',
        skippedDays: ['2026-11-25'],
        revisions: [{ date: '2026-11-23', before: 101, value: 102 }],
        jumps: [
          {
            previousDate: '2026-11-23',
            previousValue: 102,
            date: '2026-11-24',
            value: 10.3,
            change: -0.8990196078431373,
          },
          {
            previousDate: '2026-11-24',
            previousValue: 10.3,
            date: '2026-11-26',
            value: 103,
            change: 9,
          },
        ],
      },
    });
    expect(await imported(text, 'dryRun=true&maxJump=5')).toMatchObject({
      preview: { jumps: [{ date: '2026-11-26' }] },
    });
    expect(await stored(ledger)).toEqual(before);
    expect(await imported(text)).toMatchObject({ added: 2, revised: 1, skipped: 1, preview: null });
  });

  test('sees the neighbours that are stored, and retractions in JSON', async () => {
    await imported('date,value\n2026-11-20,0\n2026-11-27,1\n');
    expect(await imported('date,value\n2026-11-24,5\n', 'dryRun=true')).toMatchObject({
      preview: {
        jumps: [
          { previousDate: '2026-11-20', date: '2026-11-24', change: null },
          { previousDate: '2026-11-24', date: '2026-11-27', change: -0.8 },
        ],
      },
    });
    const retraction = (date: string) =>
      post(`{"observations":[{"date":"${date}","value":null}]}`, 'dryRun=true', 'application/json');
    expect((await retraction('2026-11-27')).json()).toMatchObject({
      retracted: 1,
      preview: { revisions: [{ date: '2026-11-27', before: 1, value: null }], jumps: [] },
    });
    expect(faultsOf((await retraction('2026-11-26')).json())).toEqual({
      '/observations/0/value': `there is nothing to retract: ${key} has no observation of 2026-11-26`,
    });
  });

  test('needs the key of a feed', async () => {
    const url = `/v1/series/${key}/observations?dryRun=true`;
    const asked = await send(ledger, 'POST', url, 'date,value\n2026-11-25,1\n', {
      type: 'text/csv',
    });
    expect(asked.statusCode).toBe(403);
  });
});
