import { randomBytes, timingSafeEqual } from 'node:crypto';
import type pg from 'pg';
import { and, count, desc, eq, isNull, lt, or, sql } from 'drizzle-orm';
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
import type { Db } from '../postgres/pool.ts';
import { batchCalls } from '../postgres/batching.ts';
import { analysts, apiKeys } from '../postgres/tables/api-keys.ts';

export type Analyst = { id: string; name: string };

/** All that is known of a key once it is issued; the key itself is not. */
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

const columns = {
  id: apiKeys.id,
  analyst: { id: analysts.id, name: analysts.name },
  role: apiKeys.role,
  hint: apiKeys.hint,
  createdAt: apiKeys.createdAt,
  expiresAt: apiKeys.expiresAt,
  revokedAt: apiKeys.revokedAt,
  lastUsedAt: apiKeys.lastUsedAt,
};

/** The analyst of that name, who is added where there is none. */
export async function analystNamed(db: Db, name: string, now: Date): Promise<Analyst> {
  await db.insert(analysts).values({ name, createdAt: now }).onConflictDoNothing();
  const [analyst] = await db
    .select({ id: analysts.id, name: analysts.name })
    .from(analysts)
    .where(eq(analysts.name, name));
  if (!analyst) throw new Error(`analyst "${name}" was neither added nor found`);
  return analyst;
}

/**
 * Issues a key to the analyst of that name. Call it in a transaction. A second key of one name acts for the same analyst, so
 * a key can be replaced without the author of past versions becoming another.
 * @returns the key, which can't be had again
 */
export async function issueKey(
  db: Db,
  request: { name: string; role: Role; expiresAt: Date | null },
  now: Date,
): Promise<{ key: string; issued: ApiKey }> {
  const key = keyText(randomBytes(KEY_BYTES));
  const analyst = await analystNamed(db, request.name, now);
  const [row] = await db
    .insert(apiKeys)
    .values({
      analystId: analyst.id,
      role: request.role,
      hash: keyHash(key),
      hint: keyHint(key),
      createdAt: now,
      expiresAt: request.expiresAt,
    })
    .returning({ id: apiKeys.id });
  if (!row) throw new Error('a key was inserted but not returned');
  return { key, issued: await readKey(db, row.id) };
}

/** @throws DomainError `key-not-found` */
export async function readKey(db: Db, id: string): Promise<ApiKey> {
  const [found] = await db
    .select(columns)
    .from(apiKeys)
    .innerJoin(analysts, eq(analysts.id, apiKeys.analystId))
    .where(eq(apiKeys.id, id));
  if (!found) throw new DomainError('key-not-found', `There is no key "${id}".`);
  return found;
}

/** Keys, newest first, those behind `after`; at most `limit`. */
export async function listKeys(
  db: Db,
  page: { after: { createdAt: Date; id: string } | null; limit: number },
): Promise<ApiKey[]> {
  const { after } = page;
  return db
    .select(columns)
    .from(apiKeys)
    .innerJoin(analysts, eq(analysts.id, apiKeys.analystId))
    .where(
      after
        ? sql`(${apiKeys.createdAt}, ${apiKeys.id}) < (${after.createdAt.toISOString()}::timestamptz, ${after.id}::uuid)`
        : undefined,
    )
    .orderBy(desc(apiKeys.createdAt), desc(apiKeys.id))
    .limit(page.limit);
}

/**
 * Revokes a key for good; once revoked, doing so again changes nothing.
 * @throws DomainError `key-not-found`
 */
export async function revokeKey(db: Db, id: string, now: Date): Promise<void> {
  await readKey(db, id);
  await db
    .update(apiKeys)
    .set({ revokedAt: now })
    .where(and(eq(apiKeys.id, id), isNull(apiKeys.revokedAt)));
}

/** Whether any key was ever issued. */
export async function hasKeys(db: Db): Promise<boolean> {
  const [row] = await db.select({ keys: count() }).from(apiKeys);
  return row !== undefined && row.keys > 0;
}

export const FIND_KEYS = {
  name: 'find-keys',
  text: `select k.id, a.id as "analystId", a.name as "analystName", k.role, k.hint, k.hash,
      k.created_at as "createdAt", k.expires_at as "expiresAt", k.revoked_at as "revokedAt",
      k.last_used_at as "lastUsedAt"
    from api_keys k join analysts a on a.id = k.analyst_id where k.hash = any($1)`,
};

type KeyRow = Omit<ApiKey, 'analyst'> & { hash: Buffer; analystId: string; analystName: string };

/** Whose key it is and whether it still opens anything; null for a key that was never issued. */
export type KeyFinder = (
  key: string,
  now: Date,
) => Promise<{ key: ApiKey; state: KeyState } | null>;

/**
 * Finds keys by their digests, so how long the index takes tells nothing of a key that one doesn't hold.
 * Nothing is remembered: a key that is revoked, by whatever instance, is refused from then on.
 */
export function keyFinder(pool: pg.Pool): KeyFinder {
  const find = batchCalls<Buffer, KeyRow | null>(
    async (hashes) => {
      const { rows } = await pool.query<KeyRow>({ ...FIND_KEYS, values: [hashes] });
      return hashes.map((hash) => rows.find((row) => timingSafeEqual(row.hash, hash)) ?? null);
    },
    { most: 100, atOnce: 2 },
  );
  return async (key, now) => {
    const found = await find(keyHash(key));
    if (!found) return null;
    const { hash: _, analystId: id, analystName: name, ...rest } = found;
    const known = { ...rest, analyst: { id, name } };
    return { key: known, state: keyState(known, now) };
  };
}

/** How exact `lastUsedAt` is, in milliseconds: one write a key and minute, not one a request. */
const LAST_USED_STEP = 60_000;

/** Records that a key was used. */
export async function touchKey(db: Db, key: ApiKey, now: Date): Promise<void> {
  const stale = new Date(now.getTime() - LAST_USED_STEP);
  if (key.lastUsedAt !== null && key.lastUsedAt > stale) return;
  await db
    .update(apiKeys)
    .set({ lastUsedAt: now })
    .where(
      and(eq(apiKeys.id, key.id), or(isNull(apiKeys.lastUsedAt), lt(apiKeys.lastUsedAt, stale))),
    );
}
