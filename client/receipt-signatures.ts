import { type ParsedReceipt, ReceiptFault } from './receipt-form.ts';
import {
  namesKey,
  type Note,
  parseVkey,
  verifyCosignature,
  verifySignature,
  type Vkey,
} from './signed-note.ts';

type Checked = { result: 'passed' | 'skipped'; detail: string };

export type CheckedLog = Checked & { vkey: string | null; isPinned: boolean };

/** Times in ISO 8601. */
export type OnRecord = {
  since: string;
  witnesses: { name: string; at: string }[];
  arePinned: boolean;
};

export type CheckedWitnesses = Checked & { onRecord: OnRecord | null };

export type CheckedSignatures = { log: CheckedLog; witnesses: CheckedWitnesses };

const MAX_WITNESSES = 100;
/** How far the clock of a witness may be ahead of the reader's, in milliseconds. */
const MAX_AHEAD = 3_600_000;

/**
 * Checks the log's signature of the checkpoint.
 * @param pinned the key that the reader knows from elsewhere
 * @throws ReceiptFault
 */
export async function checkLogSignature(
  { note, head, vkey: own }: ParsedReceipt,
  pinned: string | undefined,
  hasSignatures: boolean,
): Promise<CheckedLog> {
  const vkey = pinned?.trim() ?? own;
  const isPinned = pinned !== undefined;
  if (vkey === null) {
    const detail = 'Signature not checked: the receipt does not name the key of the log.';
    return { result: 'skipped', detail, vkey, isPinned };
  }
  const key = await logKeyOf(vkey, isPinned);
  if (key.name !== head.origin) {
    throw new ReceiptFault(`It is of the log ${head.origin}, but the key is that of ${key.name}.`);
  }
  if (!hasSignatures) {
    const detail = 'Signature not checked: this platform has no Ed25519.';
    return { result: 'skipped', detail, vkey, isPinned };
  }
  await requireSignature(note, key);
  const whose = isPinned ? 'the key that you gave' : 'the key that the receipt itself names';
  return { result: 'passed', detail: `The checkpoint is signed by ${whose}.`, vkey, isPinned };
}

async function logKeyOf(vkey: string, isPinned: boolean): Promise<Vkey> {
  const key = await parseVkey(vkey);
  if (key?.type === 1) return key;
  throw new ReceiptFault(
    `${isPinned ? 'The key that you gave' : 'Its vkey'} is not the Ed25519 verifier key of a log.`,
  );
}

async function requireSignature({ text, signatures }: Note, key: Vkey): Promise<void> {
  const own = signatures.filter((signature) => namesKey(signature, key));
  if (own.length === 0) throw new ReceiptFault('The key of the log did not sign its checkpoint.');
  for (const signature of own) {
    if (await verifySignature(text, signature, key)) continue;
    throw new ReceiptFault("The log's signature of its checkpoint is wrong.");
  }
}

/**
 * Checks the cosignatures of known witnesses: those that the reader names, of which one must have cosigned, or else those
 * that the receipt names.
 * @throws ReceiptFault
 */
export async function checkWitnesses(
  { note, witnesses: own }: ParsedReceipt,
  pinned: readonly string[] = [],
  hasSignatures: boolean,
): Promise<CheckedWitnesses> {
  const arePinned = pinned.length > 0;
  if (!hasSignatures) {
    const detail = 'Cosignatures not checked: this platform has no Ed25519.';
    return { result: 'skipped', detail, onRecord: null };
  }
  const keys = await witnessKeysOf(arePinned ? pinned : own, arePinned);
  const witnesses = [];
  for (const key of keys) {
    const seconds = await cosignedAt(note, key);
    if (seconds !== null) witnesses.push({ name: key.name, seconds });
  }
  if (witnesses.length > 0) {
    const names = witnesses.map(({ name }) => name).join(', ');
    const detail = `Cosigned by ${names}${arePinned ? '' : ', known from the receipt alone'}.`;
    return { result: 'passed', detail, onRecord: onRecordOf(witnesses, arePinned) };
  }
  if (arePinned) throw new ReceiptFault('None of the witnesses that you gave cosigned it.');
  return { result: 'skipped', detail: 'No witness cosigned the checkpoint.', onRecord: null };
}

async function witnessKeysOf(vkeys: readonly string[], arePinned: boolean): Promise<Vkey[]> {
  if (vkeys.length > MAX_WITNESSES) throw new ReceiptFault('There are more than 100 witnesses.');
  const keys: Vkey[] = [];
  for (const vkey of new Set(vkeys.map((one) => one.trim()))) {
    const key = await parseVkey(vkey);
    if (key?.type !== 4) {
      const whose = arePinned ? 'that you gave' : 'that it names';
      throw new ReceiptFault(`A key ${whose} is not the Ed25519 verifier key of a witness.`);
    }
    keys.push(key);
  }
  return keys;
}

/** The earliest time at which a witness cosigned a note, in seconds since 1970; null if it did not. */
async function cosignedAt({ text, signatures }: Note, key: Vkey): Promise<number | null> {
  const times: number[] = [];
  for (const signature of signatures.filter((one) => namesKey(one, key))) {
    const seconds = await verifyCosignature(text, signature, key);
    if (seconds === null) throw new ReceiptFault(`The cosignature of ${key.name} is wrong.`);
    if (seconds * 1_000 > Date.now() + MAX_AHEAD) {
      throw new ReceiptFault(`The cosignature of ${key.name} is dated in the future.`);
    }
    times.push(seconds);
  }
  return times.length > 0 ? Math.min(...times) : null;
}

function onRecordOf(witnesses: { name: string; seconds: number }[], arePinned: boolean): OnRecord {
  const timed = witnesses
    .toSorted((a, b) => a.seconds - b.seconds)
    .map(({ name, seconds }) => ({ name, at: new Date(seconds * 1_000).toISOString() }));
  return { since: timed[0]?.at ?? '', witnesses: timed, arePinned };
}
