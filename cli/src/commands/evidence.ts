import type { Client, Evidence, EvidenceInput } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { readAlphaVantageNews } from '../alphavantage-news.ts';
import { dataOrThrow, FileProblemError, ProblemError } from '../errors.ts';
import { readJsonObject } from '../input-files.ts';
import { formatTime, heading, paragraph, table } from '../layout.ts';
import { numberOption, omitUndefined, slugArgument, textOption, type Yargs } from '../options.ts';
import { printMessage, printResult } from '../output.ts';
import { readPages } from '../paging.ts';
import { sanitize } from '../terminal-text.ts';

export function evidenceCommand(yargs: Yargs): void {
  yargs.command('evidence', 'List, add or import evidence', (yargs) => {
    listCommand(yargs);
    addCommand(yargs);
    importCommand(yargs);
    return yargs.demandCommand(1, 'Use "evidence list", "evidence add" or "evidence import".');
  });
}

function listCommand(yargs: Yargs): void {
  yargs.command(
    'list <slug>',
    'List the evidence of an outlook and its ids, newest first',
    (yargs) =>
      yargs
        .positional('slug', slugArgument)
        .option('limit', numberOption('maximum number; all if omitted')),
    async (argv) => {
      const client = apiClient(argv.url);
      const path = { slug: argv.slug };
      const evidence = await readPages(argv.limit ?? Infinity, async (query) =>
        dataOrThrow(await client.GET('/v1/outlooks/{slug}/evidence', { params: { path, query } })),
      );
      printResult(argv, evidence, () => formatEvidence(evidence.items));
    },
  );
}

function addCommand(yargs: Yargs): void {
  yargs.command(
    'add <slug>',
    'Add evidence from options, a JSON file, or both',
    (yargs) =>
      yargs.positional('slug', slugArgument).options({
        file: textOption(
          'JSON file with the evidence as the API takes it, - for standard input; options override it',
        ),
        headline: textOption('headline'),
        summary: textOption('summary'),
        publisher: textOption('publisher'),
        'published-at': textOption('time of publication, such as 2026-11-20T22:00:00Z'),
        link: textOption('URL of the source'),
        corrects: textOption('id of the evidence that this corrects'),
      }),
    async (argv) => {
      const client = apiClient(argv.url);
      const { headline, summary, publisher, publishedAt, link: url, corrects } = argv;
      const options = omitUndefined({ headline, summary, publisher, publishedAt, url, corrects });
      const file = argv.file === undefined ? {} : await readJsonObject(argv.file);
      // The service reports everything that is missing, at once.
      const body = { ...file, ...options } as EvidenceInput;
      const params = { path: { slug: argv.slug } };
      const added = dataOrThrow(
        await client.POST('/v1/outlooks/{slug}/evidence', { params, body }),
      );
      printResult(argv, added, () => formatAdded(added));
    },
  );
}

function importCommand(yargs: Yargs): void {
  yargs.command(
    'import <file>',
    'Import news with sentiments as evidence; safe to repeat',
    (yargs) =>
      yargs
        .positional('file', {
          type: 'string',
          demandOption: true,
          describe:
            'JSON file as the provider sends it; it may be compressed by gzip; - for standard input',
        })
        .nargs('file', 1)
        .options({
          from: {
            ...textOption('whose file it is: NEWS_SENTIMENT of alphavantage'),
            choices: ['alphavantage'] as const,
            demandOption: true,
          },
          outlook: { ...slugArgument, nargs: 1 },
        }),
    async (argv) => {
      const client = apiClient(argv.url);
      const items = readAlphaVantageNews(await readJsonObject(argv.file), argv.file);
      const counts = { added: 0, unchanged: 0 };
      for (const [index, item] of items.entries()) {
        const isNew = await importItem(client, argv.outlook, item, index);
        counts[isNew ? 'added' : 'unchanged'] += 1;
      }
      printResult(argv, counts, () =>
        sanitize(`${argv.outlook}: ${counts.added} added, ${counts.unchanged} already there.`),
      );
    },
  );
}

/**
 * @param index the place of the item in the feed, for messages
 * @returns whether the item is new
 */
async function importItem(
  client: Client,
  slug: string,
  body: EvidenceInput,
  index: number,
): Promise<boolean> {
  const params = { path: { slug }, query: { import: 'true' } } as const;
  const result = await client.POST('/v1/outlooks/{slug}/evidence', { params, body });
  try {
    dataOrThrow(result);
  } catch (error) {
    if (index > 0 && error instanceof Error) {
      printMessage(
        `The ${index} items before feed[${index}] are in the outlook. Import the file again once the problem is solved.`,
      );
    }
    if (!(error instanceof ProblemError)) throw error;
    throw new FileProblemError(error.problem, ({ pointer }) => `feed[${index}]${pointer}`);
  }
  return result.response.status === 201;
}

function formatEvidence(items: readonly Evidence[]): string {
  if (items.length === 0) return 'No evidence.';
  return table(
    [{ title: 'ID' }, { title: 'Published' }, { title: 'Headline', wraps: true }],
    items.map(({ id, publishedAt, headline }) => [id, formatTime(publishedAt), headline]),
  );
}

function formatAdded({ id, headline, claims, duplicateOf }: Evidence): string {
  return [
    heading(`Added: ${headline}`),
    ...(duplicateOf === null ? [] : [paragraph(`The outlook has this already: ${duplicateOf}.`)]),
    paragraph(`Claims: ${claims.length}. To cite it in a revision: --evidence ${id}`),
  ].join('\n');
}
