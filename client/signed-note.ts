import { type Bytes, concat, decodeBase64, HASH_BYTES, hexOf, sha256, utf8 } from './encoding.ts';

/** The identifier bytes of signatures: Ed25519 over a note's text, and Ed25519 cosignatures with a time. */
const ED25519 = 1;
const COSIGNATURE = 4;

const KEY_BYTES = 32;
const KEY_ID_BYTES = 4;
const TIME_BYTES = 8;
const SIGNATURE_BYTES = 64;
const MAX_SIGNATURES = 100;
const MAX_NOTE_LENGTH = 1_000_000;
/** The end of the year 9999, in seconds since 1970: the last that is written with four digits. */
const MAX_SECONDS = 253_402_300_799;

/** A signature of a note, not verified yet. `keyId` is 8 hexadecimal digits; `line` is the whole line without its newline. */
export type NoteSignature = { name: string; keyId: string; signature: Bytes; line: string };

/** A parsed note (c2sp.org/signed-note). `text` ends with a newline. */
export type Note = { text: string; signatures: NoteSignature[] };

/** A verifier key (c2sp.org/signed-note): of a log (type 1) or of a witness (type 4). `publicKey` has 32 bytes. */
export type Vkey = {
  name: string;
  keyId: string;
  type: typeof ED25519 | typeof COSIGNATURE;
  publicKey: Bytes;
};

/** What a checkpoint says of a log: its origin, the number of leaves, and the root hash, 32 bytes. */
export type TreeHead = { origin: string; size: number; root: Bytes };

/** What the text of a checkpoint says (c2sp.org/tlog-checkpoint), without its extension lines; null if it is none. */
export function parseCheckpointText(text: string): TreeHead | null {
  const lines = text.split('\n');
  if (lines.pop() !== '' || lines.length < 3 || lines.includes('')) return null;
  const [origin = '', digits = '', encoded = ''] = lines;
  const size = parseDecimal(digits);
  const root = decodeBase64(encoded);
  return size === null || root?.length !== HASH_BYTES ? null : { origin, size, root };
}

/** A number from 0 to 2^53 − 1 in its one decimal spelling, or null. */
export function parseDecimal(digits: string): number | null {
  const number = /^(?:0|[1-9]\d{0,15})$/.test(digits) ? Number(digits) : NaN;
  return Number.isSafeInteger(number) ? number : null;
}

/** The parts of a signed note (c2sp.org/signed-note), or null if it is malformed or has more than 100 signatures. */
export function parseNote(note: string): Note | null {
  if (note.length > MAX_NOTE_LENGTH || utf8(note) === null || hasControls(note)) return null;
  const end = note.lastIndexOf('\n\n');
  if (end === -1 || !note.endsWith('\n')) return null;
  const lines = note.slice(end + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) return null;
  const signatures = lines.map(parseSignatureLine).filter((signature) => signature !== null);
  return signatures.length < lines.length ? null : { text: note.slice(0, end + 1), signatures };
}

/** The parts of a signature line without its newline, or null if it is malformed. */
export function parseSignatureLine(line: string): NoteSignature | null {
  const [dash, name = '', encoded = '', ...others] = line.split(' ');
  const bytes = decodeBase64(encoded);
  if (dash !== '—' || others.length > 0 || !isKeyName(name)) return null;
  if (!bytes || bytes.length <= KEY_ID_BYTES) return null;
  const keyId = hexOf(bytes.subarray(0, KEY_ID_BYTES));
  return { name, keyId, signature: bytes.slice(KEY_ID_BYTES), line };
}

/** Whether a text can be the name of a key: it has no white space, so that it can't be read as a sentence. */
export function isKeyName(name: string): boolean {
  return (
    name !== '' && utf8(name) !== null && !/[\p{White_Space}+]/u.test(name) && !hasControls(name)
  );
}

/** Whether a text has ASCII control characters other than newlines. */
function hasControls(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- the specification forbids them
  return /[\u0000-\u0009\u000b-\u001f]/.test(text);
}

/** The parts of an Ed25519 verifier key, or null if it is none or its id is not that of the key. */
export async function parseVkey(vkey: string): Promise<Vkey | null> {
  const [name = '', keyId = '', ...rest] = vkey.split('+');
  const material = decodeBase64(rest.join('+')); // base64 may have a plus
  if (!isKeyName(name) || material?.length !== 1 + KEY_BYTES) return null;
  const type = material[0];
  if (type !== ED25519 && type !== COSIGNATURE) return null;
  const hash = await sha256(concat(encode(`${name}\n`), material));
  if (keyId !== hexOf(hash.subarray(0, KEY_ID_BYTES))) return null;
  return { name, keyId, type, publicKey: material.slice(1) };
}

/** Whether a signature names this key. Only {@link verifySignature} tells whether it is of this key. */
export function namesKey({ name, keyId }: NoteSignature, vkey: Vkey): boolean {
  return name === vkey.name && keyId === vkey.keyId;
}

/** Whether a signature of a note is this log's, and signs the text. */
export async function verifySignature(
  text: string,
  signature: NoteSignature,
  vkey: Vkey,
): Promise<boolean> {
  if (vkey.type !== ED25519 || !namesKey(signature, vkey)) return false;
  return isSigned(text, signature.signature, vkey);
}

/**
 * When this witness cosigned the text of a checkpoint (c2sp.org/tlog-cosignature), in seconds since 1970. Null if it did
 * not, or claims a time after the year 9999.
 */
export async function verifyCosignature(
  text: string,
  { signature, ...others }: NoteSignature,
  vkey: Vkey,
): Promise<number | null> {
  if (vkey.type !== COSIGNATURE || !namesKey({ signature, ...others }, vkey)) return null;
  if (signature.length !== TIME_BYTES + SIGNATURE_BYTES) return null;
  const seconds = Number(new DataView(signature.buffer, signature.byteOffset).getBigUint64(0));
  if (seconds > MAX_SECONDS) return null;
  const message = `cosignature/v1\ntime ${seconds}\n${text}`;
  return (await isSigned(message, signature.slice(TIME_BYTES), vkey)) ? seconds : null;
}

/** Whether WebCrypto of this platform verifies Ed25519. */
export async function hasEd25519(): Promise<boolean> {
  // The public key of the first test of RFC 8032, section 7.1.
  const key = decodeBase64('11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=');
  try {
    return key !== null && (await importKey(key)).type === 'public';
  } catch {
    return false;
  }
}

async function isSigned(text: string, signature: Bytes, { publicKey }: Vkey): Promise<boolean> {
  if (signature.length !== SIGNATURE_BYTES) return false;
  try {
    const key = await importKey(publicKey);
    return await crypto.subtle.verify('Ed25519', key, signature, encode(text));
  } catch {
    return false; // no point of the curve
  }
}

function importKey(publicKey: Bytes): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', publicKey, 'Ed25519', false, ['verify']);
}

function encode(text: string): Bytes {
  return new TextEncoder().encode(text);
}
