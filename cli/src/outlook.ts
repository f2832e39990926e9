import { hideBin } from 'yargs/helpers';
import { prepareCompletion } from './commands/completion.ts';
import { EXIT, exitCodeOf } from './errors.ts';
import { tell, tellFailure } from './output.ts';
import { outlookProgram, serviceUrl } from './command-line.ts';

// Whoever reads may have read enough, as `head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(EXIT.done);
});

const args = hideBin(process.argv);
try {
  const slugs = await prepareCompletion(args, serviceUrl());
  await outlookProgram(args, { slugs }).parseAsync();
} catch (error) {
  tellFailure(error, { json: args.includes('--json') });
  process.exitCode = exitCodeOf(error);
  if (process.exitCode === EXIT.usage) tell('\nSee outlook --help, or --help behind a command.');
}
