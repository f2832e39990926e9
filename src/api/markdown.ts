import type { PhrasingContent, Root, RootContent, TableCell } from 'mdast';
import { gfmToMarkdown } from 'mdast-util-gfm';
import { toMarkdown } from 'mdast-util-to-markdown';
import type { z } from 'zod';
import {
  ANSWERS,
  decimal,
  historySentence,
  moment,
  outcomePhrase,
  percent,
  points,
  roundedPercent,
  shortDay,
  withoutControls,
  SCENARIO_TITLES,
  sharesOf,
  paragraphsOf,
} from '../charts/text.ts';
import { lastDayOf } from '../domain/horizon.ts';
import { SCENARIO_NAMES, type ScenarioName } from '../domain/probabilities.ts';
import { describeRule } from '../domain/review.ts';
import type { ClimatologyDocument } from './climatology.ts';
import type { evidence as evidenceSchema } from './schemas/evidence.ts';
import type { outlook as outlookSchema } from './schemas/outlooks.ts';

type Outlook = z.output<typeof outlookSchema>;
type Evidence = z.output<typeof evidenceSchema>;

/**
 * An outlook as an article: Markdown (CommonMark, with the tables of GitHub Flavored Markdown), generated from its data.
 * Text is escaped, so that it can't act as markup in either.
 * @param parts the URL of its chart; its evidence, newest first; what history alone says, null without return bands. A past
 *   version has neither evidence nor history.
 */
export function outlookMarkdown(
  outlook: Outlook,
  parts: { image: string; evidence: readonly Evidence[]; history: ClimatologyDocument | null },
): string {
  const { image, evidence, history } = parts;
  const children = [
    ...opening(outlook, image),
    ...odds(outlook, history),
    ...heading('In short', prose(outlook.summary)),
    ...heading('Figures', figures(outlook)),
    ...heading('Risks', risks(outlook)),
    ...heading('Headwinds', headwinds(outlook)),
    ...heading('Drawdown labels', drawdowns(outlook)),
    ...heading('What would prove it wrong', conditions(outlook)),
    ...heading('Positioning', positioning(outlook)),
    ...heading('Evidence', evidence.flatMap(evidenceItem)),
    ...heading(
      'Questions',
      outlook.faqs.flatMap(({ question, answer }) => [title(3, question), ...prose(answer)]),
    ),
    ...heading('Methodology', prose(outlook.methodology)),
    ...heading('References', references(outlook)),
    ...heading('Disclaimer', prose(outlook.disclaimer)),
  ];
  const root: Root = { type: 'root', children };
  return toMarkdown(root, {
    extensions: [gfmToMarkdown({ tablePipeAlign: false })],
    bullet: '-',
    rule: '-',
  });
}

const text = (value: string): PhrasingContent => ({ type: 'text', value: withoutControls(value) });
const strong = (value: string): PhrasingContent => ({ type: 'strong', children: [text(value)] });
const code = (value: string): PhrasingContent => ({ type: 'inlineCode', value });
const paragraph = (...children: PhrasingContent[]): RootContent => ({
  type: 'paragraph',
  children,
});
const title = (depth: 1 | 2 | 3, value: string): RootContent => ({
  type: 'heading',
  depth,
  children: [text(inLine(value))],
});
const day = (date: string): string => shortDay(new Date(`${date}T00:00:00Z`));

/** Cells, headings and list items end at a line break, so their text becomes one line. */
const inLine = (value: string): string => value.replaceAll(/\s+/g, ' ').trim();

/** A section under its heading. An empty section is left out. */
function heading(name: string, children: readonly RootContent[]): RootContent[] {
  return children.length === 0 ? [] : [title(2, name), ...children];
}

/** Text as paragraphs, which blank lines separate. */
function prose(value: string | null): RootContent[] {
  if (value === null) return [];
  return paragraphsOf(value).map((one) => paragraph(text(one.trim())));
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): RootContent[] {
  if (rows.length === 0) return [];
  const cell = (value: string): TableCell => ({
    type: 'tableCell',
    children: [text(inLine(value))],
  });
  return [
    {
      type: 'table',
      children: [columns, ...rows].map((cells) => ({
        type: 'tableRow',
        children: cells.map(cell),
      })),
    },
  ];
}

function list(items: readonly PhrasingContent[][], isOrdered = false): RootContent[] {
  if (items.length === 0) return [];
  return [
    {
      type: 'list',
      ordered: isOrdered,
      spread: false,
      children: items.map((children) => ({
        type: 'listItem',
        spread: false,
        children: [{ type: 'paragraph', children }],
      })),
    },
  ];
}

function opening(outlook: Outlook, image: string): RootContent[] {
  const { instrument, horizon, status, version, publishedAt, author, review, resolution } = outlook;
  const { desk, visibility } = outlook;
  const about = `${instrument.name} (${instrument.symbol}), ${day(horizon.from)} to ${day(lastDayOf(horizon))}. Version ${version}, published ${moment(new Date(publishedAt))} by ${author.name}, ${desk.name}.`;
  const states = [
    ...(visibility === 'internal' ? ['This outlook is internal.'] : []),
    ...(status === 'open' ? [] : [`This outlook is ${status}.`]),
    ...(resolution ? [`${outcomePhrase(resolution)}. ${resolution.reason ?? ''}`] : []),
    ...(outlook.continues ? [`Continues ${outlook.continues}.`] : []),
    ...(outlook.continuedBy ? [`Continued by ${outlook.continuedBy}.`] : []),
    ...(review.due ? [`A review is due: ${review.reasons.join(' ')}`] : []),
  ];
  return [
    title(1, outlook.title),
    paragraph({ type: 'emphasis', children: [text(inLine(about))] }),
    paragraph({ type: 'image', url: image, alt: `${sharesOf(outlook.probabilities)}.` }),
    ...states.map((state) => paragraph(strong(inLine(state)))),
  ];
}

