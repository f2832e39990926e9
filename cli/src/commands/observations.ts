import type { Client, FieldError, Recorded } from '@outlook-ledger/client';
import { dataOf, Refusal } from '../errors.ts';
import { openInput } from '../input-files.ts';
import { bar } from '../layout.ts';
import type { Globals, Program } from '../options.ts';
import { answer, tell } from '../output.ts';
import { batchesOf, readObservations, type Row } from '../observation-file.ts';
import { serviceAt } from '../api-client.ts';
import { plain } from '../terminal-text.ts';

/** The bar of an import, in columns. */
const BAR = 30;

export function observationsCommand(program: Program): Program {
  return program.command('observations', 'Import observations', (command) =>
    importCommand(command).demandCommand(1, 'Say "observations import".'),
  );
}

function importCommand(program: Program): Program {
  return program.command(
    'import <series> <file>',
    'Send a CSV of observations; it may be sent again, as what is known stays as it is',
    (command) =>
      command
        .positional('series', {
          type: 'string',
          demandOption: true,
          describe: 'the key of the series',
        })
        .positional('file', {
          type: 'string',
          demandOption: true,
          describe:
            'a CSV with the header date,value or date,value,provenance,note; - for the standard input',
        })
        .nargs('file', 1),
    async (argv) => {
      const { client } = serviceAt(argv.url);
      const name = argv.file === '-' ? 'The standard input' : argv.file;
      const rows = await readObservations(openInput(argv.file), name);
      await sendAll(client, argv.series, rows, argv);
    },
  );
}

async function sendAll(
  client: Client,
  series: string,
  rows: readonly Row[],
  globals: Globals,
): Promise<void> {
  const total = { added: 0, revised: 0, unchanged: 0 };
  const advance = progressOf(rows.length);
  advance(0);
  for (const batch of batchesOf(rows)) {
    const recorded = await sendBatch(client, series, batch).catch((error: unknown) => {
      advance(null);
      if (batch[0] !== rows[0]) {
        tell(
          `The lines before ${batch[0]?.line} are stored. Import the whole file again, once it is mended.`,
        );
      }
      throw error;
    });
    advance(batch.length);
    for (const name of ['added', 'revised', 'unchanged'] as const) total[name] += recorded[name];
    // As many answers of the service as there were batches, a line each.
    if (globals.json) answer(globals, recorded, () => '');
  }
  advance(null);
  if (globals.json) return;
  const { added, revised, unchanged } = total;
  answer(globals, total, () =>
    plain(`${series}: ${added} added, ${revised} revised, ${unchanged} known so already.`),
  );
}

async function sendBatch(client: Client, series: string, batch: readonly Row[]): Promise<Recorded> {
  const params = { path: { key: series } };
  const body = { observations: batch.map(({ observation }) => observation) };
  const sent = await client.POST('/v1/series/{key}/observations', { params, body });
  try {
    return dataOf(sent);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new Refusal(error.problem, (fault) => placeOf(fault, batch));
  }
}

/** Where a fault of a batch stands in the file. */
function placeOf({ pointer }: FieldError, batch: readonly Row[]): string {
  const [, index, column] = /^\/observations\/(\d+)(?:\/(\w+))?$/.exec(pointer) ?? [];
  const line = batch[Number(index)]?.line;
  if (line === undefined) return pointer || 'the file';
  return column === undefined ? `line ${line}` : `line ${line}, column ${column}`;
}

/**
 * A bar on a terminal; told how many rows were sent, and null at the end. Written here as that of @clack/prompts makes
 * a Ctrl-C an exit code of 0, with half of the rows sent.
 */
function progressOf(max: number): (sent: number | null) => void {
  const { stderr } = process;
  if (!stderr.isTTY) return () => {};
  let done = 0;
  return (sent) => {
    done += sent ?? 0;
    const line = `${bar(done / max, BAR)} ${done} of ${max} observations`;
    stderr.write(sent === null ? '\r\u001b[K' : `\r${line}`);
  };
}
