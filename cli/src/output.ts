import { confirm, isCancel } from '@clack/prompts';
import { Declined, Refusal, UsageError } from './errors.ts';
import type { Globals } from './options.ts';
import { jsonOf, plain } from './terminal-text.ts';

/** Answers a command: with the service's own JSON, or with a page for whoever reads it. */
export function answer({ json }: Pick<Globals, 'json'>, data: unknown, page: () => string): void {
  process.stdout.write(`${json ? jsonOf(data) : page()}\n`);
}

/** Tells whoever runs the command what is no part of its answer. */
export function tell(text: string): void {
  const { stderr } = process;
  // On a terminal a bar may stand on the line.
  stderr.write(`${stderr.isTTY ? '\r\u001b[K' : ''}${text}\n`);
}

/** Tells why a command failed; a refusal with `--json` as the problem that it is. */
export function tellFailure(failure: unknown, { json }: Pick<Globals, 'json'>): void {
  if (failure instanceof Refusal) {
    tell(json ? jsonOf(failure.problem) : pageOf(failure));
  } else if (failure instanceof UsageError) {
    tell([failure.message, ...indented(failure.faults)].map(plain).join('\n'));
  } else {
    tell(plain(failure instanceof Error ? failure.message : String(failure)));
  }
}

/** How many faults are told; the service tells as many. */
const MOST_TOLD = 100;

function indented(faults: readonly string[]): string[] {
  const told = faults.slice(0, MOST_TOLD).map((fault) => `  ${fault}`);
  return faults.length > MOST_TOLD ? [...told, `  and ${faults.length - MOST_TOLD} more`] : told;
}

function pageOf({ problem, placeOf }: Refusal): string {
  const faults = (problem.errors ?? []).map((fault) => `${placeOf(fault)}: ${fault.detail}`);
  return [`${problem.title} (${problem.status})`, problem.detail, ...indented(faults)]
    .map(plain)
    .join('\n');
}

/**
 * Refuses a command that has to ask where there is nobody to be asked; to be called before anything is done.
 * @throws UsageError
 */
export function requireSomeone({ yes }: { yes: boolean }): void {
  if (yes || (process.stdin.isTTY && process.stderr.isTTY)) return;
  throw new UsageError('There is no terminal to ask on: say --yes to go on without being asked.');
}

/**
 * Shows what is about to be done, and asks whether to do it, unless that was said before.
 * @throws Declined
 */
export async function requireYes(
  { yes }: { yes: boolean },
  preview: string,
  question: string,
): Promise<void> {
  if (yes) return;
  tell(preview);
  const said = await confirm({
    message: plain(question),
    initialValue: false,
    output: process.stderr,
  });
  if (isCancel(said) || !said) throw new Declined('Nothing was sent.');
}
