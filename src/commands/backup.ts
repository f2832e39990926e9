import { backUp } from '../postgres/backup.ts';
import { requireLatest } from '../postgres/migrations.ts';
import { DATABASE_USAGE, print, readFileName, runCommand } from './run-command.ts';

await runCommand({
  usage: `Usage:
  npm run backup -- FILE

Writes the whole ledger, at one point in time, to a new SQL file. npm run restore or psql can load it into an empty
database of PostgreSQL 15 or newer. The file contains the hashes of keys and the secrets of webhooks: keep it private.

${DATABASE_USAGE}`,
  read: readFileName,
  migrates: false, // a backup changes nothing
  work: async ({ direct, owner }, file) => {
    await requireLatest(owner); // before the first start of this release, its role may be missing
    const rows = await backUp(direct, file, new Date());
    print(`Wrote ${rows} rows to ${file}.`);
    return true;
  },
});
