import { createHash, randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, stat, unlink } from 'node:fs/promises';
import path from 'node:path';

/** A checkpoint that the witness cosigned: the note with both signatures. Numbers count up from 1. */
export type CosignedRecord = { number: number; note: string };

/** Older records are deleted. A few stay, because a folder that changes while it is read may be read without its newest name. */
const MOST_RECORDS = 8;
/** Drafts are left by processes that were killed. After this time, in milliseconds, no process writes them any more. */
const DRAFT_LIFETIME = 60_000;

/** The lowercase hexadecimal SHA-256 of an origin, by which c2sp.org/tlog-witness names a log. */
export function originHash(origin: string): string {
  return createHash('sha256').update(origin).digest('hex');
}

/** The newest record in the folder of a log; null if there is none. */
export async function newestRecord(folder: string): Promise<CosignedRecord | null> {
  const number = await newestNumber(folder);
  if (number === 0) return null;
  return { number, note: await readFile(path.join(folder, fileOf(number)), 'utf8') };
}

/**
 * Adds a record, which is on the disk once this resolves. The newest file of the folder is the state of the log, and adding a file
 * that must not exist yet both checks and changes it in one step, even between several processes.
 * @returns false if another record was added meanwhile; then this one counts for nothing
 */
export async function addRecord(
  folder: string,
  { number, note }: CosignedRecord,
): Promise<boolean> {
  if (number === 1) await makeFolder(folder);
  const draft = path.join(folder, `draft-${randomUUID()}`);
  try {
    await writeFile(draft, note);
    await link(draft, path.join(folder, fileOf(number)));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await unlink(draft).catch(() => {});
  }
  await sync(folder);
  // A process that was suspended for long may have added a file that others had added and deleted.
  if ((await newestNumber(folder)) !== number) return false;
  await prune(folder, number);
  return true;
}

/** The folders of logs with records. */
export async function logFolders(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names.filter((name) => /^[0-9a-f]{64}$/.test(name)).map((name) => path.join(folder, name));
}

const fileOf = (number: number) => `${number}.checkpoint`;

async function newestNumber(folder: string): Promise<number> {
  return Math.max(0, ...(await namesIn(folder)).map(numberOf));
}

/** The number in the name of a record; 0 for other files. */
function numberOf(name: string): number {
  return Number(/^(\d{1,15})\.checkpoint$/.exec(name)?.[1] ?? 0);
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await sync(path.dirname(folder));
}

async function writeFile(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function sync(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function prune(folder: string, newest: number): Promise<void> {
  for (const name of await namesIn(folder)) {
    const number = numberOf(name);
    const file = path.join(folder, name);
    const isOld =
      number > 0
        ? number <= newest - MOST_RECORDS
        : name.startsWith('draft-') && (await isAbandoned(file));
    if (isOld) await unlink(file).catch(() => {}); // another process may have deleted it
  }
}

async function isAbandoned(draft: string): Promise<boolean> {
  const { mtimeMs } = await stat(draft).catch(() => ({ mtimeMs: Infinity }));
  return mtimeMs < Date.now() - DRAFT_LIFETIME;
}

/** Forks that are stored for each log: one proves it all. */
const MOST_FORKS = 16;

/**
 * Stores a checkpoint that contradicts a cosigned one: the log signed two trees. Few are stored, each once.
 * @returns its file
 */
export async function storeFork(folder: string, note: string): Promise<string> {
  const hash = createHash('sha256').update(note).digest('hex').slice(0, 16);
  const file = path.join(folder, `fork-${hash}.checkpoint`);
  const names = await forksIn(folder);
  if (names.length < MOST_FORKS && !names.includes(path.basename(file))) {
    await writeFile(file, note).catch(ignoreExisting);
  }
  return file;
}

/** The files of the checkpoints that contradict a cosigned one. */
export async function forksIn(folder: string): Promise<string[]> {
  return (await namesIn(folder)).filter((name) => name.startsWith('fork-'));
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}