const COLUMNS = ['Scenario', 'Likely outcome', 'Conditions', 'Probability', 'Change'];

function odds(outlook: Outlook, history: ClimatologyDocument | null): RootContent[] {
  const { scenarios, probabilities, directions, change, rationale, answers } = outlook;
  const shares = history?.probabilities;
  const moved = (name: ScenarioName) => (change.deltas ? points(change.deltas[name]) : '–');
  const commentOn = (direction: string) =>
    SCENARIO_NAMES.filter((name) => scenarios[name].direction === direction)
      .flatMap((name) => scenarios[name].directionComment ?? [])
      .join(' ');
  return [
    ...heading(
      'Probabilities',
      table(
        [...COLUMNS, ...(shares ? ['History alone'] : [])],
        SCENARIO_NAMES.map((name) => [
          `${SCENARIO_TITLES[name]}: ${scenarios[name].title}`,
          scenarios[name].outcome,
          scenarios[name].conditions,
          percent(probabilities[name]),
          moved(name),
          ...(shares ? [roundedPercent(shares[name])] : []),
        ]),
      ),
    ),
    ...(history ? [paragraph(text(historySentence(history)))] : []),
    ...table(
      ['Direction', 'Probability', 'Comment'],
      (['higher', 'lower', 'sideways'] as const).map((direction) => [
        `${direction[0]?.toUpperCase()}${direction.slice(1)}`,
        percent(directions[direction]),
        commentOn(direction),
      ]),
    ),
    ...heading('Latest change', [
      { type: 'blockquote', children: prose(rationale) as never },
      ...list(
        answers.map(({ condition, way, reason }) => [
          code(condition),
          text(` is answered ${ANSWERS[way]}${reason === null ? '' : `: ${inLine(reason)}`}`),
        ]),
      ),
    ]),
  ];
}

function figures({ metrics }: Outlook): RootContent[] {
  return table(
    ['Figure', 'Value', 'Source', 'As of', 'Provenance'],
    metrics.map(({ name, value, unit, display, source, asOf, provenance }) => [
      name,
      display ?? `${decimal(value ?? 0)}${unit === null ? '' : ` ${unit}`}`,
      source ?? '–',
      asOf === null ? '–' : day(asOf),
      provenance,
    ]),
  );
}

function risks({ risks: entries }: Outlook): RootContent[] {
  return table(
    ['Risk area', 'Why it matters', 'Current read'],
    entries.map(({ area, whyItMatters, currentRead }) => [area, whyItMatters, currentRead]),
  );
}

function headwinds({ headwinds: entries }: Outlook): RootContent[] {
  return list(
    entries.map(({ title: name, description }) => [
      strong(inLine(name)),
      text(`: ${inLine(description)}`),
    ]),
    true,
  );
}

function drawdowns({ drawdownLabels }: Outlook): RootContent[] {
  return table(
    ['Label', 'From a depth of', 'Typical cause', 'Implication'],
    drawdownLabels.map(({ label, minDepth, speed, typicalCause, implication }) => [
      label,
      minDepth !== null
        ? percent(minDepth)
        : speed
          ? `${percent(speed.depth)} within ${speed.days} days`
          : 'by assessment',
      typicalCause,
      implication,
    ]),
  );
}

function conditions({ invalidationConditions }: Outlook): RootContent[] {
  return table(
    ['Condition', 'Speaks against', 'State', 'Decided by'],
    invalidationConditions.map(({ statement, invalidates, state, rule }) => [
      statement,
      SCENARIO_TITLES[invalidates],
      state,
      rule ? describeRule(rule) : "an analyst's assessment",
    ]),
  );
}

function positioning({ positioning: entries }: Outlook): RootContent[] {
  return table(
    ['Investor', 'Prudent approach', 'Watchpoints'],
    entries.map(({ investorType, approach, watchpoints }) => [
      investorType,
      approach,
      watchpoints.join('; '),
    ]),
  );
}

function evidenceItem(item: Evidence): RootContent[] {
  const { headline, summary, publisher, url, publishedAt, sentiment, claims } = item;
  const felt = sentiment
    ? `; sentiment ${sentiment.label}, ${decimal(sentiment.score)} on ${sentiment.scale.min} to ${sentiment.scale.max} (${sentiment.provider})`
    : '';
  const corrected = item.correctedBy === null ? '' : '; corrected by a later item';
  const from = `${publisher}, ${moment(new Date(publishedAt))}${felt}${corrected}`;
  return [
    title(3, headline),
    paragraph({ type: 'emphasis', children: [text(inLine(from))] }),
    ...(url === null ? [] : [paragraph({ type: 'link', url, children: [text(url)] })]),
    ...prose(summary),
    ...list(
      claims.map(({ effect, target, statement, condition, horizon }) => [
        text(`${effect} `),
        code(target.key),
        text(
          `: ${inLine(statement)}${condition === null ? '' : ` ${inLine(condition)}`} (${horizon})`,
        ),
      ]),
    ),
  ];
}

function references({ references: entries }: Outlook): RootContent[] {
  return list(
    entries.map(({ title: name, publisher, url, publishedOn }) => [
      url === null ? text(inLine(name)) : { type: 'link', url, children: [text(inLine(name))] },
      text(
        [publisher, publishedOn && day(publishedOn)]
          .flatMap((one) => (one ? [`, ${one}`] : []))
          .join(''),
      ),
    ]),
  );
}
