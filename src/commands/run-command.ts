import { parseArgs } from 'node:util';
import { readConfig } from '../config.ts';
import { type OpenDatabase, openDatabase } from '../postgres/database.ts';
import { loadEnvFile } from '../env-file.ts';
import { Problem } from '../http/problems.ts';
import { inOneLine } from '../one-line.ts';

/** A program was called in a way that it does not know. */
export class UsageError extends Error {}

/** Which database a program that works on one takes; for its usage. */
export const DATABASE_USAGE = `The database is the one that DATABASE_URL names, or else the embedded one in DATA_DIR, whether the
service is running or not.`;

/**
 * The only argument of a program that takes a file.
 * @throws UsageError where there is none, or are several
 */
export function readFileName(args: string[]): string {
  const { positionals } = parseArgs({ args, options: {}, allowPositionals: true });
  const [file, ...more] = positionals;
  if (file !== undefined && more.length === 0) return file;
  throw new UsageError('Name one file.');
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/**
 * Runs a program of the command line on the ledger's database. It exits with 0 where `work` answers true, with 1 where it
 * answers false or throws, which is told in one line, and with 2 where the arguments make no sense.
 * @param read what the arguments say
 * @param migrates whether the database is brought to this release's schema first
 */
export async function runProgram<Arguments>(program: {
  usage: string;
  read: (args: string[]) => Arguments;
  migrates?: boolean;
  work: (database: OpenDatabase, asked: Arguments) => Promise<boolean>;
}): Promise<void> {
  try {
    process.exitCode = (await run(program)) ? 0 : 1;
  } catch (error) {
    const isUsage =
      error instanceof UsageError ||
      error instanceof Problem ||
      (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true;
    process.stderr.write(`${inOneLine(error)}\n`);
    if (isUsage) process.stderr.write(`\n${program.usage}\n`);
    process.exitCode = isUsage ? 2 : 1;
  }
}

async function run<Arguments>({
  read,
  migrates = true,
  work,
}: Parameters<typeof runProgram<Arguments>>[0]): Promise<boolean> {
  const asked = read(process.argv.slice(2));
  loadEnvFile();
  const config = readConfig(process.env);
  const fail = (error: Error | string) => process.stderr.write(`${String(error)}\n`);
  const database = await openDatabase(
    { ...config, databasePoolMax: 1 },
    { onConnectionError: fail, onEmbeddedLog: () => {}, onEmbeddedExit: fail },
    { join: true, migrates },
  );
  try {
    return await work(database, asked);
  } finally {
    await database.close();
  }
}
