import { type Bench, type Case, fullSpeed, type Outcome, outlookPath, perSecond } from './bench.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { fire, type FullSpeed } from './load.ts';
import { memoryOf } from './processes.ts';
import { readOnce } from './reads.ts';

/** 64 MiB: fixed here, so that another default does not change the case. */
const CACHE_MAX_BYTES = String(64 * 2 ** 20);
const A_FEW = 20;
/** Time for the garbage of the last requests to be collected, in milliseconds. */
const SETTLE = 3_000;

export const memoryCase: Case = {
  name: 'memory',
  title: 'Memory above idle after reading each of many outlooks once',
  goal: { atMost: 150, unit: 'MB' },
  measure,
};

async function measure(bench: Bench): Promise<Outcome> {
  const ledger = await bench.ledgers.large();
  const service = await ledger.restart({ CACHE_MAX_BYTES });
  const shots = bench.ledgers.ordinaryOf('large').map((slug) => ({ path: outlookPath(slug) }));
  const once: FullSpeed = { ...fullSpeed(bench, service, shots), seconds: 'once', warmUp: null };
  for (const { path } of shots.slice(0, A_FEW)) await readOnce(service.origin, path);
  const idle = await settledMemory(service.pid);
  const figures = await fire(bench.generator, once);
  service.clearLog();
  const used = await settledMemory(service.pid);
  bench.report(`  ${figures.requests} outlooks were read at ${perSecond(figures.rate)}`);
  return {
    result: megabytes(used - idle),
    reference: `${megabytes(idle)} MB`,
    service: `${megabytes(used)} MB`,
    latency: '',
    cpu: null,
    generator: '',
    rounds: [{ idle, used, reading: figures }],
  };
}

async function settledMemory(pid: number): Promise<number> {
  await delay(SETTLE);
  const bytes = memoryOf(pid);
  if (bytes === null) throw new Error('the memory of a process is only known on Linux');
  return bytes;
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
