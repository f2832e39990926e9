import type { Argv } from 'yargs';
import { apiClient } from '../api-client.ts';
import { dataOrThrow } from '../errors.ts';
import type { Yargs } from '../options.ts';
import { fetchOnce } from '../requests.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
/** How long a user who presses Tab waits for slugs, in milliseconds. */
const SLUGS_TIMEOUT = 1_000;
/** yargs prints completions as they are, so nothing else may reach the terminal. */
const SAFE_SLUG = /^[a-z0-9-]+$/;
/** The commands whose next word is a slug. */
const TAKE_SLUG = new Set([
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

/** @param commandLineFor builds the parser again, as yargs reads SHELL when it builds one */
export function completionCommand(
  yargs: Yargs,
  commandLineFor: (shell: string) => Argv<unknown>,
): void {
  yargs.command(
    'completion <shell>',
    'Print a completion script for a shell',
    (yargs) =>
      yargs.positional('shell', { choices: SHELLS, demandOption: true, describe: 'the shell' }),
    (argv) => {
      process.env['SHELL'] = argv.shell;
      commandLineFor(argv.shell).showCompletionScript();
    },
  );
}

/**
 * The slugs to offer if a shell asks for completions. They are read before yargs parses: yargs does not wait for
 * them, but would run the command meanwhile. It also sets SHELL to the shell that asks, since yargs goes by it and it
 * names the login shell. A zsh script sets COMP_LINE, and a fish script leaves out the name of the program.
 */
export async function completableSlugs(args: readonly string[], url: string): Promise<string[]> {
  if (args[0] !== '--get-yargs-completions') return [];
  const isNamed = args[1] === 'outlook';
  const other = isNamed ? 'bash' : 'fish';
  process.env['SHELL'] = process.env['COMP_LINE'] === undefined ? other : 'zsh';
  const words = args.slice(isNamed ? 2 : 1);
  const current = words.at(-1) ?? '';
  return TAKE_SLUG.has(words.slice(0, -1).join(' ')) ? slugsStartingWith(current, url) : [];
}

/** None if the service does not respond in time. */
async function slugsStartingWith(start: string, url: string): Promise<string[]> {
  if (start.startsWith('-')) return [];
  try {
    const query = { limit: 100, sort: 'slug' } as const;
    const fetch = (request: Request) => fetchOnce(request, AbortSignal.timeout(SLUGS_TIMEOUT));
    const result = await apiClient(url).GET('/v1/outlooks', { params: { query }, fetch });
    return dataOrThrow(result)
      .items.map(({ slug }) => slug)
      .filter((slug) => slug.startsWith(start) && SAFE_SLUG.test(slug));
  } catch {
    return []; // a shell would offer the words of an error message
  }
}
