import { type Jump, jumpsIn } from '../domain/jumps.ts';
import type { Observation } from '../domain/series.ts';
import type { Session } from '../postgres/pool.ts';
import { compareWithStored, type Counts, type NewObservation } from './observations.ts';
import { deskOf } from '../access/desks.ts';
import { type Desk, type Desks, requireDesk } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';

export type Preview = Counts & {
  /** The first and the last day that was sent; null for none. */
  from: string | null;
  to: string | null;
  /** The days that would be revised or retracted, in the order in which they were sent. */
  revisions: { date: string; before: number | null; value: number | null }[];
  /** By day, as the series would be; one of the two days is new or revised. */
  jumps: Jump[];
};

/**
 * Previews an import. It changes and locks nothing, so the ledger may change before the import itself.
 * @param maxJump the ratio above which a change from one day to the next is a jump
 * @param desks that the caller acts for
 * @throws DomainError `series-not-found`, `wrong-desk`, or `nothing-to-retract` if a day to retract has no observation
 */
export async function previewObservations(
  session: Session,
  key: string,
  desks: Desks,
  sent: readonly NewObservation[],
  maxJump: number,
): Promise<Preview> {
  const { rows } = await session.query<{ id: number; desk: Desk & { id: number } }>(
    `select s.id, json_build_object('id', d.id, 'slug', d.slug, 'name', d.name) as desk
       from series s join ${deskOf('s')} where s.key = $1`,
    [key],
  );
  const [series] = rows;
  if (!series) throw new DomainError('series-not-found', `There is no series "${key}".`);
  requireDesk(desks, series.desk, `The series "${key}"`);
  const { current, fresh, counts } = await compareWithStored(session, { id: series.id, key }, sent);
  const days = sent.map(({ date }) => date).toSorted();
  const [from = null, to = null] = [days[0], days.at(-1)];
  const revisions = fresh.flatMap(({ date, value }) => {
    const stored = current.get(date);
    return stored ? [{ date, before: stored.value, value }] : [];
  });
  const changed = new Set(fresh.map(({ date }) => date));
  const merged = await mergedObservations(session, series.id, { fresh, changed, from, to });
  const jumps = jumpsIn(merged, maxJump).filter(
    ({ date, previousDate }) => changed.has(date) || changed.has(previousDate),
  );
  return { ...counts, from, to, revisions, jumps };
}

/** The observations from one day to another as they would be, and the stored ones before and after. */
async function mergedObservations(
  session: Session,
  seriesId: number,
  change: {
    fresh: readonly NewObservation[];
    changed: ReadonlySet<string>;
    from: string | null;
    to: string | null;
  },
): Promise<Observation[]> {
  const { rows } = await session.query<Observation>(
    `select date, value from observations
      where series_id = $1 and superseded_at is null and value is not null
        and date >= coalesce((select max(date) from observations where series_id = $1
          and superseded_at is null and value is not null and date < $2), $2)
        and date <= coalesce((select min(date) from observations where series_id = $1
          and superseded_at is null and value is not null and date > $3), $3)`,
    [seriesId, change.from, change.to],
  );
  const kept = rows.filter(({ date }) => !change.changed.has(date));
  const arriving = change.fresh.flatMap(({ date, value }) =>
    value === null ? [] : [{ date, value }],
  );
  return [...kept, ...arriving].toSorted((a, b) => (a.date < b.date ? -1 : 1));
}
