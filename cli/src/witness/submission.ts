/** The most lines of a consistency proof (c2sp.org/tlog-witness): one for each level of the largest tree. */
const MOST_HASHES = 63;
/** A hash in base64. */
const HASH_LINE = /^[A-Za-z0-9+/]{43}=$/;

/** The body of a request to add a checkpoint. The note is not parsed yet. */
export type Submission = { oldSize: number; proof: Uint8Array[]; note: string };

/**
 * Parses the body of a request to add a checkpoint (c2sp.org/tlog-witness): the old size, the consistency proof, an empty line,
 * and the checkpoint.
 * @returns a sentence about what is wrong, if it is malformed
 */
export function parseSubmission(body: Uint8Array): Submission | string {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return 'The body is not UTF-8.';
  }
  const end = text.indexOf('\n\n');
  if (end === -1) return 'The body has no empty line between the proof and the checkpoint.';
  const [first = '', ...lines] = text.slice(0, end).split('\n');
  const digits = /^old (0|[1-9]\d{0,15})$/.exec(first)?.[1];
  const oldSize = Number(digits);
  if (!Number.isSafeInteger(oldSize)) {
    return 'The first line must be "old", a space, and the size of the last cosigned tree in decimal, such as "old 0".';
  }
  if (lines.length > MOST_HASHES) return `The proof has more than ${MOST_HASHES} lines.`;
  const proof = lines.map((line) => (HASH_LINE.test(line) ? Buffer.from(line, 'base64') : null));
  const wrong = proof.findIndex((hash, at) => hash?.toString('base64') !== lines[at]);
  if (wrong !== -1) return `Line ${wrong + 2} is not a hash of 32 bytes in standard base64.`;
  return { oldSize, proof: proof as Buffer[], note: text.slice(end + 2) };
}
