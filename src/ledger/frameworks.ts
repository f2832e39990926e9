import type pg from 'pg';
import type { Framework, PublishedFramework } from '../domain/framework.ts';
import { comparisonsOf, type Rule } from '../domain/condition-rules.ts';
import { SCENARIO_NAMES, type ScenarioName } from '../domain/probabilities.ts';
import type { Direction, Scenario } from '../domain/scenarios.ts';
import { Busy, type Session } from '../postgres/pool.ts';
import { RULE_OF_CONDITION, type RuleSeries } from './rules.ts';

/** A framework in memory, as the JSON text from Postgres, which takes the least space. */
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

/**
 * Frameworks by the hashes of their content, so that a cached one is right in any ledger and in any transaction, committed
 * or not. An id is no key: a ledger that went back to an earlier state gives it to another framework.
 */
export type FrameworkCache = {
  get: (hash: string) => StoredFramework | undefined;
  set: (hash: string, framework: StoredFramework) => void;
};

/** Names the framework of a row: where it is stored, and what it holds. */
export type FrameworkRef = { framework_id: number; framework_hash: string };

/** The hash of the framework with an id, as SQL: one step down the primary key. */
export const frameworkHash = (id: string): string =>
  `(select 'sha256:' || encode(f.hash, 'hex') from frameworks f where f.id = ${id})`;

/**
 * Appends a framework to an outlook. Call it in the transaction that appends the version.
 * @param series the ids of the series that its rules use
 * @returns the framework's id
 */
export async function appendFramework(
  session: pg.PoolClient,
  outlookId: number,
  framework: Framework,
  hash: string,
  series: RuleSeries,
): Promise<number> {
  const { rows } = await session.query<{ id: number }>(
    `select nextval(pg_get_serial_sequence('frameworks', 'id')) as id`,
  );
  const [next] = rows;
  if (!next) throw new Error('the sequence of frameworks gave no id');
  const { id } = next;
  for (const [table, parts] of Object.entries(partsOf(id, framework, series))) {
    await insertRows(session, table, parts);
  }
  // Last, because a trigger takes no more parts after this row (migrations/0001_guards.sql).
  const { title, summary, methodology, disclaimer, ...lists } = framework;
  const { risks, positioning, metrics, faqs, references } = lists;
  await session.query(
    `insert into frameworks (id, outlook_id, hash, title, summary, methodology, disclaimer, risks,
       positioning, metrics, faqs, "references")
     values ($1, $2, decode($3, 'hex'), $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    [
      id,
      outlookId,
      hash.slice('sha256:'.length),
      title,
      summary,
      methodology,
      disclaimer,
      ...[risks, positioning, metrics, faqs, references].map((list) => JSON.stringify(list)),
    ],
  );
  return id;
}

/** The rows of a framework's parts, by table. */
function partsOf(
  framework_id: number,
  framework: Framework,
  series: RuleSeries,
): Record<string, object[]> {
  const { scenarios, headwinds, drawdownLabels, invalidationConditions: conditions } = framework;
  return {
    scenarios: SCENARIO_NAMES.map((name) => scenarioRow(framework_id, name, scenarios[name])),
    headwinds: headwinds.map(({ key, rank, title, description }) => ({
      framework_id,
      key,
      rank,
      title,
      description,
    })),
    drawdown_labels: drawdownLabels.map(({ key, label, speed, ...rest }, index) => ({
      framework_id,
      key,
      position: index + 1,
      label,
      min_depth: rest.minDepth,
      speed_depth: speed?.depth ?? null,
      speed_days: speed?.days ?? null,
      typical_cause: rest.typicalCause,
      implication: rest.implication,
    })),
    invalidation_conditions: conditions.map(({ key, invalidates, statement, rule }, index) => ({
      framework_id,
      key,
      position: index + 1,
      invalidates,
      statement,
      combination: combinationOf(rule),
    })),
    condition_comparisons: conditions.flatMap(({ key, rule }) =>
      (rule ? comparisonsOf(rule) : []).map((comparison, index) => ({
        framework_id,
        condition_key: key,
        position: index + 1,
        series_id: idOf(series, comparison.series),
        operator: comparison.operator,
        threshold: comparison.threshold,
        for_observations: comparison.forObservations,
        judged_on: comparison.judgedOn,
      })),
    ),
  };
}

function scenarioRow(framework_id: number, name: ScenarioName, scenario: Scenario): object {
  const { title, outcome, conditions, direction, directionComment, returnBand } = scenario;
  return {
    framework_id,
    name,
    title,
    outcome,
    conditions,
    direction,
    direction_comment: directionComment,
    return_min: returnBand?.min ?? null,
    return_max: returnBand?.max ?? null,
    central_return: scenario.centralReturn,
  };
}

/** Inserts rows into a table. Their members are columns, the same in each row. */
async function insertRows(session: Session, table: string, rows: readonly object[]): Promise<void> {
  const [first] = rows;
  if (!first) return;
  const columns = Object.keys(first).join(', ');
  await session.query(
    `insert into ${table} (${columns})
     select ${columns} from json_populate_recordset(null::${table}, $1)`,
    [JSON.stringify(rows)],
  );
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
          'returnMin', s.return_min, 'returnMax', s.return_max,
          'centralReturn', s.central_return))
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

/** The frameworks with those ids, from Postgres; without those that do not exist. */
export async function readFrameworksById(
  session: Session,
  ids: Iterable<number>,
): Promise<Map<number, StoredFramework>> {
  const values = [[...new Set(ids)]];
  const { rows } = await session.query<{ id: number; hash: string; framework: string }>({
    ...READ_FRAMEWORKS,
    values,
  });
  return new Map(rows.map(({ id, hash, framework }) => [id, new StoredFramework(hash, framework)]));
}

/**
 * The frameworks of rows by their hashes, from the cache or from Postgres.
 * @throws Busy if the ledger went back to an earlier state since the rows were read
 */
export async function readFrameworks(
  session: Session,
  cache: FrameworkCache,
  refs: readonly FrameworkRef[],
): Promise<Map<string, StoredFramework>> {
  const read = new Map<string, StoredFramework>();
  const missing = new Map<number, string>();
  for (const { framework_id: id, framework_hash: hash } of refs) {
    const cached = cache.get(hash);
    if (cached) read.set(hash, cached);
    else missing.set(id, hash);
  }
  if (missing.size === 0) return read;
  const stored = await readFrameworksById(session, missing.keys());
  for (const [id, hash] of missing) {
    const framework = stored.get(id);
    if (framework?.hash !== hash) throw new Busy(`framework ${id} is not the one of its row`);
    cache.set(hash, framework);
    read.set(hash, framework);
  }
  return read;
}

/** As {@link readFrameworks}, of one row. */
export async function readFramework(
  session: Session,
  cache: FrameworkCache,
  ref: FrameworkRef,
): Promise<StoredFramework> {
  return frameworkIn(await readFrameworks(session, cache, [ref]), ref);
}

/** The framework of a row among those of {@link readFrameworks}. */
export function frameworkIn(
  read: ReadonlyMap<string, StoredFramework>,
  { framework_hash: hash }: FrameworkRef,
): StoredFramework {
  const framework = read.get(hash);
  if (!framework) throw new Error(`the framework ${hash} was not read`);
  return framework;
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
