import { createHash } from 'node:crypto';

export const ROLES = ['analyst', 'feed', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** An `admin` may do everything; every other role only its own work. */
export function roleAllows(held: Role, needed: Role): boolean {
  return held === needed || held === 'admin';
}

/** The random bytes in a key: 256 bits, so a plain SHA-256 of it can't be searched. */
export const KEY_BYTES = 32;

/** A key as its holder sees it: `olk_` and {@link KEY_BYTES} random bytes in base64url. */
export function keyText(random: Buffer): string {
  return `olk_${random.toString('base64url')}`;
}

/** The first characters of a key, by which people tell their keys apart. */
export function keyHint(key: string): string {
  return key.slice(0, 8);
}

/** SHA-256 of the whole key. Nothing else of the key is stored. */
export function keyHash(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

export type KeyState = 'active' | 'deactivated' | 'expired' | 'revoked';

/** A key expires exactly at `expiresAt`; null never expires. It is refused while its analyst is deactivated. */
export function keyState(
  key: { expiresAt: Date | null; revokedAt: Date | null; isDeactivated: boolean },
  now: Date,
): KeyState {
  if (key.revokedAt !== null) return 'revoked';
  if (key.expiresAt !== null && key.expiresAt <= now) return 'expired';
  return key.isDeactivated ? 'deactivated' : 'active';
}
