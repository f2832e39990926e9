import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FileFormat } from '../../src/domain/file-columns.ts';
import { readSeriesFile } from '../../src/domain/series-file.ts';
import { dateFormatFault } from '../../src/domain/written-dates.ts';
import type { Dating } from '../../src/domain/series.ts';

type Pair = [string, number];

/** The days and values of a file that has no fault. */
function pairsOf(text: string, format?: FileFormat, dated?: Dating): Pair[] {
  const { rows, faults, malformed } = readSeriesFile(text, format, dated);
  expect([malformed, faults]).toEqual([null, []]);
  return rows.map(({ date, value }) => [date, value]);
}

function faultsOf(text: string, format?: FileFormat): string[] {
  const { faults, malformed } = readSeriesFile(text, format);
  expect(malformed).toBeNull();
  return faults.map(({ detail }) => detail);
}

// Written by hand after what the providers document; the values are invented.
const FRED =
  'observation_date,DGS30\n2026-11-24,4.61\n2026-11-25,4.58\n2026-11-26,\n2026-11-27,4.6\n';
const OLD_FRED = 'DATE,DGS30\n2026-11-25,4.58\n2026-11-26,.\n2026-11-27,4.6\n';
const YAHOO = [
  'Date,Open,High,Low,Close,Adj Close,Volume',
  '2026-11-24,2861.5,2870.25,2850.75,2865.125,2860.5,4500000000',
  '2026-11-25,null,null,null,null,null,null',
  '2026-11-27,2866.5,2875.25,2860.75,2871.990000,2866.5,2100000000',
].join('\n');
const CLOSES: Pair[] = [
  ['2026-11-24', 2865.125],
  ['2026-11-27', 2871.99],
];
const THREE: Pair[] = [
  ['2026-11-18', 4.21],
  ['2026-11-19', 4.2],
  ['2026-11-20', 4.16],
];

