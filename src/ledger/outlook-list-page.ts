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

/** Takes a value of a statement, and answers its parameter, such as `$1`. */
export type Bind = (value: unknown) => string;

/** What a search asks for. */
export const searchedWords = (search: string, bind: Bind): string =>
  `websearch_to_tsquery('english', ${bind(search)})`;
export const moment = (at: Date, bind: Bind): string => `${bind(at.toISOString())}::timestamptz`;

const and = (conditions: readonly (string | null)[]): string =>
  conditions.filter((condition) => condition !== null).join(' and ') || 'true';

/**
 * A page of the outlooks that match: ids, what the sort needs, and the version that is seen.
 *
 * An outlook that has no newer version than the one seen is told by its own row, so that the indexes of
 * outlooks find and order it: outlooks_newest by time, either way, outlooks_slug_unique by slug. The
 * others come with the version that is seen, one step down outlook_versions_as_of each, and are judged
 * and ordered by that one: few in a walk, as many as were written since in a list of long ago.
 */
export function placedOutlooks(query: ListQuery, page: Page, bind: Bind): string {
  const seen = seenBy(query, page, bind);
  const current = matching(query, page, bind, {
    from: 'outlooks o',
    version: 'o.latest_version',
    shown: 'o',
    among: seen('o.published_at', 'o.transaction_id'),
  });
  const isMoved = movedSince(query, page, bind);
  if (isMoved === null) return current;
  const moved = matching(query, page, bind, {
    from: `outlooks o cross join lateral (
      select v.version, v.recorded_at as published_at, v.framework_id,
        v.bear_bps, v.base_bps, v.bull_bps
      from outlook_versions v
      where v.outlook_id = o.id and ${seen('v.recorded_at', 'v.transaction_id')}
      order by v.recorded_at desc, v.version desc limit 1) seen`,
    version: 'seen.version',
    shown: 'seen',
    among: isMoved,
  });
  return `(${current}) union all (${moved}) order by ${orderBy(query.sort)} limit ${page.limit}`;
}

/** Which versions a page may see: recorded until `asOf`, and there when the first page was read. */
function seenBy({ asOf }: ListQuery, { after, startedAt }: Page, bind: Bind) {
  return (recordedAt: string, transactionId: string): string =>
    and([
      asOf && `${recordedAt} <= ${moment(asOf, bind)}`,
      after &&
        `(${recordedAt} < ${settledBefore(startedAt, bind)}
          or pg_visible_in_snapshot(${transactionId}, ${bind(after.snapshot)}::pg_snapshot))`,
    ]);
}

/**
 * Which outlooks have a newer version than the page may see, found by outlooks_newest and
 * outlooks_written; null where the page sees all.
 */
function movedSince({ asOf }: ListQuery, { after, startedAt }: Page, bind: Bind): string | null {
  const conditions = [];
  if (asOf) conditions.push(`o.published_at > ${moment(asOf, bind)}`);
  if (after) {
    const snapshot = `${bind(after.snapshot)}::pg_snapshot`;
    conditions.push(`(o.transaction_id >= pg_snapshot_xmin(${snapshot})
      and o.published_at >= ${settledBefore(startedAt, bind)}
      and not pg_visible_in_snapshot(o.transaction_id, ${snapshot}))`);
  }
  return conditions.length > 0 ? `(${conditions.join(' or ')})` : null;
}

const settledBefore = (startedAt: Date, bind: Bind): string =>
  moment(new Date(startedAt.getTime() - SETTLED_AFTER), bind);

/** Outlooks `among` all, each with the row that holds the version seen. */
type Source = { from: string; version: string; shown: 'o' | 'seen'; among: string };

function matching(
  query: ListQuery,
  { after, limit }: Page,
  bind: Bind,
  { from, version, shown, among }: Source,
): string {
  const { search, sort } = query;
  const isRanked = search !== null && ORDERS[sort].columns.includes('rank');
  const expressions = {
    rank: isRanked ? `ts_rank_cd(f.search, ${searchedWords(search, bind)})::float8` : '0',
    published_at: `${shown}.published_at`,
    id: 'o.id',
    slug: 'o.slug',
  };
  return `
    select o.id, o.slug, ${expressions.published_at} as published_at, ${expressions.rank} as rank,
      ${version} as version
    from ${from}${search === null ? '' : ' join frameworks f on f.outlook_id = o.id'}
    where ${and([among, ...filters(query, shown, bind), beyond(after, sort, expressions, bind)])}
    order by ${orderBy(sort)} limit ${limit}`;
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
function filters(query: ListQuery, shown: string, bind: Bind): (string | null)[] {
  const { instrument, status, reviewDue, probability, updatedSince, search } = query;
  return [
    instrument === null
      ? null
      : `o.instrument_id = (select id from instruments where symbol = ${bind(instrument)})`,
    status === null ? null : `o.status = ${bind(status)}`,
    reviewDue === null ? null : `o.review_reasons ${reviewDue ? '<>' : '='} '{}'`,
    ...(probability ? bounds(`${shown}.${probability.scenario}_bps`, probability, bind) : []),
    updatedSince && `${shown}.published_at >= ${moment(updatedSince, bind)}`,
    search === null
      ? null
      : `f.id = ${shown}.framework_id and f.search @@ ${searchedWords(search, bind)}`,
  ];
}

function bounds(
  points: string,
  { min, max }: { min: number | null; max: number | null },
  bind: Bind,
): (string | null)[] {
  return [
    min === null ? null : `${points} >= ${bind(min)}`,
    max === null ? null : `${points} <= ${bind(max)}`,
  ];
}

/** What comes after a position in the order of a sort. */
function beyond(
  after: ListPosition | null,
  sort: ListSort,
  expressions: Record<OrderColumn, string>,
  bind: Bind,
): string | null {
  if (after === null) return null;
  const { columns, direction } = ORDERS[sort];
  const here = columns.map((column) => expressions[column]);
  const there = columns.map((column, index) => BOUND[column](after.key[index], bind));
  return `(${here.join(', ')}) ${direction === 'asc' ? '>' : '<'} (${there.join(', ')})`;
}

/** A value of a key as Postgres compares it with its column. */
const BOUND: Record<OrderColumn, (value: number | string | undefined, bind: Bind) => string> = {
  rank: (value, bind) => `${bind(value)}::float8`,
  published_at: (value, bind) => moment(new Date(Number(value)), bind),
  id: (value, bind) => `${bind(value)}::bigint`,
  slug: (value, bind) => `${bind(value)}::text`,
};

/** @param prefix of the columns: an alias with its dot */
export function orderBy(sort: ListSort, prefix = ''): string {
  const { columns, direction } = ORDERS[sort];
  return columns.map((column) => `${prefix}${column} ${direction}`).join(', ');
}

/** The key of the place where a row stands in the order of a sort. */
export function sortKeyOf(
  sort: ListSort,
  row: Record<OrderColumn, number | string>,
): ListPosition['key'] {
  return ORDERS[sort].columns.map((column) => row[column]);
}
