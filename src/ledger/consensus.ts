import {
  daysAfter,
  type Consensus,
  consensusOf,
  FEWEST_PUBLIC_VIEWS,
  normalised,
  type PoolWeights,
  type PublicPool,
  publicPoolOf,
  recencyWeights,
  skillWeights,
} from '../domain/consensus.ts';
import { DomainError } from '../domain/errors.ts';
import type { PublishedConsensus } from '../domain/outlook.ts';
import type { Session } from '../postgres/pool.ts';
import { readSkills } from './forecast-sums.ts';
import { type HeldView, listViews } from './views.ts';

/** The consensus of an outlook's views, and the weight of each. */
export type PooledViews = {
  consensus: Consensus;
  /** The weights sum to 1. */
  views: readonly (HeldView & { weight: number })[];
  /** When the first of the views ages out of the consensus; null if none does. */
  until: Date | null;
};

/** How to pool views: as they were `asOf`, or are `now` if that is null. */
export type Pooling = Pick<PublishedConsensus, 'method' | 'weights' | 'maxAge'> & {
  asOf: Date | null;
  now: Date;
};

/**
 * Pools the views that analysts hold of an outlook: the current ones, or those at a given time, weighted by the track
 * records at that time. Views that were older than `maxAge` then are left out.
 * @throws DomainError `no-views`, `no-weights` if no view has any weight, or `no-pool` if the logarithmic pool
 *   does not exist
 */
export async function readConsensus(
  session: Session,
  slug: string,
  { method, weights, maxAge, asOf, now }: Pooling,
): Promise<PooledViews> {
  const since = maxAge === null ? null : daysAfter(asOf ?? now, -maxAge);
  const views = await listViews(session, slug, { asOf, since, after: null, limit: null });
  if (views.length === 0) throw noViews(slug, maxAge, asOf);
  const shares = normalised(await weigh(session, views, weights, asOf));
  if (!shares) {
    throw new DomainError(
      'no-weights',
      'No analyst with a view has a skill weight: none has been scored, or none did better than the reference.',
    );
  }
  const held = views.map(({ probabilities }) => probabilities);
  const consensus = consensusOf(method, held, shares);
  if (!consensus) {
    throw new DomainError(
      'no-pool',
      'For each scenario, a view gives it probability 0, so the logarithmic pool does not exist.',
    );
  }
  return {
    consensus,
    views: views.map((view, index) => ({ ...view, weight: shares[index] ?? 0 })),
    until: asOf === null && maxAge !== null ? daysAfter(oldestOf(views), maxAge) : null,
  };
}

/**
 * What anyone may know of the views of an outlook: the pool of those held at a time.
 * @throws DomainError `too-few-views`
 */
export async function readPublicPool(
  session: Session,
  slug: string,
  asOf: Date,
): Promise<PublicPool> {
  const views = await listViews(session, slug, { asOf, after: null, limit: null });
  const pooled = publicPoolOf(views.map(({ probabilities }) => probabilities));
  if (pooled) return pooled;
  throw new DomainError(
    'too-few-views',
    `Fewer than ${FEWEST_PUBLIC_VIEWS} analysts held a view of "${slug}" at ${asOf.toISOString()}. Without a key, the consensus is shown from ${FEWEST_PUBLIC_VIEWS} views on.`,
  );
}

function noViews(slug: string, maxAge: number | null, asOf: Date | null): DomainError {
  const age =
    maxAge === null ? '' : ` that is at most ${maxAge} ${maxAge === 1 ? 'day' : 'days'} old`;
  const time = asOf ? ' as of that time' : '';
  return new DomainError('no-views', `No analyst holds a view of "${slug}"${age}${time}.`);
}

const oldestOf = (views: readonly HeldView[]): Date =>
  new Date(Math.min(...views.map(({ recordedAt }) => recordedAt.getTime())));

async function weigh(
  session: Session,
  views: readonly HeldView[],
  weights: PoolWeights,
  asOf: Date | null,
): Promise<number[]> {
  if (weights === 'equal') return views.map(() => 1);
  if (weights === 'recency') return recencyWeights(views.map(({ recordedAt }) => recordedAt));
  const ids = views.map(({ analyst }) => analyst.id);
  const records = await readSkills(session, ids, asOf);
  return skillWeights(ids.map((id) => records.get(id) ?? null));
}

/** Records the views that a version pooled. Call it after the version is inserted. */
export async function recordPooledViews(
  session: Session,
  outlookId: number,
  version: number,
  views: PublishedConsensus['views'],
): Promise<void> {
  if (views.length === 0) return;
  const rows = views.map((view) => ({
    analyst_id: view.analyst.id,
    view_version: view.version,
    weight: view.weight,
  }));
  await session.query(
    `insert into version_views (outlook_id, version, analyst_id, view_version, weight)
     select $1, $2, analyst_id, view_version, weight
       from json_to_recordset($3) as pooled (analyst_id uuid, view_version int, weight float8)`,
    [outlookId, version, JSON.stringify(rows)],
  );
}
