import { z } from 'zod';
import { isUuid, normalizedName } from '../../domain/names.ts';
import { parseSearch } from '../../domain/search.ts';
import { LIST_SORTS } from '../../ledger/outlook-list-query.ts';
import { OUTLOOK_STATUSES } from '../../domain/outlook.ts';
import {
  basisPoints,
  probabilityFault,
  SCENARIO_NAMES,
  WHOLE,
} from '../../domain/probabilities.ts';
import { listShape } from '../../http/paging.ts';
import { analystLine, day, ifValid, queryTimestamp, slug, symbol } from '../../http/fields.ts';
import { outcome } from './outcomes.ts';
import { queryNumber } from './probabilities.ts';

const ONCE = 'must be given once';

/** A bound of a probability. Parsed, it is in basis points. */
const bound = z
  .string({ error: ONCE })
  .superRefine((text, context) => {
    const fault = probabilityFault(queryNumber(text));
    if (fault) context.addIssue(fault);
  })
  .transform((text) => basisPoints(Number(text)));
const asNumber = { type: 'number', minimum: 0, maximum: 1 } as const;

const trueOrFalse = z.preprocess(
  (text) => (text === 'true' || text === 'false' ? text === 'true' : text),
  z.boolean({ error: 'must be true or false' }),
);

const search = z
  .string({ error: ONCE })
  .max(200, { error: 'must have at most 200 characters' })
  .regex(/\S/, { error: 'must not be blank; leave q out to list all' })
  .refine((text) => !text.includes('\u0000'), {
    error: 'must not contain a NUL character (%00)',
  })
  .refine((text) => parseSearch(text).length > 0, {
    error: 'must contain a letter or a digit to search for',
    ...ifValid,
  });

/** An analyst, by id or name. */
const author = z
  .string({ error: ONCE })
  .pipe(analystLine)
  .transform((text) => (isUuid(text) ? text.toLowerCase() : normalizedName(text)));

