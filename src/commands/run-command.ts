import { parseArgs } from 'node:util';
import type pg from 'pg';
import { type Config, readConfig } from '../config.ts';
import { type OpenDatabase, openDatabase } from '../postgres/database.ts';
import { loadEnvFile } from '../env-file.ts';
import { Problem } from '../http/problems.ts';
import { errorLine } from '../error-line.ts';

/** The arguments of a command are wrong; the message says how. */
export class UsageError extends Error {}

/** Says which database a command uses; for its usage. */
export const DATABASE_USAGE = `It uses the database that DATABASE_URL names or, if that is unset, the embedded one in DATA_DIR. The service may be
running.`;

/**
 * The file that the arguments name.
 * @throws UsageError unless there is exactly one argument
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

type Command<Arguments> = {
  usage: string;
  /** Parses the arguments. */
  read: (args: string[]) => Arguments;
  /** Whether the database is migrated to this release's schema first; true unless given. */
  migrates?: boolean;
  /** Whether the command writes nothing, so that a standby will do; false unless given. */
  readsOnly?: boolean;
  /** Does the work and says whether it succeeded. */
  work: (database: OpenDatabase, args: Arguments, context: Context) => Promise<boolean>;
};

export type Context = {
  config: Config;
  /** The connections that the service itself uses, through a pooler if there is one. */
  service: pg.Pool;
};

/**
 * Runs a command on the ledger's database and sets the exit status: 0 if `work` gives true, 1 if it gives false or throws,
 * 2 if the arguments are wrong. Errors are printed on one line.
 */
export async function runCommand<Arguments>(command: Command<Arguments>): Promise<void> {
  try {
    process.exitCode = (await run(command)) ? 0 : 1;
  } catch (error) {
    const isUsageError =
      error instanceof UsageError ||
      error instanceof Problem ||
      (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true;
    process.stderr.write(`${errorLine(error)}\n`);
    if (isUsageError) process.stderr.write(`\n${command.usage}\n`);
    process.exitCode = isUsageError ? 2 : 1;
  }
}

async function run<Arguments>({
  read,
  migrates = true,
  readsOnly = false,
  work,
}: Command<Arguments>): Promise<boolean> {
  const args = read(process.argv.slice(2));
  loadEnvFile();
  const config = readConfig(process.env);
  const report = (error: Error | string) => process.stderr.write(`${String(error)}\n`);
  const database = await openDatabase(
    { ...config, databasePoolMax: 1 },
    {
      // The service says so at its start.
      onPrivilegedRole: () => {},
      onNotice: () => {},
      onMigration: report,
      onConnectionError: report,
      onEmbeddedLog: () => {},
      onEmbeddedExit: report,
    },
    { join: true, migrates, readsOnly },
  );
  try {
    const context = { config, service: database.pool };
    return await work({ ...database, pool: database.direct }, args, context);
  } finally {
    await database.close();
  }
}
