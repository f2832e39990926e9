import { z } from 'zod';
import { LIST_SORTS } from '../../ledger/outlook-list-page.ts';
import { OUTLOOK_STATUSES } from '../../domain/outlook.ts';
import {
  basisPoints,
  probabilityFault,
  SCENARIO_NAMES,
  WHOLE,
} from '../../domain/probabilities.ts';
import { listShape } from '../../http/paging.ts';
import { queryMoment, slug, symbol } from '../../http/fields.ts';

const ONCE = 'must be given once';

/** A number as JSON writes it, to more decimals than any is accepted with; else NaN. */
function numberOf(text: string): number {
  return /^-?(?:0|[1-9]\d*)(?:\.\d{1,15})?$/.test(text) ? Number(text) : Number.NaN;
}

/** A bound of a probability; parsed, in basis points. */
const bound = z
  .string({ error: ONCE })
  .superRefine((text, context) => {
    const fault = probabilityFault(numberOf(text));
    if (fault) context.addIssue(fault);
  })
  .transform((text) => basisPoints(Number(text)));
const asNumber = { type: 'number', minimum: 0, maximum: 1 } as const;

const trueOrFalse = z.preprocess(
  (text) => (text === 'true' || text === 'false' ? text === 'true' : text),
  z.boolean({ error: 'must be true or false' }),
);

// Postgres stacks what still waits for its word, 32 at the most, and has a fault where there is more.
const TOO_MANY_HYPHENS = /(?:-[^\p{L}\p{N}-]*){21}/u;

const search = z
  .string({ error: ONCE })
  .max(200, { error: 'must have at most 200 characters' })
  .regex(/\S/, { error: 'must not be blank; leave q out to list all' })
  .refine((text) => !text.includes('\u0000'), {
    error: 'must not contain a NUL character (%00)',
  })
  .refine((text) => !TOO_MANY_HYPHENS.test(text), {
    error: 'has too many hyphens in a row; one leaves out the word behind it',
  });

/** The query of the list of outlooks. */
export const listQuery = z
  .strictObject({
    instrument: symbol.optional().meta({ description: 'Only outlooks on this symbol.' }),
    status: z
      .enum(OUTLOOK_STATUSES)
      .optional()
      .meta({ description: 'Only outlooks that have this status now.' }),
    reviewDue: trueOrFalse.optional().meta({
      description: 'Only outlooks whose review is due now, or those whose is not.',
    }),
    scenario: z.enum(SCENARIO_NAMES).optional().meta({
      description: 'The scenario that `minProbability` and `maxProbability` are about.',
    }),
    minProbability: bound.optional().meta({
      ...asNumber,
      description:
        'Only outlooks that give the `scenario` this probability or more: a fraction with at most four decimals.',
    }),
    maxProbability: bound.optional().meta({
      ...asNumber,
      description:
        'Only outlooks that give the `scenario` this probability or less: a fraction with at most four decimals.',
    }),
    updatedSince: queryMoment.optional().meta({
      description: 'Only outlooks whose version was published at this moment or later.',
    }),
    q: search.optional().meta({
      description:
        'Only outlooks with these words, in English, in their title, headwinds, summary or invalidation conditions; a match in the title weighs most. `"…"` asks for a phrase, `or` for either word, `-` for none of a word.',
    }),
    sort: z.enum(LIST_SORTS).optional().meta({
      description:
        'The order; a leading hyphen turns it around. Left out, it is `relevance` with `q`, which that needs, and `-publishedAt` without.',
    }),
    asOf: queryMoment.optional().meta({
      description:
        'The list as it stood at this moment, which must not lie in the future: of each outlook the newest version recorded until then, with the status that it had and the review that was due. Filters and order go by that version, but for `status` and `reviewDue`, which go by what is the case now.',
    }),
    ...listShape,
  })
  .superRefine(
    ({ scenario, minProbability: min, maxProbability: max, q, sort }, context) => {
      const refuse = (parameter: string, message: string) =>
        context.addIssue({ code: 'custom', path: [parameter], message });
      const given = [min !== undefined && 'minProbability', max !== undefined && 'maxProbability'];
      const bounds = given.filter((name) => name !== false);
      if (scenario !== undefined && bounds.length === 0) {
        refuse('scenario', 'goes with minProbability or maxProbability; give one, or both');
      }
      if (scenario === undefined && bounds.length > 0) {
        refuse('scenario', `is required with ${bounds.join(' and ')}: bear, base or bull`);
      }
      if (typeof min === 'number' && typeof max === 'number' && min > max) {
        refuse('minProbability', `must not be more than maxProbability, ${max / WHOLE}`);
      }
      if (sort === 'relevance' && q === undefined) {
        refuse(
          'sort',
          'relevance needs q: give words to search for, or sort by publishedAt or slug',
        );
      }
    },
    // Whatever else is wrong with one of them.
    { when: ({ value }) => typeof value === 'object' && value !== null },
  );

const MOST_SLUGS = 100;

/** The slugs of a batch, as one text. */
const slugs = z
  .string({ error: (issue) => (issue.input === undefined ? 'is required' : ONCE) })
  .transform((text, context) => {
    const named = text.split(',');
    for (const fault of slugFaults(named)) context.addIssue(fault);
    return named;
  });

function slugFaults(named: readonly string[]): string[] {
  if (named.length === 1 && named[0] === '') return ['must name an outlook or more, by its slug'];
  const count = `must name at most ${MOST_SLUGS} slugs, not ${named.length}`;
  const first = new Set<string>();
  const faults = named.flatMap((name) => {
    const fault = first.has(name) ? 'is named more than once' : slugFault(name);
    first.add(name);
    return fault === null ? [] : `${quoted(name)} ${fault}`;
  });
  return [...(named.length > MOST_SLUGS ? [count] : []), ...new Set(faults)];
}

function slugFault(name: string): string | null {
  // What else may be wrong with a slug is worded where slugs are.
  const parsed = slug.safeParse(name, { error: () => 'must have at most 100 characters' });
  return parsed.error?.issues[0]?.message ?? null;
}

const quoted = (name: string): string => JSON.stringify(name.slice(0, 100));

export const batchQuery = z.strictObject({
  slugs: slugs.meta({
    description: '1–100 slugs, joined by commas, each once.',
    example: 'russell-2000-downside',
  }),
});
