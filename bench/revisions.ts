import { type Bench, type Case, comparedRates, type Outcome, takeTurns } from './bench.ts';
import type { Figures } from './figures.ts';
import { deal, fire, type FullSpeed, type Shot, SLACK } from './load.ts';
import type { PlainJob } from './plain-writer.ts';
import { revisionShot } from './revision-bodies.ts';
import { startWorker } from './workers.ts';

const OUTLOOKS = 1_000;
/** Bodies that a writer of one outlook goes through. */
const BODIES = 8;

/** Revisions over HTTP against the same statements without. */
export const revisionCases: Case[] = [
  {
    name: 'revisions-many',
    title: `Revisions of ${OUTLOOKS.toLocaleString('en')} outlooks`,
    goal: { atLeast: 0.8 },
    measure: (bench) => measure(bench, bench.ledgers.ordinaryOf('standard').slice(0, OUTLOOKS)),
  },
  {
    name: 'revisions-one',
    title: 'Revisions of one outlook',
    goal: { atLeast: 0.8 },
    measure: (bench) => measure(bench, bench.ledgers.ordinaryOf('standard').slice(2, 3)),
  },
  {
    name: 'revisions-guarded',
    title: 'Revisions with Idempotency-Key and If-Match, against plain ones',
    goal: { atLeast: 0.9 },
    measure: measureGuarded,
  },
];

async function measure(bench: Bench, slugs: string[]): Promise<Outcome> {
  const { seconds, connections } = bench.options;
  const ledger = await bench.ledgers.standard();
  const service = await ledger.serve({});
  const connection = ledger.connection();
  const dealt = deal(slugs, connections);
  const worker = startWorker<PlainJob, Figures>('./plain-writer.ts');
  const { origin, pid } = service;
  const shots = () => ({ origin, dealt: dealt.map((own) => shotsAt(own, ledger.key)) });
  const job = (): FullSpeed => {
    const warmUp = { ...shots(), seconds: seconds / 5 };
    return { kind: 'full-speed', ...shots(), pid, seconds, status: 201, warmUp };
  };
  const plain: PlainJob = { connection, key: ledger.key, dealt, seconds, warmUp: seconds / 5 };
  try {
    const pairs = await takeTurns(
      bench,
      () => worker.ask(plain, seconds * 1000 + SLACK),
      () => {
        service.clearLog();
        return fire(bench.generator, job());
      },
    );
    return comparedRates(pairs);
  } finally {
    worker.stop();
  }
}

/** Outlooks of each side, few enough that nearly all requests know an ETag. */
const GUARDED = 128;

async function measureGuarded(bench: Bench): Promise<Outcome> {
  const { seconds, connections } = bench.options;
  const ledger = await bench.ledgers.standard();
  const { origin, pid, clearLog } = await ledger.serve({});
  const slugs = bench.ledgers.ordinaryOf('standard');
  const side = (own: string[], isGuarded: boolean) => () => {
    clearLog();
    const shots = () =>
      deal(own, connections).map((dealt) =>
        shotsAt(dealt, ledger.key).map((shot) => ({ ...shot, isGuarded })),
      );
    const warmUp = { origin, dealt: shots(), seconds: seconds / 5 };
    const job = { origin, dealt: shots(), pid, seconds, status: 201, warmUp };
    return fire(bench.generator, { kind: 'full-speed', ...job });
  };
  const plain = side(slugs.slice(0, GUARDED), false);
  return comparedRates(
    await takeTurns(bench, plain, side(slugs.slice(GUARDED, 2 * GUARDED), true)),
  );
}

/** Revises each outlook again and again; a single outlook is shared by all connections. */
export function shotsAt(slugs: readonly string[], key: string): Shot[] {
  const rounds = slugs.length === 1 ? BODIES : 2;
  return Array.from({ length: rounds }, () => slugs.map((slug) => revisionShot(slug, key))).flat();
}
