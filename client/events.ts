import type { StreamResetData, webhooks } from './api.ts';

type Deliveries = {
  [Type in keyof webhooks]: webhooks[Type]['post']['requestBody']['content']['application/json'];
};

/** The kinds of events in streams of outlooks. Later releases may add some. */
export type EventKind = Exclude<keyof webhooks, 'webhook.test' | `proposal.${string}`>;

/** The data of an event of a kind. */
export type EventData<Kind extends EventKind = EventKind> = Deliveries[Kind]['data'];

/** The body of a delivery to a webhook; `type` tells the kinds apart. */
export type WebhookEvent<Type extends keyof webhooks = keyof webhooks> = Deliveries[Type];

type Received<Type, Data> = {
  /** Pass it as `lastEventId` to resume after this event. Opaque: a release may change its form. */
  id: string;
  type: Type;
  data: Data;
};

/** The ledger went back to an earlier state: drop what you keep, and read again what you show. */
export type StreamReset = Received<'stream.reset', StreamResetData>;

/** An event of a stream; `type` tells the kinds apart. A later release of the service may send other types: ignore them. */
export type LedgerEvent =
  { [Kind in EventKind]: Received<Kind, EventData<Kind>> }[EventKind] | StreamReset;
