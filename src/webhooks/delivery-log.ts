import type { DeliveredKind } from '../domain/events.ts';
import type { Session } from '../postgres/pool.ts';

/** A delivery, for people. */
export type Delivery = {
  id: string;
  /** The place of its event in the transparency log, by which deliveries are ordered. */
  place: number;
  /** The position of its event; of one about a proposal, its place in the log. */
  event: number;
  kind: DeliveredKind;
  /** The path of what the event is about, in the API. */
  subject: string;
  /** The slug of its outlook; null for the proposal of a new one. */
  slug: string | null;
  plannedAt: Date;
  deliveredAt: Date | null;
  dueAt: Date | null;
  /** The newest attempts, newest first. */
  attempts: {
    number: number;
    startedAt: string;
    milliseconds: number | null;
    status: number | null;
    fault: string | null;
  }[];
};

/** The most attempts to show of one delivery; the newest. */
const SHOWN_ATTEMPTS = 20;

// Both kinds of deliveries have an index that gives their order. A position is never greater than the place.
const NEWEST = `
  select * from (
    (select d.*, coalesce(e.log_position, e.position) as place, e.position as event, e.kind, o.slug,
        '/v1/outlooks/' || o.slug as about
       from webhook_deliveries d join events e on e.position = d.position join outlooks o on o.id = d.outlook_id
      where d.webhook_id = $1
        and ($2::bigint is null or d.position < $2 and coalesce(e.log_position, e.position) < $2)
      order by d.position desc limit $3)
    union all
    (select d.*, e.log_position, e.log_position, e.kind, e.data->>'outlook', d.subject
       from webhook_deliveries d join events e on e.id = d.event_id
      where d.webhook_id = $1 and d.event_id is not null and ($2::bigint is null or e.log_position < $2)
      order by e.log_position desc limit $3)) as both_kinds
  order by place desc limit $3`;

/** Deliveries of a webhook for events before the place `before` in the log, newest first; at most `limit`. */
export async function listDeliveries(
  session: Session,
  webhookId: string,
  { before, limit }: { before: number | null; limit: number },
): Promise<Delivery[]> {
  const { rows } = await session.query<Delivery>(
    `select d.id, d.place, d.event, d.kind, d.slug, d.about as subject, d.planned_at as "plannedAt",
       d.delivered_at as "deliveredAt", d.due_at as "dueAt",
       coalesce((select json_agg(json_build_object('number', a.number, 'startedAt', a.started_at,
           'milliseconds', a.milliseconds, 'status', a.status, 'fault', a.fault) order by a.number desc)
         from (select * from webhook_attempts where delivery_id = d.id
                order by number desc limit ${SHOWN_ATTEMPTS}) as a), '[]') as attempts
     from (${NEWEST}) as d order by d.place desc`,
    [webhookId, before, limit],
  );
  return rows;
}

/** The undelivered events of enabled webhooks, and the number of webhooks that were disabled unasked. */
export type Backlog = { waiting: number; oldest: Date | null; disabled: number };

export async function readBacklog(session: Session): Promise<Backlog> {
  const { rows } = await session.query<Backlog>(
    `select count(*) as waiting, min(d.planned_at) as oldest,
       (select count(*) from webhooks where disabled_reason <> 'asked') as disabled
       from webhook_deliveries d join webhooks w on w.id = d.webhook_id and w.disabled_at is null
      where d.delivered_at is null`,
  );
  return rows[0] ?? { waiting: 0, oldest: null, disabled: 0 };
}

/** The most deliveries that one statement deletes. */
const DELETED_AT_ONCE = 1_000;

/** Deletes what was delivered before a time. Several instances may do so at once. */
export async function deleteOldDeliveries(session: Session, before: Date): Promise<void> {
  for (;;) {
    const { rowCount } = await session.query(
      `delete from webhook_deliveries where id in (
         select id from webhook_deliveries where delivered_at < $1
          order by delivered_at limit ${DELETED_AT_ONCE} for update skip locked)`,
      [before.toISOString()],
    );
    if ((rowCount ?? 0) < DELETED_AT_ONCE) return;
  }
}

/** Deletes what was delivered to one webhook, in several statements, because one could run into its timeout. */
export async function deleteDeliveriesOf(session: Session, webhookId: string): Promise<void> {
  for (;;) {
    const { rowCount } = await session.query(
      `delete from webhook_deliveries where id in (
         select id from webhook_deliveries where webhook_id = $1 and delivered_at is not null
          limit ${DELETED_AT_ONCE} for update skip locked)`,
      [webhookId],
    );
    if ((rowCount ?? 0) < DELETED_AT_ONCE) return;
  }
}
