import path from 'node:path';
import {
  type NoteSignature,
  parseCheckpointText,
  parseNote,
  parseVkey,
  type TreeHead,
  verifyConsistency,
  verifySignature,
  type Vkey,
} from '@outlook-ledger/client';
import { UsageError } from '../errors.ts';
import { cosignatureLine, type WitnessKey } from './key.ts';
import { addRecord, type CosignedRecord, newestRecord, originHash, storeFork } from './records.ts';
import { parseSubmission, type Submission } from './submission.ts';

/** The type of a response that has nothing but the size of a tree (c2sp.org/tlog-witness). */
const SIZE_TYPE = 'text/x.tlog.size';
/** How often a submission is checked again because another one was recorded meanwhile. */
const MOST_ATTEMPTS = 10;

/** A response; text unless it has another type. */
export type Answer = { status: number; type?: string; body: string };

/** What the witness did, for its operator. */
export type WitnessEvent =
  | { kind: 'cosigned'; origin: string; size: number }
  | { kind: 'refused'; origin: string; size: number; reason: string }
  | { kind: 'fork'; origin: string; size: number; file: string };

export type WitnessOptions = {
  folder: string;
  key: WitnessKey;
  /** The keys of each log that it cosigns, by origin. */
  logs: ReadonlyMap<string, readonly Vkey[]>;
  report: (event: WitnessEvent) => void;
};

/** A checkpoint whose text a trusted key of its log signed, with nothing but the lines of such keys. */
type SignedCheckpoint = TreeHead & { text: string; lines: readonly string[] };

/** A checkpoint that the witness cosigned, and the time of the cosignature in seconds since 1970. */
export type Cosigned = TreeHead & { text: string; line: string; seconds: number };

/**
 * The logs that vkeys name, by origin: a log's key has the name of its origin.
 * @throws UsageError if a text is not the vkey of a log
 */
export async function logsOf(vkeys: readonly string[]): Promise<Map<string, Vkey[]>> {
  const logs = new Map<string, Vkey[]>();
  for (const text of vkeys) {
    const vkey = await parseVkey(text);
    if (vkey?.type !== 1) {
      throw new UsageError(
        `${JSON.stringify(text.slice(0, 200))} is not the verifier key of a log. It has three parts, such as outlooks.example/log/1+530d903a+AekyeRrm…, and "GET /v1/log" shows it.`,
      );
    }
    logs.set(vkey.name, [...(logs.get(vkey.name) ?? []), vkey]);
  }
  return logs;
}

/** Answers a request to add a checkpoint: cosigns it if it extends the one that was cosigned last (c2sp.org/tlog-witness). */
export async function addCheckpoint(body: Uint8Array, options: WitnessOptions): Promise<Answer> {
  const submission = parseSubmission(body);
  if (typeof submission === 'string') return refusal(400, submission);
  const note = parseNote(submission.note);
  const head = note && parseCheckpointText(note.text);
  if (!head) return refusal(400, 'What follows the empty line is not a checkpoint.');
  const keys = options.logs.get(head.origin);
  if (!keys) return refusal(404, 'This witness does not cosign a log of this origin.');
  const lines = await linesOfKeys(note.text, note.signatures, keys);
  if (!lines) return refusal(403, 'No key that this witness trusts signed the checkpoint.');
  if (submission.oldSize > head.size) {
    return refusal(400, 'The old size is larger than that of the checkpoint.');
  }
  const checkpoint = { ...head, text: note.text, lines };
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
    const answer = await cosign(submission, checkpoint, options);
    if (answer) return answer;
  }
  return refusal(503, 'Too many checkpoints of this log arrive at once.');
}

/** The newest checkpoint of a log that was cosigned, with both signatures; null if there is none. */
export async function newestCheckpoint(folder: string, hash: string): Promise<string | null> {
  return (await newestRecord(path.join(folder, hash)))?.note ?? null;
}

