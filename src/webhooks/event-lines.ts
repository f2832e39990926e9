import type { ClaimedEvent } from './deliveries.ts';
import { type EventKind, isOfProposal, type ProposalEventKind } from '../domain/events.ts';
import type { ProposalKind } from '../domain/proposals.ts';
import { type Fractions, SCENARIO_NAMES } from '../domain/probabilities.ts';
import { eventData, proposalEventData } from '../api/event-text.ts';
import type { EventData, ProposalEventData } from '../api/schemas/events.ts';
import {
  moment,
  outcomePhrase,
  percent,
  points,
  roundedPercent,
  SCENARIO_TITLES,
  sharesOf,
} from '../charts/text.ts';

/** What happened, in one line for a colleague, and the path of the page that shows more. */
export type EventLine = { line: string; path: string };

/** The line is raw: it has the words of people, which a chat may take for markup. */
export function describeEvent(event: ClaimedEvent): EventLine {
  const { kind, slug, version, title, author } = event;
  if (isOfProposal(kind)) {
    return { line: PROPOSAL_LINES[kind](proposalEventData(event)), path: '/inbox' };
  }
  if (slug === null || version === null) throw new Error(`an event ${kind} without an outlook`);
  const data = eventData({ ...event, kind, slug, version });
  // Each kind has the data of its schema.
  const words = (LINES[kind] as (data: EventData, by: string) => string)(data, byline(author));
  return { line: `“${title ?? slug}”: ${words}`, path: `/outlooks/${slug}` };
}

const byline = (name: string | null) => (name === null ? '' : ` by ${name}`);

const LINES: { [Kind in EventKind]: (data: EventData<Kind>, by: string) => string } = {
  'outlook.created': ({ probabilities }, by) => `new outlook${by}. ${sharesOf(probabilities)}`,
  'outlook.version.published': versionLine,
  'outlook.state.changed': ({ status, review, continuedBy }) =>
    continuedBy === undefined
      ? `now ${status}, ${review.due ? `review due: ${review.reasons.join(' ')}` : 'no review due'}`
      : `continued by the outlook ${continuedBy}`,
  'outlook.review.due': ({ reasons }) => `review due: ${reasons.join(' ')}`,
  'outlook.horizon.ended': ({ horizon }) =>
    `the horizon ended on ${horizon.to}; record the outcome`,
  'outlook.resolved': ({ resolution }, by) => `resolved${by}. ${outcomePhrase(resolution)}`,
  'outlook.resolution.contradicted': ({ contradiction: { outcome } }) =>
    outcome === null
      ? 'closes no longer contradict the resolution'
      : `closes contradict the resolution: they imply ${SCENARIO_TITLES[outcome]}`,
  'outlook.reopened': ({ resolution: { reason } }, by) =>
    `reopened${by}; the resolution was taken back${reason === null ? '' : `. ${reason}`}`,
  'outlook.disclosed': (_, by) => `disclosed${by}; it is public now`,
  'evidence.added': ({ evidence: { headline, publisher, corrects } }, by) =>
    `${corrects === null ? 'new' : 'corrected'} evidence${by}. ${headline} (${publisher})`,
  'condition.triggered': ({ condition }, by) => `condition triggered${by}. ${condition.reason}`,
  'condition.cleared': ({ condition }, by) => `condition cleared${by}. ${condition.reason}`,
  'condition.expired': ({ condition }, by) => `condition expired${by}. ${condition.reason}`,
  'drawdown.label.changed': ({ drawdown: { label, depth, day } }) =>
    `drawdown ${label ?? 'without a label'}: ${roundedPercent(-depth)} from the peak on ${day}`,
  'view.published': ({ view: { analyst, probabilities } }) =>
    `view by ${analyst.name}. ${sharesOf(probabilities)}`,
  'view.withdrawn': ({ view: { analyst } }) => `view withdrawn by ${analyst.name}`,
};

function versionLine(
  { version, change, probabilities }: EventData<'outlook.version.published'>,
  by: string,
): string {
  if (change.kind === 'withdrawn') return `withdrawn${by}`;
  if (change.kind === 'framework') return `reworded${by}, version ${version}`;
  if (change.kind === 'reaffirmed') return `reaffirmed${by}. ${sharesOf(probabilities)}`;
  return `version ${version}${by}. ${movedShares(probabilities, change.deltas)}`;
}

/** Probabilities in one line, with what moved: `Bear 35% (+5), Base 40% (−5), Bull 25%`. */
function movedShares(probabilities: Fractions, deltas: Fractions | null): string {
  return SCENARIO_NAMES.map((name) => {
    const moved = deltas && deltas[name] !== 0 ? ` (${points(deltas[name])})` : '';
    return `${SCENARIO_TITLES[name]} ${percent(probabilities[name])}${moved}`;
  }).join(', ');
}

const NOUNS: Record<ProposalKind, string> = {
  outlook: 'the new outlook',
  revision: 'a revision of',
  framework: 'a rewording of',
  resolution: 'a resolution of',
  withdrawal: 'the withdrawal of',
  consensus: 'a consensus for',
};

const thingOf = ({ kind, title }: ProposalEventData) => `${NOUNS[kind]} “${title}”`;
const doer = ({ by }: ProposalEventData) => by?.name ?? 'The service';
const saying = ({ text }: ProposalEventData) => (text === null ? '' : `: ${text}`);

const PROPOSAL_LINES: Record<ProposalEventKind, (data: ProposalEventData) => string> = {
  'proposal.opened': (data) => `${doer(data)} drafted ${thingOf(data)}${saying(data)}`,
  'proposal.edited': (data) =>
    `${doer(data)} wrote draft ${data.draft} of ${thingOf(data)}${saying(data)}`,
  'proposal.submitted': (data) =>
    `${doer(data)} asks for approval of ${thingOf(data)}${saying(data)}`,
  'proposal.approved': (data) =>
    `${doer(data)} approved ${thingOf(data)}${timeOf(data)}${saying(data)}`,
  'proposal.returned': (data) => `${doer(data)} returned ${thingOf(data)}${saying(data)}`,
  'proposal.commented': (data) => `${doer(data)} commented on ${thingOf(data)}${saying(data)}`,
  'proposal.published': (data) =>
    `Published: ${thingOf(data)}${data.version === null ? '' : `, version ${data.version}`}${saying(data)}`,
  'proposal.discarded': (data) => `${doer(data)} discarded ${thingOf(data)}${saying(data)}`,
};

function timeOf({ state, publishAt }: ProposalEventData): string {
  if (state !== 'approved' || publishAt === null) return '';
  return `, to be published on ${moment(new Date(publishAt))}`;
}
