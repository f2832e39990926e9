import { DomainError } from '../domain/errors.ts';
import type { OutlookStatus, OutlookVersion } from '../domain/outlook.ts';
import { probabilitiesOf, type ScenarioName } from '../domain/probabilities.ts';
import type { Session } from './client.ts';
import { type FrameworkCache, readFramework } from './frameworks.ts';

/** Which version of an outlook to read: the newest, one by its number, or what stood at a moment. */
export type Wanted = 'newest' | { version: number } | { asOf: Date };

const READ = `
  select o.slug, i.symbol, i.name as instrument_name,
    o.horizon_from::text as horizon_from, o.horizon_to::text as horizon_to,
    o.status, o.review_reasons, o.latest_version,
    v.version, v.kind, (extract(epoch from v.recorded_at) * 1000)::float8 as published_at,
    v.rationale, a.id as author_id, a.name as author_name, v.framework_id::float8 as framework_id,
    'sha256:' || encode(v.hash, 'hex') as hash,
    'sha256:' || encode(v.previous_hash, 'hex') as previous_hash,
    v.bear_bps as bear, v.base_bps as base, v.bull_bps as bull,
    p.bear_bps as previous_bear, p.base_bps as previous_base, p.bull_bps as previous_bull
  from outlooks o
  join instruments i on i.id = o.instrument_id
  join outlook_versions v on v.outlook_id = o.id
  join analysts a on a.id = v.author_id
  left join outlook_versions p on p.outlook_id = v.outlook_id and p.version = v.version - 1`;

const READ_NEWEST = {
  name: 'read-newest',
  text: `${READ} where o.slug = any($1) and v.version = o.latest_version`,
};
const READ_NUMBERED = {
  name: 'read-numbered',
  text: `${READ} where o.slug = $1 and v.version = $2`,
};
// By outlook_versions_as_of: one step down the index, however many versions there are.
const READ_AS_OF = {
  name: 'read-as-of',
  text: `${READ} where o.slug = $1 and v.version = (
    select s.version from outlook_versions s
     where s.outlook_id = o.id and s.recorded_at <= $2
     order by s.recorded_at desc, s.version desc limit 1)`,
};

type EntryRow = Record<ScenarioName, number> & {
  version: number;
  kind: OutlookVersion['kind'];
  published_at: number;
  rationale: string;
  author_id: string;
  author_name: string;
  previous_bear: number | null;
  previous_base: number | null;
  previous_bull: number | null;
};

type VersionRow = EntryRow & {
  slug: string;
  symbol: string;
  instrument_name: string;
  horizon_from: string;
  horizon_to: string;
  status: OutlookStatus;
  review_reasons: string[];
  latest_version: number;
  framework_id: number;
  hash: string;
  previous_hash: string | null;
};

/**
 * One version of an outlook, whole.
 * @throws DomainError `outlook-not-found`, `version-not-found` or `nothing-stood`
 */
export async function readVersion(
  session: Session,
  cache: FrameworkCache,
  slug: string,
  wanted: Wanted,
): Promise<OutlookVersion> {
  const row = await versionRow(session, slug, wanted);
  if (!row) throw await notFound(session, slug, wanted);
  return versionOf(session, cache, row, wanted === 'newest');
}

async function versionRow(session: Session, slug: string, wanted: Wanted) {
  const query =
    wanted === 'newest'
      ? { ...READ_NEWEST, values: [[slug]] }
      : 'version' in wanted
        ? { ...READ_NUMBERED, values: [slug, wanted.version] }
        : { ...READ_AS_OF, values: [slug, wanted.asOf.toISOString()] };
  const { rows } = await session.query<VersionRow>(query);
  return rows[0];
}

/** The newest versions of the outlooks of those slugs that exist, in no order. */
export async function readNewestVersions(
  session: Session,
  cache: FrameworkCache,
  slugs: readonly string[],
): Promise<OutlookVersion[]> {
  const { rows } = await session.query<VersionRow>({ ...READ_NEWEST, values: [slugs] });
  const read: OutlookVersion[] = [];
  // One after the other: a hundred at once would take every connection of the pool.
  for (const row of rows) read.push(await versionOf(session, cache, row, true));
  return read;
}

