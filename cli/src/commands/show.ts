import type { Client, Drawdown, Outlook } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow, ProblemError, UsageError } from '../errors.ts';
import { formatTime, heading, lastDayOf, paragraph, style, table } from '../layout.ts';
import {
  asOfOption,
  numberOption,
  omitUndefined,
  SCENARIOS,
  slugArgument,
  type Yargs,
} from '../options.ts';
import { printResult } from '../output.ts';
import { probabilityBars } from '../probabilities.ts';

export function showCommand(yargs: Yargs): void {
  yargs.command(
    'show <slug>',
    'Show an outlook',
    (yargs) =>
      yargs
        .positional('slug', slugArgument)
        .options({ version: numberOption('version to show'), 'as-of': asOfOption })
        .conflicts('version', 'as-of'),
    async (argv) => {
      const client = apiClient(argv.url);
      const { slug, version, asOf, json } = argv;
      const outlook = await readOutlook(client, slug, { version, asOf });
      // The drawdown of today says nothing about an old version.
      const drawdown =
        json || version !== undefined ? null : await readDrawdown(client, slug, asOf);
      printResult(argv, outlook, () => formatOutlook(outlook, drawdown));
    },
  );
}

type VersionSelector = { version: number | undefined; asOf: string | undefined };

async function readOutlook(
  client: Client,
  slug: string,
  { version, asOf }: VersionSelector,
): Promise<Outlook> {
  if (version === undefined) {
    const params = { path: { slug }, query: omitUndefined({ asOf }) };
    return dataOrThrow(await client.GET('/v1/outlooks/{slug}', { params }));
  }
  if (!Number.isInteger(version)) throw new UsageError('--version must be a whole number.');
  const params = { path: { slug, version } };
  return dataOrThrow(await client.GET('/v1/outlooks/{slug}/versions/{version}', { params }));
}

/** Null if the instrument has no series of closes. */
async function readDrawdown(
  client: Client,
  slug: string,
  asOf: string | undefined,
): Promise<Drawdown | null> {
  const params = { path: { slug }, query: omitUndefined({ asOf }) };
  try {
    return dataOrThrow(await client.GET('/v1/outlooks/{slug}/drawdown', { params }));
  } catch (error) {
    if (error instanceof ProblemError && error.problem.type === '/problems/no-closes') return null;
    throw error;
  }
}

function formatOutlook(outlook: Outlook, drawdown: Drawdown | null): string {
  return [
    formatTitle(outlook),
    formatReview(outlook),
    probabilityBars(outlook.probabilities, outlook.change.deltas),
    section('Scenarios', formatScenarios(outlook)),
    section('Headwinds', formatHeadwinds(outlook)),
    section('Invalidation conditions', formatConditions(outlook)),
    drawdown && section('Drawdown', formatDrawdown(drawdown)),
    section('Last change', formatChange(outlook)),
    section('Summary', paragraph(outlook.summary)),
  ]
    .filter((part) => part !== null)
    .join('\n\n');
}

function section(title: string, body: string | null): string | null {
  return body === null ? null : `${heading(title)}\n${body}`;
}

function formatTitle(outlook: Outlook): string {
  const { title, slug, instrument, horizon, status, resolution } = outlook;
  const outcome = resolution ? `: ${resolution.outcome}` : '';
  const line = `${slug} · ${instrument.symbol} ${instrument.name} · ${horizon.from} to ${lastDayOf(horizon)} · ${status}${outcome}`;
  const lines = [
    line,
    `${outlook.desk.name}${outlook.visibility === 'internal' ? ' · internal' : ''}`,
    ...(outlook.continues === null ? [] : [`continues ${outlook.continues}`]),
    ...(outlook.continuedBy === null ? [] : [`continued by ${outlook.continuedBy}`]),
  ];
  return [heading(title), ...lines.map((one) => paragraph(one, 0))].join('\n');
}

function formatReview({ review }: Outlook): string | null {
  if (!review.due) return null;
  return style(
    'yellow',
    ['Review due', ...review.reasons.map((reason) => paragraph(reason))].join('\n'),
  );
}

function formatScenarios({ scenarios }: Outlook): string {
  return table(
    [
      { title: '' },
      { title: 'Direction' },
      { title: 'Outcome', wraps: true },
      { title: 'Conditions', wraps: true },
    ],
    SCENARIOS.map((name) => {
      const { title, outcome, conditions, direction } = scenarios[name];
      return [{ text: name, format: 'bold' }, direction, `${title}: ${outcome}`, conditions];
    }),
  );
}

function formatHeadwinds({ headwinds }: Outlook): string | null {
  if (headwinds.length === 0) return null;
  return table(
    [
      { title: '', align: 'right' },
      { title: 'Headwind', wraps: true },
      { title: '', wraps: true },
    ],
    headwinds.map(({ rank, title, description }) => [String(rank), title, description]),
  );
}

function formatConditions({ invalidationConditions }: Outlook): string | null {
  if (invalidationConditions.length === 0) return null;
  return table(
    [
      { title: 'State' },
      { title: 'Invalidates' },
      { title: 'Condition', wraps: true },
      { title: 'Statement', wraps: true },
    ],
    invalidationConditions.map(({ state, invalidates, key, statement }) => [
      state === 'triggered' ? { text: state, format: 'yellow' } : state,
      invalidates,
      key,
      statement,
    ]),
  );
}

function formatDrawdown({ depth, last, peak, label, series }: Drawdown): string {
  if (depth === null || last === null || peak === null) {
    return paragraph(`${series} has no closes yet.`);
  }
  const percent = (depth * 100).toFixed(1);
  const line = `${last.value} on ${last.date}, ${percent} % below the peak of ${peak.value} on ${peak.date}.`;
  return paragraph(label ? `${line} Label: ${label.label}.` : line);
}

function formatChange({
  version,
  publishedAt,
  author,
  rationale,
  change,
  evidence,
  approvedBy,
}: Outlook): string {
  const cited = evidence.map(({ headline, id }) => `cites "${headline}" (${id})`);
  const line = `Version ${version} (${change.kind}), ${formatTime(publishedAt)}, by ${author.name}:`;
  const approvers = approvedBy.map(({ name }) => name).join(', ');
  const approved = approvers === '' ? [] : [`approved by ${approvers}`];
  return [line, rationale, ...cited, ...approved].map((text) => paragraph(text)).join('\n');
}
