import { SAMPLE_OUTLOOK } from '../src/http/openapi/examples.ts';
import {
  type Bench,
  type Case,
  comparedRates,
  fullSpeed,
  type Outcome,
  outlookPath,
  takeTurns,
} from './bench.ts';
import { Ledger, type Report } from './ledger.ts';
import { fire, type Shot } from './load.ts';

/** The numbers of observations of the two series. */
const SIZES = { small: 10_000, large: 1_000_000 };
type Size = keyof typeof SIZES;

const LAST_DAY = '2026-11-20';
/** The first day of the drawdowns: about 240 closes, as many as a horizon has. */
const SINCE = '2026-03-31';
/** The number of different values to send. */
const BODIES = 2_000;

const goal = { atLeast: 0.5 };

/** Large ÷ small by the number of observations of a series. */
export const observationCases: Case[] = [
  {
    name: 'observations-drawdown',
    title: 'Drawdown since a day, 1,000,000 observations ÷ 10,000',
    goal,
    measure: (bench) =>
      measure(bench, (size) => [{ path: `${outlookPath(size)}/drawdown?since=${SINCE}` }]),
  },
  {
    name: 'observations-rule',
    title: 'An observation that a rule evaluates, 1,000,000 observations ÷ 10,000',
    goal,
    measure: (bench) => measure(bench, arrivals),
  },
];

let prepared: Promise<Ledger> | undefined;

async function measure(
  bench: Bench,
  shotsOf: (size: Size, key: string) => Shot[],
): Promise<Outcome> {
  const ledger = await (prepared ??= prepare(bench.report));
  const service = await ledger.serve({});
  const fireAt = (size: Size) => {
    service.clearLog();
    return fire(bench.generator, fullSpeed(bench, service, shotsOf(size, ledger.key)));
  };
  const pairs = await takeTurns(
    bench,
    () => fireAt('small'),
    () => fireAt('large'),
  );
  return comparedRates(pairs);
}

/** Each time another value for the newest day; the rule holds for none. */
function arrivals(size: Size, key: string): Shot[] {
  return Array.from({ length: BODIES }, (_, index) => ({
    path: `/v1/series/${size}/observations`,
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ observations: [{ date: LAST_DAY, value: 100 + index / 1_000 }] }),
  }));
}

/** Two series. Each holds the closes of an instrument, and a rule of an outlook on it watches the series. */
async function prepare(report: Report): Promise<Ledger> {
  const ledger = await Ledger.create(report);
  const { origin } = await ledger.serve({});
  const post = async (path: string, body: object) => {
    const response = await fetch(origin + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${ledger.key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
  };
  for (const [key, count] of Object.entries(SIZES)) {
    const symbol = key.toUpperCase();
    await post('/v1/series', { key, name: key, unit: 'U', frequency: 'daily', source: 'S' });
    await post('/v1/instruments', { symbol, name: key, kind: 'index', closes: key });
    const rule = { series: key, operator: 'lt', threshold: 50, forObservations: 5 };
    const condition = { key: 'low', invalidates: 'bull', statement: 'It is low.', rule };
    await post('/v1/outlooks', {
      ...SAMPLE_OUTLOOK,
      slug: key,
      instrument: symbol,
      invalidationConditions: [condition],
    });
    await ledger.query(async (client) => {
      await client.query('set session_replication_role = replica');
      await client.query(
        `insert into observations (series_id, date, recorded_at, value, provenance)
         select s.id, date '${LAST_DAY}' - day, now() - interval '1 day', 100 + day % 17, 'sourced'
           from series s, generate_series(${count} - 1, 0, -1) day where s.key = '${key}'`,
      );
      await client.query('vacuum (freeze, analyze) observations');
    });
    report(`seeded ${count.toLocaleString('en')} observations`);
  }
  return ledger;
}
