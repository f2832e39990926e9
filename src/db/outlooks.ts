import { eq, type SQL, sql } from 'drizzle-orm';
import { DomainError } from '../domain/errors.ts';
import { type Framework, type Horizon, hashFramework } from '../domain/framework.ts';
import { firstVersion, type OutlookStatus, type OutlookVersion } from '../domain/outlook.ts';
import { type Probabilities, probabilitiesOf, type ScenarioName } from '../domain/probabilities.ts';
import type { Direction } from '../domain/scenarios.ts';
import type { Db } from './client.ts';
import { appendFramework } from './frameworks.ts';
import { instruments } from './schema/instruments.ts';
import { outlooks } from './schema/outlooks.ts';
import { appendVersion } from './versions.ts';

export type NewOutlook = {
  slug: string;
  instrument: string;
  horizon: Horizon;
  author: OutlookVersion['author'];
  rationale: string;
  probabilities: Probabilities;
  framework: Framework;
};

/**
 * Creates an outlook with its version 1, in one transaction.
 * @throws DomainError `unknown-instrument` or `slug-taken`
 */
export async function createOutlook(
  db: Db,
  request: NewOutlook,
  clock: () => Date,
): Promise<OutlookVersion> {
  const { slug, horizon, author, rationale, probabilities, framework } = request;
  return db.transaction(async (tx) => {
    const instrument = await instrumentOf(tx, request.instrument);
    const now = clock();
    const outlookId = await takeSlug(tx, request, instrument.id, now);
    const frameworkHash = hashFramework(framework, { instrument: instrument.symbol, horizon });
    const frameworkId = await appendFramework(tx, outlookId, framework, frameworkHash);
    const proposal = { authorId: author.id, rationale, probabilities, frameworkHash };
    const first = firstVersion(slug, proposal, now);
    await appendVersion(tx, outlookId, first, frameworkId, null);
    const { authorId: _, ...published } = first;
    return {
      ...published,
      slug,
      horizon,
      author,
      framework,
      instrument: { symbol: instrument.symbol, name: instrument.name },
      status: 'open',
      previousProbabilities: null,
    };
  });
}

async function instrumentOf(tx: Db, symbol: string) {
  const [instrument] = await tx.select().from(instruments).where(eq(instruments.symbol, symbol));
  if (instrument) return instrument;
  throw new DomainError('unknown-instrument', `There is no instrument "${symbol}".`, [
    { path: ['instrument'], detail: `"${symbol}" is unknown; create it with POST /v1/instruments` },
  ]);
}

async function takeSlug(
  tx: Db,
  { slug, horizon }: NewOutlook,
  instrumentId: number,
  now: Date,
): Promise<number> {
  const [inserted] = await tx
    .insert(outlooks)
    .values({
      slug,
      instrumentId,
      horizonFrom: horizon.from,
      horizonTo: horizon.to,
      publishedAt: now,
    })
    .onConflictDoNothing({ target: outlooks.slug })
    .returning({ id: outlooks.id });
  if (inserted) return inserted.id;
  throw new DomainError('slug-taken', `There already is an outlook "${slug}".`, [
    { path: ['slug'], detail: 'is taken; give another slug, or revise the outlook that has it' },
  ]);
}

/** An outlook as the list tells it. */
export type OutlookSummary = Omit<
  OutlookVersion,
  'framework' | 'frameworkHash' | 'hash' | 'previousHash' | 'rationale'
> & { title: string; scenarioDirections: Record<ScenarioName, Direction> };

/**
 * Where a walk through the list stands. `snapshot` and `startedAt` are those of its first page, so
 * that every further page goes on through the same ledger, whatever is written meanwhile.
 */
export type ListPosition = { publishedAt: Date; id: number; snapshot: string; startedAt: Date };

export type ListFilters = { instrument: string | null; status: OutlookStatus | null };

/**
 * A version recorded this long before a walk began was surely among what the first page saw, in
 * milliseconds. Far above what is left of a transaction once it has set the time, and for instances
 * whose clocks are as far apart. Transaction ids alone would do, but not in a ledger that was restored
 * into another cluster, where ids start over.
 */
const SETTLED_AFTER = 120_000;

/**
 * Outlooks by the time of their newest version, newest first; at most `limit`.
 *
 * The first page shows what stands. Later ones show what stood then: an outlook that was revised
 * since keeps its place and is neither skipped nor shown twice. One created since is not shown.
 */
