import { confirm, isCancel } from '@clack/prompts';
import type { FieldError } from '@outlook-ledger/client';
import { DeclinedError, FileProblemError, ProblemError, UsageError } from './errors.ts';
import type { GlobalOptions } from './options.ts';
import { sanitize, sanitizedJson } from './terminal-text.ts';

type Format = Pick<GlobalOptions, 'json'>;

/** Prints the result of a command: the service's JSON with `--json`, else formatted text. */
export function printResult({ json }: Format, data: unknown, format: () => string): void {
  process.stdout.write(`${json ? sanitizedJson(data) : format()}\n`);
}

/** Prints to the standard error what is not part of the result. */
export function printMessage(text: string): void {
  const { stderr } = process;
  // On a terminal, a progress bar may be on this line.
  stderr.write(`${stderr.isTTY ? '\r\u001b[K' : ''}${text}\n`);
}

/** Prints why a command failed. With `--json`, a problem is printed as JSON. */
export function printError(error: unknown, { json }: Format): void {
  if (error instanceof ProblemError) {
    printMessage(json ? sanitizedJson(error.problem) : formatProblem(error));
  } else if (error instanceof UsageError) {
    printMessage([error.message, ...formatFaults(error.faults)].map(sanitize).join('\n'));
  } else {
    printMessage(sanitize(error instanceof Error ? error.message : String(error)));
  }
}

/** The service reports as many. */
const MAX_FAULTS = 100;

function formatFaults(faults: readonly string[]): string[] {
  const lines = faults.slice(0, MAX_FAULTS).map((fault) => `  ${fault}`);
  return faults.length > MAX_FAULTS
    ? [...lines, `  and ${faults.length - MAX_FAULTS} more`]
    : lines;
}

function formatProblem(error: ProblemError): string {
  const { problem } = error;
  const locate = (fault: FieldError) =>
    error instanceof FileProblemError ? error.locate(fault) : fault.pointer || 'the request';
  const faults = (problem.errors ?? []).map((fault) =>
    [locate(fault), fault.detail].filter((part) => part !== '').join(': '),
  );
  return [`${problem.title} (${problem.status})`, problem.detail, ...formatFaults(faults)]
    .map(sanitize)
    .join('\n');
}

/**
 * To be called before a command that asks for confirmation does anything.
 * @throws UsageError if there is no terminal to ask on
 */
export function requireTerminal({ yes }: { yes: boolean }): void {
  if (yes || (process.stdin.isTTY && process.stderr.isTTY)) return;
  throw new UsageError(
    'This command asks for confirmation, and there is no terminal. Use --yes to skip the question.',
  );
}

/**
 * Shows a preview and asks the user to confirm it, except with `--yes`.
 * @throws DeclinedError
 */
export async function requireConfirmation(
  { yes }: { yes: boolean },
  preview: string,
  question: string,
): Promise<void> {
  if (yes) return;
  printMessage(preview);
  const isConfirmed = await confirm({
    message: sanitize(question),
    initialValue: false,
    output: process.stderr,
  });
  if (isCancel(isConfirmed) || !isConfirmed) throw new DeclinedError('Nothing was sent.');
}
