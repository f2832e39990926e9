import type pg from 'pg';
import { deskOf } from '../access/desks.ts';
import type { ConditionState } from '../domain/condition-rules.ts';
import type { Audience } from '../domain/desks.ts';
import type { OutlookStatus, OutlookVersion, Resolution } from '../domain/outlook.ts';
import type { Session } from '../postgres/pool.ts';
import {
  type FrameworkCache,
  frameworkHash,
  frameworkIn,
  type FrameworkRef,
  readFramework,
  readFrameworks,
  type StoredFramework,
} from './frameworks.ts';
import { approversOf } from './approvals.ts';
import { missingVersionError, type VersionSelector } from './missing-version.ts';
import { batchCalls } from '../postgres/batching.ts';
import { resolutionBy, resolutionOf, type ResolutionRow } from './resolved-by.ts';
import { reasonsAsOf, statusAsOf } from './state-as-of.ts';
import { type EntryRow, entryOf } from './version-entries.ts';
import { visibleDesks, visibleTo } from './visibility.ts';

const COLUMNS = `
    o.slug, i.symbol, i.name as instrument_name, o.horizon_from, o.horizon_to, o.latest_version,
    (select c.slug from outlooks c where c.id = o.continues_id) as continues,
    d.slug as desk_slug, d.name as desk_name, o.internal_to,
    v.version, v.kind, (extract(epoch from v.recorded_at) * 1000)::float8 as published_at,
    v.rationale, a.id as author_id, a.name as author_name, v.framework_id,
    ${frameworkHash('v.framework_id')} as framework_hash,
    'sha256:' || encode(v.hash, 'hex') as hash,
    'sha256:' || encode(v.previous_hash, 'hex') as previous_hash,
    v.bear_bps as bear, v.base_bps as base, v.bull_bps as bull,
    p.bear_bps as previous_bear, p.base_bps as previous_base, p.bull_bps as previous_bull,
    (select json_agg(json_build_object('id', e.id, 'headline', e.headline) order by c.position)
       from version_evidence c join evidence e on e.id = c.evidence_id
      where c.outlook_id = o.id and c.version = v.version) as evidence,
    (select json_agg(json_build_object('condition', n.key, 'way', a.way, 'reason', a.reason) order by n.id)
       from condition_answers a join condition_changes n on n.id = a.change_id
      where a.outlook_id = o.id and a.version = v.version) as answers,
    case when v.consensus_method is not null then json_build_object(
      'method', v.consensus_method, 'weights', v.consensus_weights, 'maxAge', v.consensus_max_age,
      'views', (
        select json_agg(json_build_object('analyst', json_build_object('id', h.id, 'name', h.name),
            'version', w.view_version, 'weight', w.weight) order by h.name collate "C")
          from version_views w join analysts h on h.id = w.analyst_id
         where w.outlook_id = o.id and w.version = v.version)) end as consensus,
    ${approversOf('v')} as approved_by`;
/** The states of the conditions of an outlook `o`: by the newest change `n` of each key that counts. */
const statesBy = (isSeen: string) => `
    (select json_object_agg(s.key, s.state) from (
       select distinct on (n.key) n.key, n.state from condition_changes n
        where n.outlook_id = o.id and ${isSeen} order by n.key, n.id desc) s
      where s.state <> 'untriggered')`;
/**
 * Joins the version `v` with a number of an outlook `o`, and the one before it, `p`. An order and a limit make each one
 * step down the primary key: for a number alone, Postgres may scan all entries of the outlook in outlook_versions_as_of,
 * or all its versions. No other index holds the hash, so none can serve instead; it is never null.
 */
export const joinVersion = (number: string): string => `
  cross join lateral (select ${number} as version) numbered
  join lateral (
    select * from outlook_versions v
     where v.outlook_id = o.id and v.version <= numbered.version
     order by v.version desc limit 1) v on v.version = numbered.version
  left join lateral (
    select b.bear_bps, b.base_bps, b.bull_bps, b.hash from outlook_versions b
     where b.outlook_id = v.outlook_id and b.version < v.version
     order by b.version desc limit 1) p on p.hash is not null`;
const JOIN_PEOPLE = `
  join instruments i on i.id = o.instrument_id
  join analysts a on a.id = v.author_id
  join ${deskOf('o')}`;

