import type { OutlookSummary } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow } from '../errors.ts';
import { formatFraction, table } from '../layout.ts';
import {
  asOfOption,
  numberOption,
  omitUndefined,
  SCENARIOS,
  textOption,
  type Yargs,
} from '../options.ts';
import { printResult } from '../output.ts';
import { readPages } from '../paging.ts';

const STATUSES = ['open', 'resolved', 'void', 'withdrawn'] as const;
const SORTS = ['-publishedAt', 'publishedAt', 'slug', 'relevance'] as const;

export function listCommand(yargs: Yargs): void {
  yargs.command(
    'list',
    'List outlooks',
    (yargs) =>
      yargs.options({
        instrument: textOption('only those on this symbol'),
        status: { choices: STATUSES, describe: 'only those of this status' },
        'review-due': {
          type: 'boolean',
          describe: 'only those due for review (--no-… for the others)',
        },
        scenario: { choices: SCENARIOS, describe: 'what the two below are about' },
        'min-probability': numberOption('only those that give it so much or more'),
        'max-probability': numberOption('only those that give it so much or less'),
        'updated-since': textOption('only those published at this moment or later'),
        q: textOption('only those with these words'),
        sort: { choices: SORTS, describe: 'the order' },
        'as-of': asOfOption,
        limit: numberOption('at most so many; all of them unless it is given'),
      }),
    async (argv) => {
      const { instrument, status, reviewDue, scenario, minProbability, maxProbability } = argv;
      const { updatedSince, q, sort, asOf, limit = Infinity } = argv;
      const client = apiClient(argv.url);
      const filters = { instrument, status, reviewDue, scenario, minProbability, maxProbability };
      const query = omitUndefined({ ...filters, updatedSince, q, sort, asOf });
      const list = await readPages(limit, async (page) =>
        dataOrThrow(await client.GET('/v1/outlooks', { params: { query: { ...query, ...page } } })),
      );
      printResult(argv, list, () => formatList(list.items));
    },
  );
}

function formatList(outlooks: readonly OutlookSummary[]): string {
  if (outlooks.length === 0) return 'No outlook is like that.';
  return table(
    [
      { title: 'Outlook', wraps: true },
      { title: 'Symbol' },
      ...SCENARIOS.map((title) => ({ title, align: 'right' as const })),
      { title: 'Status' },
      { title: '', align: 'right' },
      { title: 'Published' },
    ],
    outlooks.map((outlook) => [
      { text: outlook.slug, format: 'bold' },
      outlook.instrument.symbol,
      ...SCENARIOS.map((scenario) => formatFraction(outlook.probabilities[scenario])),
      outlook.review.due ? { text: 'review due', format: 'yellow' } : outlook.status,
      `v${outlook.version}`,
      outlook.publishedAt.slice(0, 10),
    ]),
  );
}
