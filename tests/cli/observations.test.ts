import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { LossyProxy } from '../support/lossy-proxy.ts';
import { cleanUp, newFolder, outlook, type Run } from '../support/outlook-command.ts';
import { send as request } from '../support/requests.ts';

const SERIES = 'us-high-yield-spread';

let ledger: TestLedger;
let proxy: LossyProxy;
let url: string;
let key: string;
let count = 0;
beforeAll(async () => {
  ledger = await startLedger();
  key = ledger.keys.feed;
  proxy = new LossyProxy(await ledger.app.listen({ host: '127.0.0.1', port: 0 }));
  url = await proxy.listen();
});
afterAll(async () => {
  cleanUp();
  await proxy.close();
  await ledger.close();
});

const DAY = 86_400_000;

/** A CSV of consecutive days, all in the past. */
function daysOf(count: number, value = (index: number) => String(4 + (index % 100) / 100)): string {
  const last = Date.parse('2026-11-19');
  const lines = Array.from({ length: count }, (_, index) => {
    const day = new Date(last - (count - 1 - index) * DAY).toISOString().slice(0, 10);
    return `${day},${value(index)}`;
  });
  return ['date,value', ...lines, ''].join('\n');
}

function fileOf(text: string | Buffer): string {
  const file = path.join(newFolder(), 'observations.csv');
  writeFileSync(file, text);
  return file;
}

const send = (text: string | Buffer, ...more: string[]): Promise<Run> =>
  outlook(['observations', 'import', SERIES, fileOf(text), ...more], { url, key });

async function stored(): Promise<number> {
  const { rows } = await ledger.pool.query<{ count: string }>(
    'select count(*) from observations join series on series.id = series_id where series.key = $1',
    [SERIES],
  );
  return Number(rows[0]?.count);
}

// Written by hand after the documentation of each provider; the values are invented.
const FILES: [string, string[], string, string][] = [
  [
    'fred',
    ['--from', 'fred'],
    'observation_date,BAMLH0A0HYM2\n1990-01-02,4.58\n1990-01-03,\n1990-01-04,4.6\n',
    '2 added, 0 revised, 0 unchanged, 1 without a value skipped',
  ],
  [
    'yahoo',
    ['--from', 'yahoo'],
    'Date,Open,High,Low,Close,Adj Close,Volume\n1990-02-02,1,2,3,4.5,5,6\n1990-02-03,null,null,null,null,null,null\n',
    '1 added, 0 revised, 0 unchanged, 1 without a value skipped',
  ],
  [
    'stooq',
    ['--from', 'stooq'],
    'Date,Open,High,Low,Close,Volume\r\n1990-03-02,1,2,3,4.5,6\r\n',
    '1 added, 0 revised, 0 unchanged',
  ],
  [
    'alphavantage',
    ['--from', 'alphavantage'],
    'timestamp,open,high,low,close,volume\r\n1990-04-03,1,2,3,4.6,6\r\n1990-04-02,1,2,3,4.5,6\r\n',
    '2 added, 0 revised, 0 unchanged',
  ],
  [
    'a German bank',
    ['--date-column=Stichtag', '--value-column=Kurs', '--date-format=DD.MM.YYYY', '--decimal=,'],
    'Stichtag;Kurs;Menge\r\n02.05.1990;4,58;7\r\n',
    '1 added, 0 revised, 0 unchanged',
  ],
  [
    'an American desk',
    ['--date-format', '%m/%d/%y', '--decimal', '.', '--missing', 'closed'],
    'As of,Level\n06/01/90,closed\n06/02/90,"4.58"\n',
    '1 added, 0 revised, 0 unchanged, 1 without a value skipped',
  ],
  [
    'a program',
    ['--delimiter', '|', '--date-column', 't', '--value-column', 'px'],
    't|px|note\n19900702|4.58|x\n',
    '1 added, 0 revised, 0 unchanged',
  ],
];

