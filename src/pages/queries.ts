import { z } from 'zod';
import { day, queryMoment, queryVersion, withRule } from '../http/fields.ts';
import { listQuery } from '../api/schemas/outlook-list.ts';

/**
 * What a page takes of a query: not what a form left blank, nor what it does not know, as whoever shares a link adds to it
 * (`utm_source`).
 */
const known =
  (names: readonly string[]) =>
  (query: unknown): unknown =>
    typeof query === 'object' && query !== null
      ? Object.fromEntries(
          Object.entries(query).filter(([name, value]) => names.includes(name) && value !== ''),
        )
      : query;

/** What the page of the list is asked for: as the API's list. */
export const listPageQuery = z.preprocess(known(Object.keys(listQuery.shape)), listQuery);

/** A moment, or a day, of which its end is meant. */
const dayOrMoment = z.string({ error: 'must be given once' }).transform((text, context) => {
  if (day.safeParse(text).success) return text;
  const moment = queryMoment.safeParse(text);
  if (moment.success) return moment.data;
  context.addIssue(
    'must be a date such as 2026-11-20, or a timestamp such as 2026-11-20T16:31:00Z',
  );
  return z.NEVER;
});

/** What the page of an outlook is asked for. */
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
 * The moment that is meant; undefined for now.
 * @param asOf a day stands for its last millisecond in UTC, and the day that it is now for this moment
 */
export function momentOf(asOf: string | Date | undefined, now: Date): Date | undefined {
  if (typeof asOf !== 'string') return asOf;
  if (asOf === now.toISOString().slice(0, 10)) return undefined;
  return new Date(`${asOf}T23:59:59.999Z`);
}
