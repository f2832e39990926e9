import type { PublishedFramework, Subject } from '../domain/framework.ts';
import type { OutlookStatus, OutlookVersion, Head } from '../domain/outlook.ts';
import { probabilitiesOf, type ScenarioName } from '../domain/probabilities.ts';
import type { Session } from '../postgres/pool.ts';
import { type FrameworkCache, readFrameworks } from './frameworks.ts';

// The locked row has everything that the next version depends on, so a revision takes four round trips: begin, one
// statement that locks and reads, one that appends, and commit.

const HEAD = `
  select o.id, o.slug, i.symbol, i.name as instrument_name, o.horizon_from, o.horizon_to,
    o.status, o.review_reasons, o.condition_states, o.latest_version as version,
    (extract(epoch from o.published_at) * 1000)::float8 as published_at,
    'sha256:' || encode(o.hash, 'hex') as hash, o.framework_id,
    o.bear_bps as bear, o.base_bps as base, o.bull_bps as bull
  from outlooks o join instruments i on i.id = o.instrument_id`;

export const LOCK_HEADS = {
  name: 'lock-heads',
  text: `${HEAD} where o.slug = any($1) for no key update of o`,
};
const LOCK_FREE_HEADS = {
  name: 'lock-free-heads',
  text: `${LOCK_HEADS.text} skip locked`,
};

export type HeadRow = Record<ScenarioName, number> & {
  id: number;
  slug: string;
  symbol: string;
  instrument_name: string;
  horizon_from: string;
  horizon_to: string;
  status: OutlookStatus;
  review_reasons: string[];
  condition_states: OutlookVersion['conditionStates'];
  version: number;
  published_at: number;
  hash: string;
  framework_id: number;
};

/** A locked outlook: its current state without open triggers, and what every version of it repeats. */
export type CurrentOutlook = { row: HeadRow; head: Head; framework: PublishedFramework };

/**
 * Locks outlooks until the transaction ends.
 * @param waits whether to wait for outlooks that another transaction has locked; otherwise they are left out
 * @returns the outlooks that exist, by slug
 */
export async function lockOutlooks(
  session: Session,
  cache: FrameworkCache,
  slugs: readonly string[],
  { waits }: { waits: boolean },
): Promise<Map<string, CurrentOutlook>> {
  const statement = waits ? LOCK_HEADS : LOCK_FREE_HEADS;
  const { rows } = await session.query<HeadRow>({ ...statement, values: [slugs] });
  const frameworks = await readFrameworks(
    session,
    cache,
    rows.map((row) => row.framework_id),
  );
  return new Map(
    rows.map((row) => {
      const framework = frameworks.get(row.framework_id);
      if (!framework) throw new Error(`framework ${row.framework_id} is missing`);
      const head: Head = {
        slug: row.slug,
        status: row.status,
        horizon: { from: row.horizon_from, to: row.horizon_to },
        version: row.version,
        publishedAt: new Date(row.published_at),
        hash: row.hash,
        probabilities: probabilitiesOf(row),
        frameworkHash: framework.hash,
        openTriggers: [],
      };
      return [row.slug, { row, head, framework }];
    }),
  );
}

export function subjectOf(row: HeadRow): Subject {
  return { instrument: row.symbol, horizon: { from: row.horizon_from, to: row.horizon_to } };
}
