import { createPrivateKey, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import {
  checkpointText,
  parseCheckpointText,
  parseNote,
  parseVkey,
  publicKeyBytes,
  signatureLine,
  type TreeHead,
  verifySignature,
  vkeyOf,
} from '../domain/signed-note.ts';

/** An Ed25519 key that signs checkpoints, and its file. */
export type SigningKey = { file: string; privateKey: KeyObject; publicKey: Buffer };

/**
 * The file beside a key that remembers what the key signed last. `text` is what it holds: the last checkpoint, or the text of
 * one that another key signed and that this one has to extend. `head` is null if there was nothing to extend.
 */
export type SignerState = { text: string; head: TreeHead | null };

/** What a state file holds before anything is signed. */
const NOTHING_SIGNED = 'Nothing is signed yet.\n';

/** How old the draft of a state file may get, in milliseconds, before its process counts as dead. */
const DRAFT_LIFETIME = 3_000;

/** The key has no state file that it can go on from. The message says why. */
export class NoState extends Error {}

/** Another process changed the state file, or is changing it. */
export class StateChanged extends Error {
  constructor(file: string, options?: ErrorOptions) {
    super(`another process changed ${file}`, options);
  }
}

/**
 * Reads a key: PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.
 * @throws Error that says what is wrong with the file
 */
export async function readSigningKey(file: string): Promise<SigningKey> {
  const pem = await readKeyFile(file);
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(pem);
  } catch {
    throw new Error(`the signing key ${file} is not a private key in PEM without a passphrase`);
  }
  if (privateKey.asymmetricKeyType !== 'ed25519') {
    throw new Error(
      `the signing key ${file} is of the type ${privateKey.asymmetricKeyType}, not Ed25519`,
    );
  }
  return { file, privateKey, publicKey: publicKeyBytes(privateKey) };
}

async function readKeyFile(file: string): Promise<string> {
  try {
    const { mode } = await fs.stat(file);
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, '0');
      throw new Error(
        `the signing key ${file} is open to other users (mode ${octal}): run chmod 600 on it, and replace it if somebody may have read it`,
      );
    }
    return await fs.readFile(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const reason = code === 'ENOENT' ? 'does not exist' : `can't be read (${code})`;
    throw new Error(`the signing key ${file} ${reason}`, { cause: error });
  }
}

/**
 * Reads the keys of an instance.
 * @param makesKey whether to make the key if it does not exist
 * @throws Error that says what is wrong with a file
 */
export async function openSigningKeys({
  keyFiles,
  makesKey,
}: {
  keyFiles: readonly string[];
  makesKey: boolean;
}): Promise<SigningKey[]> {
  const [file = ''] = keyFiles;
  if (makesKey && (await readIfThere(file)) === null) {
    const state = await readIfThere(stateFileOf(file));
    if (![null, NOTHING_SIGNED].includes(state)) {
      throw new Error(
        `the signing key ${file} is gone, but its state file is there: restore the key, or see docs/operate/runbooks/log-key.md`,
      );
    }
    return [await createSigningKey(file, null)];
  }
  const keys = await Promise.all(keyFiles.map(readSigningKey));
  const [first, second] = keys;
  // By two paths of one file, each would find the state file changed by the other.
  if (first && second?.publicKey.equals(first.publicKey)) {
    throw new Error(`the signing key ${second.file} is the same key as ${first.file}`);
  }
  return keys;
}

/**
 * Makes a key with a file of its own, which only this user can read, and the state file beside it.
 * @param head what the key has to extend, because another key signed it for the same log; null if nothing is signed
 * @throws Error if one of the files exists
 */
export async function createSigningKey(file: string, head: TreeHead | null): Promise<SigningKey> {
  // Before the state: a key whose state file is lost must not get one here.
  if ((await readIfThere(file)) !== null) throw new Error(`${file} exists already`);
  const { privateKey } = generateKeyPairSync('ed25519');
  // The state first: a key without one does not sign. An earlier call may have ended between the two files.
  const state = head === null ? NOTHING_SIGNED : checkpointText(head);
  if ((await readIfThere(stateFileOf(file))) !== state) await createFile(stateFileOf(file), state);
  await createFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }) as string);
  return { file, privateKey, publicKey: publicKeyBytes(privateKey) };
}

