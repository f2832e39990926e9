export const EVENT_KINDS = [
  'outlook.created',
  'outlook.version.published',
  'outlook.state.changed',
  'outlook.review.due',
  'outlook.horizon.ended',
  'outlook.resolved',
  'outlook.resolution.contradicted',
  'outlook.reopened',
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
 * A place in the order of all events: after the event at a position, which counts from 1. Position 0 is the start. The
 * digest of the event, in hexadecimal, tells it from an event that a ledger had at that position before it went back to
 * an earlier state; at the start it is empty.
 */
export type Place = { position: number; digest: string };

export const START: Place = { position: 0, digest: '' };

/** How many characters of a digest an id has. */
const ID_DIGITS = 8;

/** The id of a place in event streams: `138-5f0c91ab`, or `0` for the start. */
export function eventIdOf({ position, digest }: Place): string {
  return position === 0 ? '0' : `${position}-${digest.slice(0, ID_DIGITS)}`;
}

/** The place that an id names; its digest is cut off, and empty in an id of a release before 0.2, `138`. Null for no id. */
export function placeOfId(id: string): Place | null {
  const [, position, digest = ''] = /^(\d{1,15})(?:-([0-9a-f]{8}))?$/.exec(id) ?? [];
  return position === undefined ? null : { position: Number(position), digest };
}
