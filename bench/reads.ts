import {
  type Bench,
  type Case,
  comparedRates,
  fullSpeed,
  type Outcome,
  outlookPath,
  takeTurns,
} from './bench.ts';
import { WARM_UP_LOTS } from './ledgers.ts';
import { fire, type FullSpeed } from './load.ts';
import type { Service } from './service.ts';
import { startWorker } from './workers.ts';
import type { Constant } from './yardstick.ts';

/** Reads against the yardstick, a route that sends the same bytes from a constant. */
export const readCases: Case[] = [
  {
    name: 'current',
    title: 'Current view',
    goal: { atLeast: 0.95 },
    measure: (bench) => measureWarm(bench, outlookPath('outlook-1')),
  },
  {
    name: 'not-modified',
    title: 'Current view with its ETag, 304',
    goal: { atLeast: 1.3 },
    measure: measureNotModified,
  },
  {
    name: 'list',
    title: 'List of 20',
    goal: { atLeast: 0.9 },
    measure: (bench) => measureWarm(bench, '/v1/outlooks'),
  },
  {
    name: 'version-warm',
    title: 'Numbered version, warm',
    goal: { atLeast: 0.9 },
    measure: (bench) => measureWarm(bench, `${outlookPath('many-1')}/versions/7`),
  },
  {
    name: 'version-cold',
    title: 'Numbered versions, each read once',
    goal: { atLeast: 0.3 },
    measure: measureColdVersions,
  },
  {
    name: 'probabilities',
    title: 'History of probabilities, warm',
    goal: { atLeast: 0.9 },
    measure: (bench) => measureWarm(bench, `${outlookPath('many-1')}/probabilities`),
  },
  {
    name: 'chart-scenarios',
    title: 'Chart of the scenarios, warm',
    goal: { atLeast: 0.9 },
    measure: (bench) => measureWarm(bench, `${outlookPath('outlook-1')}/chart.svg`),
  },
  {
    name: 'chart-history',
    title: 'Chart of the history of many versions, warm',
    goal: { atLeast: 0.9 },
    measure: (bench) => measureWarm(bench, `${outlookPath('many-1')}/chart.svg?kind=history`),
  },
  {
    name: 'page-list',
    title: 'Page of the list, warm',
    goal: { atLeast: 0.9 },
    measure: (bench) => measureWarm(bench, '/'),
  },
  {
    name: 'page-outlook',
    title: 'Page of an outlook, rendered once a second',
    goal: { atLeast: 0.9 },
    measure: (bench) => measureWarm(bench, '/outlooks/outlook-1'),
  },
];

async function measureWarm(bench: Bench, path: string): Promise<Outcome> {
  return againstConstant(bench, path, (service) => fullSpeed(bench, service, [{ path }]));
}

async function measureNotModified(bench: Bench): Promise<Outcome> {
  const path = outlookPath('outlook-1');
  return againstConstant(bench, path, (service, { etag }) => {
    const shot = { path, headers: { 'if-none-match': etag } };
    return fullSpeed(bench, service, [shot], 304);
  });
}

/** Reads each version once: many to let the service's code get compiled, then a lot in each round. */
async function measureColdVersions(bench: Bench): Promise<Outcome> {
  const { versions } = bench.options;
  const path = (version: number) => `${outlookPath('cold-1')}/versions/${version}`;
  // The first version, which the constant is made of, is not cold. It is not counted either.
  return againstConstant(bench, path(1), (service, { round }) => {
    const onceEach = (lot: number, lots: number): FullSpeed => {
      const shots = Array.from({ length: versions * lots }, (_, index) => ({
        path: path(lot * versions + index + 1),
      }));
      return { ...fullSpeed(bench, service, shots), seconds: 'once' };
    };
    const warmUp = round === 0 ? onceEach(0, WARM_UP_LOTS) : null;
    return { ...onceEach(WARM_UP_LOTS + round, 1), warmUp };
  });
}

/** Runs the generator until its code is compiled, before anything counts. */
export async function practise(bench: Bench): Promise<void> {
  const path = '/practice';
  const body = new Uint8Array(16_384).fill(32);
  const worker = startWorker<Constant, string>('./yardstick.ts');
  try {
    const origin = await worker.ask({ path, contentType: 'text/plain', body }, 20_000);
    await fire(bench.generator, fullSpeed(bench, { origin, pid: worker.pid }, [{ path }]));
  } finally {
    worker.stop();
  }
}

type Round = { round: number; etag: string };

async function againstConstant(
  bench: Bench,
  path: string,
  jobOf: (service: Service, round: Round) => FullSpeed,
): Promise<Outcome> {
  const ledger = await bench.ledgers.standard();
  const service = await ledger.serve({});
  const { etag, constant } = await readOnce(service.origin, path);
  const worker = startWorker<Constant, string>('./yardstick.ts');
  try {
    const yardstick = { origin: await worker.ask(constant, 20_000), pid: worker.pid };
    bench.report(`  ${constant.body.length.toLocaleString('en')} bytes of ${constant.contentType}`);
    const pairs = await takeTurns(
      bench,
      () => fire(bench.generator, fullSpeed(bench, yardstick, [{ path }])),
      (round) => {
        service.clearLog();
        return fire(bench.generator, jobOf(service, { round, etag }));
      },
    );
    return comparedRates(pairs);
  } finally {
    worker.stop();
  }
}

export async function readOnce(
  origin: string,
  path: string,
): Promise<{ etag: string; constant: Constant }> {
  const headers = { 'accept-encoding': 'identity' };
  const response = await fetch(origin + path, { headers, signal: AbortSignal.timeout(20_000) });
  if (response.status !== 200) throw new Error(`GET ${path} got ${response.status}`);
  const contentType = response.headers.get('content-type') ?? '';
  const body = new Uint8Array(await response.arrayBuffer());
  return { etag: response.headers.get('etag') ?? '', constant: { path, contentType, body } };
}
