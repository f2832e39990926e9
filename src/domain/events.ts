import { actsFor, type Audience } from './desks.ts';

export const EVENT_KINDS = [
  'outlook.created',
  'outlook.version.published',
  'outlook.state.changed',
  'outlook.review.due',
  'outlook.horizon.ended',
  'outlook.resolved',
  'outlook.resolution.contradicted',
  'outlook.reopened',
  'outlook.disclosed',
  'evidence.added',
  'condition.triggered',
  'condition.cleared',
  'condition.expired',
  'drawdown.label.changed',
  'view.published',
  'view.withdrawn',
] as const;
/** The kinds of events. Later releases add some. */
export type EventKind = (typeof EVENT_KINDS)[number];

/**
 * The kinds of events about proposals. They are administrative: they have places in the log, but no positions, and only those
 * who act for the desk get them.
 */
export const PROPOSAL_EVENT_KINDS = [
  'proposal.approved',
  'proposal.commented',
  'proposal.discarded',
  'proposal.edited',
  'proposal.opened',
  'proposal.published',
  'proposal.returned',
  'proposal.submitted',
] as const;
export type ProposalEventKind = (typeof PROPOSAL_EVENT_KINDS)[number];

/** The kinds that webhooks deliver. */
export const DELIVERED_KINDS = [...EVENT_KINDS, ...PROPOSAL_EVENT_KINDS] as const;
export type DeliveredKind = (typeof DELIVERED_KINDS)[number];

/** Whether an event is about a proposal. */
export function isOfProposal(kind: DeliveredKind): kind is ProposalEventKind {
  return kind.startsWith('proposal.');
}

/** The kinds of events that say what an analyst thinks. Only readers with a key see them. */
const VIEW_KINDS: ReadonlySet<EventKind> = new Set(['view.published', 'view.withdrawn']);

/** Whether an audience may see an event of a kind. Whose outlooks it may see is another question. */
export function showsKind({ hasKey }: Audience, kind: EventKind): boolean {
  return hasKey || !VIEW_KINDS.has(kind);
}

/**
 * Whether an audience may see an event of an outlook.
 * @param event `internalTo` is the desk that alone may see its outlook; null for a public one
 */
export function showsEvent(
  audience: Audience,
  { kind, internalTo }: { kind: EventKind; internalTo: number | null },
): boolean {
  return showsKind(audience, kind) && (internalTo === null || actsFor(audience.desks, internalTo));
}

/** The kinds that {@link showsEvent} hides from an audience, whatever their outlooks. */
export function hiddenKinds({ hasKey }: Audience): EventKind[] {
  return hasKey ? [] : [...VIEW_KINDS];
}

/**
 * The kinds of events about keys, names, series and whatever else belongs to no outlook. They have places and leaves in
 * the transparency log but no positions, and stay out of streams and feeds. Webhooks deliver those of proposals.
 */
export const ADMINISTRATIVE_EVENT_KINDS = [
  'analyst.added',
  'analyst.deactivated',
  'analyst.erased',
  'analyst.reactivated',
  'analyst.renamed',
  'desk.added',
  'desk.changed',
  'instrument.added',
  'instrument.changed',
  'key.issued',
  'key.revoked',
  'ledger.digested',
  'log.generation.started',
  'observations.recorded',
  'policy.changed',
  ...PROPOSAL_EVENT_KINDS,
  'refusals.recorded',
  'rows.digested',
  'series.added',
  'series.disclosed',
  'source.changed',
  'webhook.changed',
  'write.recorded',
] as const;

/**
 * Refers to an event by its position in the order of the events of outlooks, from 1, and its digest. Position 0 is the start, before
 * all events. The digest is the SHA-256 of the event, in hexadecimal, and empty at the start. It tells the event from
 * another one that the ledger had at that position before it went back to an earlier state.
 */
export type EventRef = { position: number; digest: string };

export const START: EventRef = { position: 0, digest: '' };

/** How many characters of a digest an id has. */
const ID_DIGITS = 8;

/** The id of an event in streams: `138-5f0c91ab`, `138` without a digest, or `0` for the start. */
export function eventIdOf({ position, digest }: EventRef): string {
  return digest === '' ? `${position}` : `${position}-${digest.slice(0, ID_DIGITS)}`;
}

/**
 * Reads the id of an event. The digest has only its first 8 characters; it is empty in the ids of earlier releases, such
 * as `138`.
 * @returns null if the text can't be an id
 */
export function parseEventId(id: string): EventRef | null {
  const [, position, digest = ''] = /^(\d{1,15})(?:-([0-9a-f]{8}))?$/.exec(id) ?? [];
  return position === undefined ? null : { position: Number(position), digest };
}
