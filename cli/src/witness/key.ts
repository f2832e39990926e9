import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { UsageError } from '../errors.ts';

/** The identifier byte of Ed25519 cosignatures (c2sp.org/signed-note). */
const COSIGNATURE = 4;

/** What a witness signs with: its name, its vkey, the first four bytes of its signatures, and its Ed25519 key. */
export type WitnessKey = { name: string; vkey: string; keyId: Buffer; privateKey: KeyObject };

/** The file of a folder that holds the name and the key of its witness. */
function keyFileOf(folder: string): string {
  return path.join(folder, 'key.json');
}

/**
 * Makes the key of a new witness, which only this user can read. The folder is made if it is missing.
 * @throws UsageError if the name is not one of a key, or the folder has a key already
 */
export function createKey(folder: string, name: string): WitnessKey {
  if (!isKeyName(name)) {
    throw new UsageError(
      `${JSON.stringify(name)} can't be the name of a witness. Use the URL of its operator without https://, such as witness.example/w1: no spaces and no plus sign.`,
    );
  }
  const { privateKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' });
  const file = keyFileOf(folder);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  try {
    writeNewFile(file, `${JSON.stringify({ name, privateKey: pem }, null, 2)}\n`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new UsageError(`${file} exists. A witness keeps its key; name another folder.`);
  }
  syncFolder(folder);
  syncFolder(path.dirname(path.resolve(folder)));
  return witnessKey(name, privateKey);
}

/**
 * The key in a folder.
 * @throws UsageError if it is missing, damaged, or others can read it
 */
export function readKey(folder: string): WitnessKey {
  const file = keyFileOf(folder);
  try {
    const { name, privateKey } = JSON.parse(readPrivateFile(file)) as Record<string, unknown>;
    const key = createPrivateKey(String(privateKey));
    if (typeof name !== 'string' || !isKeyName(name) || key.asymmetricKeyType !== 'ed25519') {
      throw new Error('it has no name or no Ed25519 key');
    }
    return witnessKey(name, key);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(
      `Can't read the key ${file}: ${(error as Error).message}. "outlook witness create" makes one.`,
    );
  }
}

/**
 * The line, without its newline, that cosigns the text of a checkpoint (c2sp.org/tlog-cosignature).
 * @param seconds when, in whole seconds since 1970
 */
export function cosignatureLine(text: string, seconds: number, key: WitnessKey): string {
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(seconds));
  const message = `cosignature/v1\ntime ${seconds}\n${text}`;
  const signature = sign(null, Buffer.from(message), key.privateKey);
  return `— ${key.name} ${Buffer.concat([key.keyId, time, signature]).toString('base64')}`;
}

function witnessKey(name: string, privateKey: KeyObject): WitnessKey {
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
  const material = Buffer.concat([Buffer.of(COSIGNATURE), Buffer.from(x, 'base64url')]);
  const hash = createHash('sha256').update(`${name}\n`).update(material).digest();
  const keyId = hash.subarray(0, 4);
  const vkey = `${name}+${keyId.toString('hex')}+${material.toString('base64')}`;
  return { name, vkey, keyId, privateKey };
}

function isKeyName(name: string): boolean {
  return name !== '' && name.length <= 200 && name.isWellFormed() && !/[\s\p{Cc}+]/u.test(name);
}

function writeNewFile(file: string, text: string): void {
  const descriptor = openSync(file, 'wx', 0o600);
  try {
    writeSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function readPrivateFile(file: string): string {
  const descriptor = openSync(file, 'r');
  try {
    // Checks the open file: another one may have taken its name since.
    const { mode } = fstatSync(descriptor);
    if ((mode & 0o077) !== 0) {
      throw new UsageError(
        `Others can read or write ${file}. Run: chmod 600 '${file}'. If somebody else may have read it, make a new witness with another name.`,
      );
    }
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}

/** Waits until the names in a folder are on the disk. */
function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