describe("a provider's file", () => {
  test('of FRED is read, and holidays are skipped, whether blank or a point', () => {
    expect(pairsOf(FRED, { provider: 'fred' })).toEqual([
      ['2026-11-24', 4.61],
      ['2026-11-25', 4.58],
      ['2026-11-27', 4.6],
    ]);
    expect(readSeriesFile(FRED, { provider: 'fred' }).skipped).toEqual([
      { line: 4, date: '2026-11-26' },
    ]);
    expect(pairsOf(OLD_FRED, { provider: 'fred' })).toHaveLength(2);
    // The header of either tells enough without the name of the provider.
    expect(pairsOf(FRED)).toHaveLength(3);
    expect(pairsOf(OLD_FRED)).toHaveLength(2);
  });

  test('of FRED with several series needs the name of one', () => {
    const text = 'observation_date,DGS10,DGS30\n2026-11-24,4.1,4.61\n';
    expect(faultsOf(text, { provider: 'fred' })).toEqual([
      'line 1: has several columns of values: name one with valueColumn: DGS10, DGS30',
    ]);
    expect(pairsOf(text, { provider: 'fred', valueColumn: 'DGS30' })).toEqual([
      ['2026-11-24', 4.61],
    ]);
  });

  test('of Yahoo means Close, unless a column is named', () => {
    expect(pairsOf(YAHOO, { provider: 'yahoo' })).toEqual(CLOSES);
    expect(pairsOf(YAHOO, { provider: 'yahoo', valueColumn: 'Adj Close' })).toEqual([
      ['2026-11-24', 2860.5],
      ['2026-11-27', 2866.5],
    ]);
    expect(faultsOf(YAHOO)[0]).toContain(
      'closes of Yahoo, for example, are read with format=yahoo',
    );
  });

  test('of yfinance keeps the local day of a date with a zone, and may have three header lines', () => {
    const zoned = [
      'Date,Open,High,Low,Close,Volume,Dividends,Stock Splits',
      '2026-10-30 00:00:00-04:00,1,2,3,2865.125,0,0.0,0.0',
      '2026-11-27 00:00:00-05:00,1,2,3,2871.99,0,0.0,0.0',
    ].join('\n');
    expect(pairsOf(zoned, { provider: 'yahoo' }).map(([day]) => day)).toEqual([
      '2026-10-30',
      '2026-11-27',
    ]);
    const tokyo = 'Date,Close\n2026-11-27 00:00:00+09:00,2871.99\n';
    expect(pairsOf(tokyo, { provider: 'yahoo' })).toEqual([['2026-11-27', 2871.99]]);
    const frame =
      'Price,Close,High,Low\nTicker,^RUT,^RUT,^RUT\nDate,,,\n2026-11-24,2865.125,1,1\n2026-11-27,2871.99,1,1\n';
    expect(pairsOf(frame, { provider: 'yahoo' })).toEqual(CLOSES);
    const two = 'Price,Close,Close\nTicker,^RUT,^GSPC\nDate,,\n2026-11-24,2865.125,1\n';
    expect(faultsOf(two, { provider: 'yahoo' })).toEqual([
      'line 1: has several columns close: send a file with one series, or rename them',
    ]);
  });

  test('of Stooq has CRLF, and English or Polish columns', () => {
    const rows = '2026-11-24,1,2,3,2865.125,4\r\n2026-11-27,1,2,3,2871.99,4\r\n';
    const english = `Date,Open,High,Low,Close,Volume\r\n${rows}`;
    const polish = `Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen\r\n${rows}`;
    expect(pairsOf(english, { provider: 'stooq' })).toEqual(CLOSES);
    expect(pairsOf(polish, { provider: 'stooq' })).toEqual(CLOSES);
    expect(faultsOf('No data', { provider: 'stooq' })[0]).toContain('the header is "No data"');
  });

  test('of Alpha Vantage is newest first, and its errors are JSON', () => {
    const prices =
      'timestamp,open,high,low,close,volume\r\n2026-11-27,1,2,3,2871.99,4\r\n2026-11-24,1,2,3,2865.125,4\r\n';
    expect(pairsOf(prices, { provider: 'alphavantage' })).toEqual(CLOSES.toReversed());
    const indicator = 'timestamp,value\r\n2026-11-27,.\r\n2026-11-24,4.61\r\n';
    expect(pairsOf(indicator, { provider: 'alphavantage' })).toEqual([['2026-11-24', 4.61]]);
    const technical = 'time,SMA\n2026-11-27,2850.1\n';
    expect(pairsOf(technical, { provider: 'alphavantage' })).toEqual([['2026-11-27', 2850.1]]);
    const intraday =
      'timestamp,open,high,low,close,volume\n2026-11-27 19:55:00,1,2,3,4.5,6\n2026-11-27 19:50:00,1,2,3,4.4,6\n';
    expect(faultsOf(intraday, { provider: 'alphavantage' })).toEqual([
      'line 3, column timestamp: is a second value of 2026-11-27, for which line 2 has one (19:55 and 19:50): a series has one value a day, not several',
    ]);
    const error = readSeriesFile('{"Information": "…"}', { provider: 'alphavantage' });
    expect(error.malformed).toContain('is JSON, not CSV');
  });
});

