export const EVENT_KINDS = [
  'outlook.created',
  'outlook.version.published',
  'outlook.state.changed',
  'outlook.review.due',
  'evidence.added',
  'condition.triggered',
  'condition.cleared',
  'condition.expired',
  'drawdown.label.changed',
] as const;
/** What the ledger tells its followers of. Later releases add kinds. */
export type EventKind = (typeof EVENT_KINDS)[number];
