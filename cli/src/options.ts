import type { Argv } from 'yargs';
import { UsageError } from './errors.ts';

/** The options of every command. */
export type GlobalOptions = { url: string; json: boolean };

/** The parser that a command adds itself to. */
export type Yargs = Argv<GlobalOptions>;

export const SCENARIOS = ['bear', 'base', 'bull'] as const;

/** Options that may be repeated, each time with one value. */
export const REPEATABLE = ['evidence', 'acknowledge', 'log', 'witness'] as const;

export const slugArgument = {
  type: 'string',
  demandOption: true,
  describe: 'slug of the outlook, as shown by "outlook list"',
} as const;

export const yesOption = {
  type: 'boolean',
  default: false,
  describe: 'skip the confirmation, for scripts',
} as const;

/** An option whose value is the next word, even one that begins with a hyphen. */
export function textOption(describe: string) {
  return { type: 'string', nargs: 1, describe } as const;
}

export const asOfOption = textOption('as of this time, such as 2026-11-20T16:00:00Z');

export const evidenceOption = {
  type: 'string',
  array: true,
  default: [] as string[],
  describe: 'id of evidence to cite; may be repeated',
} as const;

/** An option whose value is a number. Yargs alone would turn "ten" into NaN, and 0x10 into 16. */
export function numberOption(describe: string) {
  return {
    ...textOption(describe),
    coerce: (text: string) => {
      const isNumber = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?$/i.test(text);
      if (isNumber && Number.isFinite(Number(text))) return Number(text);
      throw new UsageError(`${JSON.stringify(text)} is not a number like 0.35.`);
    },
  } as const;
}

export function omitUndefined<Values extends object>(
  values: Values,
): { [Name in keyof Values]?: Exclude<Values[Name], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as never;
}
