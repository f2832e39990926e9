import { parseArgs } from 'node:util';
import { restore } from './db/backup.ts';
import { migrateToLatest } from './db/migrate.ts';
import { DATABASE_USAGE, print, runProgram, UsageError } from './program.ts';
import { verify } from './verifying.ts';

await runProgram({
  usage: `Usage:
  npm run restore -- FILE

Reads a backup into an empty database, brings that to this release's schema, and verifies it. The statements in
the file are carried out as they are: restore only what you backed up yourself.

${DATABASE_USAGE}`,
  read: (args) => {
    const { positionals } = parseArgs({ args, options: {}, allowPositionals: true });
    const [file, ...more] = positionals;
    if (file !== undefined && more.length === 0) return file;
    throw new UsageError('Name the file of one backup.');
  },
  migrates: false, // else it would not be empty
  work: async ({ pool }, file) => {
    await restore(pool, file);
    await migrateToLatest(pool);
    print(`${file} was restored.`);
    return verify(pool, null);
  },
});
