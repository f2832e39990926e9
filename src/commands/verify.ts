import { parseArgs } from 'node:util';
import { DATABASE_USAGE, runCommand, UsageError } from './run-command.ts';
import { printVerification } from './print-verification.ts';

await runCommand({
  usage: `Usage:
  npm run verify [-- --against sha256:…]

Recomputes the hash chain of every outlook and checks the ledger's other rules. With --against, also looks for a hash
that you noted earlier: if an intact chain contains it, nothing up to its version was rewritten since then.

${DATABASE_USAGE} The exit status is 1 if a check fails.`,
  read: readHash,
  readsOnly: true,
  work: ({ pool }, against) => printVerification(pool, against),
});

function readHash(args: string[]): string | null {
  const { values } = parseArgs({ args, options: { against: { type: 'string' } } });
  const { against = null } = values;
  if (against === null || /^sha256:[0-9a-f]{64}$/.test(against)) return against;
  throw new UsageError('--against takes the hash of a version: sha256: and 64 hexadecimal digits.');
}
