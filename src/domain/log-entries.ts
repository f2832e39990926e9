import { createHash, createHmac } from 'node:crypto';
import { type Hash, hashLeaf } from './merkle-tree.ts';

/** The commitment to an event: the HMAC-SHA-256 of its JSON under a salt of its own, 32 random bytes. */
export function commitmentOf(salt: Uint8Array, content: string): Buffer {
  return createHmac('sha256', salt).update(content, 'utf8').digest();
}

/** The entry of the log for a commitment: what its leaf hashes. */
export function entryOf(commitment: Buffer): Buffer {
  return Buffer.from(`{"v":1,"commitment":"${commitment.toString('base64')}"}`);
}

/** The salt of the row at `index` among the rows of a statement, whose salt is 32 random bytes. */
export function rowSaltOf(salt: Uint8Array, index: number): Buffer {
  const position = Buffer.alloc(8);
  position.writeBigUInt64BE(BigInt(index));
  return createHash('sha256').update(salt).update(position).digest();
}

/** The leaf of a row in the tree over the rows that a transaction wrote. Only who knows its salt can guess the row. */
export function rowHashOf(rowSalt: Uint8Array, text: string): Hash {
  return hashLeaf(Buffer.concat([rowSalt, Buffer.from(text, 'utf8')]));
}
