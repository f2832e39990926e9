import { afterAll, beforeAll, expect, test } from 'vitest';
import { INSTRUMENT_KINDS } from '../../src/domain/instrument.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { send, stored } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

const add = (symbol: string, change = {}) =>
  send(ledger, 'POST', '/v1/instruments', { symbol, name: 'N', kind: 'index', ...change });

test.for(INSTRUMENT_KINDS)('an instrument of the kind %s is added and read', async (kind) => {
  const symbol = `K-${kind.toUpperCase()}`;
  const added = await add(symbol, { kind, name: 'Naïve “name”' });
  expect(added.statusCode).toBe(201);
  expect(added.headers.location).toBe(`/v1/instruments/${symbol}`);
  expect(added.json()).toEqual({ symbol, name: 'Naïve “name”', kind, closes: null });
  const read = await ledger.call({ url: `/v1/instruments/${symbol}` });
  expect([read.body, read.headers.etag]).toEqual([added.body, added.headers.etag]);
});

test('a symbol can be used only once', async () => {
  const before = await stored(ledger);
  const refused = await add('RUT');
  expect(refused.statusCode).toBe(409);
  expect(refused.json()).toMatchObject({
    type: '/problems/symbol-taken',
    detail: 'The instrument "RUT" already exists.',
    errors: [{ pointer: '/symbol', detail: 'is taken; use that instrument or another symbol' }],
  });
  expect(await stored(ledger)).toEqual(before);
  const rush = await Promise.all(Array.from({ length: 10 }, () => add('RUSH')));
  const statuses = rush.map(({ statusCode }) => statusCode).toSorted((a, b) => a - b);
  expect(statuses).toEqual([201, ...Array<number>(9).fill(409)]);
});

test.for(['A', '0', 'BRK.B', 'EUR_USD', 'ES-2026', 'A'.repeat(32)])(
  '%s is a symbol',
  async (symbol) => {
    expect((await add(symbol)).statusCode).toBe(201);
  },
);

test.for(['', 'a', ' A', 'A ', '.A', '-A', '_A', 'A/B', 'Ä', 'A\n', '\u0000', 'A'.repeat(33)])(
  '%j is no symbol',
  async (symbol) => {
    const refused = await add(symbol);
    expect(refused.statusCode).toBe(422);
    expect(refused.json()).toMatchObject({
      errors: [
        {
          pointer: '/symbol',
          detail:
            'must be 1–32 upper-case letters, digits, dots, underscores or hyphens, such as RUT',
        },
      ],
    });
  },
);

test.for([1, 2, 3, 7, 100])('the list by symbol, walked by %i, shows each once', async (limit) => {
  const { rows } = await ledger.pool.query<{ symbol: string }>(
    'select symbol from instruments order by symbol',
  );
  const seen: string[] = [];
  let url = `/v1/instruments?limit=${limit}`;
  while (url !== '') {
    const answer = await ledger.call({ url });
    const { items } = answer.json<{ items: { symbol: string }[] }>();
    seen.push(...items.map(({ symbol }) => symbol));
    url = /^<(.+)>; rel="next"$/.exec(String(answer.headers.link))?.[1] ?? '';
    await add(`A${limit}${seen.length}`); // sorts before the rest of the walk, so it must not appear
  }
  expect(seen.filter((symbol) => rows.some((row) => row.symbol === symbol))).toEqual(
    rows.map((row) => row.symbol),
  );
  expect(new Set(seen).size).toBe(seen.length);
});

test('an instrument that does not exist is not found', async () => {
  const answer = await ledger.call({ url: '/v1/instruments/NONE' });
  expect(answer.statusCode).toBe(404);
  expect(answer.json()).toMatchObject({ detail: 'There is no instrument "NONE".' });
});
