import { and, or, type SQL, sql } from 'drizzle-orm';
import type { OutlookStatus } from '../domain/outlook.ts';
import type { ScenarioName } from '../domain/probabilities.ts';

export const LIST_SORTS = ['-publishedAt', 'publishedAt', 'slug', 'relevance'] as const;
export type ListSort = (typeof LIST_SORTS)[number];

/** Which outlooks to list, as of when, in what order. A filter that is null keeps all. */
export type ListQuery = {
  instrument: string | null;
  /** That of now, as is whether a review is due, whatever `asOf`. */
  status: OutlookStatus | null;
  reviewDue: boolean | null;
  /** Bounds in basis points, both inclusive; null is open. */
  probability: { scenario: ScenarioName; min: number | null; max: number | null } | null;
  updatedSince: Date | null;
  /** As `websearch_to_tsquery` reads it. */
  search: string | null;
  /** `relevance` goes with a `search` only. */
  sort: ListSort;
  /** Nothing recorded after it is seen; null sees all. */
  asOf: Date | null;
};

/**
 * Where a walk through a list stands. `snapshot` and `startedAt` are those of its first page, so
 * that every further page goes on through the same ledger, whatever is written meanwhile. `key`
 * holds the values of the sort's columns ({@link ORDERS}) at the last item that was shown; a moment
 * in milliseconds since 1970.
 */
export type ListPosition = {
  startedAt: Date;
  key: readonly (number | string)[];
  snapshot: string;
};

type OrderColumn = 'rank' | 'published_at' | 'id' | 'slug';

const ORDERS: Record<ListSort, { columns: readonly OrderColumn[]; direction: 'asc' | 'desc' }> = {
  '-publishedAt': { columns: ['published_at', 'id'], direction: 'desc' },
  publishedAt: { columns: ['published_at', 'id'], direction: 'asc' },
  slug: { columns: ['slug'], direction: 'asc' },
  relevance: { columns: ['rank', 'published_at', 'id'], direction: 'desc' },
};

/**
 * A version recorded this long before a walk began was surely among what the first page saw, in
 * milliseconds. Far above what is left of a transaction once it has set the time, and for instances
 * whose clocks are as far apart. Transaction ids alone would do, but not in a ledger that was restored
 * into another cluster, where ids start over.
 */
const SETTLED_AFTER = 120_000;

/** The limit is put into the text: a plan that does not know it would sort the whole ledger. */
type Page = { after: ListPosition | null; startedAt: Date; limit: number };

/** What a search asks for. */
export const searchedWords = (search: string): SQL =>
  sql`websearch_to_tsquery('english', ${search})`;
export const moment = (at: Date): SQL => sql`${at.toISOString()}::timestamptz`;

/**
 * A page of the outlooks that match: ids, what the sort needs, and the version that is seen.
 *
 * An outlook that has no newer version than the one seen is told by its own row, so that the indexes of
 * outlooks find and order it: outlooks_newest by time, either way, outlooks_slug_unique by slug. The
 * others come with the version that is seen, one step down outlook_versions_as_of each, and are judged
 * and ordered by that one: few in a walk, as many as were written since in a list of long ago.
 */
export function placedOutlooks(query: ListQuery, page: Page): SQL {
  const seen = seenBy(query, page);
  const standing = matching(query, page, {
    from: sql`outlooks o`,
    version: sql`o.latest_version`,
    shown: 'o',
    among: seen(sql`o.published_at`, sql`o.transaction_id`),
  });
  const isMoved = movedSince(query, page);
  if (!isMoved) return standing;
  const moved = matching(query, page, {
    from: sql`outlooks o cross join lateral (
      select v.version, v.recorded_at as published_at, v.framework_id,
        v.bear_bps, v.base_bps, v.bull_bps
      from outlook_versions v
      where v.outlook_id = o.id and ${seen(sql`v.recorded_at`, sql`v.transaction_id`)}
      order by v.recorded_at desc, v.version desc limit 1) seen`,
    version: sql`seen.version`,
    shown: 'seen',
    among: isMoved,
  });
  return sql`(${standing}) union all (${moved})
    order by ${orderBy(query.sort)} limit ${sql.raw(String(page.limit))}`;
}

/** Which versions a page may see: recorded until `asOf`, and there when the first page was read. */
function seenBy({ asOf }: ListQuery, { after, startedAt }: Page) {
  return (recordedAt: SQL, transactionId: SQL): SQL | undefined =>
    and(
      asOf === null ? undefined : sql`${recordedAt} <= ${moment(asOf)}`,
      after === null
        ? undefined
        : sql`(${recordedAt} < ${settledBefore(startedAt)}
            or pg_visible_in_snapshot(${transactionId}, ${after.snapshot}::pg_snapshot))`,
    );
}

/**
 * Which outlooks have a newer version than the page may see, found by outlooks_newest and
 * outlooks_written; undefined where the page sees all.
 */
