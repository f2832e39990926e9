import { restore } from '../postgres/backup.ts';
import { migrateToLatest } from '../postgres/migrate.ts';
import { DATABASE_USAGE, print, readFileName, runProgram } from './run-command.ts';
import { verify } from './print-verification.ts';

await runProgram({
  usage: `Usage:
  npm run restore -- FILE

Reads a backup into an empty database, brings that to this release's schema, and verifies it. The statements in
the file are carried out as they are: restore only what you backed up yourself.

${DATABASE_USAGE}`,
  read: readFileName,
  migrates: false, // else it would not be empty
  work: async ({ pool }, file) => {
    await restore(pool, file);
    await migrateToLatest(pool);
    print(`${file} was restored.`);
    return verify(pool, null);
  },
});
