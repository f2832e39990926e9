import { DATABASE_USAGE, print, runCommand, UsageError } from './run-command.ts';

await runCommand({
  usage: `Usage:
  npm run migrate

Brings the database to this release's schema, and grants the role that DATABASE_URL names what the service needs. The
service does the same at its start if it has DATABASE_MIGRATION_URL. Run this command first to start it without.

${DATABASE_USAGE}`,
  read: (args) => {
    if (args.length > 0) throw new UsageError('The command takes no arguments.');
  },
  work: async () => {
    print('The database is at the schema of this release.');
    return true;
  },
});
