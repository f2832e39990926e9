import { isDeepStrictEqual } from 'node:util';
import type { Framework, Horizon } from '../domain/framework.ts';
import {
  comparisonsOf,
  type ConditionState,
  holds,
  evaluate,
  type Rule,
  type Transition,
} from '../domain/condition-rules.ts';
import type { ScenarioName } from '../domain/probabilities.ts';
import { type ChangeCause, reasonOf } from '../domain/review.ts';
import type { Observation } from '../domain/series.ts';
import type { Session } from '../postgres/pool.ts';
import { RULE_OF_CONDITION } from './rules.ts';

/** New or revised observations of one series; `before` is the day's previous value, null if it had none. */
export type Arrival = {
  series: string;
  changed: readonly { date: string; before: number | null; value: number }[];
  recordedAt: Date;
};

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
  const watching = await readWatching(session, outlookIds, arrival.series);
  if (watching.length === 0) return [];
  const windows = await readWindows(session, watching, arrival);
  const before = new Map(windows).set(
    arrival.series,
    undone(windows.get(arrival.series) ?? [], arrival.changed),
  );
  const dates = arrival.changed.map(({ date }) => date);
  const changed = { series: arrival.series, dates };
  const changes = watching.flatMap((condition) => {
    const transitions = evaluate(
      condition.rule,
      before,
      windows,
      changed,
      condition.state === 'triggered'
        ? { state: 'triggered', day: condition.day, isAnswered: condition.is_answered }
        : { state: 'untriggered' },
      { from: condition.horizon_from, to: condition.horizon_to },
    );
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
};

async function readWatching(
  session: Session,
  outlookIds: readonly number[],
  series: string,
): Promise<Watching[]> {
  const { rows } = await session.query<Watching>({
    name: 'read-watching',
    text: `
      select o.id as outlook_id, o.slug, o.horizon_from, o.horizon_to, c.key, c.invalidates,
        ${RULE_OF_CONDITION} as rule, coalesce(newest.state, 'untriggered') as state, newest.day,
        exists (select from condition_answers a where a.change_id = newest.id) as is_answered
      from outlooks o
      join invalidation_conditions c on c.framework_id = o.framework_id
      left join lateral (
        select n.id, n.state, n.day from condition_changes n
         where n.outlook_id = o.id and n.key = c.key order by n.id desc limit 1) newest on true
      where o.id = any($1) and coalesce(newest.state, '') <> 'expired' and exists (
        select from condition_comparisons p join series s on s.id = p.series_id
         where p.framework_id = c.framework_id and p.condition_key = c.key and s.key = $2)
      order by o.id, c.position`,
    values: [outlookIds, series],
  });
  return rows;
}

/**
 * The current observations of each series that the rules use: from the first day on which a state can change, plus as
 * many before it as a rule looks back. A horizon bounds them, however long the series is.
 */
async function readWindows(
  session: Session,
  watching: readonly Watching[],
  { changed }: Arrival,
): Promise<Map<string, readonly Observation[]>> {
  const earliest = (days: readonly string[]) => days.reduce((a, b) => (a < b ? a : b));
  const firstChange = earliest(changed.map(({ date }) => date));
  const horizon = earliest(watching.map((row) => row.horizon_from));
  const from = firstChange > horizon ? firstChange : horizon;
  const reaches = reachesOf(watching.map(({ rule }) => rule));
  const windows = new Map<string, readonly Observation[]>();
  for (const [series, reach] of reaches) {
    windows.set(series, await readWindow(session, series, from, reach));
  }
  return windows;
}

/** How many observations before a day the rules need, by series. */
function reachesOf(rules: readonly Rule[]): Map<string, number> {
  const reaches = new Map<string, number>();
  for (const { series, forObservations } of rules.flatMap(comparisonsOf)) {
    // One more than are compared: a crossing needs the one before.
    reaches.set(series, Math.max(reaches.get(series) ?? 0, forObservations + 1));
  }
  return reaches;
}

/** Observations from a day on and the `reach` before it. The index observations_standing finds both. */
const READ_WINDOW = {
  name: 'read-window',
  text: `
    select date, value from (
      (select o.date, o.value from observations o
        where o.series_id = (select id from series where key = $1) and o.superseded_at is null
          and o.date < $2::date
        order by o.date desc limit $3)
      union all
      (select o.date, o.value from observations o
        where o.series_id = (select id from series where key = $1) and o.superseded_at is null
          and o.date >= $2::date)) seen
    order by date`,
};

async function readWindow(
  session: Session,
  series: string,
  from: string,
  reach: number,
): Promise<Observation[]> {
  const { rows } = await session.query<Observation>({
    ...READ_WINDOW,
    values: [series, from, reach],
  });
  return rows;
}

/** The observations as they were before the arrival. */
function undone(
  after: readonly Observation[],
  changed: Arrival['changed'],
): readonly Observation[] {
  const earlier = new Map(changed.map(({ date, before }) => [date, before]));
  return after.flatMap((observation) => {
    const before = earlier.get(observation.date);
    if (before === undefined) return [observation];
    return before === null ? [] : [{ date: observation.date, value: before }];
  });
}

type NewChange = {
  outlook_id: number;
  key: string;
  state: ConditionState;
  cause: ChangeCause;
  invalidates: ScenarioName;
  reason: string;
  day: string;
  observations: Transition['observations'];
};

function changeOf(
  condition: { outlook_id: number; key: string; invalidates: ScenarioName; rule: Rule },
  transition: Transition,
  cause: ChangeCause,
): NewChange {
  const { outlook_id, key, invalidates, rule } = condition;
  const { state, day, observations } = transition;
  const reason = reasonOf(key, rule, transition);
  return { outlook_id, key, state, cause, invalidates, reason, day, observations };
}

// Triggers set the version, add an event for each change and update the outlook's row.
async function appendChanges(
  session: Session,
  changes: readonly NewChange[],
  recordedAt: Date,
): Promise<void> {
  if (changes.length === 0) return;
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
    const observations = await readNewest(session, rule);
    const newest = [...observations].flatMap(([series, seen]) => {
      const last = seen.at(-1);
      return last ? [{ series, ...last }] : [];
    });
    const day = newest
      .map(({ date }) => date)
      .toSorted()
      .at(-1);
    const isInside = day !== undefined && day >= horizon.from && day < horizon.to;
    const isMet = isInside && holds(rule, observations, day);
    if (isMet === (state === 'triggered')) continue;
    const condition = { outlook_id: outlookId, key, invalidates, rule };
    const transition: Transition = {
      state: isMet ? 'triggered' : 'untriggered',
      day: day ?? horizon.from,
      observations: newest,
    };
    changes.push(changeOf(condition, transition, 'framework'));
  }
  await appendChanges(session, changes, recordedAt);
  return readReview(session, outlookId);
}

async function readNewest(
  session: Session,
  rule: Rule,
): Promise<Map<string, readonly Observation[]>> {
  const windows = new Map<string, readonly Observation[]>();
  for (const [series, reach] of reachesOf([rule])) {
    windows.set(series, await readWindow(session, series, 'infinity', reach));
  }
  return windows;
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
