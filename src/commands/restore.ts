import { restore } from '../postgres/backup.ts';
import { ownerOnly, migrateToLatest } from '../postgres/migrate.ts';
import { DATABASE_USAGE, print, readFileName, runCommand } from './run-command.ts';
import { printVerification } from './print-verification.ts';

await runCommand({
  usage: `Usage:
  npm run restore -- FILE

Loads a backup into an empty database, migrates it to this release's schema and verifies it. All SQL statements in the
file are run, as the owner of the database: restore only backups that you trust.

${DATABASE_USAGE}`,
  read: readFileName,
  migrates: false, // the database has to be empty
  work: async ({ direct, owner }, file) => {
    await ownerOnly(restore(owner, file));
    await migrateToLatest(owner, direct);
    print(`Restored ${file}.`);
    return printVerification(direct, null);
  },
});
