import type { PublishedFramework, Subject } from '../domain/framework.ts';
import type { OutlookStatus, OutlookVersion, Head } from '../domain/outlook.ts';
import { deskOf } from '../access/desks.ts';
import { type Desks, requireDesk } from '../domain/desks.ts';
import { probabilitiesOf, type ScenarioName } from '../domain/probabilities.ts';
import type { Approvals } from '../domain/proposals.ts';
import type { Session } from '../postgres/pool.ts';
import {
  type FrameworkCache,
  frameworkHash,
  frameworkIn,
  type FrameworkRef,
  readFrameworks,
} from './frameworks.ts';
import { approvalsOf } from './policies.ts';

// The locked row has everything that the next version depends on, so a revision takes four round trips: begin, one
// statement that locks and reads, one that appends, and commit.

const HEAD = `
  select o.id, o.slug, d.id as desk_id, d.slug as desk_slug, d.name as desk_name, o.internal_to, i.symbol, i.name as instrument_name, o.horizon_from, o.horizon_to,
    o.status, o.review_reasons, o.condition_states, o.latest_version as version, o.continued_by,
    (select c.slug from outlooks c where c.id = o.continues_id) as continues,
    (extract(epoch from o.published_at) * 1000)::float8 as published_at,
    'sha256:' || encode(o.hash, 'hex') as hash, o.framework_id,
    ${frameworkHash('o.framework_id')} as framework_hash,
    o.bear_bps as bear, o.base_bps as base, o.bull_bps as bull, ${approvalsOf('d.id')} as approvals
  from outlooks o join instruments i on i.id = o.instrument_id join ${deskOf('o')}`;

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
  desk_id: number;
  desk_slug: string;
  desk_name: string;
  internal_to: number | null;
  symbol: string;
  instrument_name: string;
  horizon_from: string;
  horizon_to: string;
  status: OutlookStatus;
  review_reasons: string[];
  condition_states: OutlookVersion['conditionStates'];
  continues: string | null;
  continued_by: string | null;
  version: number;
  published_at: number;
  hash: string;
  /** What the policy of the desk asks for; null without one. */
  approvals: Approvals | null;
} & FrameworkRef;

/** A row as the statement returns it: without a hash if the framework was published while it waited for the lock. */
type LockedRow = Omit<HeadRow, 'framework_hash'> & { framework_hash: string | null };

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
  const { rows: locked } = await session.query<LockedRow>({ ...statement, values: [slugs] });
  const rows = await withHashes(session, locked);
  const frameworks = await readFrameworks(session, cache, rows);
  return new Map(
    rows.map((row) => {
      const framework = frameworkIn(frameworks, row);
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

/** Reads missing hashes in a statement of its own, which sees what was published while the first one waited. */
async function withHashes(session: Session, locked: readonly LockedRow[]): Promise<HeadRow[]> {
  const unseen = locked.filter((row) => row.framework_hash === null);
  if (unseen.length === 0) return locked as HeadRow[];
  const { rows } = await session.query<FrameworkRef>(
    `select framework_id, ${frameworkHash('framework_id')} as framework_hash
       from unnest($1::bigint[]) framework_id`,
    [unseen.map((row) => row.framework_id)],
  );
  const hashes = new Map(rows.map((one) => [one.framework_id, one.framework_hash]));
  return locked.map((row) => {
    const hash = row.framework_hash ?? hashes.get(row.framework_id);
    if (hash === undefined) throw new Error(`framework ${row.framework_id} is missing`);
    return { ...row, framework_hash: hash };
  });
}

/**
 * Requires that a caller acts for the desk of a locked outlook.
 * @throws DomainError `wrong-desk`
 */
export function requireDeskOf({ row }: CurrentOutlook, desks: Desks): void {
  const { desk_id: id, desk_slug: slug, desk_name: name } = row;
  requireDesk(desks, { id, slug, name }, `"${row.slug}"`);
}

export function subjectOf(row: HeadRow): Subject {
  return { instrument: row.symbol, horizon: { from: row.horizon_from, to: row.horizon_to } };
}
