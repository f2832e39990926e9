const PREFIX = 'sha256:';

/** The 32 bytes that Postgres keeps of a hash such as `sha256:9f86…`. */
export function hashBytes(hash: string): Buffer {
  return Buffer.from(hash.slice(PREFIX.length), 'hex');
}

export function hashText(bytes: Buffer): string {
  return PREFIX + bytes.toString('hex');
}
