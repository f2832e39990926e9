import type { Session } from '../postgres/pool.ts';

/** A delivery, for people. */
export type Delivery = {
  id: string;
  position: number;
  kind: string;
  slug: string;
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

/** Deliveries of a webhook for events before the position `before`, newest first; at most `limit`. */
export async function listDeliveries(
  session: Session,
  webhookId: string,
  { before, limit }: { before: number | null; limit: number },
): Promise<Delivery[]> {
  const { rows } = await session.query<Delivery>(
    `select d.id, d.position, e.kind, o.slug, d.planned_at as "plannedAt",
       d.delivered_at as "deliveredAt", d.due_at as "dueAt",
       coalesce((select json_agg(json_build_object('number', a.number, 'startedAt', a.started_at,
           'milliseconds', a.milliseconds, 'status', a.status, 'fault', a.fault) order by a.number desc)
         from (select * from webhook_attempts where delivery_id = d.id
                order by number desc limit ${SHOWN_ATTEMPTS}) as a), '[]') as attempts
     from webhook_deliveries d join events e on e.position = d.position
     join outlooks o on o.id = d.outlook_id
    where d.webhook_id = $1 and ($2::bigint is null or d.position < $2)
    order by d.position desc limit $3`,
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
