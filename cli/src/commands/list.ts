import type { OutlookSummary } from '@outlook-ledger/client';
import { dataOf } from '../errors.ts';
import { fraction, table } from '../layout.ts';
import { asOf, given, number, type Program, SCENARIOS, text } from '../options.ts';
import { answer } from '../output.ts';
import { walk } from '../paging.ts';
import { serviceAt } from '../api-client.ts';

const STATUSES = ['open', 'resolved', 'void', 'withdrawn'] as const;
const SORTS = ['-publishedAt', 'publishedAt', 'slug', 'relevance'] as const;

export function listCommand(program: Program): Program {
  return program.command(
    'list',
    'List outlooks',
    (command) =>
      command.options({
        instrument: text('only those on this symbol'),
        status: { choices: STATUSES, describe: 'only those of this status' },
        'review-due': {
          type: 'boolean',
          describe: 'only those due for review (--no-… for the others)',
        },
        scenario: { choices: SCENARIOS, describe: 'what the two below are about' },
        'min-probability': number('only those that give it so much or more'),
        'max-probability': number('only those that give it so much or less'),
        'updated-since': text('only those published at this moment or later'),
        q: text('only those with these words'),
        sort: { choices: SORTS, describe: 'the order' },
        'as-of': asOf,
        limit: number('at most so many; all of them unless it is given'),
      }),
    async (argv) => {
      const { instrument, status, reviewDue, scenario, minProbability, maxProbability } = argv;
      const { updatedSince, q, sort, asOf, limit = Infinity } = argv;
      const { client } = serviceAt(argv.url);
      const filters = { instrument, status, reviewDue, scenario, minProbability, maxProbability };
      const query = given({ ...filters, updatedSince, q, sort, asOf });
      const found = await walk(limit, async (page) =>
        dataOf(await client.GET('/v1/outlooks', { params: { query: { ...query, ...page } } })),
      );
      answer(argv, found, () => pageOf(found.items));
    },
  );
}

function pageOf(outlooks: readonly OutlookSummary[]): string {
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
      ...SCENARIOS.map((scenario) => fraction(outlook.probabilities[scenario])),
      outlook.review.due ? { text: 'review due', format: 'yellow' } : outlook.status,
      `v${outlook.version}`,
      outlook.publishedAt.slice(0, 10),
    ]),
  );
}
