import type { Argv } from 'yargs';
import { dataOf } from '../errors.ts';
import type { Program } from '../options.ts';
import { open } from '../requests.ts';
import { serviceAt } from '../api-client.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
/** How long whoever presses Tab waits for slugs, in milliseconds. */
const SLUGS_WITHIN = 1_000;
/** What a shell may be told; yargs prints it as it is. */
const SLUG = /^[a-z0-9-]+$/;
/** What a slug stands right behind. */
const BEFORE_SLUG = new Set([
  'show',
  'history',
  'diff',
  'revise',
  'watch',
  'resolve',
  'score',
  'evidence list',
  'evidence add',
]);

/** @param programFor makes it anew once the shell is set, as yargs reads that when it is made */
export function completionCommand(
  program: Program,
  programFor: (shell: string) => Argv<unknown>,
): Program {
  return program.command(
    'completion <shell>',
    'Print a script that completes commands, options and outlooks',
    (command) =>
      command.positional('shell', { choices: SHELLS, demandOption: true, describe: 'the shell' }),
    (argv) => {
      process.env['SHELL'] = argv.shell;
      programFor(argv.shell).showCompletionScript();
    },
  );
}

/**
 * Sees to what yargs does not where a shell asks for completions. It goes by SHELL, which is that of the login: scripts
 * for zsh set COMP_LINE, and those for fish leave the name of the program out. And it does not wait for an answer
 * of the service, but would go on to carry the command out.
 * @returns the slugs that may stand where the cursor is
 */
export async function prepareCompletion(args: readonly string[], url: string): Promise<string[]> {
  if (args[0] !== '--get-yargs-completions') return [];
  const isNamed = args[1] === 'outlook';
  const other = isNamed ? 'bash' : 'fish';
  process.env['SHELL'] = process.env['COMP_LINE'] === undefined ? other : 'zsh';
  const words = args.slice(isNamed ? 2 : 1);
  const current = words.at(-1) ?? '';
  return BEFORE_SLUG.has(words.slice(0, -1).join(' ')) ? slugsLike(current, url) : [];
}

/** The slugs that begin so; none where the service does not say at once. */
async function slugsLike(start: string, url: string): Promise<string[]> {
  if (start.startsWith('-')) return [];
  try {
    const { client } = serviceAt(url);
    const query = { limit: 100, sort: 'slug' } as const;
    const fetch = (request: Request) => open(request, AbortSignal.timeout(SLUGS_WITHIN));
    const { items } = dataOf(await client.GET('/v1/outlooks', { params: { query }, fetch }));
    return items
      .map(({ slug }) => slug)
      .filter((slug) => slug.startsWith(start) && SLUG.test(slug));
  } catch {
    return []; // A shell would show the words of a failure as words to choose from.
  }
}
