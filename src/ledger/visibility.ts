import type { Audience } from '../domain/desks.ts';

/**
 * The condition, in SQL, under which an audience may see a row of `outlooks` or `series`.
 * @param alias of the table in the statement
 * @param parameter whose value is that of {@link visibleDesks}, such as `$2`
 */
export const visibleTo = (alias: string, parameter: string) =>
  `(${alias}.internal_to is null or ${parameter}::int[] is null or ${alias}.internal_to = any(${parameter}::int[]))`;

/** The ids of the desks whose internal rows an audience may see; null for those of all desks. */
export function visibleDesks({ desks }: Audience): readonly number[] | null {
  return desks === 'all' ? null : desks;
}
