import { parseArgs } from 'node:util';
import { backUp } from './db/backup.ts';
import { DATABASE_USAGE, print, runProgram, UsageError } from './program.ts';

await runProgram({
  usage: `Usage:
  npm run backup -- FILE

Writes all that the ledger holds, as of one moment, to a new file: SQL that an empty database of a PostgreSQL
from version 15 on takes, by npm run restore or psql. It holds the hashes of keys: keep it to yourself.

${DATABASE_USAGE}`,
  read: (args) => {
    const { positionals } = parseArgs({ args, options: {}, allowPositionals: true });
    const [file, ...more] = positionals;
    if (file !== undefined && more.length === 0) return file;
    throw new UsageError('Name one file to write the backup to.');
  },
  migrates: false, // a backup changes nothing
  work: async ({ pool }, file) => {
    const rows = await backUp(pool, file, new Date());
    print(`${rows} rows were written to ${file}.`);
    return true;
  },
});
