import { readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { format } from 'prettier';
import type { Case, Goal, Outcome } from './bench.ts';
import type { Options } from './options.ts';

const README = new URL('README.md', import.meta.url);
const LAST_RUN = new URL('last-run.json', import.meta.url);
const [BEGIN, END] = ['<!-- last run: begin -->', '<!-- last run: end -->'];

export type Result = { case: Case } & ({ outcome: Outcome } | { failure: string });

export type Run = {
  options: Options;
  startedAt: Date;
  /** The duration in seconds. */
  seconds: number;
  postgres: string;
  results: readonly Result[];
};

/** The run as a Markdown table, below a line that says where and how it ran. */
export async function markdownOf(run: Run): Promise<string> {
  return format([circumstances(run), '', ...table(run.results), ''].join('\n'), {
    parser: 'markdown',
    printWidth: 100,
    proseWrap: 'always',
  });
}

function circumstances({ options, startedAt, seconds, postgres }: Run): string {
  const { cores, processor, memory, system, node } = machine();
  const number = (value: number) => value.toLocaleString('en');
  return (
    `${startedAt.toISOString().slice(0, 10)}: ${cores} × ${processor}, ${memory} GB, ${system}, Node.js ${node}, ` +
    `PostgreSQL ${postgres}; ${number(options.outlooks)} and ${number(options.largeOutlooks)} outlooks, ` +
    `${number(options.versions)} and ${number(options.largeVersions)} versions; ${options.connections} connections, ` +
    `${options.rounds} rounds of ${options.seconds} s a side; ${Math.round(seconds / 60)} minutes in all.`
  );
}

function machine() {
  return {
    cores: os.cpus().length,
    processor: os.cpus()[0]?.model.trim() ?? os.arch(),
    memory: Math.round(os.totalmem() / 1e9),
    system: `${os.platform()} ${os.arch()}`,
    node: process.versions.node,
  };
}

function table(results: readonly Result[]): string[] {
  const head = ['Case', 'Reference', 'Service', 'Result', 'Goal', 'Met', 'p50 / p99, ms'];
  const cells = [...head, 'CPU a request', 'Generator'];
  return [cells, cells.map(() => '---'), ...results.map(cellsOf)].map(
    (row) => `| ${row.join(' | ')} |`,
  );
}

function cellsOf(result: Result): string[] {
  const { title, goal } = result.case;
  if ('failure' in result) {
    const failure = result.failure.replaceAll(/\s+/g, ' ').replaceAll('|', '/').slice(0, 120);
    return [title, '', '', failure, goalText(goal), 'no', '', '', ''];
  }
  const { reference, service, latency, cpu, generator } = result.outcome;
  return [
    title,
    reference,
    service,
    resultText(result.outcome, goal),
    goalText(goal),
    isMet(result) ? 'yes' : 'no',
    latency,
    cpu === null ? '' : cpu.toFixed(2),
    generator,
  ];
}

function resultText({ result }: Outcome, goal: Goal): string {
  return 'unit' in goal ? `${Math.round(result)} ${goal.unit}` : result.toFixed(3);
}

function goalText(goal: Goal): string {
  if ('atLeast' in goal) return `≥ ${goal.atLeast}`;
  return goal.unit ? `≤ ${goal.atMost} ${goal.unit}` : `≤ ${goal.atMost}`;
}

export function isMet(result: Result): boolean {
  if ('failure' in result) return false;
  const { goal } = result.case;
  const { result: found } = result.outcome;
  return 'atLeast' in goal ? found >= goal.atLeast : found <= goal.atMost;
}

/** Records the run: its table in the README, all its numbers as JSON. */
export async function record(run: Run, markdown: string): Promise<void> {
  const { options, startedAt, seconds, postgres } = run;
  const results = run.results.map((result) => ({
    name: result.case.name,
    title: result.case.title,
    goal: result.case.goal,
    met: isMet(result),
    ...('failure' in result ? { failure: result.failure } : result.outcome),
  }));
  const machineAndDatabase = { ...machine(), postgres };
  const json = { startedAt, seconds, machine: machineAndDatabase, options, results };
  writeFileSync(
    LAST_RUN,
    await format(JSON.stringify(rounded(json)), { parser: 'json', printWidth: 100 }),
  );
  const readme = readFileSync(README, 'utf8');
  const [before, after] = [readme.indexOf(BEGIN) + BEGIN.length, readme.indexOf(END)];
  const changed = `${readme.slice(0, before)}\n\n${markdown.trim()}\n\n${readme.slice(after)}`;
  writeFileSync(README, changed);
}

/** Rounds to four significant digits: more would suggest a precision that isn't there. */
function rounded(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, each: unknown) =>
      typeof each === 'number' && !Number.isInteger(each) ? Number(each.toPrecision(4)) : each,
    ),
  );
}
