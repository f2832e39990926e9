import type pg from 'pg';
import type { Session } from '../postgres/pool.ts';
import { appendAuditRows, auditRows, type NewAuditEntry } from './audit-log.ts';

/** A write that is sent with an idempotency key. */
export type Attempt = {
  /** The author; each analyst has their own idempotency keys. */
  analystId: string;
  key: string;
  /** SHA-256 of the request. */
  requestHash: Buffer;
};

/** A response as it was sent, or would have been; the body is empty for a 204. */
export type StoredResponse = { status: number; headers: Record<string, string>; body: Buffer };

/** The hash of an earlier request with the same key, and its response. */
export type EarlierAttempt = { requestHash: Buffer; response: StoredResponse };

/** Identifies an idempotency key among those of all analysts. */
export function attemptId({ analystId, key }: Pick<Attempt, 'analystId' | 'key'>): string {
  return `${analystId} ${key}`;
}

const LOCK_KEYS = {
  name: 'take-idempotency-keys',
  text: `select id, pg_try_advisory_xact_lock(hashtextextended('outlook-ledger attempt ' || id, 0)) as taken
    from unnest($1::text[]) as given (id)`,
};
// A statement of its own, after the locks: so it sees what the previous holder of a key committed. It looks up one key at a
// time, so that Postgres uses the primary key even if it thinks that the table is small.
const FIND_RESPONSES = {
  name: 'find-idempotent-responses',
  text: `select k.analyst_id as "analystId", k.key, k.request_hash as "requestHash", k.status, k.headers,
      k.body, k.recorded_at < $3 as "isOld"
    from unnest($1::uuid[], $2::text[]) as given (analyst_id, key)
    cross join lateral (
      select * from idempotency_keys i
       where i.analyst_id = given.analyst_id and i.key = given.key limit 1) k`,
};

type ResponseRow = StoredResponse & Attempt & { isOld: boolean };

/**
 * Locks the idempotency keys of attempts until the transaction ends: in the meantime, another attempt with one of them
 * finds it in flight. Call it before anything else in the transaction.
 * @param since responses stored before this time do not count
 * @returns what is known of each key, by {@link attemptId}; no entry for a new key
 */
export async function lockKeys(
  session: Session,
  attempts: readonly Attempt[],
  since: Date,
): Promise<Map<string, EarlierAttempt | 'in-flight'>> {
  const known = new Map<string, EarlierAttempt | 'in-flight'>();
  if (attempts.length === 0) return known;
  const given = new Map(attempts.map((attempt) => [attemptId(attempt), attempt]));
  const { rows: locks } = await session.query<{ id: string; taken: boolean }>({
    ...LOCK_KEYS,
    values: [[...given.keys()]],
  });
  for (const { id, taken } of locks) {
    if (taken) continue;
    known.set(id, 'in-flight');
    given.delete(id);
  }
  const taken = [...given.values()];
  const { rows } = await session.query<ResponseRow>({
    ...FIND_RESPONSES,
    values: [...columnsOf(taken), since.toISOString()],
  });
  const old = rows.filter(({ isOld }) => isOld);
  if (old.length > 0) await deleteKeys(session, old);
  for (const row of rows) {
    const { requestHash, status, headers, body } = row;
    if (!row.isOld) known.set(attemptId(row), { requestHash, response: { status, headers, body } });
  }
  return known;
}

function columnsOf(attempts: readonly Pick<Attempt, 'analystId' | 'key'>[]): [string[], string[]] {
  return [attempts.map(({ analystId }) => analystId), attempts.map(({ key }) => key)];
}

async function deleteKeys(session: Session, attempts: readonly ResponseRow[]): Promise<void> {
  await session.query(
    `delete from idempotency_keys where (analyst_id, key) in (select * from unnest($1::uuid[], $2::text[]))`,
    columnsOf(attempts),
  );
}

export type NewResponse = { attempt: Attempt; response: StoredResponse; recordedAt: Date };

// Together with the audit entries, so that both take one round trip. The bodies are sent as one buffer, because the driver
// sends a single buffer as it is, but an array of buffers in hexadecimal.
const STORE_RESPONSES = {
  name: 'store-idempotent-responses',
  text: `with audit as (${appendAuditRows('$3')})
    insert into idempotency_keys (analyst_id, key, request_hash, status, headers, body, recorded_at)
    select "analystId", key, decode("requestHash", 'hex'), status, headers,
        substring($2::bytea from start for length), "recordedAt"
      from json_to_recordset($1) as given ("analystId" uuid, key text, "requestHash" text, status int,
        headers json, start int, length int, "recordedAt" timestamptz)`,
};

/** Stores responses and audit entries, in the transaction of their writes. */
export async function storeResponses(
  session: Session,
  responses: readonly NewResponse[],
  audit: readonly NewAuditEntry[],
): Promise<void> {
  let end = 0;
  const rows = responses.map(({ attempt, response: { status, headers, body }, recordedAt }) => {
    const { analystId, key, requestHash } = attempt;
    const start = end + 1;
    end += body.length;
    const hash = requestHash.toString('hex');
    const { length } = body;
    return { analystId, key, requestHash: hash, status, headers, start, length, recordedAt };
  });
  const bodies = Buffer.concat(responses.map(({ response }) => response.body));
  const values = [JSON.stringify(rows), bodies, auditRows(audit)];
  await session.query({ ...STORE_RESPONSES, values });
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
