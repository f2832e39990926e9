import type pg from 'pg';
import { type DisabledReason, isGivenUp } from '../domain/webhooks.ts';
import { inTransaction, type Session } from '../postgres/pool.ts';
import type { LedgerEvent } from '../postgres/outbox.ts';
import { type Receiver, secretsAt } from './webhooks.ts';

/** Events of a webhook that one transaction plans. */
const PLANNED_AT_ONCE = 500;

/**
 * Plans the deliveries of the events that have positions, for every webhook that is behind. Several instances may do so at
 * once: one of them plans for a webhook, the others skip it.
 * @returns whether more remain: a call plans a bounded number, so that a webhook far behind holds up no other
 */
export async function planDeliveries(pool: pg.Pool, now: Date): Promise<boolean> {
  const { rows: behind } = await pool.query<{ id: string }>({
    name: 'webhooks-behind',
    text: `select id from webhooks
      where disabled_at is null and position < (select max(position) from events)`,
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
   where w.id = $1 and (w.kinds is null or e.kind = any(w.kinds))
     and (w.outlook_id is null or e.outlook_id = w.outlook_id)
   order by e.position`;

const LAST_POSITION = {
  name: 'last-position',
  text: 'select coalesce(max(position), 0) as last from events',
};

/** @returns whether the webhook is up to date, or left to another instance */
async function planSome(session: pg.PoolClient, id: string, now: Date): Promise<boolean> {
  const { rows } = await session.query<{ position: number }>(
    `select position from webhooks
      where id = $1 and disabled_at is null for no key update skip locked`,
    [id],
  );
  if (!rows[0]) return true;
  const { position } = rows[0];
  // Read here, so that a webhook never gets beyond the events of its own ledger: what a feed read before may be gone since.
  const newest = (await session.query<{ last: number }>(LAST_POSITION)).rows[0]?.last ?? 0;
  if (position >= newest) return true;
  const until = Math.min(newest, position + PLANNED_AT_ONCE);
  await session.query(PLAN, [id, until, now.toISOString()]);
  await session.query('update webhooks set position = $2 where id = $1', [id, until]);
  return until === newest;
}

type ClaimedEvent = Omit<LedgerEvent, 'digest'>;

/** A delivery that an instance has claimed. */
export type Claim = Receiver & {
  id: string;
  webhookId: string;
  /** The number of the attempt, from 1. */
  attempt: number;
  event: ClaimedEvent;
};

type ClaimRow = Receiver & ClaimedEvent & Pick<Claim, 'id' | 'webhookId' | 'attempt'>;

const CLAIM = `
  with due as (
    select one.id
      from webhooks w
      left join unnest($3::uuid[], $4::int[]) as busy (webhook_id, requests) on busy.webhook_id = w.id
      cross join lateral (
        select d.id, d.due_at from webhook_deliveries d
         where d.webhook_id = w.id and d.due_at <= $1
         order by d.due_at limit greatest(0, $5 - coalesce(busy.requests, 0))
           for update skip locked) as one
     where w.disabled_at is null
     order by coalesce(busy.requests, 0), one.due_at limit $6),
  claimed as (
    update webhook_deliveries d set attempts = d.attempts + 1, due_at = $2 from due where d.id = due.id
    returning d.id, d.webhook_id, d.position, d.attempts),
  begun as (
    insert into webhook_attempts (delivery_id, number, started_at) select id, attempts, $1 from claimed)
  select c.id, c.webhook_id as "webhookId", c.attempts as attempt, w.url, ${secretsAt('$1')} as secrets,
    e.position, e.kind, o.slug, e.version, e.data, e.recorded_at as "recordedAt"
    from claimed c join webhooks w on w.id = c.webhook_id
    join events e on e.position = c.position join outlooks o on o.id = e.outlook_id`;

/**
 * Claims deliveries that are due, those of idle webhooks first. No other instance claims them until the lease ends, and
 * no lock is held in the meantime.
 * @param busy how many requests the instance has under way, by the id of the webhook
 * @param limits of one webhook, deliveries under way included, and of all together
 */
export async function claimDeliveries(
  session: Session,
  { now, leaseUntil }: { now: Date; leaseUntil: Date },
  busy: ReadonlyMap<string, number>,
  limits: { perWebhook: number; total: number },
): Promise<Claim[]> {
  const { rows } = await session.query<ClaimRow>({
    name: 'claim-webhook-deliveries',
    text: CLAIM,
    values: [
      now.toISOString(),
      leaseUntil.toISOString(),
      [...busy.keys()],
      [...busy.values()],
      limits.perWebhook,
      limits.total,
    ],
  });
  return rows.map(({ id, webhookId, attempt, url, secrets, ...event }) => ({
    id,
    webhookId,
    attempt,
    url,
    secrets,
    event,
  }));
}

/** The outcome of an attempt. */
export type Outcome = {
  milliseconds: number;
  status: number | null;
  /** In words; null for a success. */
  fault: string | null;
  /** Whether the receiver said that it is gone for good. */
  isGone: boolean;
};

/**
 * Records the outcome of an attempt. After a success the outlook's next event is due, after a failure the same again.
 * @param again when to try again after a failure; null to try at once, because the receiver did not cause it, as when
 *   the service stops
 * @returns the reason if this disabled the webhook, else null
 */
export async function recordOutcome(
  pool: pg.Pool,
  claim: Pick<Claim, 'id' | 'webhookId' | 'attempt'>,
  outcome: Outcome,
  { now, again }: { now: Date; again: Date | null },
): Promise<DisabledReason | null> {
  return inTransaction(pool, async (session) => {
    const { rows } = await session.query<{ failingSince: Date | null; isEnabled: boolean }>(
      `select failing_since as "failingSince", disabled_at is null as "isEnabled" from webhooks
        where id = $1 for no key update`,
      [claim.webhookId],
    );
    const [webhook] = rows;
    if (!webhook) return null; // deleted in the meantime, with its deliveries
    const { milliseconds, status, fault } = outcome;
    await session.query(
      `update webhook_attempts set milliseconds = $3, status = $4, fault = $5
        where delivery_id = $1 and number = $2`,
      [claim.id, claim.attempt, milliseconds, status, fault],
    );
    if (fault === null) {
      await finish(session, claim, now);
      return null;
    }
    await session.query(
      `update webhook_deliveries set due_at = $3
        where id = $1 and attempts = $2 and delivered_at is null`,
      [claim.id, claim.attempt, (again ?? now).toISOString()],
    );
    if (again === null || !webhook.isEnabled) return null;
    return recordFailure(session, claim.webhookId, outcome, webhook.failingSince ?? now, now);
  });
}

/** An instance that claimed the delivery again after the lease finds it delivered. */
async function finish(
  session: pg.PoolClient,
  { id, webhookId }: Pick<Claim, 'id' | 'webhookId'>,
  now: Date,
): Promise<void> {
  await session.query(
    `update webhook_deliveries set delivered_at = $2, due_at = null
      where id = $1 and delivered_at is null`,
    [id, now.toISOString()],
  );
  await session.query(
    `update webhook_deliveries set due_at = $3
      where due_at is null and id = (
        select next.id from webhook_deliveries next
         where next.webhook_id = $1 and next.delivered_at is null and next.outlook_id =
           (select outlook_id from webhook_deliveries where id = $2)
         order by next.position limit 1)`,
    [webhookId, id, now.toISOString()],
  );
  await session.query(
    'update webhooks set failing_since = null where id = $1 and failing_since is not null',
    [webhookId],
  );
}

async function recordFailure(
  session: pg.PoolClient,
  webhookId: string,
  { isGone }: Outcome,
  failingSince: Date,
  now: Date,
): Promise<DisabledReason | null> {
  const reason = isGone ? 'gone' : isGivenUp(failingSince, now) ? 'failing' : null;
  await session.query(
    `update webhooks set failing_since = $2, disabled_reason = $3, disabled_at = $4 where id = $1`,
    [webhookId, failingSince.toISOString(), reason, reason && now.toISOString()],
  );
  return reason;
}
