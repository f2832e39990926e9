import type { Client, FieldError, Recorded } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow, FileProblemError, ProblemError } from '../errors.ts';
import { openInput } from '../input-files.ts';
import { bar } from '../layout.ts';
import { readObservations, type Row, splitIntoBatches } from '../observation-file.ts';
import type { GlobalOptions, Yargs } from '../options.ts';
import { printMessage, printResult } from '../output.ts';
import { sanitize } from '../terminal-text.ts';

const PROGRESS_BAR_WIDTH = 30;

export function observationsCommand(yargs: Yargs): void {
  yargs.command('observations', 'Import observations', (yargs) => {
    importCommand(yargs);
    return yargs.demandCommand(1, 'Use "observations import".');
  });
}

function importCommand(yargs: Yargs): void {
  yargs.command(
    'import <series> <file>',
    'Import observations from a CSV file; safe to repeat',
    (yargs) =>
      yargs
        .positional('series', {
          type: 'string',
          demandOption: true,
          describe: 'key of the series',
        })
        .positional('file', {
          type: 'string',
          demandOption: true,
          describe:
            'CSV file with the header date,value or date,value,provenance,note; - for standard input',
        })
        .nargs('file', 1),
    async (argv) => {
      const client = apiClient(argv.url);
      const name = argv.file === '-' ? 'Standard input' : argv.file;
      const rows = await readObservations(openInput(argv.file), name);
      await sendAll(client, argv.series, rows, argv);
    },
  );
}

async function sendAll(
  client: Client,
  series: string,
  rows: readonly Row[],
  options: GlobalOptions,
): Promise<void> {
  const total = { added: 0, revised: 0, unchanged: 0 };
  const progress = startProgress(rows.length);
  for (const batch of splitIntoBatches(rows)) {
    const recorded = await sendBatch(client, series, batch).catch((error: unknown) => {
      progress.clear();
      if (batch[0] !== rows[0]) {
        printMessage(
          `The lines before ${batch[0]?.line} are stored. Import the whole file again once the problem is solved.`,
        );
      }
      throw error;
    });
    progress.advance(batch.length);
    for (const name of ['added', 'revised', 'unchanged'] as const) total[name] += recorded[name];
    // With --json, the service's response to each batch is a line.
    if (options.json) printResult(options, recorded, () => '');
  }
  progress.clear();
  if (options.json) return;
  const { added, revised, unchanged } = total;
  printResult(options, total, () =>
    sanitize(`${series}: ${added} added, ${revised} revised, ${unchanged} unchanged.`),
  );
}

async function sendBatch(client: Client, series: string, batch: readonly Row[]): Promise<Recorded> {
  const params = { path: { key: series } };
  const body = { observations: batch.map(({ observation }) => observation) };
  const result = await client.POST('/v1/series/{key}/observations', { params, body });
  try {
    return dataOrThrow(result);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    throw new FileProblemError(error.problem, (fault) => locateInFile(fault, batch));
  }
}

function locateInFile({ pointer }: FieldError, batch: readonly Row[]): string {
  const [, index, column] = /^\/observations\/(\d+)(?:\/(\w+))?$/.exec(pointer) ?? [];
  const line = batch[Number(index)]?.line;
  if (line === undefined) return pointer || 'the file';
  return column === undefined ? `line ${line}` : `line ${line}, column ${column}`;
}

/**
 * Shows a progress bar if the standard error is a terminal. That of @clack/prompts would turn a Ctrl-C halfway through
 * into exit code 0.
 */
function startProgress(total: number): { advance: (count: number) => void; clear: () => void } {
  const { stderr } = process;
  if (!stderr.isTTY) return { advance: () => {}, clear: () => {} };
  let done = 0;
  const advance = (count: number) => {
    done += count;
    stderr.write(`\r${bar(done / total, PROGRESS_BAR_WIDTH)} ${done} of ${total} observations`);
  };
  advance(0);
  return { advance, clear: () => void stderr.write('\r\u001b[K') };
}
