import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { desc, eq, sql } from 'drizzle-orm';
import { DomainError } from '../domain/errors.ts';
import type { EventKind } from '../domain/events.ts';
import { type DisabledReason, ROTATION_TIME, SECRET_BYTES } from '../domain/webhooks.ts';
import { type Db, onSession, type Session } from '../postgres/pool.ts';
import { sequenceEvents } from '../postgres/outbox.ts';
import { outlooks } from '../postgres/tables/outlooks.ts';
import { webhooks } from '../postgres/tables/webhooks.ts';

/** All that is told of a webhook; what it signs with is not. */
export type Webhook = {
  id: string;
  url: string;
  /** Null for all. */
  kinds: EventKind[] | null;
  /** The slug of the only outlook that it is about; null for all. */
  outlook: string | null;
  description: string | null;
  /** Until when the secret before signs, too; may be over. */
  previousSecretUntil: Date | null;
  createdAt: Date;
  failingSince: Date | null;
  disabledAt: Date | null;
  disabledReason: DisabledReason | null;
};

const columns = {
  id: webhooks.id,
  url: webhooks.url,
  kinds: webhooks.kinds,
  outlook: outlooks.slug,
  description: webhooks.description,
  previousSecretUntil: webhooks.previousSecretUntil,
  createdAt: webhooks.createdAt,
  failingSince: webhooks.failingSince,
  disabledAt: webhooks.disabledAt,
  disabledReason: webhooks.disabledReason,
};

export type NewWebhook = Pick<Webhook, 'url' | 'kinds' | 'outlook' | 'description'>;

/**
 * Creates a webhook that is told of the events that come after it. Call it in a transaction.
 * @returns it, and its secret
 * @throws DomainError `unknown-outlook`
 */
export async function createWebhook(
  session: pg.PoolClient,
  { outlook, ...given }: NewWebhook,
  now: Date,
): Promise<{ webhook: Webhook; secret: Buffer }> {
  const db = onSession(session);
  const outlookId = outlook === null ? null : await outlookOf(db, outlook);
  const secret = randomBytes(SECRET_BYTES);
  // Also of what is committed and has no position yet: it was before.
  const position = await sequenceEvents(session);
  const row = { ...given, outlookId, secret, position, createdAt: now };
  const [added] = await db.insert(webhooks).values(row).returning({ id: webhooks.id });
  if (!added) throw new Error('a webhook was inserted but not returned');
  return { webhook: await readWebhook(db, added.id), secret };
}

async function outlookOf(db: Db, slug: string): Promise<number> {
  const [found] = await db
    .select({ id: outlooks.id })
    .from(outlooks)
    .where(eq(outlooks.slug, slug));
  if (found) return found.id;
  throw new DomainError('unknown-outlook', `There is no outlook "${slug}".`, [
    { path: ['outlook'], detail: 'must be the slug of an outlook that exists, or be left out' },
  ]);
}

/** @throws DomainError `webhook-not-found` */
export async function readWebhook(db: Db, id: string): Promise<Webhook> {
  const [found] = await db
    .select(columns)
    .from(webhooks)
    .leftJoin(outlooks, eq(outlooks.id, webhooks.outlookId))
    .where(eq(webhooks.id, id));
  if (!found) throw missing(id);
  return found;
}

function missing(id: string): DomainError {
  return new DomainError('webhook-not-found', `There is no webhook "${id}".`);
}

/** Webhooks, newest first, those behind `after`; at most `limit`. */
export async function listWebhooks(
  db: Db,
  { after, limit }: { after: { createdAt: Date; id: string } | null; limit: number },
): Promise<Webhook[]> {
  return db
    .select(columns)
    .from(webhooks)
    .leftJoin(outlooks, eq(outlooks.id, webhooks.outlookId))
    .where(
      after
        ? sql`(${webhooks.createdAt}, ${webhooks.id}) < (${after.createdAt.toISOString()}::timestamptz, ${after.id}::uuid)`
        : undefined,
    )
    .orderBy(desc(webhooks.createdAt), desc(webhooks.id))
    .limit(limit);
}

