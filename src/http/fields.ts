import { z } from 'zod';
import type { Fault } from '../domain/errors.ts';

/** Adds a rule of the domain to a schema: a fault for each field that breaks it. */
export function addFaults(context: z.core.$RefinementCtx, faults: readonly Fault[]): void {
  for (const { path, detail } of faults) {
    context.addIssue({ code: 'custom', path: [...path], message: detail });
  }
}

/** Entries of a list, with the rules that hold between them judged even where one is faulty. */
export function listOf<Entry extends z.ZodType>(
  entry: Entry,
  faultsBetween: (entries: readonly Partial<z.output<Entry>>[]) => readonly Fault[] = () => [],
) {
  return z
    .array(entry)
    .max(100)
    .superRefine((entries, context) => addFaults(context, faultsBetween(entries.map(asObject))), {
      when: (payload) => Array.isArray(payload.value) && payload.value.length <= 100,
    })
    .default([]);
}

function asObject<Entry>(entry: Entry): Partial<Entry> {
  return typeof entry === 'object' && entry !== null ? entry : {};
}

const NUL = '\u0000';

// Controls, line breaks, and what is drawn as nothing or turns the text around it: space of no width,
// and marks that override the direction of writing.
const UNSEEN = /^\s|\s$|[\p{Cc}\u2028\u2029\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]/u;

/** Text that Postgres can store and a reader can see. */
const text = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .regex(/\S/, { error: 'must not be blank' })
    .superRefine((value, context) => {
      if (value.includes(NUL)) context.addIssue('must not contain a NUL character (\\u0000)');
      if (!value.isWellFormed()) {
        context.addIssue('must not contain an unpaired surrogate (\\ud800–\\udfff)');
      }
    });

/** A title, a name, a label: one line, that no other looks the same as by what can't be seen. */
export const line = text(300).refine((value) => !UNSEEN.test(value), {
  error:
    'must be one line without control or invisible characters and without leading or trailing space',
});
/** A paragraph or several. */
export const prose = text(20_000);
export const optionalLine = line.nullable().default(null);
export const optionalProse = prose.nullable().default(null);

export const slug = z
  .string()
  .max(100)
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, {
    error: 'must be words of lower-case letters and digits, joined by hyphens, such as rate-relief',
  });

export const symbol = z.string().regex(/^[A-Z0-9][A-Z0-9._-]{0,31}$/, {
  error: 'must be 1–32 upper-case letters, digits, dots, underscores or hyphens, such as RUT',
});

/** A day, `YYYY-MM-DD`. Year 0 is none to Postgres. */
export const day = z.iso
  .date({ error: (issue) => dayFault(issue.input) })
  .refine((value) => value >= '0001-01-01', { error: 'must not be before 0001-01-01' });

function dayFault(input: unknown): string {
  return input === undefined ? 'is required' : 'must be a valid date, such as 2026-03-31';
}

export const webAddress = z
  .string()
  .max(2000)
  .refine((value) => /^https?:\/\/\S+$/.test(value) && URL.canParse(value), {
    error: 'must be an http or https URL',
  })
  .refine((value) => value.isWellFormed() && !value.includes(NUL), {
    error: 'must not contain a NUL character or an unpaired surrogate',
  })
  .meta({ format: 'uri' });

const versionFault = 'must be a whole number of at least 1';
export const versionNumber = z
  .int({ error: versionFault })
  .min(1, { error: versionFault })
  .max(2_147_483_647, { error: 'must be at most 2147483647' });

/** The number of a version, as a path or a query writes it. */
export const queryVersion = z.preprocess(
  (text) => (typeof text === 'string' && /^[1-9]\d{0,9}$/.test(text) ? Number(text) : text),
  versionNumber,
);

const momentFault = (input: unknown): string => {
  if (typeof input !== 'string') return 'must be given once';
  if (/^[^T]*T\S* \d\d:\d\d$/.test(input))
    return 'must be a timestamp; write the + of its offset as %2B';
  return 'must be a timestamp with an offset, such as 2026-11-20T16:31:00Z';
};

/** A moment in a query. The ledger counts in milliseconds, so a finer one would be cut short. */
export const queryMoment = z.iso
  .datetime({ offset: true, error: ({ input }) => momentFault(input) })
  .refine((text) => !/\.\d{4}/.test(text), { error: 'must have at most three decimals' })
  .transform((text) => new Date(text))
  // An offset can carry the first or last day into a year that timestamps can't write.
  .refine((at) => at.getTime() >= FIRST_MOMENT && at.getTime() <= LAST_MOMENT, {
    error: 'must lie in the years 1–9999',
  });
const FIRST_MOMENT = Date.parse('0001-01-01T00:00:00Z');
const LAST_MOMENT = Date.parse('9999-12-31T23:59:59.999Z');

/** A moment as answers write it: RFC 3339 in UTC, to the millisecond. */
export const timestamp = z.iso.datetime({ precision: 3 });

export const sha256 = z.string().regex(/^sha256:[0-9a-f]{64}$/);
