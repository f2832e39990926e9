import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { randomUUID } from 'node:crypto';
import { homedir } from 'node:os';
import path from 'node:path';
import { UsageError } from './errors.ts';

const KEY_CHARACTERS = /^[\x21-\x7e]{1,8192}$/;

/** Where `outlook login` puts the key: $XDG_CONFIG_HOME/outlook/key, or else ~/.config/outlook/key. */
export function keyPath(): string {
  // The XDG specification has relative paths ignored.
  const set = process.env['XDG_CONFIG_HOME'] ?? '';
  const folder = path.isAbsolute(set) ? set : path.join(homedir(), '.config');
  return path.join(folder, 'outlook', 'key');
}

/**
 * The key of OUTLOOK_KEY or of the key file, if there is one.
 * @throws UsageError where the file may be read or written by others, or holds no key
 */
export function findKey(): string | undefined {
  const set = process.env['OUTLOOK_KEY'];
  if (set) return checked(set.trim(), 'OUTLOOK_KEY');
  const file = keyPath();
  const text = readOwn(file);
  return text === undefined ? undefined : checked(text.trim(), file);
}

/**
 * Keeps a key for this user only. A file that is there already is replaced at once.
 * @throws UsageError for what is no key
 */
export function storeKey(text: string): string {
  const key = checked(text.trim(), 'The key');
  const file = keyPath();
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomUUID()}`;
  writeFileSync(draft, `${key}\n`, { mode: 0o600, flag: 'wx' });
  renameSync(draft, file);
  return file;
}

function readOwn(file: string): string | undefined {
  let open: number;
  try {
    open = openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new UsageError(`The key file can't be read: ${(error as Error).message}.`);
  }
  try {
    // What was opened is looked at, not what stands under its name by now.
    const { uid, mode } = fstatSync(open);
    if (uid !== process.getuid?.()) {
      throw new UsageError(`${file} belongs to another user. Remove it, and run "outlook login".`);
    }
    if ((mode & 0o777) !== 0o600) {
      const found = (mode & 0o777).toString(8).padStart(4, '0');
      throw new UsageError(
        `${file} has the mode ${found} and must have 0600, so that nobody else can use the key: chmod 600 '${file}'. ` +
          'Where others could read it, have the key revoked, too.',
      );
    }
    return readFileSync(open, 'utf8');
  } finally {
    closeSync(open);
  }
}

function checked(key: string, where: string): string {
  if (KEY_CHARACTERS.test(key)) return key;
  throw new UsageError(
    `${where} holds no key: a key is one word, such as olk_… (put it there with "outlook login").`,
  );
}
