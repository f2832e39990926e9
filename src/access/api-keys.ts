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
import type { Desks } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';
import type { Session } from '../postgres/pool.ts';
import { batchCalls } from '../postgres/batching.ts';
import { type Analyst, analystNamed } from './analysts.ts';
import { desksOfKey } from './desks.ts';

/** A key as the ledger stores it, without its hash. The key itself is never stored. */
export type ApiKey = {
  id: string;
  analyst: Analyst;
  /** Whether its analyst is deactivated. */
  isDeactivated: boolean;
  role: Role;
  /** The ids of the desks that it acts for. */
  desks: Desks;
  /** Their slugs, in alphabetical order; null for all desks. */
  deskSlugs: readonly string[] | null;
  hint: string;
  createdAt: Date;
  expiresAt: Date | null;
  revokedAt: Date | null;
  lastUsedAt: Date | null;
  /** Null if a command on the ledger's machine issued it, or an earlier release. */
  issuedBy: Analyst | null;
  /** The id of a key, the issuer and subject of a token, or `LOCAL`; null if an earlier release issued it. */
  issuedWith: string | null;
};

/** Who issues a key, and with which key or token. */
export type KeyIssuer = { analystId: string; credential: string } | typeof LOCAL;
/** The issuer of keys by a command on the ledger's own machine. */
export const LOCAL = 'LOCAL';

type KeyRow = Omit<ApiKey, 'analyst' | 'desks'> & {
  analystId: string;
  analystName: string;
  deskIds: number[] | null;
};

const COLUMNS = `k.id, a.id as "analystId", a.name as "analystName",
    a.deactivated_at is not null as "isDeactivated", k.role, k.hint,
    k.created_at as "createdAt", k.expires_at as "expiresAt", k.revoked_at as "revokedAt",
    k.last_used_at as "lastUsedAt", k.issued_with as "issuedWith", k.desk_ids as "deskIds",
    case when k.desk_ids is not null then array(
      select d.slug from desks d where d.id = any(k.desk_ids) order by d.slug collate "C") end as "deskSlugs",
    case when i.id is not null then json_build_object('id', i.id, 'name', i.name) end as "issuedBy"`;
const KEYS = `from api_keys k join analysts a on a.id = k.analyst_id
    left join analysts i on i.id = k.issued_by`;

function keyOf({ analystId, analystName, deskIds, ...key }: KeyRow): ApiKey {
  return { ...key, desks: deskIds ?? 'all', analyst: { id: analystId, name: analystName } };
}

/**
 * Issues a key to the analyst with that name. Call it in a transaction. A second key with the same name acts for the same
 * analyst, so replacing a key does not change the author of past versions.
 * @returns the key, which can't be read again
 * @throws DomainError as {@link analystNamed} and {@link desksOfKey} do
 */
export async function issueKey(
  session: Session,
  request: {
    name: string;
    role: Role;
    expiresAt: Date | null;
    desks?: readonly string[] | undefined;
  },
  now: Date,
  issuer: KeyIssuer = LOCAL,
): Promise<{ key: string; issued: ApiKey }> {
  const key = keyText(randomBytes(KEY_BYTES));
  const { role, desks } = request;
  const deskIds = await desksOfKey(session, desks, { isAdmin: role === 'admin' });
  const analyst = await analystNamed(session, request.name, now);
  const { rows } = await session.query<{ id: string }>(
    `insert into api_keys (analyst_id, role, hash, hint, created_at, expires_at, desk_ids, issued_by, issued_with)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id`,
    [
      analyst.id,
      role,
      keyHash(key),
      keyHint(key),
      now.toISOString(),
      request.expiresAt?.toISOString(),
      deskIds,
      ...(issuer === LOCAL ? [null, LOCAL] : [issuer.analystId, issuer.credential.slice(0, 1_000)]),
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
 * Revokes a key for good. Revoking it again changes nothing. Call it in a transaction.
 * @param keepsLastAdmin whether to refuse to revoke the last admin key; keys that expire within an hour do not count
 * @returns the key, and whether it was the last admin key
 * @throws DomainError `key-not-found`, `last-admin-key`
 */
export async function revokeKey(
  session: Session,
  id: string,
  now: Date,
  { keepsLastAdmin }: { keepsLastAdmin: boolean },
): Promise<{ key: ApiKey; wasLastAdmin: boolean }> {
  const lasting = await lockLastingAdminKeys(session, now);
  const key = await readKey(session, id);
  const isLive = key.role === 'admin' && keyState(key, now) === 'active';
  const wasLastAdmin = isLive && lasting.every((other) => other.id === id);
  if (wasLastAdmin && keepsLastAdmin) {
    throw new DomainError(
      'last-admin-key',
      `This is the last admin key. Issue another one first, or run "npm run keys -- revoke ${id}" on the machine of the service.`,
    );
  }
  await session.query('update api_keys set revoked_at = $2 where id = $1 and revoked_at is null', [
    id,
    now.toISOString(),
  ]);
  return { key, wasLastAdmin };
}

/**
 * Requires that another active analyst has an admin key, if this one has. Call it in a transaction, before the analyst is
 * deactivated.
 * @throws DomainError `last-admin-key`
 */
export async function requireOtherAdmin(
  session: Session,
  { id, name }: Analyst,
  now: Date,
): Promise<void> {
  const lasting = await lockLastingAdminKeys(session, now);
  if (lasting.some(({ analystId }) => analystId !== id)) return;
  const { rowCount } = await session.query(
    `select from api_keys where analyst_id = $1 and role = 'admin' and revoked_at is null
        and (expires_at is null or expires_at > $2) limit 1`,
    [id, now.toISOString()],
  );
  if (rowCount === 0) return;
  throw new DomainError(
    'last-admin-key',
    `"${name}" holds the last admin key. Issue one to another analyst first.`,
  );
}

/** How long another admin key must still be valid to count as a replacement, in milliseconds. */
const VALID_FOR = 3_600_000;

/**
 * The admin keys of active analysts that stay valid for that long. Locks them, so that two calls can't take the last two away
 * at once.
 */
async function lockLastingAdminKeys(
  session: Session,
  now: Date,
): Promise<{ id: string; analystId: string }[]> {
  const until = new Date(now.getTime() + VALID_FOR).toISOString();
  const { rows: locked } = await session.query<{ id: string }>(
    `select id from api_keys
      where role = 'admin' and revoked_at is null and (expires_at is null or expires_at > $1)
      order by id for update`,
    [until],
  );
  // A statement of its own, so that it sees who was deactivated while the lock was waited for.
  const { rows } = await session.query<{ id: string; analystId: string }>(
    `select k.id, k.analyst_id as "analystId" from api_keys k join analysts a on a.id = k.analyst_id
      where k.id = any($1) and a.deactivated_at is null`,
    [locked.map(({ id }) => id)],
  );
  return rows;
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

/** Records that a key was used. A request that only reads must not wait for the disk or a standby, so a crash may lose it. */
export async function touchKey(session: Session, key: ApiKey, now: Date): Promise<void> {
  const stale = new Date(now.getTime() - LAST_USED_STEP);
  if (key.lastUsedAt !== null && key.lastUsedAt > stale) return;
  await session.query(
    `update api_keys set last_used_at = $2
      where id = $1 and (last_used_at is null or last_used_at < $3)
        and set_config('synchronous_commit', 'off', true) is not null`,
    [key.id, now.toISOString(), stale.toISOString()],
  );
}
