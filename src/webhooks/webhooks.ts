import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { DomainError, type Fault } from '../domain/errors.ts';
import { type DeliveredKind, isOfProposal } from '../domain/events.ts';
import {
  type DisabledReason,
  ROTATION_TIME,
  SECRET_BYTES,
  type WebhookFormat,
} from '../domain/webhooks.ts';
import type { Session } from '../postgres/pool.ts';
import { lastLogPosition, sequenceEvents } from '../postgres/outbox.ts';

/** A webhook without its secrets. */
export type Webhook = {
  id: string;
  url: string;
  format: WebhookFormat;
  /** The slug of the desk whose internal outlooks and proposals it receives, too; null for public outlooks only. */
  desk: string | null;
  /** The kinds of events that it receives; null for all. */
  kinds: DeliveredKind[] | null;
  /** The slug of the only outlook whose events it receives; null for all outlooks. */
  outlook: string | null;
  description: string | null;
  /** When the previous secret stops signing; may be in the past. */
  previousSecretUntil: Date | null;
  createdAt: Date;
  failingSince: Date | null;
  disabledAt: Date | null;
  disabledReason: DisabledReason | null;
};

const READ = `
  select w.id, w.url, coalesce(w.format, 'json') as format, d.slug as desk, w.kinds, o.slug as outlook, w.description,
    w.previous_secret_until as "previousSecretUntil", w.created_at as "createdAt",
    w.failing_since as "failingSince", w.disabled_at as "disabledAt",
    w.disabled_reason as "disabledReason"
  from webhooks w left join outlooks o on o.id = w.outlook_id left join desks d on d.id = w.desk_id`;

export type NewWebhook = Pick<
  Webhook,
  'url' | 'format' | 'desk' | 'kinds' | 'outlook' | 'description'
>;

/**
 * Creates a webhook that receives the events committed after it. Call it in a transaction.
 * @returns the webhook and its secret
 * @throws DomainError `webhook-refused`
 */
export async function createWebhook(
  session: pg.PoolClient,
  { url, format, desk, kinds, outlook, description }: NewWebhook,
  now: Date,
): Promise<{ webhook: Webhook; secret: Buffer }> {
  const { deskId, outlookId } = await readSubjects(session, { desk, outlook });
  const secret = randomBytes(SECRET_BYTES);
  // Gives positions to all committed events first: they come before the webhook.
  const position = await sequenceEvents(session);
  const logPosition = deskId === null ? null : await lastLogPosition(session);
  const { rows } = await session.query<{ id: string }>(
    `insert into webhooks
       (url, format, desk_id, kinds, outlook_id, description, secret, position, log_position, created_at)
     values ($1, nullif($2, 'json'), $3, $4, $5, $6, $7, $8, $9, $10) returning id`,
    [
      url,
      format,
      deskId,
      kinds,
      outlookId,
      description,
      secret,
      position,
      logPosition,
      now.toISOString(),
    ],
  );
  const [added] = rows;
  if (!added) throw new Error('a webhook was inserted but not returned');
  return { webhook: await readWebhook(session, added.id), secret };
}

/** @throws DomainError `webhook-refused` if there is no such desk or outlook, or the webhook could receive nothing of it */
async function readSubjects(
  session: Session,
  { desk, outlook }: Pick<NewWebhook, 'desk' | 'outlook'>,
): Promise<{ deskId: number | null; outlookId: number | null }> {
  const { rows } = await session.query<{
    deskId: number | null;
    outlookId: number | null;
    internalTo: string | null;
  }>(
    `select d.id as "deskId", o.id as "outlookId", i.slug as "internalTo"
       from (select) as one left join desks d on d.slug = $1 left join outlooks o on o.slug = $2
       left join desks i on i.id = o.internal_to`,
    [desk, outlook],
  );
  const { deskId = null, outlookId = null, internalTo = null } = rows[0] ?? {};
  const faults: Fault[] = [];
  if (desk !== null && deskId === null) {
    faults.push({ path: ['desk'], detail: 'must be the slug of a desk, or be left out' });
  }
  if (outlook !== null && outlookId === null) {
    const detail = 'must be the slug of an outlook that exists, or be left out';
    faults.push({ path: ['outlook'], detail });
  }
  if (internalTo !== null && internalTo !== desk) {
    const detail = `is internal to the desk "${internalTo}", so the webhook must be of that desk, too`;
    faults.push({ path: ['outlook'], detail });
  }
  if (faults.length > 0) throw refusedWebhook(faults);
  return { deskId, outlookId };
}

function refusedWebhook(faults: readonly Fault[]): DomainError {
  return new DomainError(
    'webhook-refused',
    'The webhook could not receive what the request asks for.',
    faults,
  );
}

/** The faults of kinds of events that a webhook of no desk can't get. */
export function kindFaults({ desk, kinds }: Pick<Webhook, 'desk' | 'kinds'>): Fault[] {
  if (desk !== null) return [];
  return (kinds ?? []).flatMap((kind, index) =>
    isOfProposal(kind)
      ? [
          {
            path: ['kinds', index],
            detail: 'is only for a webhook with a "desk", which is set when it is created',
          },
        ]
      : [],
  );
}