test.for<[string, string, FileFormat?, Dating?]>([
  ['Date,Value', 'Date,Value\n2026-11-18,4.21\n2026-11-19,4.2\n2026-11-20,4.16\n'],
  ['swapped columns', 'value,date\n4.21,2026-11-18\n4.2,2026-11-19\n4.16,2026-11-20\n'],
  [
    'a byte order mark and CR',
    '\ufeffdate,value\r2026-11-18,4.21\r2026-11-19,4.2\r2026-11-20,4.16\r',
  ],
  [
    "Excel's sep=, and rows of commas",
    'sep=,\r\nDate,Value,,\r\n2026-11-18,4.21,,\r\n2026-11-19,4.2,,\r\n2026-11-20,4.16,,\r\n,,,\r\n',
  ],
  [
    'semicolons and decimal commas',
    'sep=;\r\nDatum;Wert\r\n18.11.2026;4,21\r\n19.11.2026;4,2\r\n20.11.2026;4,16\r\n;\r\n',
  ],
  ['tabs', 'date\tvalue\n2026-11-18\t4.21\n2026-11-19\t4.2\n2026-11-20\t4.16\n'],
  ['dates as 20261119', 'date,value\n20261118,4.21\n20261119,4.2\n20261120,4.16\n'],
  ['dates as 11/19/2026', 'date,value\n11/18/2026,4.21\n11/19/2026,4.2\n11/20/2026,4.16\n'],
  ['dates as 19/11/2026', 'date,value\n18/11/2026,4.21\n19/11/2026,4.2\n20/11/2026,4.16\n'],
  [
    'dates as Nov 19, 2026',
    'Date,Price\n"Nov 18, 2026",4.21\n"Nov 19, 2026",4.2\n"Nov 20, 2026",4.16\n',
  ],
  ['dates as 19-Nov-2026', 'Date,Price\n18-Nov-2026,4.21\n19-Nov-2026,4.2\n20-Nov-2026,4.16\n'],
  [
    'dates with midnight',
    'date,value\n11/18/2026 12:00:00 AM,4.21\n2026-11-19T00:00:00Z,4.2\n2026-11-20 00:00:00 UTC,4.16\n',
  ],
  [
    'closes at four',
    'date,value\n2026-11-18 16:00:00-05:00,4.21\n2026-11-19 16:00:00-05:00,4.2\n2026-11-20 16:00:00-05:00,4.16\n',
  ],
  ["pandas's unnamed index and series", ',0\n2026-11-18,4.21\n2026-11-19,4.2\n2026-11-20,4.16\n'],
  [
    "pandas's numbered rows",
    ',date,yield\n0,2026-11-18,4.21\n1,2026-11-19,4.2\n2,2026-11-20,4.16\n',
  ],
  [
    'spaces around cells',
    ' date , value\n2026-11-18, 4.21\n 2026-11-19,\u00a04.2\n2026-11-20, "4.16"\n',
  ],
  ['quotes', '"Date","Value"\n"2026-11-18","4.21"\n"2026-11-19","4.2"\n"2026-11-20","4.16"\n'],
  [
    'columns by name',
    'when;what;why\n18/11/26;4,21;x\n19/11/26;4,2;y\n20/11/26;4,16;z\n',
    { dateColumn: 'when', valueColumn: 'what', dateFormat: 'DD/MM/YY' },
  ],
  [
    'a format of strftime',
    'd|v\n18.11.2026|4.21\n19.11.2026|4.2\n20.11.2026|4.16\n',
    { dateFormat: '%d.%m.%Y' },
  ],
  [
    'a dense format',
    'date,value\n18112026,4.21\n19112026,4.2\n20112026,4.16\n',
    { dateFormat: 'DDMMYYYY' },
  ],
  [
    'what is missing, in words',
    'date,value\n2026-11-17,closed\n2026-11-18,4.21\n2026-11-19,4.2\n2026-11-20,4.16\n2026-11-21,-999\n',
    { missing: ['Closed', '-999'] },
  ],
])('a file with %s is read', ([, text, format]) => {
  expect(pairsOf(text, format)).toEqual(THREE);
});

test.for<[string, string, number[], FileFormat?]>([
  ['points and groups', '"2,861.99"|2861|"1,234,567.5"', [2861.99, 2861, 1234567.5]],
  ['decimal commas', '"2861,99"|"1.234,5"|"2.861"', [2861.99, 1234.5, 2861]],
  ['spaces and apostrophes', "2 861.99|2\u202f861|2'861.5", [2861.99, 2861, 2861.5]],
  ['signs and exponents', '-0.5|\u22120.5|+1.5e3|.5|4.', [-0.5, -0.5, 1500, 0.5, 4]],
  ['three decimals', '2.861|4.125', [2.861, 4.125]],
  ['a mark that is stated', '"2,861"', [2.861], { decimal: ',' }],
  ['the other mark, stated', '"2,861"', [2861], { decimal: '.' }],
])('numbers with %s are read', ([, cells, values, format]) => {
  const rows = cells.split('|').map((cell, index) => `2026-11-${10 + index},${cell}`);
  expect(pairsOf(`date,value\n${rows.join('\n')}`, format).map(([, value]) => value)).toEqual(
    values,
  );
});

