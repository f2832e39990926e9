import type pg from 'pg';
import { DomainError } from '../domain/errors.ts';
import { datingFault, MOST_SOURCES, type SourceKind } from '../domain/pulls.ts';
import type { FileFormat } from '../domain/file-columns.ts';
import type { Dating, Frequency } from '../domain/series.ts';
import type { Session } from '../postgres/pool.ts';

/** Where a source is: a series of a provider, or a file at a URL. */
export type Place =
  | { kind: Exclude<SourceKind, 'url'>; providerId: string; url: null; layout: null }
  | { kind: 'url'; providerId: null; url: string; layout: FileFormat };

/** The source of a series, and how its pulls went. */
export type SeriesSource = Place & {
  everyMinutes: number;
  setAt: Date;
  dueAt: Date;
  /** Null unless a pull is under way, or was lost with its instance. */
  startedAt: Date | null;
  /** Failures since the last success. */
  failures: number;
  lastSuccessAt: Date | null;
  lastAdded: number | null;
  lastRevised: number | null;
  lastUnchanged: number | null;
  lastErrorAt: Date | null;
  lastError: string | null;
};

const PLACE = 's.kind, s.provider_id as "providerId", s.url, s.layout';
const READ = `
  select ${PLACE}, s.every_minutes as "everyMinutes", s.set_at as "setAt", s.due_at as "dueAt",
    s.started_at as "startedAt", s.failures, s.last_success_at as "lastSuccessAt", s.last_added as "lastAdded",
    s.last_revised as "lastRevised", s.last_unchanged as "lastUnchanged", s.last_error_at as "lastErrorAt",
    s.last_error as "lastError"
  from series_sources s`;

/** A series as far as its source depends on it. */
type PulledSeries = { id: number; key: string; frequency: Frequency; dated: Dating };

/** @throws DomainError `series-not-found` or `source-not-found` */
export async function readSource(session: Session, key: string): Promise<SeriesSource> {
  const { rows } = await session.query<SeriesSource>(
    `${READ} where s.series_id = (select id from series where key = $1)`,
    [key],
  );
  const [found] = rows;
  if (!found) throw await missing(session, key);
  return found;
}

async function missing(session: Session, key: string): Promise<DomainError> {
  const { rowCount } = await session.query('select from series where key = $1', [key]);
  return rowCount === 0
    ? new DomainError('series-not-found', `There is no series "${key}".`)
    : new DomainError('source-not-found', `The series "${key}" has no source.`);
}

/**
 * Sets where a series is pulled from, and makes a pull due now. Another place replaces the source and its status, and the
 * result of a pull under way is discarded. The same place keeps its status. Call it in a transaction, after
 * `lockSeries()`.
 * @returns the source, and what became of the one before
 * @throws DomainError `source-refused` if too many series have a source, or the place has other dates than the series
 */
export async function setSource(
  session: pg.PoolClient,
  series: PulledSeries,
  { place, everyMinutes }: { place: Place; everyMinutes: number },
  now: Date,
): Promise<{ source: SeriesSource; change: 'set' | 'replaced' | 'rescheduled' }> {
  requireDates(series, place);
  const { rows } = await session.query<Place & { id: string }>(
    `select s.id, ${PLACE} from series_sources s where s.series_id = $1 for no key update`,
    [series.id],
  );
  const [before] = rows;
  const isSame = before !== undefined && isSamePlace(before, place);
  if (isSame) await reschedule(session, before.id, everyMinutes, now);
  else {
    if (before) await session.query('delete from series_sources where id = $1', [before.id]);
    else await requireRoom(session);
    const { kind, providerId, url, layout } = place;
    await session.query(
      `insert into series_sources (series_id, kind, provider_id, url, layout, host, every_minutes, set_at, due_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $8)`,
      [
        series.id,
        kind,
        providerId,
        url,
        layout && JSON.stringify(layout),
        hostOf(place),
        everyMinutes,
        now.toISOString(),
      ],
    );
  }
  const source = await readSource(session, series.key);
  return { source, change: isSame ? 'rescheduled' : before ? 'replaced' : 'set' };
}

function requireDates(series: PulledSeries, { kind }: Place): void {
  const fault = datingFault(kind, series);
  if (fault === null) return;
  throw new DomainError('source-refused', 'The source has other dates than the series.', [
    { path: ['kind'], detail: `does not fit: ${series.key} ${fault}` },
  ]);
}

/** The host of a source: pulls from one host wait for each other. */
function hostOf({ kind, url }: Place): string {
  return url === null ? kind : new URL(url).host;
}

function isSamePlace(one: Place, other: Place): boolean {
  const textOf = ({ kind, providerId, url, layout }: Place) =>
    JSON.stringify([kind, providerId, url, layout]);
  return textOf(one) === textOf(other);
}

/** A pull under way goes on: it is due again once it ends. */
async function reschedule(
  session: Session,
  id: string,
  everyMinutes: number,
  now: Date,
): Promise<void> {
  await session.query(
    `update series_sources set every_minutes = $2,
       due_at = case when started_at is not null and due_at > $3 then due_at else $3::timestamptz end
      where id = $1`,
    [id, everyMinutes, now.toISOString()],
  );
}

/** A trigger checks this as well, one transaction at a time, so that two can't both take the last place. */
async function requireRoom(session: Session): Promise<void> {
  const { rows } = await session.query<{ count: number }>(
    'select count(*) as count from series_sources',
  );
  if ((rows[0]?.count ?? 0) < MOST_SOURCES) return;
  const detail = `At most ${MOST_SOURCES} series can have a source. Remove one that is no longer needed.`;
  throw new DomainError('source-refused', detail, []);
}

/**
 * Removes the source of a series. Its observations stay, and what a pull under way brings is discarded. Call it in a
 * transaction, after `lockSeries()`.
 * @throws DomainError `source-not-found`
 */
export async function removeSource(
  session: Session,
  { id, key }: Pick<PulledSeries, 'id' | 'key'>,
): Promise<void> {
  const { rowCount } = await session.query('delete from series_sources where series_id = $1', [id]);
  if (rowCount === 0) throw await missing(session, key);
}

/** How many series have a source, how many of these failed at the last pull, and the oldest of their last successes. */
export type SourceCounts = { sources: number; failing: number; oldestSuccess: Date | null };

/** A source that never succeeded counts from when it was set. */
export async function countSources(session: Session): Promise<SourceCounts> {
  const { rows } = await session.query<SourceCounts>(
    `select count(*) as sources, count(*) filter (where failures > 0) as failing,
       min(coalesce(last_success_at, set_at)) as "oldestSuccess" from series_sources`,
  );
  return rows[0] ?? { sources: 0, failing: 0, oldestSuccess: null };
}
