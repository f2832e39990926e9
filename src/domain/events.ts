export const EVENT_KINDS = [
  'outlook.created',
  'outlook.version.published',
  'outlook.state.changed',
  'outlook.review.due',
  'outlook.resolved',
  'evidence.added',
  'condition.triggered',
  'condition.cleared',
  'condition.expired',
  'drawdown.label.changed',
  'view.published',
] as const;
/** The kinds of events. Later releases add some. */
export type EventKind = (typeof EVENT_KINDS)[number];
