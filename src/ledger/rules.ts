import type pg from 'pg';
import { DomainError, type Fault } from '../domain/errors.ts';
import type { Framework, Horizon } from '../domain/framework.ts';
import { comparisonsOf } from '../domain/condition-rules.ts';
import { unreachableFaults } from '../domain/rule-faults.ts';
import type { Frequency } from '../domain/series.ts';
import type { Session } from '../postgres/pool.ts';

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
 * The series that a framework's rules use, as {@link findRuleSeries}.
 * @throws DomainError `unknown-series` if there is a fault
 */
export async function requireRuleSeries(
  session: Session,
  framework: Framework,
  horizon: Horizon,
): Promise<RuleSeries> {
  const { series, faults } = await findRuleSeries(session, framework, horizon);
  if (faults.length === 0) return series;
  const detail = 'A rule does not fit its series.';
  throw new DomainError('unknown-series', detail, faults);
}

/**
 * The series that a framework's rules use, and a fault for each series that does not exist or has too few days in the
 * horizon for the observations that a rule needs.
 */
export async function findRuleSeries(
  session: Session,
  { invalidationConditions }: Framework,
  horizon: Horizon,
): Promise<{ series: RuleSeries; faults: Fault[] }> {
  const rules = invalidationConditions.map(({ rule }) => rule);
  const keys = rules.flatMap((rule) => (rule ? comparisonsOf(rule) : [])).map((one) => one.series);
  if (keys.length === 0) return { series: new Map(), faults: [] };
  const { rows } = await session.query<{ id: number; key: string; frequency: Frequency }>(
    'select id, key, frequency from series where key = any($1)',
    [[...new Set(keys)]],
  );
  const found = new Map(rows.map((row) => [row.key, row]));
  const faults = rules.flatMap((rule, index): Fault[] => {
    if (rule === null) return [];
    const isSingle = 'series' in rule;
    const [part] = isSingle ? [] : Object.keys(rule);
    const unknown = comparisonsOf(rule).flatMap(({ series }, place): Fault[] => {
      if (found.has(series)) return [];
      const path = part === undefined ? ['series'] : [part, place, 'series'];
      return [{ path, detail: `"${series}" is unknown; create it with POST /v1/series` }];
    });
    const unreachable = unreachableFaults(rule, horizon, (key) => found.get(key)?.frequency);
    return [...unknown, ...unreachable].map(({ path, detail }) => ({
      path: ['invalidationConditions', index, 'rule', ...path],
      detail,
    }));
  });
  return { series: new Map(rows.map(({ key, id }) => [key, id])), faults };
}
