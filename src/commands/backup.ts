import { backUp } from '../postgres/backup.ts';
import { DATABASE_USAGE, print, readFileName, runProgram } from './run-command.ts';

await runProgram({
  usage: `Usage:
  npm run backup -- FILE

Writes all that the ledger holds, as of one moment, to a new file: SQL that an empty database of a PostgreSQL
from version 15 on takes, by npm run restore or psql. It holds the hashes of keys: keep it to yourself.

${DATABASE_USAGE}`,
  read: readFileName,
  migrates: false, // a backup changes nothing
  work: async ({ pool }, file) => {
    const rows = await backUp(pool, file, new Date());
    print(`${rows} rows were written to ${file}.`);
    return true;
  },
});
