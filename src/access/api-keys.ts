import { randomBytes, timingSafeEqual } from 'node:crypto';
import type pg from 'pg';
import {
  KEY_BYTES,
  keyHash,
  keyHint,
  keyState,
  keyText,
  type KeyState,
  type Role,
} from '../domain/api-keys.ts';
import { DomainError } from '../domain/errors.ts';
import type { Session } from '../postgres/pool.ts';
import { batchCalls } from '../postgres/batching.ts';

export type Analyst = { id: string; name: string };

/** A key as the ledger stores it, without its hash. The key itself is never stored. */
export type ApiKey = {
  id: string;
  analyst: Analyst;
  role: Role;
  hint: string;
  createdAt: Date;
  expiresAt: Date | null;
  revokedAt: Date | null;
  lastUsedAt: Date | null;
};

type KeyRow = Omit<ApiKey, 'analyst'> & { analystId: string; analystName: string };

const COLUMNS = `k.id, a.id as "analystId", a.name as "analystName", k.role, k.hint,
    k.created_at as "createdAt", k.expires_at as "expiresAt", k.revoked_at as "revokedAt",
    k.last_used_at as "lastUsedAt"`;
const KEYS = 'from api_keys k join analysts a on a.id = k.analyst_id';

function keyOf({ analystId, analystName, ...key }: KeyRow): ApiKey {
  return { ...key, analyst: { id: analystId, name: analystName } };
}

/** The analyst with that name, who is added if there is none yet. */
export async function analystNamed(session: Session, name: string, now: Date): Promise<Analyst> {
  await session.query(
    'insert into analysts (name, created_at) values ($1, $2) on conflict do nothing',
    [name, now.toISOString()],
  );
  const { rows } = await session.query<Analyst>('select id, name from analysts where name = $1', [
    name,
  ]);
  const [analyst] = rows;
  if (!analyst) throw new Error(`analyst "${name}" was neither added nor found`);
  return analyst;
}

/**
 * Issues a key to the analyst with that name. Call it in a transaction. A second key with the same name acts for the same
 * analyst, so replacing a key does not change the author of past versions.
 * @returns the key, which can't be read again
 */
export async function issueKey(
  session: Session,
  request: { name: string; role: Role; expiresAt: Date | null },
  now: Date,
): Promise<{ key: string; issued: ApiKey }> {
  const key = keyText(randomBytes(KEY_BYTES));
  const analyst = await analystNamed(session, request.name, now);
  const { rows } = await session.query<{ id: string }>(
    `insert into api_keys (analyst_id, role, hash, hint, created_at, expires_at)
     values ($1, $2, $3, $4, $5, $6) returning id`,
    [
      analyst.id,
      request.role,
      keyHash(key),
      keyHint(key),
      now.toISOString(),
      request.expiresAt?.toISOString(),
    ],
  );
  const [row] = rows;
  if (!row) throw new Error('a key was inserted but not returned');
  return { key, issued: await readKey(session, row.id) };
}

/** @throws DomainError `key-not-found` */
export async function readKey(session: Session, id: string): Promise<ApiKey> {
  const { rows } = await session.query<KeyRow>(`select ${COLUMNS} ${KEYS} where k.id = $1`, [id]);
  const [found] = rows;
  if (!found) throw new DomainError('key-not-found', `There is no key "${id}".`);
  return keyOf(found);
}

/** Keys, newest first, those after the key `after`; at most `limit`. */
export async function listKeys(
  session: Session,
  { after, limit }: { after: { createdAt: Date; id: string } | null; limit: number },
): Promise<ApiKey[]> {
  const { rows } = await session.query<KeyRow>(
    `select ${COLUMNS} ${KEYS}
      where $1::timestamptz is null or (k.created_at, k.id) < ($1, $2::uuid)
      order by k.created_at desc, k.id desc limit $3`,
    [after?.createdAt.toISOString(), after?.id, limit],
  );
  return rows.map(keyOf);
}

/**
 * Revokes a key for good. Revoking it again changes nothing.
 * @throws DomainError `key-not-found`
 */
export async function revokeKey(session: Session, id: string, now: Date): Promise<void> {
  await readKey(session, id);
  await session.query('update api_keys set revoked_at = $2 where id = $1 and revoked_at is null', [
    id,
    now.toISOString(),
  ]);
}

/** Whether any key was ever issued. */
export async function hasKeys(session: Session): Promise<boolean> {
  const { rowCount } = await session.query('select from api_keys limit 1');
  return rowCount === 1;
}

export const FIND_KEYS = {
  name: 'find-keys',
  text: `select ${COLUMNS}, k.hash ${KEYS} where k.hash = any($1)`,
};

/** Finds a key and its state; null for a key that was never issued. */
export type KeyFinder = (
  key: string,
  now: Date,
) => Promise<{ key: ApiKey; state: KeyState } | null>;

/**
 * Finds keys by their hashes, so that the duration of the look-up reveals nothing about other keys. Nothing is cached, so
 * a key that any instance revokes is refused from then on.
 */
export function keyFinder(pool: pg.Pool): KeyFinder {
  const find = batchCalls<Buffer, ApiKey | null>(
    async (hashes) => {
      const { rows } = await pool.query<KeyRow & { hash: Buffer }>({
        ...FIND_KEYS,
        values: [hashes],
      });
      return hashes.map((hash) => {
        const row = rows.find((one) => timingSafeEqual(one.hash, hash));
        if (!row) return null;
        const { hash: _, ...key } = row;
        return keyOf(key);
      });
    },
    { most: 100, atOnce: 2 },
  );
  return async (key, now) => {
    const found = await find(keyHash(key));
    return found && { key: found, state: keyState(found, now) };
  };
}

/** The precision of `lastUsedAt`, in milliseconds: each key is written at most once a minute, not at each request. */
const LAST_USED_STEP = 60_000;

/** Records that a key was used. */
export async function touchKey(session: Session, key: ApiKey, now: Date): Promise<void> {
  const stale = new Date(now.getTime() - LAST_USED_STEP);
  if (key.lastUsedAt !== null && key.lastUsedAt > stale) return;
  await session.query(
    `update api_keys set last_used_at = $2
      where id = $1 and (last_used_at is null or last_used_at < $3)`,
    [key.id, now.toISOString(), stale.toISOString()],
  );
}
