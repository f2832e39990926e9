export const EVENT_KINDS = [
  'outlook.created',
  'outlook.version.published',
  'outlook.state.changed',
] as const;
/** What the ledger tells its followers of. Later releases add kinds. */
export type EventKind = (typeof EVENT_KINDS)[number];
