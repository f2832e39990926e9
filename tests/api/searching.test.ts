import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { refreshSearch } from '../../src/ledger/refresh-search.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, send } from '../support/requests.ts';

const INSTRUMENTS: [symbol: string, name: string][] = [
  ['RUT', 'Russell 2000 Index'],
  ['IWM', 'iShares Russell 2000 ETF'],
  ['BRK.B', 'Berkshire Hathaway Inc. Class B'],
  ['SPX', 'S&P 500'],
  ['T', 'AT&T Inc.'],
  ['NESN', 'Nestlé S.A.'],
  ['DGS10', '10-Year Treasury Yield'],
  ['EURUSD', 'Euro / U.S. Dollar'],
  ['N225', '日経平均株価'],
  ['GOLD', 'Gold spot'],
];

// In the order in which they are published.
const TITLES: [slug: string, symbol: string, title: string, rest?: object][] = [
  ['fed', 'SPX', 'The Fed’s pivot'],
  ['small-caps', 'RUT', 'Small‑cap valuations: 20\u00a0% below large caps'],
  ['etf', 'IWM', 'Passive flows turn'],
  ['buffett', 'BRK.B', 'Cash hoard, no buyer'],
  ['index', 'SPX', 'S&P 500: up, or over the top?'],
  ['telecom', 'T', 'AT&T: don’t chase the yield'],
  ['chocolate', 'NESN', 'Crème de la crème: Nestlé’s margins'],
  ['curve', 'DGS10', 'The 10‑year yield at 3.5%'],
  ['dollar', 'EURUSD', 'EUR/USD below parity'],
  ['nikkei', 'N225', '日本株の見通し'],
  ['gold', 'GOLD', 'Gold off its highs, not out'],
  ['zurich', 'SPX', 'Zürich’s Großbanken – Straße der Verlierer'],
  ['istanbul', 'SPX', 'İSTANBUL ve ışık: Türk piyasaları'],
  ['poland', 'SPX', 'Łódź i Gdańsk: krótka sprzedaż'],
  ['moscow', 'SPX', 'Рынок Ёлки: падение'],
  ['greece', 'SPX', 'ΑΘΉΝΑ: Ο κόσμος'],
  ['prices', 'SPX', 'Prices', { summary: 'Infla\u00adtion re\u200baccelerates.' }],
  ['full-width', 'SPX', 'ＦＯＭＣ　ｍｉｎｕｔｅｓ ½'],
  ['companies', 'SPX', 'The companies’ 2,500 bps ‘squeeze’'],
  [
    'dash',
    'SPX',
    'Rates—down; “higher for longer” ends',
    { summary: 'Down under: a word on U.S. risk.' },
  ],
];

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger({ samples: false, cacheMaxBytes: 0 });
  for (const [symbol, name] of INSTRUMENTS) {
    await send(ledger, 'POST', '/v1/instruments', { symbol, name, kind: 'index' });
  }
  for (const [slug, instrument, title, rest] of TITLES)
    await publish({ slug, instrument, title, ...rest });
});
afterAll(() => ledger.close());

async function publish(outlook: object): Promise<void> {
  ledger.clock.now = new Date(ledger.clock.now.getTime() + 60_000);
  const plain = { summary: 'Nothing else.', headwinds: [], invalidationConditions: [] };
  const answer = await createOutlook(ledger, { ...plain, ...outlook });
  expect(answer.statusCode, answer.body).toBe(201);
}

async function find(q: string, rest = ''): Promise<string[]> {
  const answer = await ledger.call({ url: `/v1/outlooks?q=${encodeURIComponent(q)}${rest}` });
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json<{ items: { slug: string }[] }>().items.map(({ slug }) => slug);
}

test.for<[q: string, found: string[]]>([
  // Possessives and apostrophes.
  ['Fed', ['fed']],
  ['fed’s pivot', ['fed']],
  ["FED'S", ['fed']],
  ['“The Fed’s pivot”', ['fed']],
  ['nestle', ['chocolate']],
  ["don't", ['telecom']],
  ['dont chase', ['telecom']],
  ['company', ['companies']],
  // Typography.
  ['small cap', ['small-caps']],
  ['small-cap', ['small-caps']],
  ['smallcap', ['small-caps']],
  ['20% below', ['small-caps']],
  ['rates down', ['dash']],
  ['"rates down"', ['dash']],
  ['inflation reaccelerates', ['prices']],
  ['fomc minutes', ['full-width']],
  ['squeeze', ['companies']],
  // Numbers.
  ['2500', ['companies']],
  ['3.5', ['curve']],
  ['3.5%', ['curve']],
  ['10-year', ['curve']],
  ['10 year', ['curve']],
  ['10y', ['curve']],
  // Accents and other alphabets.
  ['zurich', ['zurich']],
  ['strasse', ['zurich']],
  ['GROSSBANKEN', ['zurich']],
  ['istanbul isik', ['istanbul']],
  ['lodz gdansk', ['poland']],
  ['рынок елки', ['moscow']],
  ['αθηνα κοσμοσ', ['greece']],
  ['日本', ['nikkei']],
  ['平均', ['nikkei']],
  // Symbols, names of instruments and slugs.
  ['IWM', ['etf']],
  ['^RUT', ['small-caps']],
  ['$BRK-B', ['buffett']],
  ['brk.b', ['buffett']],
  ['AT&T', ['telecom']],
  ['S&P 500 up', ['index']],
  ['sp500 over', ['index']],
  ['eurusd', ['dollar']],
  ['berkshire', ['buffett']],
  ['full-width', ['full-width']],
  // Beginnings.
  ['russ', ['etf', 'small-caps']],
  ['passive fl', ['etf']],
  ['tre', ['curve']],
  ['val bel', ['small-caps']],
  // Words that others leave out.
  ['up', ['index']],
  ['off', ['gold']],
  ['not out', ['gold']],
  ['no buyer', ['buffett']],
  ['under', ['dash']],
  ['the curve', ['curve']],
  ['US risk', ['dash']],
  // Operators.
  ['gold or parity', ['gold', 'dollar']],
  ['russell -passive', ['small-caps']],
  ['russell -"passive flows"', ['small-caps']],
  ['-10% yield', ['curve']],
  ['"flows passive"', []],
  ['gold silver', []],
])('%s finds %j', async ([q, found]) => {
  expect(await find(q)).toEqual(found);
});