/** @returns null if another checkpoint was recorded meanwhile */
async function cosign(
  { oldSize, proof }: Submission,
  checkpoint: SignedCheckpoint,
  { folder: parent, key, report }: WitnessOptions,
): Promise<Answer | null> {
  const { origin, size, root, text, lines } = checkpoint;
  const folder = path.join(parent, originHash(origin));
  const record = await newestRecord(folder);
  const last = record && parseRecord(record, key);
  if (oldSize !== (last?.size ?? 0)) {
    return { status: 409, type: SIZE_TYPE, body: `${last?.size ?? 0}\n` };
  }
  const extended = last ?? { size: 0, root: EMPTY_ROOT };
  if (!(await verifyConsistency({ oldSize, oldRoot: extended.root, size, root, proof }))) {
    const isFork = size === last?.size && !isSame(root, last.root);
    const note = noteOf(text, lines);
    if (isFork) report({ kind: 'fork', origin, size, file: await storeFork(folder, note) });
    const reason = reasonOf(checkpoint, extended);
    if (!isFork) report({ kind: 'refused', origin, size, reason });
    return refusal(422, reason);
  }
  const seconds = Math.floor(Date.now() / 1000);
  if (last && seconds < last.seconds) {
    return refusal(503, 'The clock of this witness is behind the time of its last cosignature.');
  }
  // The same cosignature again: nothing has to be written.
  if (last?.text === text && last.seconds === seconds) return accepted(last.line);
  const line = cosignatureLine(text, seconds, key);
  const number = (record?.number ?? 0) + 1;
  if (!(await addRecord(folder, { number, note: noteOf(text, [...lines, line]) }))) return null;
  report({ kind: 'cosigned', origin, size });
  return accepted(line);
}

/** The hash of nothing: the root of a tree without leaves (RFC 6962, section 2.1). */
const EMPTY_ROOT = Buffer.from(
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  'hex',
);

/**
 * The lines of a checkpoint that trusted keys signed; null if there are none, or one that claims to be of a trusted key does not
 * sign the text.
 */
async function linesOfKeys(
  text: string,
  signatures: readonly NoteSignature[],
  keys: readonly Vkey[],
): Promise<string[] | null> {
  const lines: string[] = [];
  for (const signature of signatures) {
    const key = keys.find(
      ({ name, keyId }) => name === signature.name && keyId === signature.keyId,
    );
    if (!key) continue;
    if (!(await verifySignature(text, signature, key))) return null;
    lines.push(signature.line);
  }
  return lines.length > 0 ? [...new Set(lines)] : null;
}

/**
 * Reads a record of this witness.
 * @throws Error if it is damaged: without its state a witness signs nothing
 */
export function parseRecord({ note, number }: CosignedRecord, key: WitnessKey): Cosigned {
  const parsed = parseNote(note);
  const head = parsed && parseCheckpointText(parsed.text);
  const own = parsed?.signatures.findLast(({ name }) => name === key.name);
  if (!parsed || !head || own?.keyId !== key.keyId.toString('hex')) {
    throw new Error(`record ${number} is damaged, or another key cosigned it`);
  }
  const seconds = Number(Buffer.from(own.signature).readBigUInt64BE());
  return { ...head, text: parsed.text, line: own.line, seconds };
}

function reasonOf({ size }: TreeHead, last: Pick<TreeHead, 'size'>): string {
  if (size === last.size) {
    return `The checkpoint has another root than the cosigned one of the same size, ${size}.`;
  }
  return last.size === 0
    ? 'From size 0 the proof must be empty, and a tree of size 0 must have the root of an empty tree.'
    : `The proof does not show that the tree of ${size} leaves extends the cosigned one of ${last.size}.`;
}

function noteOf(text: string, lines: readonly string[]): string {
  return `${text}\n${lines.map((line) => `${line}\n`).join('')}`;
}

const accepted = (line: string): Answer => ({ status: 200, body: `${line}\n` });
const refusal = (status: number, reason: string): Answer => ({ status, body: `${reason}\n` });

function isSame(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}
