import { type Audience, FIRST_DESK } from '../domain/desks.ts';
import type { OutlookStatus } from '../domain/outlook.ts';
import type { ScenarioName } from '../domain/probabilities.ts';
import { parseSearch } from '../domain/search.ts';
import { onlyVisibleTo } from './visibility.ts';

export const LIST_SORTS = ['-publishedAt', 'publishedAt', 'slug', 'relevance'] as const;
export type ListSort = (typeof LIST_SORTS)[number];

/** Which outlooks to list, as of when, in which order. A filter that is null lets all pass. */
export type ListQuery = {
  instrument: string | null;
  /** The current status, whatever `asOf` is; the same goes for the next three. */
  status: OutlookStatus | null;
  reviewDue: boolean | null;
  /** Whether the horizon is over and the outcome missing; whether closes contradict the outcome. */
  awaitingResolution: boolean | null;
  contradicted: boolean | null;
  /** Bounds in basis points, both inclusive; null is no bound. */
  probability: { scenario: ScenarioName; min: number | null; max: number | null } | null;
  updatedSince: Date | null;
  /** In the syntax of {@link parseSearch}. */
  search: string | null;
  /** `relevance` needs a `search`. */
  sort: ListSort;
  /** Leaves out what was recorded later; null leaves out nothing. */
  asOf: Date | null;
  // Left out if not set, because the cursors of earlier releases name no other filters.
  /** The id or the name of the author of the version to show. */
  author?: string | undefined;
  /** Days between which the horizon's `to` lies, both exclusive. */
  horizonEndsAfter?: string | undefined;
  horizonEndsBefore?: string | undefined;
  /** The current outcome, whatever `asOf` is. */
  outcome?: ScenarioName | 'void' | undefined;
  /** The slug of the desk. */
  desk?: string | undefined;
};

/** The author of a query: an analyst, and the outlooks that have any version by them; null if these are many. */
export type Author = { id: string; outlooks: readonly number[] | null };

/** A query whose author was looked up, and for whom it is. */
export type ResolvedQuery = Omit<ListQuery, 'author'> & {
  author?: Author | undefined;
  audience: Audience;
};

/** Adds a value to a statement and returns its parameter, such as `$1`. */
export type Bind = (value: unknown) => string;

/** A time, as SQL. */
export const moment = (at: Date, bind: Bind): string => `${bind(at.toISOString())}::timestamptz`;

/** A search, as SQL; among the words of some weights only, such as `A`, or of all. */
export function searchedWords(search: string, bind: Bind, weights = ''): string {
  const alternatives = parseSearch(search).map((terms) =>
    terms
      .map(({ text, isExcluded, isPrefix }) => {
        const term = `search_term(${bind(text)}, ${isPrefix}, '${weights}')`;
        return isExcluded ? `(!! ${term})` : term;
      })
      .join(' && '),
  );
  return `(${alternatives.map((terms) => `(${terms})`).join(' || ') || `''::tsquery`})`;
}

/** Whether a query has any filter. */
export function isFiltered(query: ResolvedQuery): boolean {
  const { sort: _, asOf: __, audience: ___, ...filters } = query;
  return Object.values(filters).some((filter) => filter !== null && filter !== undefined);
}

/**
 * The filters of a query, as SQL conditions. One that is not set is null and left out of the text, so that the planner sees
 * which index finds few among many. outlooks_newest_public finds the public ones in order, and
 * outlooks_newest_of_instrument, outlooks_newest_of_status and outlooks_newest_of_desk some of all.
 * outlooks_review_due, outlooks_awaiting_resolution and outlooks_contradicted each serve a filter with exactly their
 * condition. outlooks_by_bear, _base and _bull, outlooks_by_horizon_end and resolutions_by_outcome find outlooks to be
 * sorted. frameworks_search finds frameworks by their words; their ids lead to the outlooks.
 */
export function filters(
  query: ResolvedQuery,
  { shown, author: shownAuthor }: { shown: string; author: string },
  bind: Bind,
): (string | null)[] {
  const { instrument, status, reviewDue, probability, updatedSince, search } = query;
  const { awaitingResolution, contradicted, author, outcome } = query;
  const { horizonEndsAfter, horizonEndsBefore, desk } = query;
  return [
    onlyVisibleTo(query.audience, 'o', bind),
    instrument === null
      ? null
      : `o.instrument_id = (select id from instruments where symbol = ${bind(instrument)})`,
    status === null ? null : `o.status = ${bind(status)}`,
    reviewDue === null ? null : `o.review_reasons ${reviewDue ? '<>' : '='} '{}'`,
    awaitingResolution === null
      ? null
      : `${awaitingResolution ? '' : 'not '}(o.horizon_ended_at is not null and o.review_reasons <> '{}'
          and not o.is_contradicted)`,
    contradicted === null ? null : `${contradicted ? '' : 'not '}o.is_contradicted`,
    ...(probability ? bounds(`${shown}.${probability.scenario}_bps`, probability, bind) : []),
    updatedSince && `${shown}.published_at >= ${moment(updatedSince, bind)}`,
    search === null ? null : `f.search @@ ${searchedWords(search, bind)}`,
    author === undefined ? null : byAuthor(author, shownAuthor, bind),
    horizonEndsAfter === undefined ? null : `o.horizon_to > ${bind(horizonEndsAfter)}::date`,
    horizonEndsBefore === undefined ? null : `o.horizon_to < ${bind(horizonEndsBefore)}::date`,
    outcome === undefined ? null : withOutcome(outcome, bind),
    desk === undefined
      ? null
      : `coalesce(o.desk_id, ${FIRST_DESK}) = (select id from desks where slug = ${bind(desk)})`,
  ];
}

/**
 * The condition for outlooks whose version to show is by an author. If the author has many outlooks, they are found in the
 * order of the list, one of a few each: as a CASE, because Postgres takes an equation for rare, and sorts the whole ledger.
 */
function byAuthor({ id, outlooks }: Author, shownAuthor: string, bind: Bind): string {
  const isTheirs = `${shownAuthor} = ${bind(id)}::uuid`;
  return outlooks === null
    ? `case when ${isTheirs} then true end`
    : `o.id = any(${bind(outlooks)}::bigint[]) and ${isTheirs}`;
}

function withOutcome(outcome: ScenarioName | 'void', bind: Bind): string {
  if (outcome === 'void') return `o.status = 'void'`;
  return `o.status = 'resolved' and o.id in (
      select outlook_id from resolutions where superseded_at is null and outcome = ${bind(outcome)})`;
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
