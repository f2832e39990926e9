import { readFile, stat } from 'node:fs/promises';
import { commitmentOf, entryOf } from '../../domain/log-entries.ts';
import { hashLeaf, verifyInclusion } from '../../domain/merkle-tree.ts';
import { parseCheckpointText, parseNote, type TreeHead } from '../../domain/signed-note.ts';

/** No checkpoint or receipt is larger. */
const MAX_BYTES = 5_000_000;

type Receipt = { event: string; salt: string; proof: string };

/**
 * Reads the checkpoint in a file: a checkpoint itself, a proof with one (c2sp.org/tlog-proof), or a receipt.
 * @returns null if the file is none of them
 * @throws Error if a receipt is not of its checkpoint
 */
export async function readNotedCheckpoint(file: string): Promise<TreeHead | null> {
  if ((await stat(file)).size > MAX_BYTES) return null;
  const text = await readFile(file, 'utf8');
  const receipt = parseReceipt(text);
  const proof = parseProof(receipt?.proof ?? text);
  const note = parseNote(proof?.checkpoint ?? text);
  const head = note && parseCheckpointText(note.text);
  if (!head || (receipt && !proof)) return null;
  if (receipt && proof && !proves(receipt, proof, head)) {
    throw new Error(
      `${file} does not prove its event: the tree of its checkpoint does not have it`,
    );
  }
  return head;
}

function parseReceipt(text: string): Receipt | null {
  if (!text.trimStart().startsWith('{')) return null;
  try {
    const receipt = JSON.parse(text) as Partial<Record<keyof Receipt, unknown>>;
    const members = [receipt.event, receipt.salt, receipt.proof];
    return members.every((member) => typeof member === 'string') ? (receipt as Receipt) : null;
  } catch {
    return null;
  }
}

type Proof = { index: number; hashes: Buffer[]; checkpoint: string };

function parseProof(text: string): Proof | null {
  const end = text.indexOf('\n\n');
  const [name, ...lines] = text.slice(0, end).split('\n');
  if (end === -1 || name !== 'c2sp.org/tlog-proof@v1') return null;
  if (lines[0]?.startsWith('extra ')) lines.shift();
  const [, index] = /^index (\d{1,16})$/.exec(lines.shift() ?? '') ?? [];
  if (index === undefined) return null;
  const hashes = lines.map((line) => Buffer.from(line, 'base64'));
  return { index: Number(index), hashes, checkpoint: text.slice(end + 2) };
}

function proves({ event, salt }: Receipt, proof: Proof, { size, root }: TreeHead): boolean {
  const leafHash = hashLeaf(entryOf(commitmentOf(Buffer.from(salt, 'base64'), event)));
  return verifyInclusion({ index: proof.index, size, leafHash, proof: proof.hashes, root });
}