const READ_VERSIONS = {
  name: 'read-versions',
  text: `select ${COLUMNS}, requested.place,
      -- A version by its number tells the states in which it was published, for good.
      case when requested.version is null then o.condition_states::json
        else ${statesBy('n.version < v.version')} end as condition_states,
      case when requested.version is null then o.review_reasons end as review_reasons,
      case when requested.version is null then o.status when v.kind = 'withdrawn' then v.kind
        else 'open' end as status,
      case when requested.version is null then o.continued_by end as continued_by,
      case when requested.version is null and o.status <> 'open' then
        ${resolutionBy('r.superseded_at is null', ['reason'])} end as resolution
    from unnest($1::text[], $2::int[]) with ordinality as requested (slug, version, place)
    join outlooks o on o.slug = requested.slug and ${visibleTo('o', '$3')}
    ${joinVersion('coalesce(requested.version, o.latest_version)')} ${JOIN_PEOPLE}`,
};
// One step down outlook_versions_as_of, however many versions there are.
const READ_AS_OF = {
  name: 'read-as-of',
  text: `select ${COLUMNS}, ${statesBy('n.recorded_at <= $2')} as condition_states,
      ${reasonsAsOf('$2')} as review_reasons, ${statusAsOf('$2')} as status,
      ${resolutionBy('r.recorded_at <= $2', ['reason'])} as resolution, (
        select c.slug from outlooks c join outlook_versions w on w.outlook_id = c.id and w.version = 1
         where c.continues_id = o.id and w.recorded_at <= $2 order by c.id desc limit 1) as continued_by
    from outlooks o
    ${joinVersion(`(
      select s.version from outlook_versions s
       where s.outlook_id = o.id and s.recorded_at <= $2
       order by s.recorded_at desc, s.version desc limit 1)`)} ${JOIN_PEOPLE}
   where o.slug = $1`,
};

type VersionRow = EntryRow &
  FrameworkRef & {
    slug: string;
    symbol: string;
    instrument_name: string;
    horizon_from: string;
    horizon_to: string;
    desk_slug: string;
    desk_name: string;
    internal_to: number | null;
    status: OutlookStatus;
    review_reasons: string[] | null;
    condition_states: Record<string, ConditionState> | null;
    evidence: OutlookVersion['evidence'] | null;
    answers: OutlookVersion['answers'] | null;
    consensus: OutlookVersion['consensus'];
    approved_by: OutlookVersion['approvedBy'];
    resolution: (ResolutionRow & Pick<Resolution, 'reason'>) | null;
    continues: string | null;
    continued_by: string | null;
    latest_version: number;
    hash: string;
    previous_hash: string | null;
  };

/** A version by its number; null is the newest. */
type Numbered = { slug: string; version: number | null };

type PlacedRow = VersionRow & { place: number };

/**
 * The versions that exist, each with its place in `requested`, counted from 1.
 * @param audience who may see them; null if that was checked
 */
async function readRows(
  session: Session,
  requested: readonly Numbered[],
  audience: Audience | null,
): Promise<PlacedRow[]> {
  const slugs = requested.map(({ slug }) => slug);
  const numbers = requested.map(({ version }) => version);
  const values = [slugs, numbers, audience && visibleDesks(audience)];
  const { rows } = await session.query<PlacedRow>({ ...READ_VERSIONS, values });
  return rows;
}

/** The versions in the order of `requested`; undefined for one that does not exist. */
async function readNumbered(
  session: Session,
  cache: FrameworkCache,
  requested: readonly Numbered[],
): Promise<(OutlookVersion | undefined)[]> {
  const rows = await readRows(session, requested, null);
  const stored = await readFrameworks(session, cache, rows);
  const read: (OutlookVersion | undefined)[] = requested.map(() => undefined);
  for (const row of rows) {
    read[row.place - 1] = versionOf(row, frameworkIn(stored, row));
  }
  return read;
}

/**
 * One version of an outlook, with all its parts.
 * @throws DomainError `outlook-not-found`, `version-not-found` or `nothing-stood`
 */
export async function readVersion(
  session: Session,
  cache: FrameworkCache,
  slug: string,
  selector: VersionSelector,
): Promise<OutlookVersion> {
  const found =
    typeof selector === 'object' && 'asOf' in selector
      ? await readAsOf(session, cache, slug, selector.asOf)
      : (await readNumbered(session, cache, [numbered(slug, selector)]))[0];
  if (!found) throw await missingVersionError(session, slug, selector);
  return found;
}

