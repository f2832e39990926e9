import { createHash, createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { commitmentOf, entryOf, rowHashOf, rowSaltOf } from '../../src/domain/log-entries.ts';

const SALT = Buffer.alloc(32, 7);

test('an entry holds the HMAC of the JSON under its salt, and nothing else', () => {
  const content = '{"kind":"key.issued","by":null,"ü":"–"}';
  const commitment = createHmac('sha256', SALT).update(Buffer.from(content)).digest();
  expect(commitmentOf(SALT, content)).toEqual(commitment);
  expect(entryOf(commitment).toString()).toBe(
    `{"v":1,"commitment":"${commitment.toString('base64')}"}`,
  );
});

test('a row is hashed under a salt of its own, as a leaf', () => {
  const position = Buffer.from('0000000000000103', 'hex');
  const salt = createHash('sha256').update(SALT).update(position).digest();
  expect(rowSaltOf(SALT, 0x103)).toEqual(salt);
  const text = '{"row":{"name":"Ünal"},"table":"analysts"}';
  const leaf = Buffer.concat([Buffer.of(0), salt, Buffer.from(text)]);
  expect(rowHashOf(salt, text)).toEqual(createHash('sha256').update(leaf).digest());
});
