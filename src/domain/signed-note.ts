import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { HASH_BYTES } from './merkle-tree.ts';

/** The identifier bytes of signatures: Ed25519 over a note's text, and Ed25519 cosignatures with a time. */
export const ED25519 = 1;
export const COSIGNATURE = 4;
export type SignatureType = typeof ED25519 | typeof COSIGNATURE;

const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const MAX_SIGNATURES = 100;
const MAX_NOTE_LENGTH = 1_000_000;

/** Who signs: the name of the key, and an Ed25519 key. */
export type NoteSigner = { name: string; privateKey: KeyObject };

/** A signature of a note. `keyId` is 8 hexadecimal digits; `line` is the whole line without its newline. */
export type NoteSignature = { name: string; keyId: string; signature: Buffer; line: string };

/** A note as it was parsed. `text` ends with a newline. Its signatures are not verified yet. */
export type Note = { text: string; signatures: NoteSignature[] };

/** A verifier key (c2sp.org/signed-note). `publicKey` has 32 bytes. */
export type Vkey = { name: string; keyId: string; type: SignatureType; publicKey: Buffer };

/** The head of a log's tree: what a checkpoint says. */
export type TreeHead = { origin: string; size: number; root: Buffer };

/** The text of a checkpoint (c2sp.org/tlog-checkpoint), without extension lines. */
export function checkpointText({ origin, size, root }: TreeHead): string {
  return `${origin}\n${size}\n${root.toString('base64')}\n`;
}

/** @returns what the text of a checkpoint says, without its extension lines, or null if it is none */
export function parseCheckpointText(text: string): TreeHead | null {
  const lines = text.split('\n');
  if (lines.pop() !== '' || lines.length < 3 || lines.includes('')) return null;
  const [origin = '', digits = '', encoded = ''] = lines;
  const size = /^(?:0|[1-9]\d{0,15})$/.test(digits) ? Number(digits) : NaN;
  const root = decodeBase64(encoded);
  if (!Number.isSafeInteger(size) || root?.length !== HASH_BYTES) return null;
  return { origin, size, root };
}

/** @returns the parts of a signed note (c2sp.org/signed-note), or null if it is malformed */
export function parseNote(note: string): Note | null {
  if (note.length > MAX_NOTE_LENGTH || !note.isWellFormed() || hasControls(note)) return null;
  const end = note.lastIndexOf('\n\n');
  if (end === -1 || !note.endsWith('\n')) return null;
  const lines = note.slice(end + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) return null;
  const signatures = lines.map(parseSignatureLine);
  return signatures.includes(null)
    ? null
    : { text: note.slice(0, end + 1), signatures: signatures as NoteSignature[] };
}

/** @returns the parts of a signature line without its newline, or null if it is malformed */
export function parseSignatureLine(line: string): NoteSignature | null {
  const [dash, name = '', encoded = '', ...others] = line.split(' ');
  const bytes = decodeBase64(encoded);
  if (dash !== '—' || others.length > 0 || !isKeyName(name)) return null;
  if (!bytes || bytes.length < 5) return null;
  return { name, keyId: bytes.toString('hex', 0, 4), signature: bytes.subarray(4), line };
}

/** Whether a key may have this name: not empty, without spaces and plus signs. */
export function isKeyName(name: string): boolean {
  return name !== '' && name.isWellFormed() && !/[\s\u0085+]/u.test(name) && !hasControls(name);
}

/** ASCII control characters, of which a note may have newlines only. */
function hasControls(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- the specification forbids them
  return /[\u0000-\u0009\u000b-\u001f]/.test(text);
}

/** The 32 bytes of an Ed25519 public key, or of the one that belongs to a private key (RFC 8032). */
export function publicKeyBytes(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return Buffer.from(publicKey.export({ format: 'jwk' }).x as string, 'base64url');
}

/** The verifier key of a key that signs under this name. */
export function vkeyOf(name: string, publicKey: Buffer, type: SignatureType = ED25519): string {
  const material = Buffer.concat([Buffer.of(type), publicKey]);
  return `${name}+${keyIdOf(name, material)}+${material.toString('base64')}`;
}

/** @returns the parts of a verifier key for Ed25519, or null if it is none or its id is not that of the key */
export function parseVkey(vkey: string): Vkey | null {
  const [name = '', keyId = '', ...rest] = vkey.split('+');
  const material = decodeBase64(rest.join('+')); // base64 may have a plus
  if (!isKeyName(name) || material?.length !== 1 + KEY_BYTES) return null;
  const type = material[0];
  if (type !== ED25519 && type !== COSIGNATURE) return null;
  if (keyId !== keyIdOf(name, material)) return null;
  return { name, keyId, type, publicKey: material.subarray(1) };
}

/** SHA-256(name || newline || type || public key), its first four bytes in hexadecimal digits. */
function keyIdOf(name: string, material: Buffer): string {
  const hash = createHash('sha256').update(`${name}\n`).update(material).digest();
  return hash.toString('hex', 0, 4);
}

/** The line, without its newline, that signs a note's text with Ed25519. */
export function signatureLine(text: string, signer: NoteSigner): string {
  return lineOf(signer, ED25519, sign(null, Buffer.from(text), signer.privateKey));
}

/** Whether a signature of a note is this key's, and signs the text. */
export function verifySignature(text: string, signature: NoteSignature, vkey: Vkey): boolean {
  if (vkey.type !== ED25519 || !isOf(signature, vkey)) return false;
  return isSigned(text, signature.signature, vkey);
}

/**
 * The line, without its newline, that cosigns a checkpoint's text at a time (c2sp.org/tlog-cosignature).
 *
 * @param seconds - whole seconds since 1970
 */
export function cosignatureLine(text: string, seconds: number, signer: NoteSigner): string {
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(seconds));
  const signature = sign(null, Buffer.from(cosignedText(text, seconds)), signer.privateKey);
  return lineOf(signer, COSIGNATURE, Buffer.concat([time, signature]));
}

/** @returns when this key cosigned the checkpoint's text, in seconds since 1970, or null if it did not */
export function verifyCosignature(
  text: string,
  cosignature: NoteSignature,
  vkey: Vkey,
): number | null {
  const { signature } = cosignature;
  if (vkey.type !== COSIGNATURE || !isOf(cosignature, vkey)) return null;
  if (signature.length !== 8 + SIGNATURE_BYTES) return null;
  const seconds = Number(signature.readBigUInt64BE());
  if (!Number.isSafeInteger(seconds)) return null;
  return isSigned(cosignedText(text, seconds), signature.subarray(8), vkey) ? seconds : null;
}

function cosignedText(text: string, seconds: number): string {
  return `cosignature/v1\ntime ${seconds}\n${text}`;
}

function lineOf({ name, privateKey }: NoteSigner, type: SignatureType, signature: Buffer): string {
  const material = Buffer.concat([Buffer.of(type), publicKeyBytes(privateKey)]);
  const keyId = Buffer.from(keyIdOf(name, material), 'hex');
  return `— ${name} ${Buffer.concat([keyId, signature]).toString('base64')}`;
}

function isOf({ name, keyId }: NoteSignature, vkey: Vkey): boolean {
  return name === vkey.name && keyId === vkey.keyId;
}

function isSigned(text: string, signature: Buffer, { publicKey }: Vkey): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false;
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKey.toString('base64url') };
  const key = createPublicKey({ key: jwk, format: 'jwk' });
  return verify(null, Buffer.from(text), key, signature);
}

/** @returns the bytes of standard, padded base64, or null if the text is not their one spelling */
function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : null;
}
