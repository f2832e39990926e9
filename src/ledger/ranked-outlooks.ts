import {
  beyond,
  type Expressions,
  type ListPage,
  type ListPosition,
  orderBy,
  placedOutlooks,
  type RankedFrom,
} from './outlook-list-page.ts';
import { type Bind, type ResolvedQuery, moment, searchedWords } from './outlook-list-query.ts';

/**
 * A search ranks its newest matches, at most this many, because it has to read the words of each. The matches beyond come
 * after them, newest first.
 */
const MOST_RANKED = 1_000;
/** The rank of a match that is not ranked. Ranks are at least 0. */
const UNRANKED = -1;

/** Whether a page by relevance starts among the ranked matches. */
export const startsRanked = (after: ListPosition | null): boolean => after?.key[0] !== UNRANKED;

/** The match at which a page of unranked matches starts. */
export function unrankedBefore(after: ListPosition | null): RankedFrom {
  return [Number(after?.key[1]), Number(after?.key[2])];
}

/**
 * A page of the ranked matches, as SQL. `ranked_at` and `ranked_id` are of the oldest match that is ranked, null if all
 * are.
 */
export function rankedOutlooks(query: ResolvedQuery, page: ListPage, bind: Bind): string {
  // Later pages rank what the first page ranked, also if outlooks have joined or left the matches since. Both limits
  // bound the work, whatever a cursor says.
  const from = page.after?.rankedFrom;
  const candidates = placedOutlooks(query, page, bind, {
    sort: '-publishedAt',
    within: ({ published_at, id }) =>
      from ? `(${published_at}, ${id}) >= (${timeAndId(from, bind)})` : null,
    limit: from ? 2 * MOST_RANKED : MOST_RANKED,
    rank: 'null',
  });
  const row = { rank: 'm.rank', published_at: 'm.published_at', id: 'm.id', slug: 'm.slug' };
  return `
    select * from (
      select c.id, c.slug, c.published_at, c.version,
        ${rankOf(query.search ?? '', bind)} as rank,
        case when count(*) over () >= ${MOST_RANKED} then first_value(c.published_at) over oldest end as ranked_at,
        case when count(*) over () >= ${MOST_RANKED} then first_value(c.id) over oldest end as ranked_id
      from (${candidates}) c join frameworks f on f.id = c.framework_id
      window oldest as (order by c.published_at, c.id)) m
    where ${beyond(page.after, 'relevance', row, bind) ?? 'true'}
    order by ${orderBy('relevance')} limit ${page.limit}`;
}

/**
 * A page of the matches of a search in another order than by rank, as SQL. Asked for a page, Postgres would expect to find it
 * soon along the list, and read the words of each outlook on the way; asked for more, it asks the index for rare words.
 */
export function matchedOutlooks(query: ResolvedQuery, page: ListPage, bind: Bind): string {
  const { sort } = query;
  const within = (row: Expressions) => beyond(page.after, sort, row, bind);
  const matches = placedOutlooks(query, page, bind, {
    sort,
    within,
    limit: MOST_RANKED,
    rank: '0',
  });
  return `select * from (${matches}) m order by ${orderBy(sort, 'm.')} limit ${page.limit}`;
}

/**
 * The rank of a match, as SQL: at least 2 if the search is its symbol or slug; at least 1 if its title, instrument or slug
 * have all words; else below 1, by how often and how close together they are, and where.
 */
function rankOf(search: string, bind: Bind): string {
  return `(case when f.search @@ ('''=' || search_key(${bind(search)}) || '''')::tsquery then 2
      when f.search @@ ${searchedWords(search, bind, 'A')} then 1 else 0 end
    + ts_rank_cd(f.search, ${searchedWords(search, bind)}, 32)::float8)`;
}

/** A page of the matches that are older than the ranked ones, as SQL. */
export function unrankedOutlooks(
  query: ResolvedQuery,
  page: ListPage & { before: RankedFrom },
  bind: Bind,
): string {
  return placedOutlooks(query, page, bind, {
    sort: '-publishedAt',
    within: ({ published_at, id }) =>
      `(${published_at}, ${id}) < (${timeAndId(page.before, bind)})`,
    limit: page.limit,
    rank: String(UNRANKED),
  });
}

const timeAndId = ([publishedAt, id]: RankedFrom, bind: Bind): string =>
  `${moment(new Date(publishedAt), bind)}, ${bind(id)}::bigint`;
