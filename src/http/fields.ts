import { z } from 'zod';
import type { Fault } from '../domain/errors.ts';

/** Adds the faults of a domain rule to a schema: one for each field that breaks it. */
export function addFaults(context: z.core.$RefinementCtx, faults: readonly Fault[]): void {
  for (const { path, detail } of faults) {
    context.addIssue({ code: 'custom', path: [...path], message: detail });
  }
}

type Issues = z.core.ParsePayload['issues'];

/**
 * Adds a rule between the members of an object. The rule sees only the members that parsed, whatever is wrong with the
 * others. A bare `superRefine` would also see the raw text of a member that failed a check, and would not run at all if a
 * member has a wrong type.
 */
export function withRule<Schema extends z.ZodObject>(
  schema: Schema,
  faultsOf: (parsed: Partial<z.output<Schema>>) => readonly Fault[],
): Schema {
  return schema.superRefine(
    (value, context) => {
      const faulty = new Set(context.issues.map(({ path }) => path?.[0]));
      addFaults(context, faultsOf(membersBut(faulty, value)));
    },
    { when: ({ value }) => typeof value === 'object' && value !== null && !Array.isArray(value) },
  );
}

/**
 * A list of at most 100 entries, with a rule between them. As in {@link withRule}, the rule sees only those members of
 * each entry that parsed.
 */
export function listOf<Entry extends z.ZodType>(
  entry: Entry,
  faultsBetween: (entries: readonly Partial<z.output<Entry>>[]) => readonly Fault[] = () => [],
) {
  return z
    .array(entry)
    .max(100)
    .superRefine(
      (entries, context) => {
        const faulty = faultyMembers(context.issues);
        const parsed = entries.map((one, index) => membersBut(faulty.get(index), one));
        addFaults(context, faultsBetween(parsed));
      },
      { when: ({ value }) => Array.isArray(value) && value.length <= 100 },
    )
    .default([]);
}

/** The faulty members of each entry of a list, by the entry's index. */
function faultyMembers(issues: Issues): Map<unknown, Set<unknown>> {
  const faulty = new Map<unknown, Set<unknown>>();
  for (const { path: [index, member] = [] } of issues) {
    faulty.set(index, (faulty.get(index) ?? new Set()).add(member));
  }
  return faulty;
}

function membersBut<Value>(faulty: ReadonlySet<unknown> = new Set(), value: Value): Partial<Value> {
  const members = Object.entries(Object(value)).filter(([name]) => !faulty.has(name));
  return Object.fromEntries(members) as Partial<Value>;
}

/** Runs a check only on a value that passed the checks before it. */
export const ifValid = {
  when: ({ issues }: z.core.ParsePayload): boolean => issues.length === 0,
};

const NUL = '\u0000';

// Leading and trailing spaces, control characters, line breaks, zero-width spaces, and marks that override the direction
// of writing.
const UNPRINTABLE = /^\s|\s$|[\p{Cc}\u2028\u2029\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]/u;

// The characters that Unicode ignores by default, and the blank braille pattern. Joiners, marks of a direction, variation
// selectors and tags are allowed, because spelling, texts in two directions and emoji need them.
const INVISIBLE =
  /(?!\p{Variation_Selector}|[\u061c\u180e\u200e\u200f\u{e0020}-\u{e007f}]|\u200c|\u200d)[\p{Default_Ignorable_Code_Point}\u2800]/u;

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

const ONE_LINE =
  'must be one line without control or invisible characters and without leading or trailing space';
/**
 * The name of an analyst or the subject of a token, also one that an earlier release stored. src/domain/names.ts decides
 * what a new name may contain.
 */
export const analystLine = text(300).refine((value) => !UNPRINTABLE.test(value), {
  error: ONE_LINE,
});
/** A title, the name of a thing, or a label: one line without invisible characters, by which two could look the same. */
export const line = analystLine.refine((value) => !INVISIBLE.test(value), {
  error: ONE_LINE,
  ...ifValid,
});
/** One or more paragraphs. */
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

/** A day, `YYYY-MM-DD`. Postgres has no year 0. */
export const day = z.iso
  .date({ error: (issue) => dayFault(issue.input) })
  .refine((value) => value >= '0001-01-01', { error: 'must not be before 0001-01-01', ...ifValid });

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

/** The number of a version in a path or a query. */
export const queryVersion = z.preprocess(
  (text) => (typeof text === 'string' && /^[1-9]\d{0,9}$/.test(text) ? Number(text) : text),
  versionNumber,
);

/** A timestamp with an offset. Digits beyond the millisecond are cut off: the ledger has no finer times. */
const timestampWith = (faultOf: (input: unknown) => string) =>
  z.iso
    .datetime({ offset: true, error: ({ input }) => faultOf(input) })
    .transform((text) => new Date(text.replace(/(\.\d{3})\d+/, '$1')))
    // An offset can carry the first or last day into a year that timestamps can't write.
    .refine((at) => at.getTime() >= FIRST_MOMENT && at.getTime() <= LAST_MOMENT, {
      error: 'must lie in the years 1–9999',
    });

const NO_TIMESTAMP = 'must be a timestamp with an offset, such as 2026-11-20T16:31:00Z';

/** A timestamp in a body. */
export const bodyTimestamp = timestampWith((input) =>
  input === undefined ? 'is required' : NO_TIMESTAMP,
);

/** A timestamp in a query. */
export const queryTimestamp = timestampWith((input) => {
  if (typeof input !== 'string') return 'must be given once';
  if (/^[^T]*T\S* \d\d:\d\d$/.test(input))
    return 'must be a timestamp; write the + of its offset as %2B';
  return NO_TIMESTAMP;
});
const FIRST_MOMENT = Date.parse('0001-01-01T00:00:00Z');
const LAST_MOMENT = Date.parse('9999-12-31T23:59:59.999Z');

/** A timestamp in a response: RFC 3339 in UTC, to the millisecond. */
export const timestamp = z.iso.datetime({ precision: 3 });

export const sha256 = z.string().regex(/^sha256:[0-9a-f]{64}$/);
