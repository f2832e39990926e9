import type { Audience } from '../domain/desks.ts';
import type { BriefResolution, OutlookStatus, OutlookVersion } from '../domain/outlook.ts';
import { deskOf } from '../access/desks.ts';
import { probabilitiesOf, type ScenarioName } from '../domain/probabilities.ts';
import type { Direction } from '../domain/scenarios.ts';
import type { Session } from '../postgres/pool.ts';
import {
  beyond,
  type Expressions,
  type ListPage,
  type ListPosition,
  orderBy,
  placedOutlooks,
  type RankedFrom,
  sortKeyOf,
} from './outlook-list-page.ts';
import { findAuthor } from './find-author.ts';
import {
  type Bind,
  isFiltered,
  type ListQuery,
  moment,
  type ResolvedQuery,
} from './outlook-list-query.ts';
import {
  matchedOutlooks,
  rankedOutlooks,
  startsRanked,
  unrankedBefore,
  unrankedOutlooks,
} from './ranked-outlooks.ts';
import { resolutionBy, resolutionOf, type ResolutionRow } from './resolved-by.ts';
import { reasonsAsOf, statusAsOf } from './state-as-of.ts';
import { joinVersion } from './versions.ts';
import { visibleDesks, visibleTo } from './visibility.ts';

/** An outlook as lists show it. */
export type OutlookSummary = Omit<
  OutlookVersion,
  | 'framework'
  | 'hash'
  | 'previousHash'
  | 'rationale'
  | 'latestVersion'
  | 'conditionStates'
  | 'evidence'
  | 'answers'
  | 'approvedBy'
  | 'consensus'
  | 'resolution'
  | 'continues'
  | 'continuedBy'
> & {
  title: string;
  scenarioDirections: Record<ScenarioName, Direction>;
  resolution: BriefResolution | null;
};

/** The sizes of pages in SQL: few, because Postgres plans a statement for each. */
const SIZES = [21, 51, 101] as const;

/**
 * The matching outlooks that an audience may see, at most `limit` (up to 100), each with its newest version or, with `asOf`, its newest version
 * at that time. Outlooks that had no version yet are left out.
 *
 * Later pages show the ledger of the first page: an outlook revised since keeps its place, so none is skipped or shown
 * twice, and one created since is left out.
 */
export async function listOutlooks(
  session: Session,
  { author, ...filters }: ListQuery,
  {
    after,
    limit,
    now,
    audience,
  }: { after: ListPosition | null; limit: number; now: Date; audience: Audience },
): Promise<{ summaries: OutlookSummary[]; next: ListPosition | null }> {
  const found = author === undefined ? undefined : await findAuthor(session, author);
  if (found === null) return { summaries: [], next: null };
  const query = { ...filters, author: found, audience };
  const page = { after, startedAt: after?.startedAt ?? now };
  // One row more than the page tells whether another page follows.
  const size = limit + 1;
  const isPastRanked = query.sort === 'relevance' && !startsRanked(after);
  const rows = isPastRanked ? [] : await readRows(session, query, { ...page, limit: size });
  const rankedFrom = after?.rankedFrom ?? rankedFromOf(rows[0]);
  if (rankedFrom && rows.length < size) {
    const before = isPastRanked ? unrankedBefore(after) : rankedFrom;
    rows.push(...(await readRows(session, query, { ...page, limit: size - rows.length, before })));
  }
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  const next = last && {
    startedAt: page.startedAt,
    key: sortKeyOf(query.sort, last),
    snapshot: after?.snapshot ?? last.snapshot,
    rankedFrom,
  };
  return { summaries: shown.map(summaryOf), next: next ?? null };
}

/** The oldest ranked match; undefined if all matches are ranked, or none. */
function rankedFromOf(row: SummaryRow | undefined): RankedFrom | undefined {
  if (!row || row.ranked_at === null || row.ranked_id === null) return undefined;
  return [row.ranked_at, row.ranked_id];
}

/** @param before if given, reads the unranked matches that are older than this one */
async function readRows(
  session: Session,
  query: ResolvedQuery,
  { after, startedAt, limit, before }: ListPage & { before?: RankedFrom },
): Promise<SummaryRow[]> {
  const size = SIZES.find((rows) => rows >= limit) ?? limit;
  const values: unknown[] = [];
  const bind: Bind = (value) => `$${values.push(value)}`;
  const asOf = query.asOf && moment(query.asOf, bind);
  const isRanked = query.sort === 'relevance' && !before;
  const placed = placedBy(query, { after, startedAt, limit: size, before }, bind);
  const text = summariesOf(placed, { asOf, isRanked, order: orderBy(query.sort, 'placed.') });
  // Planning takes three times as long as running. A named statement is planned once a connection.
  const isCommon = !isFiltered(query);
  const desks = visibleDesks(query.audience);
  const sees = desks === null ? 'all' : desks.length === 0 ? 'public' : 'some';
  const name = `list-${query.sort}-${size}-${after !== null}-${query.asOf !== null}-${sees}`;
  const { rows } = await session.query<SummaryRow>({ ...(isCommon && { name }), text, values });
  return rows;
}

/**
 * Summaries of outlooks, in SQL.
 * @param placed the outlooks: their `id`, the `version` to show, and what the order needs
 */
