import { setTimeout as delay } from 'node:timers/promises';
import { type Bench, type Case, costs, type Outcome, outlookPath, takeTurns } from './bench.ts';
import { median, medians } from './figures.ts';
import { fire, type Paced } from './load.ts';
import { revisionShot } from './revision-bodies.ts';

const REVISIONS_A_SECOND = 50;
/** Reads a second: well below saturation, where the queue would be all that is measured. */
const READS_A_SECOND = 1_000;
/** How long writes run before reads are measured, in milliseconds. */
const LEAD = 500;

export const latencyCase: Case = {
  name: 'latency',
  title: `p99 of the current view during ${REVISIONS_A_SECOND} revisions a second of its outlook`,
  goal: { atMost: 3 },
  measure,
};

async function measure(bench: Bench): Promise<Outcome> {
  const ledger = await bench.ledgers.standard();
  const service = await ledger.serve({});
  const slug = 'outlook-2';
  const { seconds, connections } = bench.options;
  const { origin, pid } = service;
  const path = outlookPath(slug);
  const perSecond = READS_A_SECOND;
  const job: Paced = { kind: 'paced', origin, path, pid, connections, perSecond, seconds };
  const read = async () => {
    const figures = await fire(bench.generator, job);
    if (figures.rate >= READS_A_SECOND * 0.9) return figures;
    throw new Error(
      `only ${figures.rate.toFixed(0)} of ${READS_A_SECOND} reads a second were done`,
    );
  };
  const pairs = await takeTurns(bench, read, async () => {
    service.clearLog();
    const writing = startWriting(origin, slug, ledger.key);
    await delay(LEAD);
    try {
      return await read();
    } finally {
      const rate = await writing.stop();
      bench.report(`  ${rate.toFixed(1)} revisions a second`);
    }
  });
  const p99 = (side: 'reference' | 'service') => medians(pairs.map((pair) => pair[side])).p99;
  return {
    result: median(pairs.map((pair) => pair.service.p99 / pair.reference.p99)),
    reference: `${p99('reference').toFixed(1)} ms`,
    service: `${p99('service').toFixed(1)} ms`,
    ...costs(pairs),
    rounds: pairs,
  };
}

/** Revises an outlook at a steady rate, however long each revision takes. */
function startWriting(origin: string, slug: string, key: string): { stop: () => Promise<number> } {
  const began = performance.now();
  const writes: Promise<void>[] = [];
  let written = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - began) / 1000) * REVISIONS_A_SECOND;
    while (writes.length < Math.floor(due)) {
      const write = revise(origin, slug, key).then(() => void (written += 1));
      write.catch(() => {}); // heard of when it is stopped
      writes.push(write);
    }
  }, 4);
  const stop = async () => {
    clearInterval(timer);
    const rate = (written * 1000) / (performance.now() - began);
    await Promise.all(writes);
    if (rate >= REVISIONS_A_SECOND * 0.9) return rate;
    throw new Error(`only ${rate.toFixed(1)} revisions a second were written`);
  };
  return { stop };
}

async function revise(origin: string, slug: string, key: string): Promise<void> {
  const { path, ...request } = revisionShot(slug, key);
  const response = await fetch(origin + path, { ...request, signal: AbortSignal.timeout(20_000) });
  await response.arrayBuffer();
  if (response.status !== 201) throw new Error(`a revision got ${response.status}`);
}
