import type { Client, FieldError, Recorded } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow, FileProblemError, ProblemError } from '../errors.ts';
import { type InputFile, readInput } from '../input-files.ts';
import { formatDelta, heading, paragraph, table } from '../layout.ts';
import { numberOption, omitUndefined, textOption, type Yargs } from '../options.ts';
import { printResult } from '../output.ts';
import { sanitize } from '../terminal-text.ts';

export function observationsCommand(yargs: Yargs): void {
  yargs.command('observations', 'Import observations', (yargs) => {
    importCommand(yargs);
    return yargs.demandCommand(1, 'Use "observations import".');
  });
}

/** The options that describe a file, by the parameters of the API. */
const OPTION_NAMES: Readonly<Record<string, string>> = {
  format: '--from',
  dateColumn: '--date-column',
  valueColumn: '--value-column',
  dateFormat: '--date-format',
  decimal: '--decimal',
  delimiter: '--delimiter',
  missing: '--missing',
  dryRun: '--dry-run',
  maxJump: '--max-jump',
};

function importCommand(yargs: Yargs): void {
  yargs.command(
    'import <series> <file>',
    'Import a CSV file of a provider or your own; safe to repeat',
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
            'CSV file with a header line, such as date,value; it may be compressed by gzip; - for standard input',
        })
        .nargs('file', 1)
        .options({
          from: textOption('whose file it is: fred, yahoo, stooq or alphavantage'),
          'date-column': textOption('column of the dates, by its name'),
          'value-column': textOption('column of the values, by its name'),
          'date-format': textOption('how dates are written, such as DD/MM/YYYY or %d/%m/%Y'),
          decimal: textOption('decimal mark: . or ,'),
          delimiter: textOption('character between two cells: , ; | or tab'),
          missing: textOption('texts that mean no value, separated by commas'),
          'dry-run': {
            type: 'boolean',
            default: false,
            describe: 'show what would change, and store nothing',
          },
          'max-jump': numberOption(
            'with --dry-run, show changes above this ratio from one day to the next; 0.2 by default',
          ),
        }),
    async (argv) => {
      const client = apiClient(argv.url);
      const file = await readInput(argv.file);
      const { from: format, dateColumn, valueColumn, dateFormat } = argv;
      const { decimal, delimiter, missing, dryRun, maxJump } = argv;
      const query = omitUndefined({
        format,
        dateColumn,
        valueColumn,
        dateFormat,
        decimal,
        delimiter,
        missing,
        dryRun: dryRun ? 'true' : undefined,
        maxJump: maxJump?.toString(),
      });
      const recorded = await send(client, argv.series, file, query);
      printResult(argv, recorded, () => formatRecorded(recorded));
    },
  );
}

/**
 * Sends a file as it is: the service reads it, because a part of a file may look as if it were written in another way
 * than the whole.
 */
async function send(
  client: Client,
  key: string,
  { bytes, isGzip }: InputFile,
  query: Record<string, string>,
): Promise<Recorded> {
  const result = await client.POST('/v1/series/{key}/observations', {
    // The service checks the options, and names all that are wrong at once.
    params: { path: { key }, query },
    body: bytes as never,
    bodySerializer: (body) => body as unknown as string,
    headers: { 'Content-Type': 'text/csv', ...(isGzip && { 'Content-Encoding': 'gzip' }) },
  });
  try {
    return dataOrThrow(result);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    const { errors, ...problem } = error.problem;
    const named = errors && { errors: errors.map(nameOptions) };
    throw new FileProblemError({ ...problem, ...named }, locate);
  }
}

/** The service's words for parameters, as this command names them. */
function nameOptions(fault: FieldError): FieldError {
  const detail = fault.detail.replaceAll(
    /\b(dateColumn|valueColumn|dateFormat)\b|\b(decimal|format)(?==)|(?<=with )(delimiter|missing)\b/g,
    (name) => OPTION_NAMES[name] ?? name,
  );
  return { ...fault, detail };
}

/** A fault of a file says itself on which line it is. */
function locate({ pointer, in: part }: FieldError): string {
  return part === 'query' ? (OPTION_NAMES[pointer.slice(1)] ?? pointer) : '';
}

function formatRecorded({ series, preview, ...counts }: Recorded): string {
  const { added, revised, unchanged, skipped } = counts;
  const words = `${added} added, ${revised} revised, ${unchanged} unchanged`;
  const summary = `${series}: ${words}${skipped > 0 ? `, ${skipped} without a value skipped` : ''}.`;
  if (preview === null) return sanitize(summary);
  const span =
    preview.from === null ? '' : ` The file has values from ${preview.from} to ${preview.to}.`;
  return [
    heading(summary),
    paragraph(`Dry run: nothing was stored.${span}`),
    ...changesOf(
      'Revised',
      preview.revisions.map((one) => [one.date, one.before, one.value]),
    ),
    ...changesOf(
      'Jump',
      preview.jumps.map((one) => [one.date, one.previousValue, one.value, one.change]),
    ),
  ].join('\n');
}

type Change = [date: string, before: number | null, value: number | null, change?: number | null];

function changesOf(title: string, changes: readonly Change[]): string[] {
  if (changes.length === 0) return [];
  const isJump = changes.some((change) => change.length > 3);
  const columns = [
    { title },
    { title: 'from', align: 'right' as const },
    { title: 'to', align: 'right' as const },
    ...(isJump ? [{ title: 'change', align: 'right' as const }] : []),
  ];
  const rows = changes.map(([date, before, value, change]) => [
    date,
    String(before ?? '·'),
    String(value ?? '·'),
    ...(isJump ? [change == null ? '·' : formatDelta(change)] : []),
  ]);
  return [table(columns, rows)];
}