function summariesOf(
  placed: string,
  { asOf, isRanked, order }: { asOf: string | null; isRanked: boolean; order: string },
): string {
  const status = asOf === null ? 'o.status' : statusAsOf(asOf);
  const reasons = asOf === null ? 'o.review_reasons' : reasonsAsOf(asOf);
  const resolution =
    asOf === null
      ? `case when o.status <> 'open' then ${resolutionBy('r.superseded_at is null')} end`
      : resolutionBy(`r.recorded_at <= ${asOf}`);
  return `
    select o.id, o.slug, placed.rank, f.title, ${status} as status, ${reasons} as review_reasons,
      ${resolution} as resolution, i.symbol, i.name as instrument_name, o.horizon_from, o.horizon_to,
      d.slug as desk_slug, d.name as desk_name, o.internal_to,
      v.version, v.kind, (extract(epoch from v.recorded_at) * 1000)::float8 as published_at,
      v.bear_bps as bear, v.base_bps as base, v.bull_bps as bull,
      p.bear_bps as previous_bear, p.base_bps as previous_base, p.bull_bps as previous_bull,
      a.id as author_id, a.name as author_name,
      (select json_object_agg(s.name, s.direction)
         from scenarios s where s.framework_id = f.id) as directions,
      ${isRanked ? '(extract(epoch from placed.ranked_at) * 1000)::float8' : 'null'} as ranked_at,
      ${isRanked ? 'placed.ranked_id' : 'null'} as ranked_id, pg_current_snapshot() as snapshot
    from (${placed}) placed
    join outlooks o on o.id = placed.id
    ${joinVersion('placed.version')}
    join instruments i on i.id = o.instrument_id
    join analysts a on a.id = v.author_id
    join frameworks f on f.id = v.framework_id
    join ${deskOf('o')}
    order by ${order}`;
}

/**
 * The outlooks that an audience may see and of which an analyst has published a version, each at its current version, the
 * newest outlooks first: those before the outlook with the id `before`, at most `limit`. An outlook keeps its place, whoever revises it.
 */
export async function listOutlooksOf(
  session: Session,
  analystId: string,
  { before, limit, audience }: { before: number | null; limit: number; audience: Audience },
): Promise<(OutlookSummary & { id: number })[]> {
  // forecasters_of_analyst has them in order.
  const placed = `
    select f.outlook_id as id, o.latest_version as version, 0 as rank
      from forecasters f join outlooks o on o.id = f.outlook_id
     where f.analyst_id = $1 and f.source = 'version' and f.outlook_id < coalesce($2, 9223372036854775807)
       and ${visibleTo('o', '$4')}
     order by f.outlook_id desc limit $3`;
  const { rows } = await session.query<SummaryRow>({
    name: 'list-outlooks-of-analyst',
    text: summariesOf(placed, { asOf: null, isRanked: false, order: 'o.id desc' }),
    values: [analystId, before, limit, visibleDesks(audience)],
  });
  return rows.map((row) => ({ ...summaryOf(row), id: row.id }));
}

function placedBy(
  query: ResolvedQuery,
  { before, ...page }: ListPage & { before: RankedFrom | undefined },
  bind: Bind,
): string {
  const { sort } = query;
  if (before) return unrankedOutlooks(query, { ...page, before }, bind);
  if (sort === 'relevance') return rankedOutlooks(query, page, bind);
  if (query.search !== null) return matchedOutlooks(query, page, bind);
  const within = (row: Expressions) => beyond(page.after, sort, row, bind);
  return placedOutlooks(query, page, bind, { sort, within, limit: page.limit, rank: '0' });
}

type SummaryRow = Record<ScenarioName, number> & {
  id: number;
  slug: string;
  rank: number;
  title: string;
  status: OutlookStatus;
  review_reasons: string[] | null;
  resolution: ResolutionRow | null;
  symbol: string;
  instrument_name: string;
  horizon_from: string;
  horizon_to: string;
  desk_slug: string;
  desk_name: string;
  internal_to: number | null;
  version: number;
  kind: OutlookVersion['kind'];
  published_at: number;
  previous_bear: number | null;
  previous_base: number | null;
  previous_bull: number | null;
  author_id: string;
  author_name: string;
  directions: Record<ScenarioName, Direction>;
  ranked_at: number | null;
  ranked_id: number | null;
  snapshot: string;
};

function summaryOf(row: SummaryRow): OutlookSummary {
  const { previous_bear: bear, previous_base: base, previous_bull: bull } = row;
  return {
    slug: row.slug,
    title: row.title,
    instrument: { symbol: row.symbol, name: row.instrument_name },
    horizon: { from: row.horizon_from, to: row.horizon_to },
    desk: { slug: row.desk_slug, name: row.desk_name },
    visibility: row.internal_to === null ? 'public' : 'internal',
    status: row.status,
    reviewReasons: row.review_reasons ?? [],
    version: row.version,
    kind: row.kind,
    publishedAt: new Date(row.published_at),
    author: { id: row.author_id, name: row.author_name },
    probabilities: probabilitiesOf(row),
    previousProbabilities:
      bear === null || base === null || bull === null
        ? null
        : probabilitiesOf({ bear, base, bull }),
    scenarioDirections: row.directions,
    resolution: row.resolution && resolutionOf(row.resolution),
  };
}
