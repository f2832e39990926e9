import type pg from 'pg';
import { DomainError, type Fault } from '../domain/errors.ts';
import type { Framework, Horizon } from '../domain/framework.ts';
import { comparisonsOf } from '../domain/invalidation.ts';
import { unreachableFaults } from '../domain/rule-faults.ts';
import type { Frequency } from '../domain/series.ts';
import type { Session } from '../postgres/pool.ts';

/** The rule of an invalidation condition `c` as JSON, in SQL; null where it has none. */
export const RULE_OF_CONDITION = `(
  select case count(*) when 0 then null when 1 then json_agg(r.comparison) -> 0
      else json_build_object(c.combination, json_agg(r.comparison order by r.position)) end
    from (
      select p.position, json_build_object('series', s.key, 'operator', p.operator,
          'threshold', p.threshold, 'forObservations', p.for_observations) as comparison
        from condition_comparisons p join series s on s.id = p.series_id
       where p.framework_id = c.framework_id and p.condition_key = c.key) r)`;

/** The ids of the series that a framework's rules go by, by their keys. */
export type RuleSeries = ReadonlyMap<string, number>;

/**
 * Keeps observations out until the transaction ends, so that what its rules say of them is not overtaken;
 * those that come in share the lock among themselves. Take it before any row is locked.
 */
export async function lockOutObservations(session: pg.PoolClient): Promise<void> {
  await session.query(`select pg_advisory_xact_lock(hashtextextended('outlook-ledger rules', 0))`);
}

/** Lets observations in beside each other, and rules not at the same time. */
export async function lockOutRuleChanges(session: pg.PoolClient): Promise<void> {
  await session.query(
    `select pg_advisory_xact_lock_shared(hashtextextended('outlook-ledger rules', 0))`,
  );
}

export function hasRules({ invalidationConditions }: Framework): boolean {
  return invalidationConditions.some(({ rule }) => rule !== null);
}

/**
 * The series that a framework's rules go by, as {@link findRuleSeries}.
 * @throws DomainError `unknown-series` where there is a fault
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
 * The series that a framework's rules go by, and a fault for each that does not exist, or that can not
 * have as many observations within the horizon as a rule asks for.
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
