import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  KEY_BYTES,
  keyHash,
  keyHint,
  keyState,
  keyText,
  type Role,
  roleAllows,
} from '../../src/domain/api-keys.ts';

test.for<[Role, Role, boolean]>([
  ['analyst', 'analyst', true],
  ['analyst', 'feed', false],
  ['analyst', 'admin', false],
  ['feed', 'analyst', false],
  ['feed', 'feed', true],
  ['feed', 'admin', false],
  ['admin', 'analyst', true],
  ['admin', 'feed', true],
  ['admin', 'admin', true],
])('a key of %s where %s is needed: %s', ([held, needed, allowed]) => {
  expect(roleAllows(held, needed)).toBe(allowed);
});

const random = fc
  .uint8Array({ minLength: KEY_BYTES, maxLength: KEY_BYTES })
  .map((bytes) => Buffer.from(bytes));

test('a key is olk_ and all 256 bits, in characters that need no quoting', () => {
  fc.assert(
    fc.property(random, (bytes) => {
      const key = keyText(bytes);
      expect(key).toMatch(/^olk_[A-Za-z0-9_-]{43}$/);
      expect(Buffer.from(key.slice(4), 'base64url').equals(bytes)).toBe(true);
    }),
  );
});

test('a hint is the start of the key and reveals 24 of its 256 bits', () => {
  fc.assert(
    fc.property(random, (bytes) => {
      const key = keyText(bytes);
      expect(key.startsWith(keyHint(key))).toBe(true);
      expect(keyHint(key)).toHaveLength('olk_'.length + 4);
    }),
  );
});

test('a key is stored as the SHA-256 of all of it', () => {
  const key = keyText(Buffer.alloc(KEY_BYTES, 7));
  expect(keyHash(key)).toEqual(createHash('sha256').update(key, 'utf8').digest());
  expect(keyHash(key).equals(keyHash(`${key.slice(0, -1)}A`))).toBe(false);
});

const moment = (second: number) => new Date(Date.UTC(2026, 10, 20, 16, 0, second));

test.for([
  ['never expires', null, null, 'active'],
  ['expires in a second', moment(31), null, 'active'],
  ['expires at this very moment', moment(30), null, 'expired'],
  ['expired a second ago', moment(29), null, 'expired'],
  ['was revoked', null, moment(29), 'revoked'],
  ['was revoked before it would expire', moment(31), moment(29), 'revoked'],
  ['was revoked and expired since', moment(29), moment(28), 'revoked'],
] as const)('a key that %s is %4$s', ([, expiresAt, revokedAt, state]) => {
  expect(keyState({ expiresAt, revokedAt, isDeactivated: false }, moment(30))).toBe(state);
  const resting = keyState({ expiresAt, revokedAt, isDeactivated: true }, moment(30));
  expect(resting).toBe(state === 'active' ? 'deactivated' : state);
});
