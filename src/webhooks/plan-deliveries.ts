import type pg from 'pg';
import { PROPOSAL_EVENT_KINDS } from '../domain/events.ts';
import { lastLogPosition } from '../postgres/outbox.ts';
import { inTransaction } from '../postgres/pool.ts';

/** Events of a webhook that one transaction plans; of those about proposals, places in the log that one looks through. */
const PLANNED_AT_ONCE = 500;

// The place in the log of a webhook of a desk moves on only for an event of a proposal, or far behind the newest: every write
// has places.
const BEHIND = `
  select w.id from webhooks w
   where w.disabled_at is null and (w.position < (select max(position) from events)
     or w.log_position <= (select max(coalesce(log_position, position)) from events) - ${PLANNED_AT_ONCE}
     or exists (select from events e where coalesce(e.log_position, e.position) > w.log_position
       and coalesce(e.log_position, e.position) <= w.log_position + ${PLANNED_AT_ONCE} and e.kind = any($1)))`;

/**
 * Plans the deliveries of the events that have places, for every webhook that is behind. Several instances may do so at
 * once: one of them plans for a webhook, the others skip it.
 * @returns whether more remain: a call plans a bounded number, so that a webhook far behind holds up no other
 */
export async function planDeliveries(pool: pg.Pool, now: Date): Promise<boolean> {
  const { rows: behind } = await pool.query<{ id: string }>({
    name: 'webhooks-behind',
    text: BEHIND,
    values: [PROPOSAL_EVENT_KINDS],
  });
  let isMore = false;
  for (const { id } of behind) {
    const isDone = await inTransaction(pool, (session) => planSome(session, id, now));
    isMore ||= !isDone;
  }
  return isMore;
}

// An outlook's first event is due if no earlier one of it is undelivered. The statement runs after the webhook is locked;
// finish() takes the same lock, so each sees what the other made due.
const PLAN = `
  insert into webhook_deliveries (webhook_id, position, outlook_id, planned_at, due_at)
  select w.id, e.position, e.outlook_id, $3,
    case when row_number() over (partition by e.outlook_id order by e.position) = 1
      and not exists (select from webhook_deliveries d where d.webhook_id = w.id
        and d.outlook_id = e.outlook_id and d.delivered_at is null)
    then $3::timestamptz end
    from webhooks w join events e on e.position > w.position and e.position <= $2
    join outlooks o on o.id = e.outlook_id and (o.internal_to is null or o.internal_to = w.desk_id)
   where w.id = $1 and (w.kinds is null or e.kind = any(w.kinds))
     and (w.outlook_id is null or e.outlook_id = w.outlook_id)
   order by e.position`;

// The same for the events of a desk's proposals. Their ids follow their order: whoever adds one has the proposal's row locked.
const PLAN_PROPOSALS = `
  insert into webhook_deliveries (webhook_id, event_id, subject, planned_at, due_at)
  select w.id, e.id, e.data->>'subject', $3,
    case when row_number() over (partition by e.data->>'subject' order by e.id) = 1
      and not exists (select from webhook_deliveries d where d.webhook_id = w.id
        and d.subject = e.data->>'subject' and d.delivered_at is null)
    then $3::timestamptz end
    from webhooks w join desks k on k.id = w.desk_id
    join events e on coalesce(e.log_position, e.position) > w.log_position and coalesce(e.log_position, e.position) <= $2
    left join outlooks o on o.id = w.outlook_id
   where w.id = $1 and e.kind = any($4) and e.data->>'desk' = k.slug
     and (w.kinds is null or e.kind = any(w.kinds)) and (w.outlook_id is null or e.data->>'outlook' = o.slug)
   order by e.id`;

const LAST_POSITION = {
  name: 'last-position',
  text: 'select coalesce(max(position), 0) as last from events',
};

/** @returns whether the webhook is up to date, or left to another instance */
async function planSome(session: pg.PoolClient, id: string, now: Date): Promise<boolean> {
  const { rows } = await session.query<{ position: number; logPosition: number | null }>(
    `select position, log_position as "logPosition" from webhooks
      where id = $1 and disabled_at is null for no key update skip locked`,
    [id],
  );
  if (!rows[0]) return true;
  const { position, logPosition } = rows[0];
  // Read here, so that a webhook never gets beyond the events of its own ledger: what a feed read before may be gone since.
  const last = (await session.query<{ last: number }>(LAST_POSITION)).rows[0]?.last ?? 0;
  const events = reachOf(position, last);
  if (events.until > position) await session.query(PLAN, [id, events.until, now.toISOString()]);
  const places = reachOf(
    logPosition ?? 0,
    logPosition === null ? 0 : await lastLogPosition(session),
  );
  if (logPosition !== null && places.until > logPosition) {
    await session.query(PLAN_PROPOSALS, [
      id,
      places.until,
      now.toISOString(),
      PROPOSAL_EVENT_KINDS,
    ]);
  }
  await session.query(
    `update webhooks set position = $2, log_position = case when log_position is not null then $3::bigint end
      where id = $1 and (position, coalesce(log_position, 0)) is distinct from ($2::bigint, $3::bigint)`,
    [id, events.until, places.until],
  );
  return events.isAll && places.isAll;
}

/** How far one transaction plans, and whether that is all there is. */
function reachOf(from: number, last: number): { until: number; isAll: boolean } {
  const until = Math.max(from, Math.min(last, from + PLANNED_AT_ONCE));
  return { until, isAll: until >= last };
}
