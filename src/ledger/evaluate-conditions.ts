import { isDeepStrictEqual } from 'node:util';
import type { Framework, Horizon } from '../domain/framework.ts';
import {
  type ConditionState,
  evaluate,
  holds,
  ruleReader,
  type Rule,
  type Transition,
} from '../domain/condition-rules.ts';
import type { ScenarioName } from '../domain/probabilities.ts';
import {
  type ChangeCause,
  reasonOf,
  reasonWithoutDay,
  type SeriesValue,
  valuesOf,
} from '../domain/review.ts';
import type { Session } from '../postgres/pool.ts';
import { type Arrival, readFigureChange, readNewestFigures } from './figures.ts';
import { RULE_OF_CONDITION } from './rules.ts';

/**
 * Evaluates the conditions of locked outlooks against observations just stored, and records the changes. Call it in the
 * transaction that stores the observations, so that none is missed.
 * @returns the slugs of the outlooks with a condition that changed
 */
export async function evaluateConditions(
  session: Session,
  outlookIds: readonly number[],
  arrival: Arrival,
): Promise<string[]> {
  const watching = await readWatching(session, outlookIds, arrival.series.id);
  const [first, ...others] = watching.map((row) => row.horizon_from);
  if (first === undefined) return [];
  const earliest = others.reduce((a, b) => (a < b ? a : b), first);
  const rules = watching.map(({ rule }) => rule);
  const figures = await readFigureChange(session, rules, arrival, earliest);
  const changes = watching.flatMap((condition) => {
    const { rule, state, day, is_answered: isAnswered, answeredDay } = condition;
    const horizon = { from: condition.horizon_from, to: condition.horizon_to };
    const watched =
      state === 'triggered'
        ? ({ state, day, isAnswered, answeredDay } as const)
        : ({ state: 'untriggered', answeredDay } as const);
    const transitions = evaluate(rule, figures, watched, horizon);
    return transitions.map((transition) => changeOf(condition, transition, 'observations'));
  });
  await appendChanges(session, changes, arrival.recordedAt);
  const moved = new Set(changes.map(({ outlook_id }) => outlook_id));
  return watching.filter((row) => moved.has(row.outlook_id)).map(({ slug }) => slug);
}

type Watching = {
  outlook_id: number;
  slug: string;
  horizon_from: string;
  horizon_to: string;
  key: string;
  invalidates: ScenarioName;
  rule: Rule;
  state: ConditionState;
  day: string | null;
  is_answered: boolean;
  /** The newest day on which the rule triggered it and a version answered. */
  answeredDay: string | null;
};

async function readWatching(
  session: Session,
  outlookIds: readonly number[],
  seriesId: number,
): Promise<Watching[]> {
  const { rows } = await session.query<Watching>({
    name: 'read-watching',
    text: `
      select o.id as outlook_id, o.slug, o.horizon_from, o.horizon_to, c.key, c.invalidates,
        ${RULE_OF_CONDITION} as rule, coalesce(newest.state, 'untriggered') as state, newest.day,
        exists (select from condition_answers a where a.change_id = newest.id) as is_answered,
        (select max(n.day) from condition_changes n join condition_answers a on a.change_id = n.id
          where n.outlook_id = o.id and n.key = c.key) as "answeredDay"
      from outlooks o
      join invalidation_conditions c on c.framework_id = o.framework_id
      left join lateral (
        select n.id, n.state, n.day from condition_changes n
         where n.outlook_id = o.id and n.key = c.key order by n.id desc limit 1) newest on true
      where o.id = any($1) and coalesce(newest.state, '') <> 'expired' and exists (
        select from condition_comparisons p
         where p.framework_id = c.framework_id and p.condition_key = c.key and p.series_id = $2)
      order by o.id, c.position`,
    values: [outlookIds, seriesId],
  });
  return rows;
}

type NewChange = {
  outlook_id: number;
  key: string;
  state: ConditionState;
  cause: ChangeCause;
  invalidates: ScenarioName;
  reason: string;
  day: string;
  observations: readonly SeriesValue[];
};

function changeOf(
  condition: { outlook_id: number; key: string; invalidates: ScenarioName },
  transition: Transition,
  cause: ChangeCause,
): NewChange {
  const { outlook_id, key, invalidates } = condition;
  const { state, day, readings } = transition;
  const reason = reasonOf(key, transition);
  const observations = valuesOf(state, readings);
  return { outlook_id, key, state, cause, invalidates, reason, day, observations };
}

/** The most changes that one statement appends: each statement has a time limit, however many outlooks watch a series. */
const APPENDED_AT_ONCE = 500;

// Triggers set the version, add an event for each change and update the outlooks' rows.
async function appendChanges(
  session: Session,
  changes: readonly NewChange[],
  recordedAt: Date,
): Promise<void> {
  for (const part of partsOf(changes)) await appendPart(session, part, recordedAt);
}