/** What may be changed of a webhook; what is undefined stays. */
export type WebhookChange = {
  url?: string | undefined;
  kinds?: EventKind[] | null | undefined;
  description?: string | null | undefined;
  enabled?: boolean | undefined;
};

/**
 * Changes a webhook. Disabled, it keeps what waits; enabled, it goes on with that, at once. Call it in a transaction.
 * @throws DomainError `webhook-not-found`
 */
export async function changeWebhook(
  session: pg.PoolClient,
  id: string,
  { enabled, ...given }: WebhookChange,
  now: Date,
): Promise<Webhook> {
  const db = onSession(session);
  const before = await readWebhook(db, id);
  const state =
    enabled === undefined || (!enabled && before.disabledAt !== null) ? {} : stateOf(enabled, now);
  const change = Object.entries({ ...given, ...state }).filter(([, value]) => value !== undefined);
  if (change.length > 0) {
    await db.update(webhooks).set(Object.fromEntries(change)).where(eq(webhooks.id, id));
  }
  if (enabled) await makeDue(session, id, now);
  return readWebhook(db, id);
}

function stateOf(enabled: boolean, now: Date) {
  return enabled
    ? { disabledAt: null, disabledReason: null, failingSince: null }
    : { disabledAt: now, disabledReason: 'asked' as const };
}

/** What waits for another attempt waits no longer; what is under way goes on. */
async function makeDue(session: pg.PoolClient, id: string, now: Date): Promise<void> {
  await session.query(
    `update webhook_deliveries d set due_at = $2
      where webhook_id = $1 and due_at > $2 and not exists (
        select from webhook_attempts a
         where a.delivery_id = d.id and a.number = d.attempts and a.milliseconds is null)`,
    [id, now.toISOString()],
  );
}

/**
 * Gives a webhook another secret; for a day the one before signs, too. Call it in a transaction.
 * @returns the secret
 * @throws DomainError `webhook-not-found`
 */
export async function rotateSecret(db: Db, id: string, now: Date): Promise<Buffer> {
  const secret = randomBytes(SECRET_BYTES);
  const changed = await db
    .update(webhooks)
    .set({
      secret,
      previousSecret: sql`${webhooks.secret}`,
      previousSecretUntil: new Date(now.getTime() + ROTATION_TIME),
    })
    .where(eq(webhooks.id, id))
    .returning({ id: webhooks.id });
  if (changed.length === 0) throw missing(id);
  return secret;
}

/**
 * Deletes a webhook, with all that it was sent and was to be sent.
 * @throws DomainError `webhook-not-found`
 */
export async function deleteWebhook(db: Db, id: string): Promise<void> {
  const deleted = await db
    .delete(webhooks)
    .where(eq(webhooks.id, id))
    .returning({ id: webhooks.id });
  if (deleted.length === 0) throw missing(id);
}

/** Where a webhook is, and what it signs with at a moment. */
export type Receiver = { url: string; secrets: Buffer[] };

/** @throws DomainError `webhook-not-found` */
export async function readReceiver(session: Session, id: string, now: Date): Promise<Receiver> {
  const { rows } = await session.query<Receiver>(
    `select url, ${secretsAt('$2')} as secrets from webhooks w where id = $1`,
    [id, now.toISOString()],
  );
  if (!rows[0]) throw missing(id);
  return rows[0];
}

/** The secrets of `webhooks w` that sign at a moment, given as a parameter. */
export const secretsAt = (parameter: string) => `
  case when w.previous_secret_until > ${parameter} then array[w.secret, w.previous_secret]
    else array[w.secret] end`;

/** Deletes the secrets that no longer sign. */
export async function deleteExpiredSecrets(pool: pg.Pool, now: Date): Promise<void> {
  await pool.query(
    `update webhooks set previous_secret = null, previous_secret_until = null
      where previous_secret_until <= $1`,
    [now.toISOString()],
  );
}
