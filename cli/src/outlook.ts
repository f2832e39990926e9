import { hideBin } from 'yargs/helpers';
import { commandLine, serviceUrl } from './command-line.ts';
import { completableSlugs } from './commands/completion.ts';
import { EXIT_CODES, exitCodeFor } from './errors.ts';
import { printError, printMessage } from './output.ts';

// The reader of a pipe may stop early, as `head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(EXIT_CODES.done);
});

const args = hideBin(process.argv);
try {
  const slugs = await completableSlugs(args, serviceUrl());
  await commandLine(args, { slugs }).parseAsync();
} catch (error) {
  printError(error, { json: args.includes('--json') });
  process.exitCode = exitCodeFor(error);
  if (process.exitCode === EXIT_CODES.usage) {
    printMessage('\nRun "outlook --help", or add --help to a command.');
  }
}