export async function listOutlooks(
  db: Db,
  filters: ListFilters,
  page: { after: ListPosition | null; limit: number; now: Date },
): Promise<{ summaries: OutlookSummary[]; next: ListPosition | null }> {
  const startedAt = page.after?.startedAt ?? page.now;
  // One more than asked for tells whether another page follows.
  const placed = placedOutlooks(filters, page.after, startedAt, page.limit + 1);
  const { rows } = await db.execute<SummaryRow>(sql`
    with placed as (${placed})
    select o.id::float8 as id, o.slug, f.title, o.status,
      i.symbol, i.name as instrument_name,
      o.horizon_from::text, o.horizon_to::text,
      v.version, v.kind, (extract(epoch from v.recorded_at) * 1000)::float8 as published_at,
      v.bear_bps as bear, v.base_bps as base, v.bull_bps as bull,
      p.bear_bps as previous_bear, p.base_bps as previous_base, p.bull_bps as previous_bull,
      a.id as author_id, a.name as author_name,
      (select json_object_agg(s.name, s.direction)
         from scenarios s where s.framework_id = f.id) as directions,
      pg_current_snapshot()::text as snapshot
    from placed
    join outlooks o on o.id = placed.id
    join instruments i on i.id = o.instrument_id
    join outlook_versions v on v.outlook_id = o.id and v.version = placed.version
    join analysts a on a.id = v.author_id
    join frameworks f on f.id = v.framework_id
    left join outlook_versions p on p.outlook_id = o.id and p.version = v.version - 1
    order by placed.published_at desc, placed.id desc`);
  const shown = rows.slice(0, page.limit);
  const last = shown.at(-1);
  const next =
    last && rows.length > page.limit
      ? {
          publishedAt: new Date(last.published_at),
          id: last.id,
          snapshot: page.after?.snapshot ?? last.snapshot,
          startedAt,
        }
      : null;
  return { summaries: shown.map(summaryOf), next };
}

function placedOutlooks(
  filters: ListFilters,
  after: ListPosition | null,
  startedAt: Date,
  limit: number,
): SQL {
  const chosen = sql.join([
    filters.instrument === null
      ? sql``
      : sql` and o.instrument_id = (select id from instruments where symbol = ${filters.instrument})`,
    filters.status === null ? sql`` : sql` and o.status = ${filters.status}`,
  ]);
  if (after === null) {
    return sql`select o.id, o.latest_version as version, o.published_at
      from outlooks o where true ${chosen}
      order by o.published_at desc, o.id desc limit ${limit}`;
  }
  const settled = sql`${new Date(startedAt.getTime() - SETTLED_AFTER).toISOString()}::timestamptz`;
  const snapshot = sql`${after.snapshot}::pg_snapshot`;
  const position = sql`(${after.publishedAt.toISOString()}::timestamptz, ${after.id}::bigint)`;
  // Outlooks that were not written since the walk began come in order from the index. Those that were
  // are found by their transactions, and placed by the newest of their versions that the first page
  // could see.
  return sql`
    (select o.id, o.latest_version as version, o.published_at
       from outlooks o
      where (o.published_at < ${settled} or pg_visible_in_snapshot(o.transaction_id, ${snapshot}))
        and (o.published_at, o.id) < ${position} ${chosen}
      order by o.published_at desc, o.id desc limit ${limit})
    union all
    (select o.id, seen.version, seen.recorded_at
       from outlooks o
       cross join lateral (
         select v.version, v.recorded_at from outlook_versions v
          where v.outlook_id = o.id and (v.recorded_at < ${settled}
             or pg_visible_in_snapshot(v.transaction_id, ${snapshot}))
          order by v.version desc limit 1) seen
      where o.transaction_id >= pg_snapshot_xmin(${snapshot}) and o.published_at >= ${settled}
        and not pg_visible_in_snapshot(o.transaction_id, ${snapshot})
        and (seen.recorded_at, o.id) < ${position} ${chosen})
    order by published_at desc, id desc limit ${limit}`;
}

type SummaryRow = Record<ScenarioName, number> & {
  id: number;
  slug: string;
  title: string;
  status: OutlookStatus;
  symbol: string;
  instrument_name: string;
  horizon_from: string;
  horizon_to: string;
  version: number;
  kind: OutlookVersion['kind'];
  published_at: number;
  previous_bear: number | null;
  previous_base: number | null;
  previous_bull: number | null;
  author_id: string;
  author_name: string;
  directions: Record<ScenarioName, Direction>;
  snapshot: string;
};

function summaryOf(row: SummaryRow): OutlookSummary {
  const { previous_bear: bear, previous_base: base, previous_bull: bull } = row;
  return {
    slug: row.slug,
    title: row.title,
    instrument: { symbol: row.symbol, name: row.instrument_name },
    horizon: { from: row.horizon_from, to: row.horizon_to },
    status: row.status,
    version: row.version,
    kind: row.kind,
    publishedAt: new Date(row.published_at),
    author: { id: row.author_id, name: row.author_name },
    probabilities: probabilitiesOf({ bear: row.bear, base: row.base, bull: row.bull }),
    previousProbabilities:
      bear === null || base === null || bull === null
        ? null
        : probabilitiesOf({ bear, base, bull }),
    scenarioDirections: row.directions,
  };
}
