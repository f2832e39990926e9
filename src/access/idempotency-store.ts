import type pg from 'pg';
import type { Session } from '../postgres/pool.ts';

/** A write that is sent with an idempotency key. */
export type Attempt = {
  /** Whose key opened the service; each has idempotency keys of its own. */
  analystId: string;
  key: string;
  /** SHA-256 of what was sent. */
  requestHash: Buffer;
};

/** An answer as it was sent, or would have been. */
export type StoredAnswer = { status: number; headers: Record<string, string>; body: Buffer };

/** The same key is at work right now. */
export class AttemptInFlight extends Error {}

/**
 * Takes an idempotency key for the transaction, before anything else is done in it: until it ends, another
 * attempt by the key is refused.
 * @param since answers from before are forgotten
 * @returns what was sent by the key, and how it was answered; null where it is new
 * @throws AttemptInFlight where another transaction has taken it
 */
export async function takeKey(
  session: Session,
  { analystId, key }: Attempt,
  since: Date,
): Promise<{ requestHash: Buffer; answer: StoredAnswer } | null> {
  const { rows: locks } = await session.query<{ taken: boolean }>(
    `select pg_try_advisory_xact_lock(hashtextextended('outlook-ledger attempt ' || $1 || ' ' || $2, 0))
       as taken`,
    [analystId, key],
  );
  if (!locks[0]?.taken) throw new AttemptInFlight();
  const { rows } = await session.query<StoredAnswer & { requestHash: Buffer; isOld: boolean }>(
    `select request_hash as "requestHash", status, headers, body, recorded_at < $3 as "isOld"
       from idempotency_keys where analyst_id = $1 and key = $2`,
    [analystId, key, since.toISOString()],
  );
  const [found] = rows;
  if (!found) return null;
  if (found.isOld) {
    await session.query('delete from idempotency_keys where analyst_id = $1 and key = $2', [
      analystId,
      key,
    ]);
    return null;
  }
  const { requestHash, status, headers, body } = found;
  return { requestHash, answer: { status, headers, body } };
}

/** Keeps the answer, in the transaction that did what it tells of. */
export async function keepAnswer(
  session: Session,
  { analystId, key, requestHash }: Attempt,
  { status, headers, body }: StoredAnswer,
  now: Date,
): Promise<void> {
  await session.query(
    `insert into idempotency_keys (analyst_id, key, request_hash, status, headers, body, recorded_at)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [analystId, key, requestHash, status, JSON.stringify(headers), body, now.toISOString()],
  );
}

/** The most responses that one statement deletes. */
const DELETED_AT_ONCE = 1_000;

/** Deletes the responses that were stored before a time. Several instances may do so at once. */
export async function deleteExpiredResponses(pool: pg.Pool, before: Date): Promise<void> {
  for (;;) {
    const { rowCount } = await pool.query(
      `delete from idempotency_keys where (analyst_id, key) in (
         select analyst_id, key from idempotency_keys where recorded_at < $1
          order by recorded_at limit ${DELETED_AT_ONCE} for update skip locked)`,
      [before.toISOString()],
    );
    if ((rowCount ?? 0) < DELETED_AT_ONCE) return;
  }
}
