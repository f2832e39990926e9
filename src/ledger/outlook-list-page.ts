import {
  type Bind,
  filters,
  type ResolvedQuery,
  type ListSort,
  moment,
} from './outlook-list-query.ts';

/**
 * How far a client has paged through a list. `snapshot` and `startedAt` come from the first page, so that every further
 * page shows the same ledger, whatever is written in the meantime. `key` holds the values of the sort's columns
 * ({@link ORDERS}) at the last item shown; times are in milliseconds since 1970.
 */
export type ListPosition = {
  startedAt: Date;
  key: readonly (number | string)[];
  snapshot: string;
  /** The oldest ranked match, if a search has more matches than it ranks. */
  rankedFrom?: RankedFrom | undefined;
};
/** A time in milliseconds since 1970, and the id of an outlook. */
export type RankedFrom = readonly [publishedAt: number, id: number];

type OrderColumn = 'rank' | 'published_at' | 'id' | 'slug';

const ORDERS: Record<ListSort, { columns: readonly OrderColumn[]; direction: 'asc' | 'desc' }> = {
  '-publishedAt': { columns: ['published_at', 'id'], direction: 'desc' },
  publishedAt: { columns: ['published_at', 'id'], direction: 'asc' },
  slug: { columns: ['slug'], direction: 'asc' },
  relevance: { columns: ['rank', 'published_at', 'id'], direction: 'desc' },
};

/**
 * The first page surely saw a version recorded this many milliseconds before it. That is far longer than a transaction
 * runs after it has set the time, and allows for instances whose clocks differ. Transaction ids alone would do, but they
 * start over when a ledger is restored into another cluster.
 */
const SETTLED_AFTER = 120_000;

/** The limit goes into the text: without knowing it, Postgres would plan to sort the whole ledger. */
export type ListPage = { after: ListPosition | null; startedAt: Date; limit: number };

const and = (conditions: readonly (string | null)[]): string =>
  conditions.filter((condition) => condition !== null).join(' and ') || 'true';

/** What a row of a list is ordered by, in SQL. */
export type Expressions = Record<OrderColumn, string>;

/** Which rows of an order to read, at most `limit`, and the rank of each, as SQL. */
export type Slice = {
  sort: ListSort;
  within: (row: Expressions) => string | null;
  limit: number;
  rank: string;
};

/**
 * Matching outlooks, as SQL: ids, the sort's columns, and the version to show.
 *
 * If an outlook's newest version is the one to show, its own row has all values, and the indexes of outlooks find and
 * order it: outlooks_newest by time, in both directions, and outlooks_by_slug by slug. Other outlooks need an older
 * version, one step down outlook_versions_as_of each, which then decides about filters and order. They are few while a
 * client pages, and as many as were written since for a list as of long ago.
 */
export function placedOutlooks(
  query: ResolvedQuery,
  page: ListPage,
  bind: Bind,
  slice: Slice,
): string {
  const seen = seenBy(query, page, bind);
  const current = matching(query, bind, slice, {
    from: 'outlooks o',
    version: 'o.latest_version',
    shown: 'o',
    author:
      '(select author_id from outlook_versions where outlook_id = o.id and version = o.latest_version)',
    framework: 'f.id = o.framework_id',
    among: seen('o.published_at', 'o.transaction_id'),
  });
  const isMoved = movedSince(query, page, bind);
  if (isMoved === null) return current;
  const moved = matching(query, bind, slice, {
    from: `outlooks o cross join lateral (
      select v.version, v.recorded_at as published_at, v.framework_id, v.author_id,
        v.bear_bps, v.base_bps, v.bull_bps
      from outlook_versions v
      where v.outlook_id = o.id and ${seen('v.recorded_at', 'v.transaction_id')}
      order by v.recorded_at desc, v.version desc limit 1) seen`,
    version: 'seen.version',
    shown: 'seen',
    author: 'seen.author_id',
    framework: 'f.outlook_id = o.id and f.id = seen.framework_id',
    among: isMoved,
  });
  return `(${current}) union all (${moved}) order by ${orderBy(slice.sort)} limit ${slice.limit}`;
}

/** Which versions a page may show: recorded up to `asOf`, and visible to the first page. */
function seenBy({ asOf }: ResolvedQuery, { after, startedAt }: ListPage, bind: Bind) {
  return (recordedAt: string, transactionId: string): string =>
    and([
      asOf && `${recordedAt} <= ${moment(asOf, bind)}`,
      after &&
        `(${recordedAt} < ${settledBefore(startedAt, bind)}
          or pg_visible_in_snapshot(${transactionId}, ${bind(after.snapshot)}::pg_snapshot))`,
    ]);
}

/**
 * Which outlooks have a newer version than the page may show, found by outlooks_newest and outlooks_written; null if the
 * page may show all.
 */
function movedSince(
  { asOf }: ResolvedQuery,
  { after, startedAt }: ListPage,
  bind: Bind,
): string | null {
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

/** Where the outlooks come from; `shown` is the row with the values of the version to show. */
type Source = {
  from: string;
  version: string;
  shown: 'o' | 'seen';
  /** The author of that version. */
  author: string;
  /** How a search joins the framework `f`. */
  framework: string;
  among: string;
};

function matching(
  query: ResolvedQuery,
  bind: Bind,
  { sort, within, limit, rank }: Slice,
  { from, version, shown, author, framework, among }: Source,
): string {
  const row = {
    rank,
    published_at: `${shown}.published_at`,
    id: 'o.id',
    slug: 'o.slug collate "C"',
  };
  return `
    select o.id, ${row.slug} as slug, ${row.published_at} as published_at, ${rank} as rank, ${version} as version,
      ${shown}.framework_id as framework_id
    from ${from}${query.search === null ? '' : ` join frameworks f on ${framework}`}
    where ${and([among, ...filters(query, { shown, author }, bind), within(row)])}
    order by ${orderBy(sort)} limit ${limit}`;
}

/** The condition for rows after a position in the order of a sort. */
export function beyond(
  after: ListPosition | null,
  sort: ListSort,
  expressions: Expressions,
  bind: Bind,
): string | null {
  if (after === null) return null;
  const { columns, direction } = ORDERS[sort];
  const here = columns.map((column) => expressions[column]);
  const there = columns.map((column, index) => BOUND[column](after.key[index], bind));
  return `(${here.join(', ')}) ${direction === 'asc' ? '>' : '<'} (${there.join(', ')})`;
}

/** The parameters for the values of a key, with the types of their columns. */
const BOUND: Record<OrderColumn, (value: number | string | undefined, bind: Bind) => string> = {
  rank: (value, bind) => `${bind(value)}::float8`,
  published_at: (value, bind) => moment(new Date(Number(value)), bind),
  id: (value, bind) => `${bind(value)}::bigint`,
  slug: (value, bind) => `${bind(value)}::text`,
};

/** @param prefix of the columns: an alias and a dot */
export function orderBy(sort: ListSort, prefix = ''): string {
  const { columns, direction } = ORDERS[sort];
  return columns.map((column) => `${prefix}${column} ${direction}`).join(', ');
}

/** The key of a row in the order of a sort. */
export function sortKeyOf(
  sort: ListSort,
  row: Record<OrderColumn, number | string>,
): ListPosition['key'] {
  return ORDERS[sort].columns.map((column) => row[column]);
}
