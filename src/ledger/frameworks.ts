import { sql } from 'drizzle-orm';
import type { LRUCache } from 'lru-cache';
import type { Framework, PublishedFramework } from '../domain/framework.ts';
import { comparisonsOf, type Rule } from '../domain/invalidation.ts';
import { SCENARIO_NAMES, type ScenarioName } from '../domain/probabilities.ts';
import type { Direction, Scenario } from '../domain/scenarios.ts';
import type { Db, Session } from '../postgres/pool.ts';
import { RULE_OF_CONDITION, type RuleSeries } from './rules.ts';
import { conditionComparisons } from '../postgres/tables/conditions.ts';
import {
  drawdownLabels,
  frameworks,
  headwinds,
  invalidationConditions,
  scenarios,
} from '../postgres/tables/frameworks.ts';

/** A framework as it is kept in memory: as the text that Postgres answered, the least that holds it. */
export class StoredFramework implements PublishedFramework {
  readonly hash: string;
  readonly #text: Buffer;

  constructor(hash: string, text: string) {
    this.hash = hash;
    this.#text = Buffer.from(text);
  }

  /** Bytes of the text. */
  get size(): number {
    return this.#text.length;
  }

  read(): Framework {
    return frameworkOf(JSON.parse(this.#text.toString()) as FrameworkRow);
  }
}

/** Frameworks by id. They never change, so what was read once is right for ever. */
export type FrameworkCache = LRUCache<number, StoredFramework>;

/**
 * Appends a framework to an outlook. Call it in the transaction that appends the version.
 * @param series those that its rules go by
 */
export async function appendFramework(
  tx: Db,
  outlookId: number,
  framework: Framework,
  hash: string,
  series: RuleSeries,
): Promise<number> {
  const next = await tx.execute<{ id: string }>(
    sql`select nextval(pg_get_serial_sequence('frameworks', 'id')) as id`,
  );
  const id = Number(next.rows[0]?.id);
  await appendParts(tx, id, framework, series);
  // Last, because this row seals the parts (migrations/0001_guards.sql).
  await tx.insert(frameworks).values({
    id,
    outlookId,
    hash,
    title: framework.title,
    summary: framework.summary,
    methodology: framework.methodology,
    disclaimer: framework.disclaimer,
    risks: framework.risks,
    positioning: framework.positioning,
    metrics: framework.metrics,
    faqs: framework.faqs,
    references: framework.references,
  });
  return id;
}

async function appendParts(
  tx: Db,
  frameworkId: number,
  framework: Framework,
  series: RuleSeries,
): Promise<void> {
  await tx.insert(scenarios).values(
    SCENARIO_NAMES.map((name) => {
      const { returnBand, ...scenario } = framework.scenarios[name];
      const [returnMin, returnMax] = [returnBand?.min ?? null, returnBand?.max ?? null];
      return { ...scenario, frameworkId, name, returnMin, returnMax };
    }),
  );
  if (framework.headwinds.length > 0) {
    await tx.insert(headwinds).values(framework.headwinds.map((row) => ({ ...row, frameworkId })));
  }
  const placed = <Row>(rows: readonly Row[]) =>
    rows.map((row, index) => ({ ...row, frameworkId, position: index + 1 }));
  if (framework.drawdownLabels.length > 0) {
    const rows = placed(framework.drawdownLabels).map(({ speed, ...label }) => ({
      ...label,
      speedDepth: speed?.depth ?? null,
      speedDays: speed?.days ?? null,
    }));
    await tx.insert(drawdownLabels).values(rows);
  }
  if (framework.invalidationConditions.length > 0) {
    const rows = placed(framework.invalidationConditions).map(({ rule, ...condition }) => ({
      ...condition,
      combination: combinationOf(rule),
    }));
    await tx.insert(invalidationConditions).values(rows);
  }
  const comparisons = framework.invalidationConditions.flatMap(({ key, rule }) =>
    (rule ? comparisonsOf(rule) : []).map((comparison, index) => ({
      frameworkId,
      conditionKey: key,
      position: index + 1,
      seriesId: idOf(series, comparison.series),
      operator: comparison.operator,
      threshold: comparison.threshold,
      forObservations: comparison.forObservations,
    })),
  );
  if (comparisons.length > 0) await tx.insert(conditionComparisons).values(comparisons);
}

function combinationOf(rule: Rule | null): 'all' | 'any' | null {
  if (rule === null || 'series' in rule) return null;
  return 'all' in rule ? 'all' : 'any';
}

function idOf(series: RuleSeries, key: string): number {
  const id = series.get(key);
  if (id === undefined) throw new Error(`the series ${key} was not looked up`);
  return id;
}

type ScenarioRow = Omit<Scenario, 'returnBand'> & {
  name: ScenarioName;
  direction: Direction;
  returnMin: number | null;
  returnMax: number | null;
};

const READ_FRAMEWORKS = {
  name: 'read-frameworks',
  text: `
    select f.id, 'sha256:' || encode(f.hash, 'hex') as hash, json_build_object(
      'title', f.title, 'summary', f.summary, 'methodology', f.methodology,
      'disclaimer', f.disclaimer, 'risks', f.risks, 'positioning', f.positioning,
      'metrics', f.metrics, 'faqs', f.faqs, 'references', f."references",
      'scenarios', (
        select json_agg(json_build_object('name', s.name, 'title', s.title, 'outcome', s.outcome,
          'conditions', s.conditions, 'direction', s.direction,
          'directionComment', s.direction_comment,
          'returnMin', s.return_min, 'returnMax', s.return_max))
        from scenarios s where s.framework_id = f.id),
      'headwinds', (
        select coalesce(json_agg(json_build_object('key', h.key, 'rank', h.rank, 'title', h.title,
          'description', h.description) order by h.rank), '[]')
        from headwinds h where h.framework_id = f.id),
      'drawdownLabels', (
        select coalesce(json_agg(json_build_object('key', d.key, 'label', d.label,
          'minDepth', d.min_depth, 'speed', case when d.speed_days is not null then
            json_build_object('depth', d.speed_depth, 'days', d.speed_days) end, 'typicalCause', d.typical_cause,
          'implication', d.implication) order by d.position), '[]')
        from drawdown_labels d where d.framework_id = f.id),
      'invalidationConditions', (
        select coalesce(json_agg(json_build_object('key', c.key, 'invalidates', c.invalidates,
          'statement', c.statement, 'rule', ${RULE_OF_CONDITION}) order by c.position), '[]')
        from invalidation_conditions c where c.framework_id = f.id)
    )::text as framework
    from frameworks f where f.id = any($1)`,
};

/** The frameworks of those ids; from memory where they were read before. */
export async function readFrameworks(
  session: Session,
  cache: FrameworkCache,
  ids: readonly number[],
): Promise<Map<number, StoredFramework>> {
  const read = new Map<number, StoredFramework>();
  const missing = new Set<number>();
  for (const id of ids) {
    const cached = cache.get(id);
    if (cached) read.set(id, cached);
    else missing.add(id);
  }
  if (missing.size === 0) return read;
  const { rows } = await session.query<{ id: number; hash: string; framework: string }>({
    ...READ_FRAMEWORKS,
    values: [[...missing]],
  });
  for (const { id, hash, framework } of rows) {
    const stored = new StoredFramework(hash, framework);
    cache.set(id, stored);
    read.set(id, stored);
  }
  return read;
}

/** The framework of that id; from memory where it was read before. */
export async function readFramework(
  session: Session,
  cache: FrameworkCache,
  id: number,
): Promise<StoredFramework> {
  const cached = cache.get(id) ?? (await readFrameworks(session, cache, [id])).get(id);
  if (!cached) throw new Error(`framework ${id} is missing`);
  return cached;
}

type FrameworkRow = Omit<Framework, 'scenarios'> & { scenarios: ScenarioRow[] };

function frameworkOf(row: FrameworkRow): Framework {
  const named = (name: ScenarioName): Scenario => {
    const found = row.scenarios.find((scenario) => scenario.name === name);
    if (!found) throw new Error(`scenario ${name} is missing`);
    const { name: _, returnMin: min, returnMax: max, ...scenario } = found;
    return { ...scenario, returnBand: min === null && max === null ? null : { min, max } };
  };
  return { ...row, scenarios: { bear: named('bear'), base: named('base'), bull: named('bull') } };
}