test('a whole symbol or slug ranks first, then titles, then other text', async () => {
  await publish({
    slug: 'gold-gold',
    instrument: 'SPX',
    title: 'Gold, gold and gold',
    summary: 'Gold gold gold.',
  });
  await publish({
    slug: 'silver',
    instrument: 'SPX',
    title: 'Silver',
    summary: 'Gold gold gold gold gold gold.',
  });
  expect(await find('gold')).toEqual(['gold', 'gold-gold', 'silver']);
  expect(await find('Gold Gold')).toEqual(['gold-gold', 'gold', 'silver']);
});

test('the authors of an outlook are found by name, also with other words', async () => {
  await publish({ slug: 'tin', instrument: 'SPX', title: 'Tin' });
  expect(await find('analyst tin')).toEqual(['tin']);
  expect(await find('admin tin')).toEqual([]);
  const body = { probabilities: { bear: 0.2, base: 0.3, bull: 0.5 }, rationale: 'R' };
  const revised = await send(ledger, 'POST', '/v1/outlooks/tin/revisions', body, { as: 'admin' });
  expect(revised.statusCode, revised.body).toBe(201);
  expect(await find('admin tin')).toEqual(['tin']);
  expect(await find('analyst tin')).toEqual(['tin']);
});

describe('the search words', () => {
  test('follow from the ledger, whatever is written in their place', async () => {
    await ledger.pool.query(`update frameworks set search = 'forged'`);
    expect(await find('forged')).toEqual([]);
    expect(await find('pivot')).toEqual(['fed']);
  });

  test('of earlier releases are collected anew, by several instances at once', async () => {
    const session = await ledger.pool.connect();
    await session.query(`set session_replication_role = replica;
      update frameworks set search = '';
      reset session_replication_role;
      insert into search_backlog (framework_id) select max(id) from frameworks`);
    session.release();
    expect(await find('pivot')).toEqual([]);
    await refreshSearch(ledger.servicePool, () => true);
    expect(await find('pivot')).toEqual([]);
    const instances = [1, 2, 3].map(() => refreshSearch(ledger.servicePool, () => false));
    await Promise.all(instances);
    expect(await find('pivot')).toEqual(['fed']);
    expect((await ledger.pool.query('select from search_backlog')).rowCount).toBe(0);
  });
});

describe('any title', () => {
  const words = fc.array(
    fc.oneof(
      fc.constantFrom(
        'Fed',
        'S&P',
        'Łódź',
        'don’t',
        '10-year',
        '3.5%',
        'Straße',
        'IŞIK',
        '日経',
        'BRK.B',
        'U.S.',
        'down',
      ),
      fc.stringMatching(/^[a-zA-Zà-ÿÀ-ÖØ-Þ]{3,12}$/),
    ),
    { minLength: 1, maxLength: 5 },
  );
  const decorations: ((word: string) => string)[] = [
    (word) => word,
    (word) => word.toUpperCase(),
    (word) => word.normalize('NFD'),
    (word) => `“${word}”`,
    (word) => `(${word}),`,
    (word) => `${word}’s`,
    (word) => `‘${word}’`,
    (word) => `${word}…`,
    (word) => Array.from(word).join('\u00ad'),
    (word) => word.replaceAll('-', '‑'),
  ];
  const separators = fc.constantFrom(' ', '\u00a0', ' – ', '—', ' / ', '\u2009', ' · ');

  test('is found by each of its words, however it is decorated', async () => {
    const decorated = fc.record({
      words,
      separators,
      kinds: fc.array(fc.nat(9), { minLength: 5, maxLength: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(decorated, async ({ words: plain, separators: between, kinds }) => {
        const title = plain
          .map((word, index) => decorations[kinds[index] ?? 0]?.(word))
          .join(between);
        for (const word of [...plain, title]) {
          const { rows } = await ledger.pool.query<{ found: boolean }>(
            'select search_words($1) @@ search_term($2, false, $3) as found',
            [title, word, ''],
          );
          expect([title, word, rows[0]?.found]).toEqual([title, word, true]);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('can be stored and searched', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 100 }), async (text) => {
        const title = text.toWellFormed().replaceAll('\u0000', '');
        const { rows } = await ledger.pool.query<{ folded: string; again: string }>(
          `select fold_words($1) as folded, fold_words(fold_words($1)) as again, search_words($1) @@ search_term($1, true, 'AB')`,
          [title],
        );
        expect(rows[0]?.folded).toMatch(/^$|^[^\s'\\]+( [^\s'\\]+)*$/u);
        expect(rows[0]?.again).toBe(rows[0]?.folded);
      }),
      { numRuns: 200 },
    );
  });
});