function numbered(slug: string, selector: Exclude<VersionSelector, { asOf: Date }>): Numbered {
  return { slug, version: selector === 'newest' ? null : selector.version };
}

async function readAsOf(session: Session, cache: FrameworkCache, slug: string, asOf: Date) {
  const values = [slug, asOf.toISOString()];
  const { rows } = await session.query<VersionRow>({ ...READ_AS_OF, values });
  const [row] = rows;
  return row && versionOf(row, await readFramework(session, cache, row));
}

/** Reads versions from Postgres; one query serves many calls at the same time. */
export type VersionReader = {
  /** As {@link readVersion}. */
  read: (slug: string, selector: VersionSelector) => Promise<OutlookVersion>;
  /** As {@link readVersion}, in a transaction. */
  readIn: (session: Session, slug: string, selector: VersionSelector) => Promise<OutlookVersion>;
  /** As {@link newestVersions}. */
  newest: (slugs: readonly string[], audience: Audience) => AsyncIterable<OutlookVersion>;
};

export function versionReader(pool: pg.Pool, cache: FrameworkCache): VersionReader {
  const readOne = batchCalls<Numbered, OutlookVersion | undefined>(
    (requested) => readNumbered(pool, cache, requested),
    { most: 100, atOnce: 2 },
  );
  return {
    read: async (slug, selector) => {
      if (typeof selector === 'object' && 'asOf' in selector) {
        return readVersion(pool, cache, slug, selector);
      }
      const found = await readOne(numbered(slug, selector));
      if (!found) throw await missingVersionError(pool, slug, selector);
      return found;
    },
    readIn: (session, slug, selector) => readVersion(session, cache, slug, selector),
    newest: (slugs, audience) => newestVersions(pool, cache, slugs, audience),
  };
}

/** The newest versions of outlooks, by slug; without outlooks that do not exist. */
export async function readNewest(
  session: Session,
  cache: FrameworkCache,
  slugs: readonly string[],
): Promise<Map<string, OutlookVersion>> {
  const requested = slugs.map((slug) => ({ slug, version: null }));
  const read = await readNumbered(session, cache, requested);
  return new Map(read.flatMap((found) => (found ? [[found.slug, found]] : [])));
}

/** How many frameworks are read at once; each may have a megabyte. */
const FRAMEWORKS_AT_ONCE = 5;

/**
 * The newest versions of outlooks, all as of the same time, in the order of `slugs`; without outlooks that do not exist or
 * that the audience may not see. The frameworks are read a few at a time.
 */
async function* newestVersions(
  session: Session,
  cache: FrameworkCache,
  slugs: readonly string[],
  audience: Audience,
): AsyncGenerator<OutlookVersion, void> {
  const found = await readRows(
    session,
    slugs.map((slug) => ({ slug, version: null })),
    audience,
  );
  const rows = found.toSorted((a, b) => a.place - b.place);
  while (rows.length > 0) {
    const some = rows.splice(0, FRAMEWORKS_AT_ONCE);
    const stored = await readFrameworks(session, cache, some);
    for (const row of some) yield versionOf(row, frameworkIn(stored, row));
  }
}

function versionOf(row: VersionRow, framework: StoredFramework): OutlookVersion {
  return {
    ...entryOf(row),
    slug: row.slug,
    instrument: { symbol: row.symbol, name: row.instrument_name },
    horizon: { from: row.horizon_from, to: row.horizon_to },
    desk: { slug: row.desk_slug, name: row.desk_name },
    visibility: row.internal_to === null ? 'public' : 'internal',
    status: row.status,
    reviewReasons: row.review_reasons ?? [],
    conditionStates: row.condition_states ?? {},
    evidence: row.evidence ?? [],
    answers: row.answers ?? [],
    consensus: row.consensus,
    approvedBy: row.approved_by,
    resolution: row.resolution && {
      ...resolutionOf(row.resolution),
      reason: row.resolution.reason,
    },
    continues: row.continues,
    continuedBy: row.continued_by,
    latestVersion: row.latest_version,
    hash: row.hash,
    previousHash: row.previous_hash,
    framework,
  };
}