/** Creates a file with its content, or not at all. */
async function createFile(file: string, content: string): Promise<void> {
  const draft = `${file}.${randomUUID().slice(0, 8)}`;
  try {
    await writeDurably(draft, content);
    await fs.link(draft, file); // unlike a rename, it never replaces a file
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(
      code === 'EEXIST' ? `${file} exists already` : `${file} can't be created (${code})`,
      { cause: error },
    );
  } finally {
    await fs.rm(draft, { force: true });
  }
  await flushFolder(file);
}

const stateFileOf = (file: string): string => `${file}.state`;

/**
 * Reads what a key signed last.
 * @throws NoState if the state file is missing or damaged, or another key signed it
 */
export async function readState({ file, publicKey }: SigningKey): Promise<SignerState> {
  const stateFile = stateFileOf(file);
  const text = await readIfThere(stateFile);
  if (text === null) throw new NoState(`the state file ${stateFile} is missing`);
  if (text === NOTHING_SIGNED) return { text, head: null };
  const note = parseNote(text);
  const head = parseCheckpointText(note?.text ?? text);
  if (head === null) throw new NoState(`the state file ${stateFile} is damaged`);
  const vkey = parseVkey(vkeyOf(head.origin, publicKey));
  if (note && !note.signatures.some((one) => vkey && verifySignature(note.text, one, vkey))) {
    throw new NoState(`the state file ${stateFile} is of another key`);
  }
  return { text, head };
}

/** Reads what a key signed last; null if it has no state file that it can go on from. */
export async function readStateIfAny(key: SigningKey): Promise<SignerState | null> {
  return readState(key).catch((error: unknown) => {
    if (error instanceof NoState) return null;
    throw error;
  });
}

/** The content of a key's state file, whatever it is; null if there is none. */
export function stateText({ file }: SigningKey): Promise<string | null> {
  return readIfThere(stateFileOf(file));
}

async function readIfThere(file: string): Promise<string | null> {
  try {
    return await fs.readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** The checkpoint of a tree, signed by each of the keys. */
export function signedNote(head: TreeHead, keys: readonly SigningKey[]): string {
  const text = checkpointText(head);
  const lines = keys.map(({ privateKey }) =>
    signatureLine(text, { name: head.origin, privateKey }),
  );
  return `${text}\n${lines.join('\n')}\n`;
}

/**
 * Replaces the content of a key's state file, and resolves once the disk has it.
 * @param before the content that the decision was based on; null if there was no file
 * @throws StateChanged if it has other content by now, or another process is replacing it
 */
export async function replaceState(
  { file }: SigningKey,
  before: string | null,
  text: string,
): Promise<void> {
  const stateFile = stateFileOf(file);
  // Whoever creates the draft may replace the file, so two processes never decide on the same state.
  const draft = `${stateFile}.next`;
  await createDraft(draft, text);
  try {
    if ((await readIfThere(stateFile)) !== before) throw new StateChanged(stateFile);
    await fs.rename(draft, stateFile);
  } catch (error) {
    await fs.rm(draft, { force: true });
    throw error;
  }
  // If this process was suspended for long, the draft may have been another's.
  if ((await readIfThere(stateFile)) !== text) throw new StateChanged(stateFile);
  await flushFolder(stateFile);
}

async function createDraft(draft: string, text: string): Promise<void> {
  try {
    await writeDurably(draft, text);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const stat = await fs.stat(draft).catch(() => null);
    // The time may be in the future, if the clock was put back since.
    const isAbandoned = stat !== null && Math.abs(Date.now() - stat.mtimeMs) > DRAFT_LIFETIME;
    if (isAbandoned) await fs.rm(draft, { force: true });
    throw new StateChanged(draft, { cause: error });
  }
}

/** Creates a file for this user alone, and resolves once the disk has it. */
async function writeDurably(file: string, content: string): Promise<void> {
  const handle = await fs.open(file, 'wx', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Resolves once the disk has the names in the folder of a file. */
async function flushFolder(file: string): Promise<void> {
  const folder = await fs.open(path.dirname(file), 'r');
  try {
    await folder.sync();
  } catch (error) {
    // Some network file systems can't do it.
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
  } finally {
    await folder.close();
  }
}