/** The query of the list of outlooks. */
export const listQuery = z
  .strictObject({
    instrument: symbol.optional().meta({ description: 'Only outlooks on this symbol.' }),
    status: z
      .enum(OUTLOOK_STATUSES)
      .optional()
      .meta({ description: 'Only outlooks that currently have this status.' }),
    reviewDue: trueOrFalse.optional().meta({
      description:
        '`true`: only outlooks that currently have a review due. `false`: only those that do not.',
    }),
    awaitingResolution: trueOrFalse.optional().meta({
      description:
        '`true`: only outlooks whose horizon is over and whose outcome is not recorded yet, withdrawn ones included. `false`: only the others.',
    }),
    contradicted: trueOrFalse.optional().meta({
      description:
        '`true`: only outlooks whose resolution the closes contradict by now. `false`: only the others.',
    }),
    scenario: z.enum(SCENARIO_NAMES).optional().meta({
      description: 'The scenario that `minProbability` and `maxProbability` apply to.',
    }),
    minProbability: bound.optional().meta({
      ...asNumber,
      description:
        'Only outlooks with at least this probability for `scenario`: a fraction with at most four decimals.',
    }),
    maxProbability: bound.optional().meta({
      ...asNumber,
      description:
        'Only outlooks with at most this probability for `scenario`: a fraction with at most four decimals.',
    }),
    updatedSince: queryTimestamp.optional().meta({
      description: 'Only outlooks with a version published at or after this time.',
    }),
    q: search.optional().meta({
      description:
        'Search for outlooks with all of these words in their title, slug, symbol, name of the instrument, authors, headwinds, summary or invalidation conditions. Case, accents and punctuation make no difference: `Feds` finds “The Fed’s pivot”, `10 year` finds “10-year” and `BRK-B` finds “BRK.B”. A word of at least three characters, and the last word, also find longer words: `russ` finds “Russell”. English words are found in their other forms, too. Write `"…"` for a phrase, `or` for either word, and `-` before a word to exclude it. Common words such as `the` count only in a phrase, or alone. Outlooks whose symbol or slug is the search come first, then those with all words in the title, slug or name of the instrument.',
    }),
    author: author.optional().meta({
      description:
        'Only outlooks whose version was published by this analyst: the id, as in `author.id`, or the exact name.',
    }),
    horizonEndsAfter: day.optional().meta({
      description: 'Only outlooks whose `horizon.to` is after this day.',
    }),
    horizonEndsBefore: day.optional().meta({
      description: 'Only outlooks whose `horizon.to` is before this day.',
    }),
    desk: slug.optional().meta({ description: 'Only outlooks of the desk with this slug.' }),
    outcome: outcome.optional().meta({
      description:
        'Only outlooks that are currently resolved with this outcome. `void`: those that cannot be scored.',
    }),
    sort: z.enum(LIST_SORTS).optional().meta({
      description:
        'The sort order; a leading hyphen reverses it. `relevance` requires `q`; it ranks the 1,000 newest matches, and older ones follow, newest first. Left out: `relevance` with `q`, otherwise `-publishedAt`.',
    }),
    asOf: queryTimestamp.optional().meta({
      description:
        'The list as of this time, which must not be in the future: the newest version of each outlook recorded up to then, with the status and the review of that time. Filters and order apply to that version, except that `status`, `reviewDue`, `awaitingResolution`, `contradicted` and `outcome` apply to the current state.',
    }),
    ...listShape,
  })
  .superRefine(
    ({ scenario, minProbability: min, maxProbability: max, q, sort, ...rest }, context) => {
      const refuse = (parameter: string, message: string) =>
        context.addIssue({ code: 'custom', path: [parameter], message });
      const given = [min !== undefined && 'minProbability', max !== undefined && 'maxProbability'];
      const bounds = given.filter((name) => name !== false);
      if (scenario !== undefined && bounds.length === 0) {
        refuse('scenario', 'requires minProbability, maxProbability or both');
      }
      if (scenario === undefined && bounds.length > 0) {
        refuse('scenario', `is required with ${bounds.join(' and ')}: bear, base or bull`);
      }
      if (typeof min === 'number' && typeof max === 'number' && min > max) {
        refuse('minProbability', `must not be more than maxProbability, ${max / WHOLE}`);
      }
      const { horizonEndsAfter: after, horizonEndsBefore: before } = rest;
      if (isDay(after) && isDay(before) && after >= before) {
        refuse('horizonEndsAfter', `must be before horizonEndsBefore, ${before}`);
      }
      if (sort === 'relevance' && q === undefined) {
        refuse(
          'sort',
          'relevance requires q: send words to search for, or sort by publishedAt or slug',
        );
      }
    },
    // Runs even if one of them is invalid otherwise.
    { when: ({ value }) => typeof value === 'object' && value !== null },
  );

const isDay = (value: unknown): value is string => day.safeParse(value).success;

const MOST_SLUGS = 100;

/** The slugs of a batch, as one comma-separated string. */
const slugs = z
  .string({ error: (issue) => (issue.input === undefined ? 'is required' : ONCE) })
  .transform((text, context) => {
    const named = text.split(',');
    for (const fault of slugFaults(named)) context.addIssue(fault);
    return named;
  });

function slugFaults(named: readonly string[]): string[] {
  if (named.length === 1 && named[0] === '')
    return ['must contain at least one slug of an outlook'];
  const count = `must contain at most ${MOST_SLUGS} slugs, not ${named.length}`;
  const first = new Set<string>();
  const faults = named.flatMap((name) => {
    const fault = first.has(name) ? 'appears more than once' : slugFault(name);
    first.add(name);
    return fault === null ? [] : `${quoted(name)} ${fault}`;
  });
  return [...(named.length > MOST_SLUGS ? [count] : []), ...new Set(faults)];
}

function slugFault(name: string): string | null {
  // The slug schema words all other faults.
  const parsed = slug.safeParse(name, { error: () => 'must have at most 100 characters' });
  return parsed.error?.issues[0]?.message ?? null;
}

const quoted = (name: string): string => JSON.stringify(name.slice(0, 100));

export const batchQuery = z.strictObject({
  slugs: slugs.meta({
    description: '1–100 slugs, separated by commas, without duplicates.',
    maxLength: 10_099,
    pattern: '^[a-z0-9]+(-[a-z0-9]+)*(,[a-z0-9]+(-[a-z0-9]+)*){0,99}$',
    example: 'russell-2000-downside',
  }),
});
