import type pg from 'pg';
import type { Desks } from '../domain/desks.ts';
import { DomainError, type Fault } from '../domain/errors.ts';
import type { Framework, Horizon } from '../domain/framework.ts';
import { comparisonsOf } from '../domain/condition-rules.ts';
import { unreachableFaults } from '../domain/rule-faults.ts';
import type { Frequency } from '../domain/series.ts';
import type { Session } from '../postgres/pool.ts';
import { visibleDesks, visibleTo } from './visibility.ts';

/** The rule of an invalidation condition `c` as JSON, in SQL; null if it has none. */
export const RULE_OF_CONDITION = `(
  select case count(*) when 0 then null when 1 then json_agg(r.comparison) -> 0
      else json_build_object(c.combination, json_agg(r.comparison order by r.position)) end
    from (
      select p.position, json_build_object('series', s.key, 'operator', p.operator,
          'threshold', p.threshold, 'forObservations', p.for_observations, 'judgedOn', p.judged_on) as comparison
        from condition_comparisons p join series s on s.id = p.series_id
       where p.framework_id = c.framework_id and p.condition_key = c.key) r)`;

/** The ids of the series that a framework's rules use, by key. */
export type RuleSeries = ReadonlyMap<string, number>;

/**
 * Makes new observations wait until the transaction ends, so that it evaluates its rules against the newest. Call it
 * before any row is locked. Writers of observations share the lock; see {@link lockOutRuleChanges}.
 */
export async function lockOutObservations(session: pg.PoolClient): Promise<void> {
  await session.query(`select pg_advisory_xact_lock(hashtextextended('outlook-ledger rules', 0))`);
}

/** Makes transactions that may change rules wait. Writers of observations do not wait for each other. */
export async function lockOutRuleChanges(session: pg.PoolClient): Promise<void> {
  await session.query(
    `select pg_advisory_xact_lock_shared(hashtextextended('outlook-ledger rules', 0))`,
  );
}

export function hasRules({ invalidationConditions }: Framework): boolean {
  return invalidationConditions.some(({ rule }) => rule !== null);
}

/**
 * The desks that the author of an outlook acts for, and the only desk that sees the outlook: null if it is public, undefined if
 * its desk is not known.
 */
export type RuleOwner = { desks: Desks; internalTo: number | null | undefined };

/**
 * The series that a framework's rules use, as {@link findRuleSeries}.
 * @throws DomainError `unknown-series` if there is a fault
 */
export async function requireRuleSeries(
  session: Session,
  framework: Framework,
  horizon: Horizon,
  owner: RuleOwner,
): Promise<RuleSeries> {
  const { series, faults } = await findRuleSeries(session, framework, horizon, owner);
  if (faults.length === 0) return series;
  const detail = 'A rule does not fit its series.';
  throw new DomainError('unknown-series', detail, faults);
}

/**
 * The series that a framework's rules use, and a fault for each series that does not exist, is internal although the outlook
 * is not internal to the same desk, or has too few days in the horizon for the observations that a rule needs.
 */
export async function findRuleSeries(
  session: Session,
  { invalidationConditions }: Framework,
  horizon: Horizon,
  { desks, internalTo }: RuleOwner,
): Promise<{ series: RuleSeries; faults: Fault[] }> {
  const rules = invalidationConditions.map(({ rule }) => rule);
  const keys = rules.flatMap((rule) => (rule ? comparisonsOf(rule) : [])).map((one) => one.series);
  if (keys.length === 0) return { series: new Map(), faults: [] };
  const { rows } = await session.query<{
    id: number;
    key: string;
    frequency: Frequency;
    internal_to: number | null;
  }>(
    `select s.id, s.key, s.frequency, s.internal_to from series s
      where s.key = any($1) and ${visibleTo('s', '$2')}`,
    [[...new Set(keys)], visibleDesks({ hasKey: true, desks })],
  );
  const found = new Map(rows.map((row) => [row.key, row]));
  const faults = rules.flatMap((rule, index): Fault[] => {
    if (rule === null) return [];
    const isSingle = 'series' in rule;
    const [part] = isSingle ? [] : Object.keys(rule);
    const unknown = comparisonsOf(rule).flatMap(({ series }, place): Fault[] => {
      const known = found.get(series);
      const owner = known?.internal_to ?? null;
      if (known && (owner === null || internalTo === undefined || owner === internalTo)) return [];
      const path = part === undefined ? ['series'] : [part, place, 'series'];
      const fault = known
        ? internalFault(internalTo)
        : 'is unknown; create it with POST /v1/series';
      return [{ path, detail: `"${series}" ${fault}` }];
    });
    const unreachable = unreachableFaults(rule, horizon, (key) => found.get(key)?.frequency);
    return [...unknown, ...unreachable].map(({ path, detail }) => ({
      path: ['invalidationConditions', index, 'rule', ...path],
      detail,
    }));
  });
  return { series: new Map(rows.map(({ key, id }) => [key, id])), faults };
}

function internalFault(internalTo: RuleOwner['internalTo']): string {
  return internalTo === null
    ? 'is internal, and a public outlook may use only public series'
    : 'is internal to another desk; use a public series, or one of the desk of the outlook';
}
