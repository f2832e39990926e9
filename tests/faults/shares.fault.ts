import { afterAll, beforeAll, expect, test } from 'vitest';
import { cleanUp } from '../support/service.ts';
import { SLUG } from '../support/http-client.ts';
import { byScript, excessesOf, measureHarm, startTarget, type Target } from '../support/victims.ts';

/** Trading days of some 240 years, as much as one response is computed from. */
const CLOSES = 60_000;
const OUTLOOK = `/v1/outlooks/${SLUG}`;

let target: Target;
beforeAll(async () => {
  target = await startTarget();
  await target.pool.query(
    `insert into observations (series_id, date, value, recorded_at, provenance)
     select i.closes_id, date '1862-01-01' + n, 1000 + n % 97 + n / 50, now() - interval '1 hour', 'sourced'
       from generate_series(0, $1 - 1) n, outlooks o join instruments i on i.id = o.instrument_id
      where o.slug = $2 on conflict do nothing`,
    [CLOSES, SLUG],
  );
});
afterAll(async () => {
  await cleanUp();
  await target.pool.end();
});

const flood = (connections: number, path: string, ...headers: string[]) =>
  byScript('flood.mjs', String(connections), path, ...headers);

test.for([
  ['drawdowns since any day', flood(10, `${OUTLOOK}/drawdown?since={day}`)],
  ['drawdowns as of any time', flood(10, `${OUTLOOK}/drawdown?since=1870-01-01&asOf={moment}`)],
  ['metrics', flood(50, '/metrics')],
  [
    '24 PNGs at once',
    flood(24, `${OUTLOOK}/chart.svg?format=png&width=6{digit}{digit}&height=4{digit}{digit}`),
  ],
  ['parameters that pages ignore', flood(50, `/outlooks/${SLUG}?x={random}`)],
  [
    'batches of unknown slugs',
    flood(
      50,
      `/v1/batch/outlooks?slugs=${Array.from({ length: 100 }, () => '{random}').join(',')}`,
    ),
  ],
  ['keys that are wrong', flood(50, '/v1/keys', 'authorization: Bearer olk_{random}')],
  ['searches', flood(50, '/v1/outlooks?q={random}%20{random}')],
  [
    'filters',
    flood(50, '/v1/outlooks?scenario=bear&minProbability=0.{digit}{digit}{digit}{digit}'),
  ],
  ['missing pages', flood(50, '/{random}')],
  [
    'large SVGs',
    flood(20, `${OUTLOOK}/chart.svg?kind=drawdown&width=6{digit}{digit}&height=4{digit}{digit}`),
  ],
] as const)('%s', async ([name, attack]) => {
  const harm = await measureHarm(target, attack);
  expect(excessesOf(name, harm)).toEqual([]);
});