/** @throws DomainError `webhook-not-found` */
export async function readWebhook(session: Session, id: string): Promise<Webhook> {
  const { rows } = await session.query<Webhook>(`${READ} where w.id = $1`, [id]);
  const [found] = rows;
  if (!found) throw missing(id);
  return found;
}

function missing(id: string): DomainError {
  return new DomainError('webhook-not-found', `There is no webhook "${id}".`);
}

/** Webhooks, newest first, those after the webhook `after`; at most `limit`. */
export async function listWebhooks(
  session: Session,
  { after, limit }: { after: { createdAt: Date; id: string } | null; limit: number },
): Promise<Webhook[]> {
  const { rows } = await session.query<Webhook>(
    `${READ} where $1::timestamptz is null or (w.created_at, w.id) < ($1, $2::uuid)
      order by w.created_at desc, w.id desc limit $3`,
    [after?.createdAt.toISOString(), after?.id, limit],
  );
  return rows;
}

/** Changes to a webhook; a member that is undefined stays. */
export type WebhookChange = {
  url?: string | undefined;
  kinds?: DeliveredKind[] | null | undefined;
  description?: string | null | undefined;
  enabled?: boolean | undefined;
};

/**
 * Changes a webhook. A disabled one keeps its undelivered events; enabled again, it sends them at once. Call it in a
 * transaction.
 * @throws DomainError `webhook-not-found`, `webhook-refused`
 */
export async function changeWebhook(
  session: pg.PoolClient,
  id: string,
  { url, kinds, description, enabled }: WebhookChange,
  now: Date,
): Promise<Webhook> {
  const before = await readWebhook(session, id);
  const faults = kindFaults({ desk: before.desk, kinds: kinds ?? null });
  if (faults.length > 0) throw refusedWebhook(faults);
  const state =
    enabled === undefined || (!enabled && before.disabledAt !== null) ? {} : stateOf(enabled, now);
  await updateColumns(session, id, { url, kinds, description, ...state });
  if (enabled) await makeDue(session, id, now);
  return readWebhook(session, id);
}

function stateOf(enabled: boolean, now: Date) {
  return enabled
    ? { disabled_at: null, disabled_reason: null, failing_since: null }
    : { disabled_at: now.toISOString(), disabled_reason: 'asked' };
}

/** @param change values by column; a column that is undefined stays */
async function updateColumns(
  session: Session,
  id: string,
  change: Record<string, unknown>,
): Promise<void> {
  const changed = Object.entries(change).filter(([, value]) => value !== undefined);
  if (changed.length === 0) return;
  const assignments = changed.map(([column], index) => `${column} = $${index + 2}`);
  await session.query(`update webhooks set ${assignments.join(', ')} where id = $1`, [
    id,
    ...changed.map(([, value]) => value),
  ]);
}

/** Whether no attempt of `webhook_deliveries d` runs, in SQL. */
export const NOT_UNDER_WAY = `not exists (
  select from webhook_attempts a where a.delivery_id = d.id and a.number = d.attempts and a.milliseconds is null)`;

/** Makes waiting deliveries due now; attempts under way go on. */
async function makeDue(session: pg.PoolClient, id: string, now: Date): Promise<void> {
  await session.query(
    `update webhook_deliveries d set due_at = $2
      where webhook_id = $1 and due_at > $2 and ${NOT_UNDER_WAY}`,
    [id, now.toISOString()],
  );
}

/**
 * Gives a webhook a new secret; the previous one signs, too, for another day. Call it in a transaction.
 * @returns the new secret
 * @throws DomainError `webhook-not-found`
 */
export async function rotateSecret(session: pg.PoolClient, id: string, now: Date): Promise<Buffer> {
  const secret = randomBytes(SECRET_BYTES);
  const { rowCount } = await session.query(
    `update webhooks set secret = $2, previous_secret = secret, previous_secret_until = $3
      where id = $1`,
    [id, secret, new Date(now.getTime() + ROTATION_TIME).toISOString()],
  );
  if (rowCount === 0) throw missing(id);
  return secret;
}

/**
 * Deletes a webhook with its deliveries, done or not.
 * @throws DomainError `webhook-not-found`
 */
export async function deleteWebhook(session: Session, id: string): Promise<void> {
  const { rowCount } = await session.query('delete from webhooks where id = $1', [id]);
  if (rowCount === 0) throw missing(id);
}

/** The URL and the format of a webhook, and the secrets that sign at a given time. */
export type Receiver = { url: string; format: WebhookFormat; secrets: Buffer[] };

/** @throws DomainError `webhook-not-found` */
export async function readReceiver(session: Session, id: string, now: Date): Promise<Receiver> {
  const { rows } = await session.query<Receiver>(
    `select url, coalesce(format, 'json') as format, ${secretsAt('$2')} as secrets
       from webhooks w where id = $1`,
    [id, now.toISOString()],
  );
  if (!rows[0]) throw missing(id);
  return rows[0];
}

/** The secrets of `webhooks w` that sign at the time in a parameter. */
export const secretsAt = (parameter: string) => `
  case when w.previous_secret_until > ${parameter} then array[w.secret, w.previous_secret]
    else array[w.secret] end`;

/** Deletes the secrets that no longer sign. */
export async function deleteExpiredSecrets(session: Session, now: Date): Promise<void> {
  await session.query(
    `update webhooks set previous_secret = null, previous_secret_until = null
      where previous_secret_until <= $1`,
    [now.toISOString()],
  );
}
