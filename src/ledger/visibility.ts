import type { Audience } from '../domain/desks.ts';

/**
 * The condition, in SQL, under which an audience may see a row of `outlooks` or `series`.
 * @param alias of the table in the statement
 * @param parameter whose value is that of {@link visibleDesks}, such as `$2`
 */
export const visibleTo = (alias: string, parameter: string) =>
  `(${alias}.internal_to is null or ${parameter}::int[] is null or ${alias}.internal_to = any(${parameter}::int[]))`;

/**
 * The same for a statement that is made for an audience, so that Postgres can use the indexes of public rows.
 * @returns null for an audience that may see every row
 */
export function onlyVisibleTo(
  audience: Audience,
  alias: string,
  bind: (value: unknown) => string,
): string | null {
  const desks = visibleDesks(audience);
  if (desks === null) return null;
  if (desks.length === 0) return `${alias}.internal_to is null`;
  return `(${alias}.internal_to is null or ${alias}.internal_to = any(${bind(desks)}::int[]))`;
}

/**
 * The condition, in SQL, under which an outlook counts in a record for an audience: it was public from its first version, or
 * the audience sees the internal outlooks of its desk. A disclosure changes no record, so that nobody improves one by
 * disclosing only the outlooks that came true.
 * @param outlookId of the row, in SQL
 * @returns null for an audience for which every outlook counts
 */
export function countsFor(
  audience: Audience,
  outlookId: string,
  bind: (value: unknown) => string,
): string | null {
  const desks = visibleDesks(audience);
  if (desks === null) return null;
  const others = desks.length === 0 ? '' : ` and not h.desk_id = any(${bind(desks)}::int[])`;
  // outlooks_internal finds them; of public outlooks there is nothing to read.
  return `not exists (select from outlooks h where h.id = ${outlookId} and h.is_internal${others})`;
}

/** The ids of the desks whose internal rows an audience may see; null for those of all desks. */
export function visibleDesks({ desks }: Audience): readonly number[] | null {
  return desks === 'all' ? null : desks;
}
