import yargs, { type Argv } from 'yargs';
import { completionCommand } from './commands/completion.ts';
import { diffCommand } from './commands/diff.ts';
import { evidenceCommand } from './commands/evidence.ts';
import { historyCommand } from './commands/history.ts';
import { listCommand } from './commands/list.ts';
import { loginCommand } from './commands/login.ts';
import { observationsCommand } from './commands/observations.ts';
import { resolveCommand } from './commands/resolve.ts';
import { reviseCommand } from './commands/revise.ts';
import { scoreCommand } from './commands/score.ts';
import { showCommand } from './commands/show.ts';
import { watchCommand } from './commands/watch.ts';
import { UsageError } from './errors.ts';
import { terminalWidth } from './layout.ts';
import { type Program, REPEATABLE } from './options.ts';

const COMMANDS = [
  listCommand,
  showCommand,
  historyCommand,
  diffCommand,
  reviseCommand,
  watchCommand,
  evidenceCommand,
  observationsCommand,
  resolveCommand,
  scoreCommand,
  loginCommand,
];

const EXITS = `Exit codes: 0 done, 1 refused by the service, 2 wrong usage, 3 no answer or a failure of the service, 4 declined.

The key for writes is OUTLOOK_KEY, or what "outlook login" keeps.`;

/**
 * The command line, ready to parse what it is called with. It throws what goes wrong.
 * @param shell that a completion script is for
 * @param slugs that may stand where completions are asked for
 */
export function outlookProgram(
  args: readonly string[],
  { shell = 'bash', slugs = [] }: { shell?: string; slugs?: readonly string[] } = {},
): Argv<unknown> {
  const program: Program = yargs([...args])
    .scriptName('outlook')
    .detectLocale(false)
    .parserConfiguration({
      'dot-notation': false,
      'greedy-arrays': false,
      'parse-positional-numbers': false,
    })
    // Before our command of that name, which takes its place; this one would guess the shell.
    .completion(`completion ${shell}`, false, completeWith(slugs))
    .options({
      url: {
        type: 'string',
        default: serviceUrl(),
        defaultDescription: 'OUTLOOK_URL, or http://127.0.0.1:3000',
        requiresArg: true,
        describe: 'the service',
      },
      json: {
        type: 'boolean',
        default: false,
        describe: "the service's own JSON, and nothing else",
      },
    });
  for (const add of COMMANDS) add(program);
  completionCommand(program, (shell) => outlookProgram([], { shell }));
  return program
    .demandCommand(1, 'Name a command.')
    .strict()
    .recommendCommands()
    .check(refuseRepeated)
    .fail((message, error) => {
      // A message is of yargs, or of an option that could not be read; what a command throws has none.
      throw message ? new UsageError(message) : error;
    })
    .version(false)
    .wrap(terminalWidth())
    .epilogue(EXITS);
}

/** Where the service is, unless an option tells. */
export function serviceUrl(): string {
  return process.env['OUTLOOK_URL'] || 'http://127.0.0.1:3000';
}

/** One of two values would be taken without a word. */
function refuseRepeated(argv: Record<string, unknown>): true {
  const repeatable = new Set<string>(['_', ...REPEATABLE]);
  const repeated = Object.keys(argv).find(
    (name) => Array.isArray(argv[name]) && !repeatable.has(name),
  );
  if (repeated === undefined) return true;
  throw new UsageError(`--${repeated} is given more than once.`);
}

type Complete = (done: (error: Error | null, completions: string[] | undefined) => void) => void;

/** Slugs where there are any, and else what yargs knows. */
function completeWith(slugs: readonly string[]) {
  return (_: string, __: unknown, complete: Complete, done: (all: string[]) => void): void =>
    slugs.length > 0 ? done([...slugs]) : complete((_, known = []) => done(known));
}
