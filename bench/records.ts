import type { Bench, Case, Outcome } from './bench.ts';
import { median } from './figures.ts';
import { Ledger, type Report } from './ledger.ts';

/** The size that the goal applies to. */
const OUTLOOKS = 10_000;
const VERSIONS = 50;
const AGAIN = 5;

const goal = { atMost: 200, unit: 'ms' } as const;

export const recordCases: Case[] = [
  {
    name: 'records-all',
    title: 'Track record of 10,000 outlooks with 50 versions each, first read',
    goal,
    measure: (bench) => measure(bench, async () => '/v1/track-record'),
  },
  {
    name: 'records-analyst',
    title: 'The same for the analyst who wrote them all',
    goal,
    measure: (bench) => measure(bench, analystPath),
  },
];

let prepared: Promise<Ledger> | undefined;

async function measure(
  bench: Bench,
  pathOf: (ledger: Ledger) => Promise<string>,
): Promise<Outcome> {
  const ledger = await (prepared ??= prepare(bench.report));
  const path = await pathOf(ledger);
  const rounds = [];
  for (let round = 0; round < bench.options.rounds; round += 1) {
    const { origin } = await ledger.restart({ CACHE_MAX_BYTES: '0' });
    const first = await millisecondsOf(origin + path);
    const again = [];
    for (let turn = 0; turn < AGAIN; turn += 1) again.push(await millisecondsOf(origin + path));
    rounds.push({ first, again: median(again) });
    bench.report(
      `  round ${round + 1}: ${first.toFixed(0)} ms, then ${median(again).toFixed(0)} ms`,
    );
  }
  const first = median(rounds.map((round) => round.first));
  return {
    result: first,
    reference: `${median(rounds.map(({ again }) => again)).toFixed(0)} ms`,
    service: `${first.toFixed(0)} ms`,
    latency: '',
    cpu: null,
    generator: '',
    rounds,
  };
}

async function millisecondsOf(url: string): Promise<number> {
  await fetch(new URL('/healthz', url)).then((response) => response.text()); // opens the connection
  const began = performance.now();
  const response = await fetch(url);
  const { n } = (await response.json()) as { n: number };
  const took = performance.now() - began;
  if (n < OUTLOOKS) throw new Error(`${url} is a record of ${n} outlooks`);
  return took;
}

async function analystPath(ledger: Ledger): Promise<string> {
  await ledger.serve({ CACHE_MAX_BYTES: '0' });
  const { rows } = await ledger.query((client) =>
    client.query<{ id: string }>('select author_id as id from outlook_versions limit 1'),
  );
  return `/v1/analysts/${rows[0]?.id}/track-record`;
}

/** Outlooks with versions an hour back and horizons of two days around now, resolved through the ledger's triggers. */
async function prepare(report: Report): Promise<Ledger> {
  const ledger = await Ledger.create(report);
  await ledger.add([{ prefix: 'outlook', count: OUTLOOKS, versions: VERSIONS }]);
  await ledger.serve({});
  const began = Date.now();
  await ledger.query(async (client) => {
    const others = `slug like 'outlook-%'`;
    await client.query('set session_replication_role = replica');
    await client.query(
      `update outlooks set horizon_from = current_date - 1, horizon_to = current_date + 1 where ${others}`,
    );
    await client.query('set session_replication_role = origin');
    const resolve = (which: string) =>
      client.query(
        `insert into resolutions (outlook_id, number, outcome, reason, author_id, recorded_at)
         select o.id, 1, (array['bear', 'base', 'bull'])[1 + o.id % 3], 'Benchmark.', v.author_id, now()
           from outlooks o join outlook_versions v on v.outlook_id = o.id and v.version = 1
          where ${others} and ${which}`,
      );
    // The keys of an empty table are checked by reading all of it, until Postgres learns that it has grown.
    await resolve('o.id % 100 = 0');
    await client.query('analyze forecast_sums');
    for (let part = 1; part < 100; part += 1) await resolve(`o.id % 100 = ${part}`);
    await client.query('vacuum (freeze, analyze)');
    await client.query('checkpoint');
  });
  report(`resolved ${OUTLOOKS} outlooks in ${((Date.now() - began) / 1000).toFixed(1)} s`);
  return ledger;
}
