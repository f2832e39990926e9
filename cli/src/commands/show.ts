import type { Client, Drawdown, Outlook } from '@outlook-ledger/client';
import { dataOf, Refusal, UsageError } from '../errors.ts';
import { heading, moment, paragraph, styled, table } from '../layout.ts';
import { asOf as asOfOption, given, number, type Program, SCENARIOS, slug } from '../options.ts';
import { answer } from '../output.ts';
import { probabilityBars } from '../probabilities.ts';
import { serviceAt } from '../api-client.ts';
import { plain } from '../terminal-text.ts';

export function showCommand(program: Program): Program {
  return program.command(
    'show <slug>',
    'Show an outlook',
    (command) =>
      command
        .positional('slug', slug)
        .options({ version: number('this version'), 'as-of': asOfOption })
        .conflicts('version', 'as-of'),
    async (argv) => {
      const { client } = serviceAt(argv.url);
      const { version, asOf } = argv;
      const outlook = await readOutlook(client, argv.slug, { version, asOf });
      // Of an old version it would tell what the market did since.
      const drawdown =
        argv.json || version !== undefined ? null : await readDrawdown(client, argv.slug, asOf);
      answer(argv, outlook, () => pageOf(outlook, drawdown));
    },
  );
}

type Which = { version?: number | undefined; asOf?: string | undefined };

async function readOutlook(
  client: Client,
  slug: string,
  { version, asOf }: Which,
): Promise<Outlook> {
  const path = { slug };
  if (version === undefined) {
    const query = given({ asOf });
    return dataOf(await client.GET('/v1/outlooks/{slug}', { params: { path, query } }));
  }
  if (!Number.isInteger(version)) throw new UsageError('--version is a whole number.');
  return dataOf(
    await client.GET('/v1/outlooks/{slug}/versions/{version}', {
      params: { path: { slug, version } },
    }),
  );
}

/** Where the market stands; null where the instrument has no closes to tell it by. */
async function readDrawdown(
  client: Client,
  slug: string,
  asOf: string | undefined,
): Promise<Drawdown | null> {
  const params = { path: { slug }, query: given({ asOf }) };
  try {
    return dataOf(await client.GET('/v1/outlooks/{slug}/drawdown', { params }));
  } catch (error) {
    if (error instanceof Refusal && error.problem.type === '/problems/no-closes') return null;
    throw error;
  }
}

function pageOf(outlook: Outlook, drawdown: Drawdown | null): string {
  return [
    titleOf(outlook),
    reviewOf(outlook),
    probabilityBars(outlook.probabilities, outlook.change.deltas),
    section('Scenarios', scenariosOf(outlook)),
    section('Headwinds', headwindsOf(outlook)),
    section('What would show it to be wrong', conditionsOf(outlook)),
    drawdown && section('Drawdown', drawdownOf(drawdown)),
    section('Last change', changeOf(outlook)),
    section('Summary', paragraph(outlook.summary)),
  ]
    .filter((part) => part !== null)
    .join('\n\n');
}

function section(title: string, body: string | null): string | null {
  return body === null ? null : `${heading(title)}\n${body}`;
}

function titleOf({ title, slug, instrument, horizon, status, resolution }: Outlook): string {
  const outcome = resolution ? `: ${resolution.outcome}` : '';
  const line = `${slug} · ${instrument.symbol} ${instrument.name} · ${horizon.from} to ${horizon.to} · ${status}${outcome}`;
  return `${heading(title)}\n${paragraph(line, 0)}`;
}

function reviewOf({ review }: Outlook): string | null {
  if (!review.due) return null;
  return styled(
    'yellow',
    ['Review due', ...review.reasons.map((why) => paragraph(why))].join('\n'),
  );
}

function scenariosOf({ scenarios }: Outlook): string {
  return table(
    [
      { title: '' },
      { title: 'Direction' },
      { title: 'What it is', wraps: true },
      { title: 'When', wraps: true },
    ],
    SCENARIOS.map((name) => {
      const { title, outcome, conditions, direction } = scenarios[name];
      return [{ text: name, format: 'bold' }, direction, `${title}: ${outcome}`, conditions];
    }),
  );
}

function headwindsOf({ headwinds }: Outlook): string | null {
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

function conditionsOf({ invalidationConditions }: Outlook): string | null {
  if (invalidationConditions.length === 0) return null;
  return table(
    [
      { title: 'State' },
      { title: 'Against' },
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

function drawdownOf({ depth, last, peak, label, series }: Drawdown): string {
  if (depth === null || last === null || peak === null) return `  no close of ${plain(series)} yet`;
  const percent = (depth * 100).toFixed(1);
  const name = label ? `, which it calls ${label.label}` : '';
  return paragraph(
    `${percent} % below the peak of ${peak.value} on ${peak.date}: ${last.value} on ${last.date}${name}.`,
  );
}

function changeOf({ version, publishedAt, author, rationale, change, evidence }: Outlook): string {
  const cited = evidence.map(({ headline, id }) => `cites "${headline}" (${id})`);
  const line = `Version ${version} (${change.kind}), ${moment(publishedAt)}, by ${author.name}:`;
  return [line, rationale, ...cited].map((text) => paragraph(text)).join('\n');
}
