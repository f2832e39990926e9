import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { readNotedCheckpoint } from '../log/verification/noted-checkpoint.ts';
import { DATABASE_USAGE, runCommand, UsageError } from './run-command.ts';
import { type Against, printVerification } from './print-verification.ts';

await runCommand({
  usage: `Usage:
  npm run verify [-- --against sha256:…|FILE]

Recomputes the hash chain of every outlook and checks the ledger's other rules. With --against, also looks for a hash
that you noted earlier: if an intact chain contains it, nothing up to its version was rewritten since then. Or it looks
for every version of a backup (FILE), and names those that the ledger lacks or has with other content.

${DATABASE_USAGE} The exit status is 1 if a check fails.`,
  read: readAgainst,
  readsOnly: true,
  work: async ({ direct }, against) =>
    printVerification(
      direct,
      against && 'file' in against ? await openFile(against.file) : against,
    ),
});

async function openFile(file: string): Promise<Against> {
  const checkpoint = await readNotedCheckpoint(file);
  return checkpoint ? { checkpoint } : { backup: file };
}

function readAgainst(args: string[]): { hash: string } | { file: string } | null {
  const { values } = parseArgs({ args, options: { against: { type: 'string' } } });
  const { against } = values;
  if (against === undefined) return null;
  if (/^sha256:[0-9a-f]{64}$/.test(against)) return { hash: against };
  if (!against.startsWith('sha256:') && existsSync(against)) return { file: against };
  throw new UsageError(
    '--against takes the hash of a version (sha256: and 64 hexadecimal digits), or the file of a checkpoint, a receipt or a backup.',
  );
}
