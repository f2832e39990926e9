import type pg from 'pg';
import type { DeliveredKind } from '../domain/events.ts';
import { type DisabledReason, isGivenUp } from '../domain/webhooks.ts';
import { inTransaction, type Session } from '../postgres/pool.ts';
import { NOT_UNDER_WAY, type Receiver, secretsAt } from './webhooks.ts';

/** An event as a delivery needs it. */
export type ClaimedEvent = {
  kind: DeliveredKind;
  /** Of its outlook, and the version at that time; null for an event of a proposal. */
  slug: string | null;
  version: number | null;
  data: unknown;
  recordedAt: Date;
  /** The title of the outlook, and who caused the event. Null for JSON, where its kind says neither, or if nobody did. */
  title: string | null;
  author: string | null;
};

/** A delivery that an instance has claimed. */
export type Claim = Receiver & {
  id: string;
  webhookId: string;
  /** The number of the attempt, from 1. */
  attempt: number;
  event: ClaimedEvent;
};

type ClaimRow = Receiver & ClaimedEvent & Pick<Claim, 'id' | 'webhookId' | 'attempt'>;

// The title and the name that a message for a chat shows.
const FOR_CHAT = `
  select f.title, (select a.name from analysts a where a.id = case
      when e.kind in ('outlook.created', 'outlook.version.published') then v.author_id
      when e.kind in ('outlook.resolved', 'outlook.reopened') then (select r.author_id from resolutions r
        where r.outlook_id = e.outlook_id and r.number = (e.data->>'number')::integer)
      when e.kind = 'outlook.disclosed' then (select d.author_id from disclosures d where d.outlook_id = e.outlook_id)
      when e.kind = 'evidence.added' then (select i.author_id from evidence i
        where i.outlook_id = e.outlook_id and i.id = (e.data->>'id')::uuid)
      when e.data->>'cause' = 'assessment' then (select c.author_id from condition_changes c
        where c.outlook_id = e.outlook_id and c.key = e.data->>'key' and c.recorded_at = e.recorded_at
        order by c.id desc limit 1)
    end) as author
    from outlook_versions v join frameworks f on f.id = v.framework_id
   where v.outlook_id = e.outlook_id and v.version = e.version and w.format is not null`;

const CLAIM = `
  with due as (
    select one.id
      from webhooks w
      left join unnest($3::uuid[], $4::int[]) as busy (webhook_id, requests) on busy.webhook_id = w.id
      cross join lateral (
        select d.id, d.due_at from webhook_deliveries d
         where d.webhook_id = w.id and d.due_at <= $1
         order by d.due_at limit greatest(0, case when w.format is null then $5 else 1 end - coalesce(busy.requests, 0))
           for update skip locked) as one
     where w.disabled_at is null
     order by coalesce(busy.requests, 0), one.due_at limit $6),
  claimed as (
    update webhook_deliveries d set attempts = d.attempts + 1, due_at = $2 from due where d.id = due.id
    returning d.id, d.webhook_id, d.position, d.event_id, d.attempts),
  begun as (
    insert into webhook_attempts (delivery_id, number, started_at) select id, attempts, $1 from claimed)
  select c.id, c.webhook_id as "webhookId", c.attempts as attempt, w.url, coalesce(w.format, 'json') as format,
    ${secretsAt('$1')} as secrets, e.kind, o.slug, e.version, e.data, e.recorded_at as "recordedAt", chat.title, chat.author
    from claimed c join webhooks w on w.id = c.webhook_id
    join lateral (select * from events where position = c.position union all select * from events where id = c.event_id) e on true
    left join outlooks o on o.id = e.outlook_id left join lateral (${FOR_CHAT}) as chat on true`;

/**
 * Claims deliveries that are due, one at a time for a webhook that writes in a chat, those of idle webhooks first. No other instance claims them until the lease ends, and
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
  return rows.map(({ id, webhookId, attempt, url, format, secrets, ...event }) => ({
    id,
    webhookId,
    attempt,
    url,
    format,
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
  /** How long the receiver asks to be left alone, in milliseconds; null if it does not. */
  retryAfter: number | null;
};

/**
 * Records the outcome of an attempt. After a success the next event of the outlook or proposal is due, after a failure the same
 * again, and if the receiver asked to be left alone, no other before it.
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
    if (again !== null && outcome.retryAfter !== null) {
      await postpone(session, claim.webhookId, again);
    }
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
  const next = (subject: string, order: string) => `
    (select next.id from webhook_deliveries next
      where next.webhook_id = $1 and next.delivered_at is null
        and next.${subject} = (select ${subject} from webhook_deliveries where id = $2)
      order by next.${order} limit 1)`;
  await session.query(
    `update webhook_deliveries set due_at = $3 where due_at is null
       and id = coalesce(${next('outlook_id', 'position')}, ${next('subject', 'event_id')})`,
    [webhookId, id, now.toISOString()],
  );
  await session.query(
    'update webhooks set failing_since = null where id = $1 and failing_since is not null',
    [webhookId],
  );
}

/** Leaves a webhook alone until a time; attempts under way go on. */
async function postpone(session: pg.PoolClient, webhookId: string, until: Date): Promise<void> {
  await session.query(
    `update webhook_deliveries d set due_at = $2 where d.webhook_id = $1 and d.due_at < $2 and ${NOT_UNDER_WAY}`,
    [webhookId, until.toISOString()],
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
