import type { Evidence, EvidenceInput } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow } from '../errors.ts';
import { readJsonObject } from '../input-files.ts';
import { formatTime, heading, paragraph, table } from '../layout.ts';
import { numberOption, omitUndefined, slugArgument, textOption, type Yargs } from '../options.ts';
import { printResult } from '../output.ts';
import { readPages } from '../paging.ts';

export function evidenceCommand(yargs: Yargs): void {
  yargs.command('evidence', 'List or add evidence', (yargs) => {
    listCommand(yargs);
    addCommand(yargs);
    return yargs.demandCommand(1, 'Use "evidence list" or "evidence add".');
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

function formatEvidence(items: readonly Evidence[]): string {
  if (items.length === 0) return 'No evidence.';
  return table(
    [{ title: 'ID' }, { title: 'Published' }, { title: 'Headline', wraps: true }],
    items.map(({ id, publishedAt, headline }) => [id, formatTime(publishedAt), headline]),
  );
}

function formatAdded({ id, headline, claims }: Evidence): string {
  return [
    heading(`Added: ${headline}`),
    paragraph(`Claims: ${claims.length}. To cite it in a revision: --evidence ${id}`),
  ].join('\n');
}