/** The changes in parts of a bounded size, those of one outlook together: its state changes once. */
function partsOf(changes: readonly NewChange[]): NewChange[][] {
  const parts: NewChange[][] = [];
  for (const change of changes) {
    const part = parts.at(-1);
    const isFull = part && part.length >= APPENDED_AT_ONCE;
    if (part && (!isFull || part.at(-1)?.outlook_id === change.outlook_id)) part.push(change);
    else parts.push([change]);
  }
  return parts;
}

async function appendPart(
  session: Session,
  changes: readonly NewChange[],
  recordedAt: Date,
): Promise<void> {
  await session.query({
    name: 'append-condition-changes',
    text: `
      insert into condition_changes (outlook_id, key, state, cause, invalidates, version, reason,
        day, observations, recorded_at)
      select outlook_id, key, state, cause, invalidates, 0, reason, day, observations, $2
        from json_to_recordset($1) as given (outlook_id bigint, key text, state text, cause text,
          invalidates text, reason text, day date, observations json)`,
    values: [JSON.stringify(changes), recordedAt.toISOString()],
  });
}

/** The states of an outlook's conditions, and why a review is due. */
export type Review = {
  conditionStates: Readonly<Record<string, ConditionState>>;
  reviewReasons: readonly string[];
};

/**
 * Evaluates the rules that a new framework adds or changes against the newest observations, and records the changes.
 * Call it in the transaction that published the framework, after {@link lockOutObservations}.
 */
export async function evaluateFramework(
  session: Session,
  published: {
    outlookId: number;
    framework: Framework;
    /** The previous framework; null for version 1. */
    before: Framework | null;
    horizon: Horizon;
    recordedAt: Date;
  },
): Promise<Review> {
  const { outlookId, framework, before, horizon, recordedAt } = published;
  const { conditionStates: states } = await readReview(session, outlookId);
  const changes: NewChange[] = [];
  for (const { key, invalidates, rule } of framework.invalidationConditions) {
    const earlier = before?.invalidationConditions.find((one) => one.key === key)?.rule;
    const state = states[key] ?? 'untriggered';
    if (!rule || state === 'expired' || isDeepStrictEqual(rule, earlier)) continue;
    const { day, isInside, readings, isMet } = await readNewest(session, rule, horizon);
    if (isMet === (state === 'triggered')) continue;
    const next = isMet ? 'triggered' : 'untriggered';
    const transition: Transition = { state: next, day: day || horizon.from, readings };
    const change = changeOf({ outlook_id: outlookId, key, invalidates }, transition, 'framework');
    changes.push(isInside ? change : { ...change, reason: reasonWithoutDay(key) });
  }
  await appendChanges(session, changes, recordedAt);
  return readReview(session, outlookId);
}

/** Whether a rule holds on the newest day that it judges, and that day; '' if there is none. */
async function readNewest(session: Session, rule: Rule, horizon: Horizon) {
  const figures = await readNewestFigures(session, rule);
  const day = [...figures.values()]
    .flatMap((seen) => seen.map((one) => one.from))
    .reduce(later, '');
  const isInside = day >= horizon.from && day < horizon.to;
  const readings = ruleReader(rule, figures)(day);
  return { day, isInside, readings, isMet: isInside && holds(rule, readings) };
}

const later = (a: string, b: string): string => (a > b ? a : b);

/**
 * Triggers the untriggered conditions of a reopened outlook whose rule holds on the newest day, if one of its series was
 * written while the outlook was closed: nothing else would, because closed outlooks are not evaluated. Call it in the
 * transaction that reopens, after {@link lockOutObservations}.
 */
export async function evaluateReopened(
  session: Session,
  outlookId: number,
  horizon: Horizon,
  recordedAt: Date,
): Promise<void> {
  const { rows } = await session.query<{ key: string; invalidates: ScenarioName; rule: Rule }>(
    `select c.key, c.invalidates, ${RULE_OF_CONDITION} as rule
       from outlooks o join invalidation_conditions c on c.framework_id = o.framework_id
      where o.id = $1 and o.condition_states -> c.key is null and exists (
        select from condition_comparisons p
         where p.framework_id = c.framework_id and p.condition_key = c.key and (
           select max(s.recorded_at) from observations s where s.series_id = p.series_id) > (
           select min(r.recorded_at) from resolutions r
            where r.outlook_id = o.id and r.number > coalesce((
              select max(n.number) from resolutions n
               where n.outlook_id = o.id and n.reopens and n.superseded_at is not null), 0)))
      order by c.position`,
    [outlookId],
  );
  const changes: NewChange[] = [];
  for (const { key, invalidates, rule } of rows) {
    const { day, readings, isMet } = await readNewest(session, rule, horizon);
    const transition: Transition = { state: 'triggered', day, readings };
    const condition = { outlook_id: outlookId, key, invalidates };
    if (isMet) changes.push(changeOf(condition, transition, 'observations'));
  }
  await appendChanges(session, changes, recordedAt);
}

async function readReview(session: Session, outlookId: number): Promise<Review> {
  const { rows } = await session.query<Review>(
    `select condition_states as "conditionStates", review_reasons as "reviewReasons"
       from outlooks where id = $1`,
    [outlookId],
  );
  const [review] = rows;
  if (!review) throw new Error(`outlook ${outlookId} is missing`);
  return review;
}