async function versionOf(
  session: Session,
  cache: FrameworkCache,
  row: VersionRow,
  isNewest: boolean,
): Promise<OutlookVersion> {
  const stored = await readFramework(session, cache, row.framework_id);
  return {
    ...entryOf(row),
    slug: row.slug,
    instrument: { symbol: row.symbol, name: row.instrument_name },
    horizon: { from: row.horizon_from, to: row.horizon_to },
    // A version of the past never changes, so it tells the state that it was published in.
    status: isNewest ? row.status : 'open',
    reviewReasons: isNewest ? row.review_reasons : [],
    latestVersion: row.latest_version,
    hash: row.hash,
    previousHash: row.previous_hash,
    frameworkHash: stored.hash,
    framework: stored.framework,
  };
}

function entryOf(row: EntryRow): VersionEntry {
  const { previous_bear: bear, previous_base: base, previous_bull: bull } = row;
  return {
    version: row.version,
    kind: row.kind,
    publishedAt: new Date(row.published_at),
    author: { id: row.author_id, name: row.author_name },
    rationale: row.rationale,
    probabilities: probabilitiesOf(row),
    previousProbabilities:
      bear === null || base === null || bull === null
        ? null
        : probabilitiesOf({ bear, base, bull }),
  };
}

const READ_POINTER = {
  name: 'read-pointer',
  text: `select o.latest_version, (select min(recorded_at) from outlook_versions
     where outlook_id = o.id and version = 1) as created_at from outlooks o where o.slug = $1`,
};

/** Why a version was not found, in words for whoever asked for it. */
export async function notFound(
  session: Session,
  slug: string,
  wanted: Wanted,
): Promise<DomainError> {
  const { rows } = await session.query<{ latest_version: number; created_at: Date }>({
    ...READ_POINTER,
    values: [slug],
  });
  const outlook = rows[0];
  if (!outlook) return new DomainError('outlook-not-found', `There is no outlook "${slug}".`);
  if (typeof wanted === 'object' && 'asOf' in wanted) {
    const since = outlook.created_at.toISOString();
    return new DomainError('nothing-stood', `"${slug}" was first published at ${since}.`);
  }
  const sought = typeof wanted === 'object' ? ` ${wanted.version}` : '';
  return new DomainError(
    'version-not-found',
    `"${slug}" has no version${sought}; its newest is ${outlook.latest_version}.`,
  );
}

/** A version as the list of an outlook's versions tells it. */
export type VersionEntry = Pick<
  OutlookVersion,
  | 'version'
  | 'kind'
  | 'publishedAt'
  | 'author'
  | 'rationale'
  | 'probabilities'
  | 'previousProbabilities'
>;

const NEWEST_THERE_CAN_BE = 2_147_483_647;

const LIST_VERSIONS = {
  name: 'list-versions',
  text: `
    select v.version, v.kind, (extract(epoch from v.recorded_at) * 1000)::float8 as published_at,
      v.rationale, a.id as author_id, a.name as author_name,
      v.bear_bps as bear, v.base_bps as base, v.bull_bps as bull,
      p.bear_bps as previous_bear, p.base_bps as previous_base, p.bull_bps as previous_bull
    from outlooks o
    join outlook_versions v on v.outlook_id = o.id
    join analysts a on a.id = v.author_id
    left join outlook_versions p on p.outlook_id = v.outlook_id and p.version = v.version - 1
   where o.slug = $1 and v.version <= $2
   order by v.version desc limit $3`,
};

/**
 * The versions of an outlook, newest first, those older than `before`; at most `limit`.
 * @throws DomainError `outlook-not-found`
 */
export async function listVersions(
  session: Session,
  slug: string,
  { before, limit }: { before: number | null; limit: number },
): Promise<VersionEntry[]> {
  const values = [slug, before === null ? NEWEST_THERE_CAN_BE : before - 1, limit];
  const { rows } = await session.query<EntryRow>({ ...LIST_VERSIONS, values });
  if (rows.length === 0) {
    const missing = await notFound(session, slug, 'newest');
    if (missing.code === 'outlook-not-found') throw missing;
  }
  return rows.map(entryOf);
}