test.for<[string, string, string, FileFormat?]>([
  [
    '11/12/2026',
    'date,value\n11/12/2026,1\n',
    'line 2, column date: "11/12/2026" may be 2026-11-12 or 2026-12-11, and no other date shows which: say how dates are written with dateFormat=MM/DD/YYYY or dateFormat=DD/MM/YYYY',
  ],
  [
    'both orders',
    'date,value\n11/19/2026,1\n20/11/2026,1\n',
    'line 3, column date: "20/11/2026" does not have the month first, as "11/19/2026" has, but the day: write all dates alike',
  ],
  [
    '2,861',
    'date,value\n2026-11-19,"2,861"\n',
    'line 2, column value: "2,861" may mean 2861 or 2.861, and no other number shows which: name the decimal mark with decimal=. or decimal=,',
  ],
  [
    '2.861 between semicolons',
    'Datum;Wert\n2026-11-19;2.861\n',
    'line 2, column Wert: "2.861" may mean 2.861 or 2861, and no other number shows which: name the decimal mark with decimal=. or decimal=,',
  ],
  [
    'both marks',
    'date;value\n2026-11-19;2861,99\n2026-11-20;2861.99\n',
    'line 3, column value: "2861.99" has a decimal point, but "2861,99" a decimal comma: write all numbers alike',
  ],
  [
    'an unquoted decimal comma',
    'date,value\n2026-11-19,2861,99\n',
    'line 2: has 3 columns, but the header has 2: put a cell with a comma in quotes, such as "2793,3"',
  ],
  [
    'an unquoted decimal comma in rows that end in a comma',
    'Date,Value,\n2026-11-19,2861,99,\n',
    'line 2: has 3 columns, but the header has 2: put a cell with a comma in quotes, such as "2793,3"',
  ],
  [
    'an unquoted decimal comma in place of an empty name',
    'Date,Value,,\n2026-11-19,2861,99\n',
    'line 2: has 3 columns, but the header has 2: put a cell with a comma in quotes, such as "2793,3"',
  ],
  [
    'an unquoted decimal comma before an empty note',
    'date,value,note\n2026-11-19,2861,99,\n',
    'line 2: has more columns than the header, and only digits as its note: put a cell with a comma in quotes, such as "2793,3"',
  ],
  [
    'two columns of dates',
    'time_period,date,value\n2026-10,2026-11-18,1\n',
    'line 1: has several columns of dates: say with dateColumn which to read, of date, time_period',
  ],
  [
    'a Finnish November, which begins as March',
    'date,value\n5 marraskuu 2026,1\n',
    'line 2, column date: "5 marraskuu 2026" is not a day of the calendar',
  ],
  [
    'a year of two digits',
    'date,value\n11/19/26,1\n',
    'line 2, column date: "11/19/26" has a year of two digits: say how dates are written with dateFormat, such as dateFormat=MM/DD/YY',
  ],
  [
    "Excel's number of a day",
    'date,value\n46345,1\n',
    'line 2, column date: "46345" is a number, as Excel stores a day: format the column as a date, such as 2026-11-19, and save the file again',
  ],
  [
    'a time in UTC',
    'date,value\n2026-11-18T15:00:00Z,1\n',
    `line 2, column date: "2026-11-18T15:00:00Z" is a time in UTC, so its day depends on the market's time zone: write the local day, such as 2026-11-19, or set dateFormat to take the day as written`,
  ],
  [
    'a footer',
    'date,value\n2026-11-19,1\n\nSource: a bank\n',
    'line 4: has 1 column, but the header has 2',
  ],
  [
    'two rows of a day',
    'date,value\n2026-11-19,1\n2026-11-19,1\n',
    'line 3, column date: repeats the date of line 2: send each day once',
  ],
  [
    'no header',
    '2026-11-19,1\n2026-11-20,1\n',
    'line 1: the file has no header: add one, such as date,value',
  ],
  ['nothing', '', 'line 1: the file is empty; it needs a header, such as date,value, and rows'],
  [
    'columns that nothing tells',
    'foo,bar\nx,1\n',
    'line 1: the header must name a column of dates and one of values, such as date,value, not "foo,bar"; or name them with dateColumn and valueColumn',
  ],
  [
    'a column that is not there',
    'date,value\n2026-11-19,1\n',
    'line 1: has no column "Close", which valueColumn names, but "date,value"',
    { valueColumn: 'Close' },
  ],
  [
    'another way of writing dates',
    'date,value\n2026-11-19,1\n',
    'line 2, column date: "2026-11-19" is not written as DD/MM/YYYY',
    { dateFormat: 'DD/MM/YYYY' },
  ],
  ['too many columns', `date,value${',x'.repeat(300)}\n`, 'line 1: has more than 200 columns'],
  [
    'a line without end',
    `date,value\n2026-11-19,${'1'.repeat(30_000)}\n`,
    'line 2: has more than 20000 characters',
  ],
  [
    'too many cells',
    `date,value${',x'.repeat(98)}\n${`2026-11-19,1${','.repeat(98)}\n`.repeat(8_000)}`,
    'the file has more than 750000 cells: send fewer columns',
  ],
  [
    'too many rows',
    `date,value\n${'2026-11-19,1\n'.repeat(40_001)}`,
    'the file has more than 40000 rows: send it in parts',
  ],
  [
    'two delimiters',
    'date;value,unit\n',
    'line 1: the header has more than one of comma, semicolon, bar and tab: say with delimiter which of them separates its cells',
  ],
])('a file is refused, never guessed at: %s', ([, text, fault, format]) => {
  expect(faultsOf(text, format)).toEqual([fault]);
});

