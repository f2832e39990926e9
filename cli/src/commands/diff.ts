import type { OutlookDiff } from '@outlook-ledger/client';
import { dataOf } from '../errors.ts';
import { fraction, heading, moment, paragraph } from '../layout.ts';
import { given, number, type Program, slug } from '../options.ts';
import { answer } from '../output.ts';
import { probabilityMoves } from '../probabilities.ts';
import { serviceAt } from '../api-client.ts';

export function diffCommand(program: Program): Program {
  return program.command(
    'diff <slug> [to]',
    'Compare two versions',
    (command) =>
      command
        .positional('slug', slug)
        .positional('to', number('the version to look at; the one that stands, unless it is given'))
        .option('against', number('the version to start from; the one before, unless it is given')),
    async (argv) => {
      const { client } = serviceAt(argv.url);
      const { slug, against } = argv;
      const newest = async () =>
        dataOf(await client.GET('/v1/outlooks/{slug}', { params: { path: { slug } } })).version;
      const version = argv.to ?? (await newest());
      const params = { path: { slug, version }, query: given({ against }) };
      const diff = dataOf(
        await client.GET('/v1/outlooks/{slug}/versions/{version}/diff', { params }),
      );
      answer(argv, diff, () => pageOf(diff));
    },
  );
}

function pageOf(diff: OutlookDiff): string {
  const { from, to, probabilities, fields, lists } = diff;
  const side = ({ version, publishedAt, author }: OutlookDiff['from']) =>
    `version ${version} (${moment(publishedAt)}, ${author.name})`;
  return [
    heading(`${diff.slug}: from ${side(from)} to ${side(to)}`),
    probabilityMoves(probabilities.from, probabilities.to),
    `  moved by ${fraction(probabilities.totalVariation)} in all`,
    ...fields.map((field) => alterationOf(field)),
    ...Object.entries(lists).flatMap(([name, list]) => listLines(name, list)),
  ].join('\n');
}

type ListDiff = OutlookDiff['lists'][keyof OutlookDiff['lists']];

function listLines(name: string, { added, removed, altered, moved }: ListDiff): string[] {
  const lines = [
    ...added.map(({ key, entry }) => paragraph(`+ ${name} "${key}": ${JSON.stringify(entry)}`)),
    ...removed.map(({ key, entry }) => paragraph(`− ${name} "${key}": ${JSON.stringify(entry)}`)),
    ...altered.flatMap(({ key, fields }) =>
      fields.map((field) => alterationOf(field, `${name} "${key}" `)),
    ),
    ...moved.map(({ key, from, to }) =>
      paragraph(`~ ${name} "${key}": from place ${from + 1} to place ${to + 1}`),
    ),
  ];
  return lines;
}

type Alteration = OutlookDiff['fields'][number];

function alterationOf({ pointer, before, after }: Alteration, where = ''): string {
  return [
    paragraph(`~ ${where}${pointer}`),
    paragraph(`from ${wordsOf(before)}`, 6),
    paragraph(`to ${wordsOf(after)}`, 6),
  ].join('\n');
}

function wordsOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