describe('outlook observations import', () => {
  test('shows all faults of a file by line; nothing is stored', async () => {
    const { code, stdout, stderr } = await send(
      [
        'date,value,provenance,note',
        '2026-11-02,4.1,sourced,"a note',
        'of two lines"',
        '',
        '2026-11-31,4.1,sourced,',
        '2026-11-03,four,sourced,',
        '2026-11-05,4.1',
        '2026-11-02,4.2,guessed,',
        '2026-11-06,9007199254740993,sourced,',
      ].join('\r\n'),
    );
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr.split('\n').slice(2, -1).toSorted()).toEqual([
      '  line 3, column note: must be one line without control or invisible characters and without leading or trailing space',
      '  line 5, column date: "2026-11-31" is not a day of the calendar',
      '  line 6, column value: "four" is not a number: write digits with a decimal point, such as 2793.3, and leave out days without a value, or say with --missing which text means no value',
      '  line 7: has 2 columns, but the header has 4',
      '  line 8, column date: repeats the date of line 3: send each day once',
      '  line 8, column provenance: must be one of sourced, editorial, illustrative, computed',
      '  line 9, column value: 9007199254740993 is beyond ±9007199254740991, up to which JSON numbers are exact: use a larger unit',
    ]);
    expect(await stored()).toBe(0);
  });

  test.for([
    ['another header', 'foo,bar\nx,4\n', 'or name them with --date-column and --value-column'],
    ['dates that may be two', 'date,value\n11/12/2026,4\n', '--date-format=MM/DD/YYYY'],
    ['a page', '<!doctype html>', 'is an HTML or XML page'],
  ])('refuses a file with %s', async ([, text = '', message]) => {
    const { code, stderr } = await send(text);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });

  test('refuses what is not UTF-8 before it sends anything, by line', async () => {
    proxy.writes.length = 0;
    const latin1 = 'date,value,provenance,note\n2026-11-02,4.1,sourced,caf\u00e9\n';
    const { code, stderr } = await send(Buffer.from(latin1, 'latin1'));
    expect(code).toBe(2);
    expect(stderr).toContain(
      'is not valid UTF-8: see line 2. Save it as UTF-8, not as Latin-1 or Windows-1252.',
    );
    const utf16 = await send(Buffer.from('\ufeffdate,value\n2026-11-02,4.1\n', 'utf16le'));
    expect(utf16.stderr).toContain('is not valid UTF-8, but UTF-16. Save it as UTF-8.');
    expect(proxy.writes).toEqual([]);
  });

  test('refuses a missing file, and options that are none', async () => {
    const missing = ['observations', 'import', SERIES, '/nowhere.csv'];
    const { code, stderr } = await outlook(missing, { url, key });
    expect(code).toBe(2);
    expect(stderr).toContain('ENOENT');
    const odd = await send('date,value\n2026-11-02,4\n', '--from', 'bloomberg', '--decimal', 'x');
    expect(odd.code).toBe(1);
    expect(odd.stderr).toContain('  --from: must be one of fred, yahoo, stooq, alphavantage');
    expect(odd.stderr).toContain('  --decimal: must be a point or a comma');
  });

  test('says which days lie in the future, and that there is no such series', async () => {
    const future = await send('date,value\n2026-11-02,4\n\n2027-01-02,4\n');
    expect(future.code).toBe(1);
    expect(future.stderr).toMatch(/\n {2}line 4, column date: must not be in the future/);
    const unknown = await outlook(
      ['observations', 'import', 'no-such-series', fileOf('date,value\n2026-11-02,4\n')],
      { url, key },
    );
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('(404)') as string });
    expect(await stored()).toBe(0);
  });

  test('sends 20,500 days at once, stored once although responses are lost', async () => {
    proxy.writes.length = 0;
    proxy.losses.push('response lost', 'unavailable');
    const { code, stdout } = await send(daysOf(20_500));
    expect([code, stdout]).toEqual([0, `${SERIES}: 20500 added, 0 revised, 0 unchanged.\n`]);
    expect(await stored()).toBe(20_500);
    expect(proxy.writes).toHaveLength(3);
    const keys = proxy.writes.map((head) => /^idempotency-key: (.+)$/im.exec(head)?.[1]);
    expect(new Set(keys).size).toBe(1);
  });

  test('can be repeated without a change, also compressed; --json prints the response', async () => {
    const file = path.join(newFolder(), 'observations.csv.gz');
    writeFileSync(file, gzipSync(daysOf(10_500)));
    const command = ['observations', 'import', SERIES, file, '--json'];
    const { code, stdout } = await outlook(command, { url, key });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      series: SERIES,
      added: 0,
      revised: 0,
      retracted: 0,
      unchanged: 10_500,
      skipped: 0,
      recordedAt: null,
      preview: null,
    });
    const other = (index: number) => (index === 7 ? '9.9' : String(4 + (index % 100) / 100));
    // All other values are those of the 20,500 days, which repeat every hundred.
    expect((await send(daysOf(500, other))).stdout).toContain('0 added, 1 revised, 499 unchanged');
  });

  test.for(FILES)('imports a file of %s', async ([, options, text, words]) => {
    const key2 = `from-${(count += 1)}`;
    const series = { key: key2, name: 'N', unit: 'percent', frequency: 'daily', source: 'S' };
    await request(ledger, 'POST', '/v1/series', series, { as: 'feed' });
    const command = ['observations', 'import', key2, fileOf(text), ...options];
    const { code, stdout, stderr } = await outlook(command, { url, key });
    expect([code, stdout, stderr]).toEqual([0, `${key2}: ${words}.\n`, '']);
  });

  test('shows with --dry-run what would change, and stores nothing', async () => {
    const before = await stored();
    const { code, stdout } = await send(
      'date,value\n2026-11-17,4.9\n2026-11-18,490\n2026-11-19,\n',
      '--dry-run',
    );
    expect(code).toBe(0);
    expect(stdout.replaceAll(/\s+/g, ' ')).toBe(
      `${SERIES}: 0 added, 2 revised, 0 unchanged, 1 without a value skipped. ` +
        'Dry run: nothing was stored. The file has values from 2026-11-17 to 2026-11-18. ' +
        'Revised from to 2026-11-17 4.97 4.9 2026-11-18 4.98 490 ' +
        'Jump from to change 2026-11-18 4.9 490 +99.00 2026-11-19 490 4.99 −0.9898 ',
    );
    expect(await stored()).toBe(before);
  });

  test('reads the standard input', async () => {
    const { code, stdout } = await outlook(['observations', 'import', SERIES, '-'], {
      url,
      key,
      stdin: '\ufeffdate,value,provenance,note\r\n1950-01-02,4.5,computed,"said ""so"""\r\n',
    });
    expect([code, stdout]).toEqual([0, `${SERIES}: 1 added, 0 revised, 0 unchanged.\n`]);
    const answer = await ledger.call({ url: `/v1/series/${SERIES}/observations?to=1950-12-31` });
    expect(answer.json()).toMatchObject({
      items: [{ date: '1950-01-02', value: 4.5, provenance: 'computed', note: 'said "so"' }],
    });
  });
});
