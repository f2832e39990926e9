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
const OUTCOMES = [...SCENARIOS, 'void'] as const;
const SORTS = ['-publishedAt', 'publishedAt', 'slug', 'relevance'] as const;

export function listCommand(yargs: Yargs): void {
  yargs.command(
    'list',
    'List outlooks',
    (yargs) =>
      yargs.options({
        instrument: textOption('only outlooks on this symbol'),
        status: { choices: STATUSES, describe: 'only outlooks with this status' },
        'review-due': {
          type: 'boolean',
          describe: 'only outlooks due for review (--no-review-due: only the others)',
        },
        'awaiting-resolution': {
          type: 'boolean',
          describe: 'only outlooks whose horizon is over and that are not resolved',
        },
        contradicted: {
          type: 'boolean',
          describe: 'only outlooks whose resolution the closing prices contradict',
        },
        scenario: {
          choices: SCENARIOS,
          describe: 'scenario for --min-probability and --max-probability',
        },
        'min-probability': numberOption('only outlooks with at least this probability'),
        'max-probability': numberOption('only outlooks with at most this probability'),
        author: textOption('only outlooks published by this analyst, by name or id'),
        'horizon-ends-after': textOption('only outlooks whose horizon ends after this date'),
        'horizon-ends-before': textOption('only outlooks whose horizon ends before this date'),
        outcome: { choices: OUTCOMES, describe: 'only outlooks resolved with this outcome' },
        'updated-since': textOption('only outlooks published at or after this time'),
        q: textOption('only outlooks with these words, symbols or names'),
        sort: { choices: SORTS, describe: 'sort order' },
        'as-of': asOfOption,
        limit: numberOption('maximum number; all if omitted'),
      }),
    async (argv) => {
      const { instrument, status, reviewDue, scenario, minProbability, maxProbability } = argv;
      const { awaitingResolution, contradicted, updatedSince, q, sort, asOf } = argv;
      const { author, horizonEndsAfter, horizonEndsBefore, outcome, limit = Infinity } = argv;
      const client = apiClient(argv.url);
      const filters = { instrument, status, reviewDue, scenario, minProbability, maxProbability };
      const query = omitUndefined({
        ...filters,
        awaitingResolution,
        contradicted,
        author,
        horizonEndsAfter,
        horizonEndsBefore,
        outcome,
        updatedSince,
        q,
        sort,
        asOf,
      });
      const list = await readPages(limit, async (page) =>
        dataOrThrow(await client.GET('/v1/outlooks', { params: { query: { ...query, ...page } } })),
      );
      printResult(argv, list, () => formatList(list.items));
    },
  );
}

/** The status, and the outcome of a resolved outlook. */
function statusOf({ status, resolution }: OutlookSummary): string {
  return resolution === null || resolution.outcome === 'void'
    ? status
    : `${status}: ${resolution.outcome}`;
}

function formatList(outlooks: readonly OutlookSummary[]): string {
  if (outlooks.length === 0) return 'No outlooks match.';
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
      outlook.review.due ? { text: 'review due', format: 'yellow' } : statusOf(outlook),
      `v${outlook.version}`,
      outlook.publishedAt.slice(0, 10),
    ]),
  );
}
