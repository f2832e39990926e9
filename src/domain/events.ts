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
