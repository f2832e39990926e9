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

const KEY_PATTERN = /^[\x21-\x7e]{1,8192}$/;

/** The file of `outlook login`: $XDG_CONFIG_HOME/outlook/key, or else ~/.config/outlook/key. */
function keyPath(): string {
  // By the XDG specification, a relative path is ignored.
  const configHome = process.env['XDG_CONFIG_HOME'] ?? '';
  const folder = path.isAbsolute(configHome) ? configHome : path.join(homedir(), '.config');
  return path.join(folder, 'outlook', 'key');
}

/**
 * The key from OUTLOOK_KEY or the key file, if there is one.
 * @throws UsageError where others can read or write the file, or it has no key
 */
export function findKey(): string | undefined {
  const fromEnvironment = process.env['OUTLOOK_KEY'];
  if (fromEnvironment) return checkKey(fromEnvironment.trim(), 'OUTLOOK_KEY');
  const file = keyPath();
  const text = readKeyFile(file);
  return text === undefined ? undefined : checkKey(text.trim(), file);
}

/**
 * Writes the key file, which only this user may read. An existing file is replaced in one step.
 * @returns its path
 * @throws UsageError where the text is not a key
 */
export function storeKey(text: string): string {
  const key = checkKey(text.trim(), 'The input');
  const file = keyPath();
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomUUID()}`;
  writeFileSync(draft, `${key}\n`, { mode: 0o600, flag: 'wx' });
  renameSync(draft, file);
  return file;
}

function readKeyFile(file: string): string | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new UsageError(`Can't read the key file: ${(error as Error).message}.`);
  }
  try {
    // Checks the open file: another one may have taken its name since.
    const { uid, mode } = fstatSync(descriptor);
    if (uid !== process.getuid?.()) {
      throw new UsageError(`${file} belongs to another user. Remove it and run "outlook login".`);
    }
    if ((mode & 0o777) !== 0o600) {
      const found = (mode & 0o777).toString(8).padStart(4, '0');
      throw new UsageError(
        `${file} has mode ${found}, but must have 0600 so that only you can read it. Run: chmod 600 '${file}'. ` +
          'If others could read it, have the key revoked.',
      );
    }
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}

function checkKey(key: string, source: string): string {
  if (KEY_PATTERN.test(key)) return key;
  throw new UsageError(
    `${source} does not contain a valid key. A key is one word, such as olk_…. Store it with "outlook login".`,
  );
}
