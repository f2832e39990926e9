import type pg from 'pg';
import { DomainError } from '../domain/errors.ts';
import { type Framework, hashFramework, type Subject } from '../domain/framework.ts';
import {
  decideRevision,
  type NewVersion,
  type OutlookStatus,
  type OutlookVersion,
  type Standing,
} from '../domain/outlook.ts';
import {
  deltasOf,
  fractionsOf,
  type Probabilities,
  probabilitiesOf,
  type ScenarioName,
} from '../domain/probabilities.ts';
import { inTransaction, onSession, type Session } from './client.ts';
import { appendFramework, type FrameworkCache, readFramework } from './frameworks.ts';
import { readVersion } from './versions.ts';

// A revision is four short statements on one connection: begin, these two, commit. All that the next
// version depends on stands in the row that the first one locks.

export const LOCK_STANDING = {
  name: 'lock-standing',
  text: `select o.id::float8 as id, o.slug, i.symbol, i.name as instrument_name,
      o.horizon_from::text as horizon_from, o.horizon_to::text as horizon_to,
      o.status, o.review_reasons, o.latest_version as version,
      (extract(epoch from o.published_at) * 1000)::float8 as published_at,
      'sha256:' || encode(o.hash, 'hex') as hash, o.framework_id::float8 as framework_id,
      o.bear_bps as bear, o.base_bps as base, o.bull_bps as bull
    from outlooks o join instruments i on i.id = o.instrument_id
   where o.slug = $1 for no key update of o`,
};

export const APPEND_VERSION = {
  name: 'append-version',
  text: `with version as (
      insert into outlook_versions (outlook_id, version, kind, framework_id, bear_bps, base_bps,
        bull_bps, author_id, rationale, recorded_at, hash, previous_hash)
      values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
      returning outlook_id, version, recorded_at)
    insert into events (kind, outlook_id, version, recorded_at, data)
    select $13, outlook_id, version, recorded_at, $14 from version`,
};

type StandingRow = Record<ScenarioName, number> & {
  id: number;
  slug: string;
  symbol: string;
  instrument_name: string;
  horizon_from: string;
  horizon_to: string;
  status: OutlookStatus;
  review_reasons: string[];
  version: number;
  published_at: number;
  hash: string;
  framework_id: number;
};

/** What an author sends as the next version; see {@link decideRevision}. */
export type RevisionRequest = {
  author: OutlookVersion['author'];
  rationale: string;
  probabilities?: Probabilities | undefined;
  framework?: Framework | undefined;
};

/** What an author revises: the wording that stands and, where it is asked for, the whole version. */
export type Revised = { framework: Framework; readWhole: () => Promise<OutlookVersion> };

/**
 * Appends the next version of an outlook: one transaction that holds the outlook's row, so writers
 * of one outlook take turns and each decides on what the one before left.
 *
 * `prepare` sees what stands, still under the lock, and answers what to append; what it throws
 * leaves everything as it was.
 * @returns the version as it now stands
 * @throws DomainError `outlook-not-found`, or what {@link decideRevision} throws
 */
export async function revise(
  pool: pg.Pool,
  cache: FrameworkCache,
  slug: string,
  prepare: (current: Revised) => RevisionRequest | Promise<RevisionRequest>,
  now: () => Date,
): Promise<OutlookVersion> {
  return inTransaction(pool, async (session) => {
    const { rows } = await session.query<StandingRow>({ ...LOCK_STANDING, values: [slug] });
    const row = rows[0];
    if (!row) throw new DomainError('outlook-not-found', `There is no outlook "${slug}".`);
    const stored = await readFramework(session, cache, row.framework_id);
    const { author, framework, ...request } = await prepare({
      framework: stored.framework,
      readWhole: () => readVersion(session, cache, slug, 'newest'),
    });
    const subject: Subject = {
      instrument: row.symbol,
      horizon: { from: row.horizon_from, to: row.horizon_to },
    };
    const standing = standingOf(row, stored.hash);
    const frameworkHash = framework && hashFramework(framework, subject);
    const next = decideRevision(
      standing,
      { ...request, authorId: author.id, frameworkHash },
      now(),
    );
    const replaced = next.kind === 'framework' ? framework : undefined;
    const frameworkId = replaced
      ? await appendFramework(onSession(session), row.id, replaced, next.frameworkHash)
      : row.framework_id;
    await appendVersion(session, row.id, next, frameworkId, standing.probabilities);
    const { authorId: _, ...published } = next;
    return {
      slug,
      instrument: { symbol: row.symbol, name: row.instrument_name },
      horizon: subject.horizon,
      status: row.status,
      reviewReasons: row.review_reasons,
      latestVersion: next.version,
      ...published,
      author,
      previousProbabilities: standing.probabilities,
      framework: replaced ?? stored.framework,
    };
  });
}

function standingOf(row: StandingRow, frameworkHash: string): Standing {
  return {
    slug: row.slug,
    status: row.status,
    version: row.version,
    publishedAt: new Date(row.published_at),
    hash: row.hash,
    probabilities: probabilitiesOf(row),
    frameworkHash,
  };
}

/**
 * Appends a version and the event that tells of it. Call it in the transaction that decided on the
 * version. The outlook's own row follows by trigger.
 * @param before what stood before; null for version 1
 */
export async function appendVersion(
  session: Session,
  outlookId: number,
  next: NewVersion,
  frameworkId: number,
  before: Probabilities | null,
): Promise<void> {
  const told = {
    kind: next.kind,
    probabilities: fractionsOf(next.probabilities),
    deltas: before && deltasOf(before, next.probabilities),
  };
  await session.query({
    ...APPEND_VERSION,
    values: [
      outlookId,
      next.version,
      next.kind,
      frameworkId,
      next.probabilities.bear,
      next.probabilities.base,
      next.probabilities.bull,
      next.authorId,
      next.rationale,
      next.publishedAt.toISOString(),
      hashBytes(next.hash),
      next.previousHash && hashBytes(next.previousHash),
      next.kind === 'created' ? 'outlook.created' : 'outlook.version.published',
      JSON.stringify(told),
    ],
  });
}

function hashBytes(hash: string): Buffer {
  return Buffer.from(hash.slice('sha256:'.length), 'hex');
}
