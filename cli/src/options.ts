import type { Argv } from 'yargs';
import { UsageError } from './errors.ts';

/** The options of every command. */
export type Globals = { url: string; json: boolean };
export type Program = Argv<Globals>;

export const SCENARIOS = ['bear', 'base', 'bull'] as const;

/** Options that may be given more than once; a value each. */
export const REPEATABLE = ['evidence', 'acknowledge'] as const;

export const slug = {
  type: 'string',
  demandOption: true,
  describe: 'the outlook, as "outlook list" names it',
} as const;

export const yes = {
  type: 'boolean',
  default: false,
  describe: 'do it without asking, as in a script',
} as const;

/** An option that is text; the word behind it, also where that is a hyphen. */
export function text(describe: string) {
  return { type: 'string', nargs: 1, describe } as const;
}

export const asOf = text('as it stood at this moment, such as 2026-11-20T16:00:00Z');

export const evidenceIds = {
  type: 'string',
  array: true,
  default: [] as string[],
  describe: 'the id of an item of evidence to cite; may be repeated',
} as const;

/** An option that is a number, which is what was written and nothing else. */
export function number(describe: string) {
  return {
    ...text(describe),
    coerce: (text: string) => {
      if (/^[+-]?(\d+(\.\d*)?|\.\d+)$/.test(text)) return Number(text);
      throw new UsageError(`${JSON.stringify(text)} is no number; write one such as 0.35.`);
    },
  } as const;
}

/** The options that were given. */
export function given<Options extends object>(
  options: Options,
): { [Name in keyof Options]?: Exclude<Options[Name], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as never;
}
