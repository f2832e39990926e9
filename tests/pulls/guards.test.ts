import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { attempt, openSession, refusal } from '../support/plain-sql.ts';

let ledger: TestLedger;
let owner: pg.Client;
beforeAll(async () => {
  ledger = await startLedger({ samples: false });
  owner = await openSession(ledger.url);
  await owner.query(source({ series_id: '1' }));
});
afterAll(async () => {
  await owner.end();
  await ledger.close();
});

function source(changes: Record<string, string> = {}): string {
  const columns = {
    series_id: '2',
    kind: `'url'`,
    url: `'https://a.example/x.csv'`,
    layout: `'{}'`,
    host: `'a.example'`,
    every_minutes: '60',
    set_at: 'now()',
    due_at: 'now()',
    ...changes,
  };
  return `insert into series_sources (${Object.keys(columns).join(', ')}) values (${Object.values(columns).join(', ')})`;
}
const FRED = { kind: `'fred'`, provider_id: `'X'`, url: 'null', layout: 'null' };
const SUCCESS = {
  last_success_at: 'now()',
  last_added: '0',
  last_revised: '0',
  last_unchanged: '0',
};

test.each([
  ['a second source of a series', source({ series_id: '1' }), 'series_sources_series_id_unique'],
  ['a source of no series', source({ series_id: '99' }), 'series_sources_series_id_series_id_fk'],
  ['an unknown kind', source({ ...FRED, kind: `'yahoo'` }), 'series_sources_kind'],
  ['a URL without a layout', source({ layout: 'null' }), 'series_sources_place'],
  ['a provider without an id', source({ ...FRED, provider_id: 'null' }), 'series_sources_place'],
  [
    'a provider with a URL',
    source({ ...FRED, url: `'https://a.example'` }),
    'series_sources_place',
  ],
  ['an id beside a URL', source({ provider_id: `'X'` }), 'series_sources_place'],
  ['an empty id', source({ ...FRED, provider_id: `''` }), 'series_sources_provider_id'],
  ['a URL of a file', source({ url: `'file:///etc/passwd'` }), 'series_sources_url'],
  ['a URL with a password', source({ url: `'https://u:p@a.example'` }), 'series_sources_url'],
  ['a layout that is a list', source({ layout: `'[]'` }), 'series_sources_layout'],
  ['too often', source({ every_minutes: '14' }), 'series_sources_every_minutes'],
  ['too seldom', source({ every_minutes: '44641' }), 'series_sources_every_minutes'],
  ['half a success', source({ last_success_at: 'now()' }), 'series_sources_success'],
  ['a negative success', source({ ...SUCCESS, last_added: '-1' }), 'series_sources_success'],
  ['half an error', source({ last_error: `'x'` }), 'series_sources_error'],
  ['failures without an error', source({ failures: '1' }), 'series_sources_error'],
  [
    'an endless error',
    source({ last_error_at: 'now()', last_error: `repeat('x', 301)` }),
    'series_sources_error',
  ],
  ['an endless ETag', source({ etag: `repeat('x', 301)` }), 'series_sources_validators'],
  ['another place', `update series_sources set url = 'https://b.example'`, 'series_sources_fixed'],
  ['another series', 'update series_sources set series_id = 2', 'series_sources_fixed'],
  ['another layout', `update series_sources set layout = '{"a":1}'`, 'series_sources_fixed'],
  [
    'a pull uncounted',
    'update series_sources set attempts = 2; update series_sources set attempts = 1',
    'series_sources_attempts_forward',
  ],
])('%s is refused', async (_, statement, rule) => {
  expect(await refusal(owner, statement)).toBe(rule);
});

test.each([
  ['a file', source()],
  ['a provider', source(FRED)],
  [
    'a status',
    `update series_sources set attempts = 1, started_at = now(), failures = 1, last_error_at = now(), last_error = 'x', etag = 'e'`,
  ],
  ['a removal', 'delete from series_sources'],
])('%s is accepted', async (_, statement) => {
  expect(await attempt(owner, statement)).toBeNull();
});

test('two who take the last free place get one', async () => {
  await owner.query(
    `insert into series (key, name, unit, frequency, source, created_at)
     select 'many-' || n, 'N', 'U', 'daily', 'S', now() from generate_series(1, 1001) n`,
  );
  const fill = (from: number, to: number) =>
    `insert into series_sources (series_id, kind, provider_id, host, every_minutes, set_at, due_at)
     select id, 'fred', 'X', 'fred', 60, now(), now() from series where key in (select 'many-' || n from generate_series(${from}, ${to}) n)`;
  await owner.query(fill(1, 998));
  const both = await Promise.allSettled([
    ledger.pool.query(fill(1_000, 1_000)),
    ledger.pool.query(fill(1_001, 1_001)),
  ]);
  expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  await owner.query('delete from series_sources');
});
