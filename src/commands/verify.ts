import { parseArgs } from 'node:util';
import { DATABASE_USAGE, runProgram, UsageError } from './run-command.ts';
import { verify } from './print-verification.ts';

await runProgram({
  usage: `Usage:
  npm run verify [-- --against sha256:…]

Recomputes the hash chain of every outlook and looks for whatever else the ledger holds to be true. With
--against, also looks for a hash that was noted earlier: where it still stands in an untouched chain, nothing up
to its version was rewritten since.

${DATABASE_USAGE} Exits with 1 where anything is wrong.`,
  read: readHash,
  work: ({ pool }, against) => verify(pool, against),
});

function readHash(args: string[]): string | null {
  const { values } = parseArgs({ args, options: { against: { type: 'string' } } });
  const { against = null } = values;
  if (against === null || /^sha256:[0-9a-f]{64}$/.test(against)) return against;
  throw new UsageError('--against takes a hash as versions show it: sha256: and 64 digits.');
}