function movedSince({ asOf }: ListQuery, { after, startedAt }: Page): SQL | undefined {
  return or(
    asOf === null ? undefined : sql`o.published_at > ${moment(asOf)}`,
    after === null
      ? undefined
      : sql`(o.transaction_id >= pg_snapshot_xmin(${after.snapshot}::pg_snapshot)
          and o.published_at >= ${settledBefore(startedAt)}
          and not pg_visible_in_snapshot(o.transaction_id, ${after.snapshot}::pg_snapshot))`,
  );
}

const settledBefore = (startedAt: Date): SQL =>
  moment(new Date(startedAt.getTime() - SETTLED_AFTER));

/** Outlooks `among` all, each with the row that holds the version seen. */
type Source = { from: SQL; version: SQL; shown: 'o' | 'seen'; among: SQL | undefined };

function matching(query: ListQuery, { after, limit }: Page, source: Source): SQL {
  const shown = (column: string) => sql.raw(`${source.shown}.${column}`);
  const { search, sort } = query;
  const places: Record<OrderColumn, SQL> = {
    rank:
      search === null
        ? sql`0::float8`
        : sql`ts_rank_cd(f.search, ${searchedWords(search)})::float8`,
    published_at: shown('published_at'),
    id: sql`o.id`,
    slug: sql`o.slug`,
  };
  const { columns } = ORDERS[sort];
  const rank = columns.includes('rank') ? places.rank : sql`0`;
  return sql`
    select o.id, o.slug, ${places.published_at} as published_at, ${rank} as rank,
      ${source.version} as version
    from ${source.from}${search === null ? sql`` : sql` join frameworks f on f.outlook_id = o.id`}
    where ${and(source.among, filters(query, shown), beyond(after, sort, places)) ?? sql`true`}
    order by ${orderBy(sort)} limit ${sql.raw(String(limit))}`;
}

/** Whether a query leaves out any outlook. */
export function isFiltered(query: ListQuery): boolean {
  const { instrument, status, reviewDue, probability, updatedSince, search } = query;
  return [instrument, status, reviewDue, probability, updatedSince, search].some(
    (filter) => filter !== null,
  );
}

/**
 * The filters, each put in only where it is asked for, so that the planner sees which index finds few
 * among many. outlooks_newest_of_instrument and outlooks_newest_of_status find them in order;
 * outlooks_review_due holds no others, and is used where its very condition is asked for;
 * outlooks_by_bear, _base and _bull find them by a bound, to be sorted; frameworks_search finds
 * frameworks by their words, and frameworks lead to their outlooks by id.
 */
function filters(query: ListQuery, shown: (column: string) => SQL): SQL | undefined {
  const { instrument, status, reviewDue, probability, updatedSince, search } = query;
  return and(
    instrument === null
      ? undefined
      : sql`o.instrument_id = (select id from instruments where symbol = ${instrument})`,
    status === null ? undefined : sql`o.status = ${status}`,
    reviewDue === null ? undefined : sql.raw(`o.review_reasons ${reviewDue ? '<>' : '='} '{}'`),
    probability === null ? undefined : isWithin(shown(`${probability.scenario}_bps`), probability),
    updatedSince === null ? undefined : sql`${shown('published_at')} >= ${moment(updatedSince)}`,
    search === null
      ? undefined
      : sql`f.id = ${shown('framework_id')} and f.search @@ ${searchedWords(search)}`,
  );
}

function isWithin(
  points: SQL,
  { min, max }: { min: number | null; max: number | null },
): SQL | undefined {
  return and(
    min === null ? undefined : sql`${points} >= ${min}`,
    max === null ? undefined : sql`${points} <= ${max}`,
  );
}

/** What comes after a position in the order of a sort. */
function beyond(
  after: ListPosition | null,
  sort: ListSort,
  places: Record<OrderColumn, SQL>,
): SQL | undefined {
  if (after === null) return undefined;
  const { columns, direction } = ORDERS[sort];
  const here = columns.map((column) => places[column]);
  const there = columns.map((column, index) => PLACES[column](after.key[index]));
  return sql`(${sql.join(here, sql`, `)}) ${sql.raw(direction === 'asc' ? '>' : '<')}
    (${sql.join(there, sql`, `)})`;
}

/** A value of a key as Postgres compares it with its column. */
const PLACES: Record<OrderColumn, (value: number | string | undefined) => SQL> = {
  rank: (value) => sql`${value}::float8`,
  published_at: (value) => moment(new Date(Number(value))),
  id: (value) => sql`${value}::bigint`,
  slug: (value) => sql`${value}::text`,
};

/** @param prefix of the columns: an alias with its dot */
export function orderBy(sort: ListSort, prefix = ''): SQL {
  const { columns, direction } = ORDERS[sort];
  return sql.raw(columns.map((column) => `${prefix}${column} ${direction}`).join(', '));
}

/** The key of the place where a row stands in the order of a sort. */
export function sortKeyOf(
  sort: ListSort,
  row: Record<OrderColumn, number | string>,
): ListPosition['key'] {
  return ORDERS[sort].columns.map((column) => row[column]);
}
