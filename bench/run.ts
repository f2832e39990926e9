// Measures the service against yardsticks; see README.md.
import type { Bench, Case } from './bench.ts';
import { outlookGrowthCases, versionGrowthCases } from './growth.ts';
import { latencyCase } from './latency.ts';
import { Ledgers } from './ledgers.ts';
import type { FullSpeed, Paced } from './load.ts';
import { logCostCase } from './log-cost.ts';
import type { Figures } from './figures.ts';
import { memoryCase } from './memory.ts';
import { isWhole, type Options, readOptions, USAGE, UsageError } from './options.ts';
import { cleanUp } from './processes.ts';
import { observationCases } from './observations.ts';
import { practise, readCases } from './reads.ts';
import { measureApart } from './on-whole-ledger.ts';
import { recordCases } from './records.ts';
import { isMet, markdownOf, record, type Result } from './report.ts';
import { revisionCases } from './revisions.ts';
import { storageCases } from './storage.ts';
import { startWorker } from './workers.ts';

// In this order the service is started anew least often. The large ledger is what the standard one
// grows to, so it comes last.
const CASES: Case[] = [
  ...readCases,
  ...versionGrowthCases,
  latencyCase,
  ...revisionCases,
  logCostCase,
  ...storageCases,
  ...observationCases,
  ...recordCases,
  memoryCase,
  ...outlookGrowthCases,
];

function chosen({ only }: Options): Case[] {
  if (only.length === 0) return CASES;
  const fits = (one: Case, name: string) => one.name === name || one.name.startsWith(`${name}-`);
  for (const name of only) {
    if (CASES.some((one) => fits(one, name))) continue;
    const names = CASES.map((one) => one.name).join(', ');
    throw new UsageError(`There is no case "${name}". There are: ${names}.`);
  }
  return CASES.filter((one) => only.some((name) => fits(one, name)));
}

const startedAt = new Date();
let cleaning: Promise<void> | undefined;
const clean = () => (cleaning ??= cleanUp());

function report(line: string): void {
  const seconds = Math.round((Date.now() - startedAt.getTime()) / 1000);
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  process.stderr.write(`${clock.padStart(6)}  ${line}\n`);
}

async function run(): Promise<void> {
  const [apart, ...args] = process.argv.slice(2);
  if (apart === 'plans' || apart === 'instances') {
    process.stdout.write(`\n${await measureApart(apart, args, report)}\n`);
    return;
  }
  const options = readOptions(process.argv.slice(2));
  const cases = chosen(options);
  const ledgers = new Ledgers(options, report);
  const generator = startWorker<FullSpeed | Paced, Figures>('./generator.ts');
  const bench: Bench = { options, ledgers, generator, report };
  const results: Result[] = [];
  await practise(bench);
  for (const one of cases) {
    results.push(await measure(one, bench));
    if (cleaning) return;
  }
  const postgres = await ledgers.postgresVersion().catch(() => 'unknown');
  const seconds = Math.round((Date.now() - startedAt.getTime()) / 1000);
  const whole = { options, startedAt, seconds, postgres, results };
  const markdown = await markdownOf(whole);
  process.stdout.write(`\n${markdown}`);
  if (isWhole(options)) await record(whole, markdown);
  else report('not kept: only a whole run at the default sizes or above is');
  if (!results.every(isMet)) process.exitCode = 1;
}

async function measure(one: Case, bench: Bench): Promise<Result> {
  report(`${one.name}: ${one.title}`);
  try {
    const outcome = await one.measure(bench);
    report(`  ${outcome.reference}, ${outcome.service}: ${outcome.result.toFixed(3)}`);
    return { case: one, outcome };
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    report(`  failed: ${failure}`);
    return { case: one, failure };
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void clean().finally(() => process.exit(130)));
}

try {
  await run();
} catch (error) {
  if (cleaning === undefined) {
    const isUsage = error instanceof UsageError;
    process.stderr.write(isUsage ? `${error.message}\n\n${USAGE}\n` : `${String(error)}\n`);
    process.exitCode = isUsage ? 2 : 1;
  }
} finally {
  await clean();
}
