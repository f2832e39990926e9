import { createHash, createHmac, createPublicKey, verify } from 'node:crypto';

/**
 * Checks a receipt by the specifications and Node.js alone, without a line of the service or its client.
 */
export type CheckedEntry = {
  event: Record<string, unknown> & { rows: { count: number; root: string }; subject: string };
  rows: { table: string; row: Record<string, string> }[];
  size: number;
  origin: string;
  /** The times of cosignatures, in seconds, by the name of the witness. */
  cosigned: Record<string, number>;
};

type Entry = {
  event: string;
  salt: string;
  rows: { index: number; salt: string; text: string; proof: string[] }[];
  proof: string;
};
type Receipt = Entry & {
  v: number;
  subject: string;
  origin: string;
  laterEntries: Entry[];
  documents: { of: string; json: string }[];
};

const sha256 = (...parts: (Buffer | string)[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const bytes = (base64: string): Buffer => {
  const decoded = Buffer.from(base64, 'base64');
  if (decoded.toString('base64') !== base64) throw new Error(`not base64: ${base64}`);
  return decoded;
};

/** MTH of RFC 6962 along a path: the root that a leaf and its audit path lead to (section 2.1.1). */
function rootFrom(leaf: Buffer, index: number, size: number, path: readonly Buffer[]): Buffer {
  if (size === 1) {
    if (path.length > 0) throw new Error('the path is too long');
    return leaf;
  }
  let split = 1;
  while (split * 2 < size) split *= 2;
  const sibling = path.at(-1);
  if (!sibling) throw new Error('the path is too short');
  const rest = path.slice(0, -1);
  return index < split
    ? sha256(Buffer.of(1), rootFrom(leaf, index, split, rest), sibling)
    : sha256(Buffer.of(1), sibling, rootFrom(leaf, index - split, size - split, rest));
}

/** The raw public key of a verifier key, as WebCrypto and OpenSSL name it. */
function keyOf(vkey: string) {
  const [name = '', id = '', ...rest] = vkey.split('+');
  const material = bytes(rest.join('+'));
  if (sha256(`${name}\n`, material).toString('hex', 0, 4) !== id) throw new Error('wrong key id');
  const x = material.subarray(1).toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return { name, id, type: material[0], key };
}

function checkEntry(entry: Entry, vkey: string, witnesses: readonly string[]): CheckedEntry {
  const [head, note] = split(entry.proof, '\n\n');
  const [first, indexLine = '', ...hashes] = head.split('\n');
  if (first !== 'c2sp.org/tlog-proof@v1') throw new Error('no tlog-proof');
  const index = Number(/^index (0|[1-9]\d*)$/.exec(indexLine)?.[1]);
  const [body, signatures] = split(note, '\n\n');
  const text = `${body}\n`;
  const [origin = '', size = '', root = ''] = body.split('\n');
  const lines = signatures.trimEnd().split('\n');
  const signatureOf = (of: ReturnType<typeof keyOf>): Buffer | null => {
    for (const line of lines) {
      const [dash, name, encoded = ''] = line.split(' ');
      const signature = bytes(encoded);
      if (dash === '—' && name === of.name && signature.toString('hex', 0, 4) === of.id) {
        return signature.subarray(4);
      }
    }
    return null;
  };
  const log = keyOf(vkey);
  const signature = signatureOf(log);
  if (log.name !== origin || log.type !== 1 || !signature) throw new Error('not signed');
  if (!verify(null, Buffer.from(text), log.key, signature)) throw new Error('wrong signature');
  const cosigned: Record<string, number> = {};
  for (const witness of witnesses.map(keyOf)) {
    const cosignature = signatureOf(witness);
    if (!cosignature) continue;
    const time = Number(cosignature.readBigUInt64BE());
    const message = Buffer.from(`cosignature/v1\ntime ${time}\n${text}`);
    if (!verify(null, message, witness.key, cosignature.subarray(8))) {
      throw new Error('wrong cosignature');
    }
    cosigned[witness.name] = time;
  }
  const commitment = createHmac('sha256', bytes(entry.salt)).update(entry.event).digest();
  const leaf = sha256(
    Buffer.of(0),
    JSON.stringify({ v: 1, commitment: commitment.toString('base64') }),
  );
  const found = rootFrom(leaf, index, Number(size), hashes.map(bytes));
  if (found.toString('base64') !== root) throw new Error('the entry is not in the tree');
  const event = JSON.parse(entry.event) as CheckedEntry['event'];
  const rows = entry.rows.map((row) => {
    const hash = sha256(Buffer.of(0), bytes(row.salt), row.text);
    const path = row.proof.map(bytes);
    if (rootFrom(hash, row.index, event.rows.count, path).toString('base64') !== event.rows.root) {
      throw new Error('the row is not in the write');
    }
    return JSON.parse(row.text) as CheckedEntry['rows'][number];
  });
  return { event, rows, size: Number(size), origin, cosigned };
}

/** The text before the first separator, and that after it. */
function split(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return [text.slice(0, at), text.slice(at + separator.length)];
}

/**
 * Checks a receipt with the verifier key of the log and those of witnesses.
 * @returns its own entry, the later ones, and the documents that the version's row vouches for
 * @throws Error that says what does not hold
 */
export function checkReceipt(
  receipt: Receipt,
  vkey: string,
  witnesses: readonly string[] = [],
): CheckedEntry & { later: CheckedEntry[]; documents: Record<string, Record<string, unknown>> } {
  if (receipt.v !== 1) throw new Error('unknown format');
  const own = checkEntry(receipt, vkey, witnesses);
  const later = receipt.laterEntries.map((entry) => checkEntry(entry, vkey, witnesses));
  if (own.event.subject !== receipt.subject) throw new Error('another subject');
  if (own.origin !== receipt.origin) throw new Error('another log');
  const rows = [own, ...later].flatMap((entry) => entry.rows);
  const hashes = new Map(
    receipt.documents.map(({ of, json }) => [of, sha256(json).toString('hex')]),
  );
  const documents = Object.fromEntries(
    receipt.documents.map(({ of, json }) => [of, JSON.parse(json) as Record<string, unknown>]),
  );
  if (receipt.documents.length > 0) {
    const version = rows.find(({ table }) => table === 'outlook_versions');
    if (version?.row['hash'] !== `\\x${hashes.get('version')}`) throw new Error('another version');
    if (documents['version']?.['frameworkHash'] !== `sha256:${hashes.get('framework')}`) {
      throw new Error('another framework');
    }
  }
  return { ...own, later, documents };
}
