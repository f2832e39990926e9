import yargs, { type Argv } from 'yargs';
import { analystsCommand } from './commands/analysts.ts';
import { approveCommand, returnCommand } from './commands/approve.ts';
import { cloneCommand } from './commands/clone.ts';
import { completionCommand } from './commands/completion.ts';
import { diffCommand } from './commands/diff.ts';
import { evidenceCommand } from './commands/evidence.ts';
import { historyCommand } from './commands/history.ts';
import { inboxCommand } from './commands/inbox.ts';
import { listCommand } from './commands/list.ts';
import { loginCommand } from './commands/login.ts';
import { observationsCommand } from './commands/observations.ts';
import { proposeCommand } from './commands/propose.ts';
import { receiptCommand } from './commands/receipt.ts';
import { resolveCommand } from './commands/resolve.ts';
import { reviseCommand } from './commands/revise.ts';
import { scoreCommand } from './commands/score.ts';
import { showCommand } from './commands/show.ts';
import { sourceCommand } from './commands/source.ts';
import { watchCommand } from './commands/watch.ts';
import { whoamiCommand } from './commands/whoami.ts';
import { witnessCommand } from './commands/witness.ts';
import { UsageError } from './errors.ts';
import { terminalWidth } from './layout.ts';
import { REPEATABLE, type Yargs } from './options.ts';

const COMMANDS = [
  listCommand,
  showCommand,
  historyCommand,
  diffCommand,
  reviseCommand,
  cloneCommand,
  inboxCommand,
  proposeCommand,
  approveCommand,
  returnCommand,
  watchCommand,
  evidenceCommand,
  observationsCommand,
  sourceCommand,
  resolveCommand,
  scoreCommand,
  receiptCommand,
  analystsCommand,
  whoamiCommand,
  loginCommand,
  witnessCommand,
];

const EPILOGUE = `Exit codes: 0 success, 1 rejected by the service or a receipt that does not hold, 2 usage error, 3 no response or a service failure, 4 declined.

Writes need a key: set OUTLOOK_KEY, or store the key with "outlook login".`;

/**
 * The parser of the command line. It runs the command that it parses, and throws its errors.
 * @param shell the shell that a completion script is for
 * @param slugs the slugs to offer as completions
 */
export function commandLine(
  args: readonly string[],
  { shell = 'bash', slugs = [] }: { shell?: string; slugs?: readonly string[] } = {},
): Argv<unknown> {
  requireDecoded(args);
  const parser: Yargs = yargs([...args])
    .scriptName('outlook')
    .detectLocale(false)
    .parserConfiguration({
      'dot-notation': false,
      'greedy-arrays': false,
      'parse-positional-numbers': false,
    })
    // Yargs guesses the shell for its own completion command; ours, added below, replaces it.
    .completion(`completion ${shell}`, false, offer(slugs))
    .options({
      url: {
        type: 'string',
        default: serviceUrl(),
        defaultDescription: 'OUTLOOK_URL, or http://127.0.0.1:3000',
        requiresArg: true,
        describe: 'URL of the service',
      },
      json: {
        type: 'boolean',
        default: false,
        describe: "print the API's JSON and nothing else",
      },
    });
  for (const add of COMMANDS) add(parser);
  completionCommand(parser, (shell) => commandLine([], { shell }));
  return parser
    .demandCommand(1, 'Specify a command.')
    .strict()
    .recommendCommands()
    .check(rejectRepeated)
    .fail((message, error) => {
      // Only errors of yargs and of an option's `coerce` come with a message.
      throw message ? new UsageError(message) : error;
    })
    .version(false)
    .wrap(terminalWidth())
    .epilogue(EPILOGUE);
}

/** The URL of the service if `--url` is not given. */
export function serviceUrl(): string {
  return process.env['OUTLOOK_URL'] || 'http://127.0.0.1:3000';
}

/**
 * Node.js puts a replacement character in the place of bytes that are not UTF-8.
 * @throws UsageError
 */
function requireDecoded(args: readonly string[]): void {
  const damaged = args.find((arg) => arg.includes('\ufffd'));
  if (damaged === undefined) return;
  throw new UsageError(
    `${JSON.stringify(damaged.slice(0, 100))} is not valid UTF-8. Is your terminal set to another encoding?`,
  );
}

/** Yargs would silently use one of the values, or a list of them. */
function rejectRepeated(argv: Record<string, unknown>): true {
  const repeatable = new Set<string>(['_', ...REPEATABLE]);
  const repeated = Object.keys(argv).find(
    (name) => Array.isArray(argv[name]) && !repeatable.has(name),
  );
  if (repeated === undefined) return true;
  throw new UsageError(`--${repeated} is given more than once.`);
}

type DefaultCompletions = (
  done: (error: Error | null, completions: string[] | undefined) => void,
) => void;

/** Completes with the slugs, or if there are none, with what yargs itself offers. */
function offer(slugs: readonly string[]) {
  return (
    _current: string,
    _argv: unknown,
    complete: DefaultCompletions,
    done: (completions: string[]) => void,
  ): void =>
    slugs.length > 0 ? done([...slugs]) : complete((_error, completions = []) => done(completions));
}
