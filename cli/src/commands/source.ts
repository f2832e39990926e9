import type { SeriesSource, SeriesSourceInput } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow } from '../errors.ts';
import { formatTime } from '../layout.ts';
import { numberOption, omitUndefined, textOption, type Yargs } from '../options.ts';
import { printResult } from '../output.ts';
import { sanitize } from '../terminal-text.ts';

const seriesArgument = {
  type: 'string',
  demandOption: true,
  describe: 'key of the series',
} as const;

export function sourceCommand(yargs: Yargs): void {
  yargs.command('source', 'Show, set or remove where a series is pulled from', (yargs) => {
    showCommand(yargs);
    setCommand(yargs);
    removeCommand(yargs);
    return yargs.demandCommand(1, 'Use "source show", "source set" or "source remove".');
  });
}

function showCommand(yargs: Yargs): void {
  yargs.command(
    'show <series>',
    'Show the source of a series, its last success and its last failure',
    (yargs) => yargs.positional('series', seriesArgument),
    async (argv) => {
      const params = { path: { key: argv.series } };
      const source = dataOrThrow(
        await apiClient(argv.url).GET('/v1/series/{key}/source', { params }),
      );
      printResult(argv, source, () => formatSource(source));
    },
  );
}

function setCommand(yargs: Yargs): void {
  yargs.command(
    'set <series>',
    'Set the source of a series, and pull it now',
    (yargs) =>
      yargs.positional('series', seriesArgument).options({
        from: {
          choices: ['fred', 'ecb', 'stooq'] as const,
          requiresArg: true,
          describe: 'provider',
        },
        id: textOption('what the provider calls the series, such as DGS10'),
        link: textOption('URL of a CSV file, in place of --from and --id'),
        every: numberOption('minutes between two pulls; 1440 if omitted'),
        format: textOption('provider in whose format the file is, such as yahoo'),
        'date-column': textOption('column of the dates'),
        'value-column': textOption('column of the values'),
        'date-format': textOption('how dates are written, such as DD/MM/YYYY'),
        decimal: textOption('decimal mark, . or ,'),
        delimiter: textOption('character between two cells: , ; | or tab'),
        missing: textOption('texts that mean no value, separated by commas'),
      }),
    async (argv) => {
      const { from, id, link, every, format, dateColumn, valueColumn, dateFormat } = argv;
      const { decimal, delimiter } = argv;
      const missing = argv.missing?.split(',').map((word) => word.trim());
      const described = {
        format,
        dateColumn,
        valueColumn,
        dateFormat,
        decimal,
        delimiter,
        missing,
      };
      const file = omitUndefined(described);
      // The service reports everything that is missing or wrong, at once.
      const body = omitUndefined({
        kind: from ?? (link === undefined ? undefined : 'url'),
        id,
        url: link,
        everyMinutes: every,
        file: Object.keys(file).length > 0 ? file : undefined,
      }) as SeriesSourceInput;
      const params = { path: { key: argv.series } };
      const source = dataOrThrow(
        await apiClient(argv.url).PUT('/v1/series/{key}/source', { params, body }),
      );
      printResult(argv, source, () => formatSource(source));
    },
  );
}

function removeCommand(yargs: Yargs): void {
  yargs.command(
    'remove <series>',
    'Stop pulling a series; its observations stay',
    (yargs) => yargs.positional('series', seriesArgument),
    async (argv) => {
      const params = { path: { key: argv.series } };
      const result = await apiClient(argv.url).DELETE('/v1/series/{key}/source', { params });
      if (!result.response.ok) dataOrThrow(result);
      printResult(argv, null, () => sanitize(`${argv.series} no longer has a source.`));
    },
  );
}

function formatSource(source: SeriesSource): string {
  const { series, kind, id, url, everyMinutes, state, nextPullAt } = source;
  const { lastSuccess, lastFailure } = source;
  const lines = [
    `${series}: ${url ?? `${kind} ${id}`}, every ${everyMinutes} minutes`,
    state === 'pulling' ? 'Being pulled now.' : `Next pull: ${formatTime(nextPullAt)}`,
    lastSuccess
      ? `Last success: ${formatTime(lastSuccess.at)}, ${lastSuccess.added} added, ${lastSuccess.revised} revised, ${lastSuccess.unchanged} unchanged`
      : 'No success yet.',
  ];
  if (lastFailure) {
    const { at, detail, failures } = lastFailure;
    const since = failures === 0 ? 'succeeded since' : `${failures} in a row`;
    lines.push(`Last failure: ${formatTime(at)}, ${detail} (${since})`);
  }
  return lines.map(sanitize).join('\n');
}
