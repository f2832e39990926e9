import { createHash } from 'node:crypto';

/** Gives the id of a feed or an entry by its path. */
export type FeedIds = (path: string) => string;

/**
 * Ids that stay the same when the service moves to another address, and differ between ledgers: UUIDs of version 8 (RFC
 * 9562, 5.8), made of the SHA-256 of the ledger's hash and a path. A reader shows an entry again if its id changes.
 */
export function feedIds(ledgerHash: string | null): FeedIds {
  return (path) => {
    const bytes = createHash('sha256')
      .update(`${ledgerHash ?? ''} ${path}`)
      .digest();
    bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
    bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
    const hex = bytes.toString('hex', 0, 16);
    return `urn:uuid:${hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')}`;
  };
}