test.for([
  ['HTML', '\ufeff\n<!doctype html><title>Sign in</title>', 'is an HTML or XML page, not CSV'],
  ['UTF-16 without a mark', 'd\u0000a\u0000t\u0000e\u0000', 'has a NUL character on line 1'],
  [
    'an open quotation mark',
    'sep=,\ndate,value\n"2026-11-19,1\n',
    'is not valid CSV: line 3: a quotation mark is opened',
  ],
  [
    'a mark inside a cell',
    'date,value\n2026-11-19,1"2"\n',
    'is not valid CSV: line 2: a quotation mark stands inside a cell',
  ],
])('a text that is no CSV says so: %s', ([, text = '', fault]) => {
  expect(readSeriesFile(text)).toMatchObject({
    rows: [],
    malformed: expect.stringContaining(fault ?? '') as string,
  });
});

test('months and quarters stand for the day by which the series is dated', () => {
  const text = 'TIME_PERIOD,OBS_VALUE\n2026-09,1.5\n2026-Q3,2.5\n';
  expect(pairsOf(text, {}, 'start')).toEqual([
    ['2026-09-01', 1.5],
    ['2026-07-01', 2.5],
  ]);
  expect(readSeriesFile(text, {}, 'end').faults.map(({ detail }) => detail)).toEqual([
    'line 3, column TIME_PERIOD: repeats the date of line 2: send each day once',
  ]);
  expect(faultsOf(text)[0]).toContain('"2026-09" is a period, not a day');
});

test.for([
  ['YYYY-MM-DD', true],
  ['dd/mm/yyyy', true],
  ['%m/%d/%y', true],
  ['D MMM YYYY', true],
  ['YYYY-MM-DDTHH:mm:ssZ', true],
  ['DMYYYY', false],
  ['YYYYMD', false],
  ['DDMYYYY', true],
  ['DD/MM', false],
  ['MM/DD/YYYY MM', false],
  ['%q', false],
  ['(a+)+$', false],
] as const)('%s as a format of dates: %s', ([format, isOne]) => {
  expect(dateFormatFault(format) === null).toBe(isOne);
});

test('any days and values read back, however they are written', () => {
  const rows = fc.uniqueArray(
    fc.record({
      day: fc.integer({ min: 13, max: 28 }),
      month: fc.integer({ min: 1, max: 12 }),
      cents: fc.integer({ min: -99_999_999, max: 99_999_999 }),
    }),
    { selector: ({ day, month }) => day * 100 + month, minLength: 1, maxLength: 20 },
  );
  const two = (digits: number) => String(digits).padStart(2, '0');
  fc.assert(
    fc.property(rows, fc.constantFrom('us', 'german'), (sent, style) => {
      const lines = sent.map(({ day, month, cents }) => {
        const text = (cents / 100).toLocaleString(style === 'us' ? 'en-US' : 'de-DE', {
          minimumFractionDigits: 2,
        });
        return style === 'us'
          ? `${month}/${day}/2026,"${text}"`
          : `${two(day)}.${two(month)}.2026;${text}`;
      });
      const header = style === 'us' ? 'Date,Close' : 'Datum;Schluss';
      expect(pairsOf([header, ...lines].join('\r\n'))).toEqual(
        sent.map(({ day, month, cents }) => [`2026-${two(month)}-${two(day)}`, cents / 100]),
      );
    }),
  );
});

test('no text makes it throw', () => {
  const cell = fc.oneof(
    fc.string(),
    fc.constantFrom('"', ',', ';', '\t', '\n', '\r', '\u0000', '1', '2026-11-19'),
  );
  fc.assert(
    fc.property(fc.array(cell, { maxLength: 30 }), (cells) => {
      const { rows } = readSeriesFile(`date,value\n${cells.join('')}`);
      expect(rows.every(({ value }) => Number.isFinite(value))).toBe(true);
    }),
  );
});
