import type { InboxItem, InboxPage } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow } from '../errors.ts';
import { formatTime, heading, paragraph } from '../layout.ts';
import { omitUndefined, type Yargs } from '../options.ts';
import { printResult } from '../output.ts';
import { readPages } from '../paging.ts';

const HEADINGS = {
  'to-approve': 'To approve',
  returned: 'Returned to you',
  'review-due': 'Reviews due',
  'horizon-over': 'Horizons over: record the outcome',
  contradicted: 'Outcomes that closes contradict',
  'series-silent': 'Series that stopped arriving',
} as const;
type Kind = keyof typeof HEADINGS;
const KINDS = Object.keys(HEADINGS) as Kind[];

export function inboxCommand(yargs: Yargs): void {
  yargs.command(
    'inbox',
    'List what waits for you and your desks',
    (yargs) => yargs.options({ kind: { choices: KINDS, describe: 'only items of this kind' } }),
    async (argv) => {
      const client = apiClient(argv.url);
      const query = omitUndefined({ kind: argv.kind });
      let counts: InboxPage['counts'] | undefined;
      const list = await readPages(Infinity, async (page) => {
        const read = dataOrThrow(
          await client.GET('/v1/inbox', { params: { query: { ...query, ...page } } }),
        );
        counts ??= read.counts;
        return read;
      });
      printResult(argv, { ...list, counts }, () => formatInbox(list.items));
    },
  );
}

function formatInbox(items: readonly InboxItem[]): string {
  if (items.length === 0) return 'Nothing waits for you.';
  return KINDS.flatMap((kind) => {
    const ours = items.filter((item) => item.kind === kind);
    if (ours.length === 0) return [];
    return [[heading(`${HEADINGS[kind]} (${ours.length})`), ...ours.map(formatItem)].join('\n')];
  }).join('\n\n');
}

function formatItem({ title, detail, since, desk, outlook, series, proposal }: InboxItem): string {
  const place = proposal ?? series ?? outlook ?? '';
  return [
    paragraph(title),
    ...(detail === null || detail === '' ? [] : [paragraph(detail, 4)]),
    paragraph(`${place} · ${desk.name}, since ${formatTime(since)}`, 4),
  ].join('\n');
}
