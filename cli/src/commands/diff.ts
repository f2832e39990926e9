import type { OutlookDiff } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow } from '../errors.ts';
import { formatFraction, formatTime, heading, paragraph } from '../layout.ts';
import { numberOption, omitUndefined, slugArgument, type Yargs } from '../options.ts';
import { printResult } from '../output.ts';
import { probabilityChanges } from '../probabilities.ts';

export function diffCommand(yargs: Yargs): void {
  yargs.command(
    'diff <slug> [to]',
    'Compare two versions',
    (yargs) =>
      yargs
        .positional('slug', slugArgument)
        .positional('to', numberOption('version to compare; the current one if omitted'))
        .option('against', numberOption('version to compare it with; the previous one if omitted')),
    async (argv) => {
      const client = apiClient(argv.url);
      const { slug, against } = argv;
      const readCurrentVersion = async () =>
        dataOrThrow(await client.GET('/v1/outlooks/{slug}', { params: { path: { slug } } }))
          .version;
      const version = argv.to ?? (await readCurrentVersion());
      const params = { path: { slug, version }, query: omitUndefined({ against }) };
      const diff = dataOrThrow(
        await client.GET('/v1/outlooks/{slug}/versions/{version}/diff', { params }),
      );
      printResult(argv, diff, () => formatDiff(diff));
    },
  );
}

function formatDiff({ slug, from, to, probabilities, fields, lists }: OutlookDiff): string {
  const describe = ({ version, publishedAt, author }: OutlookDiff['from']) =>
    `version ${version} (${formatTime(publishedAt)}, ${author.name})`;
  return [
    heading(`${slug}: from ${describe(from)} to ${describe(to)}`),
    probabilityChanges(probabilities.from, probabilities.to),
    `  total variation ${formatFraction(probabilities.totalVariation)}`,
    ...fields.map((field) => formatAlteration(field)),
    ...Object.entries(lists).flatMap(([name, list]) => formatListDiff(name, list)),
  ].join('\n');
}

type ListDiff = OutlookDiff['lists'][keyof OutlookDiff['lists']];

function formatListDiff(name: string, { added, removed, altered, moved }: ListDiff): string[] {
  return [
    ...added.map(({ key, entry }) => paragraph(`+ ${name} "${key}": ${JSON.stringify(entry)}`)),
    ...removed.map(({ key, entry }) => paragraph(`− ${name} "${key}": ${JSON.stringify(entry)}`)),
    ...altered.flatMap(({ key, fields }) =>
      fields.map((field) => formatAlteration(field, `${name} "${key}" `)),
    ),
    ...moved.map(({ key, from, to }) =>
      paragraph(`~ ${name} "${key}": moved from position ${from + 1} to ${to + 1}`),
    ),
  ];
}

type Alteration = OutlookDiff['fields'][number];

function formatAlteration({ pointer, before, after }: Alteration, entry = ''): string {
  return [
    paragraph(`~ ${entry}${pointer}`),
    paragraph(`from ${formatValue(before)}`, 6),
    paragraph(`to ${formatValue(after)}`, 6),
  ].join('\n');
}

function formatValue(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
