import { z } from 'zod';
import { day, queryTimestamp, queryVersion, withRule } from '../http/fields.ts';
import { listQuery } from '../api/schemas/outlook-list.ts';

/**
 * The parts of a query that a page reads. It ignores blank form fields and unknown parameters, because shared links
 * often carry some (`utm_source`).
 */
const known =
  (names: readonly string[]) =>
  (query: unknown): unknown =>
    typeof query === 'object' && query !== null
      ? Object.fromEntries(
          Object.entries(query).filter(([name, value]) => names.includes(name) && value !== ''),
        )
      : query;

/** The query of the list page: the same as the API's list. */
export const listPageQuery = z.preprocess(known(Object.keys(listQuery.shape)), listQuery);

/** A time, or a day, which means its end. */
const dayOrMoment = z.string({ error: 'must be given once' }).transform((text, context) => {
  if (day.safeParse(text).success) return text;
  const moment = queryTimestamp.safeParse(text);
  if (moment.success) return moment.data;
  context.addIssue(
    'must be a date such as 2026-11-20, or a timestamp such as 2026-11-20T16:31:00Z',
  );
  return z.NEVER;
});

/** The query of the page of an outlook. */
export const outlookPageQuery = z.preprocess(
  known(['version', 'asOf', 'against', 'olderThan']),
  withRule(
    z.strictObject({
      version: queryVersion.optional(),
      asOf: dayOrMoment.optional(),
      against: queryVersion.optional(),
      olderThan: queryVersion.optional(),
    }),
    ({ version, asOf }) =>
      version === undefined || asOf === undefined
        ? []
        : [{ path: ['version'], detail: 'cannot be combined with asOf: leave one of them out' }],
  ),
);

/**
 * The requested time; undefined for now.
 * @param asOf a day means its last millisecond in UTC, and today means now
 */
export function momentOf(asOf: string | Date | undefined, now: Date): Date | undefined {
  if (typeof asOf !== 'string') return asOf;
  if (asOf === now.toISOString().slice(0, 10)) return undefined;
  return new Date(`${asOf}T23:59:59.999Z`);
}
