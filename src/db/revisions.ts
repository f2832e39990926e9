import pg from 'pg';
import { DomainError } from '../domain/errors.ts';
import {
  type Framework,
  hashFramework,
  type PublishedFramework,
  type Subject,
} from '../domain/framework.ts';
import {
  decideRevision,
  type NewVersion,
  type OutlookStatus,
  type OutlookVersion,
  type Standing,
} from '../domain/outlook.ts';
import { type Probabilities, probabilitiesOf, type ScenarioName } from '../domain/probabilities.ts';
import type { Acknowledgement } from '../domain/review.ts';
import { inTransaction, onSession, type Session } from './client.ts';
import { appendFramework, type FrameworkCache, readFrameworks } from './frameworks.ts';
import { type Appended, appendVersions } from './appending.ts';
import { appendAnswers, readOpenTriggers } from './conditions.ts';
import { citeEvidence, requireEvidence } from './evidence.ts';
import { judgeFramework } from './judging.ts';
import { holdOffObservations, requireRuleSeries } from './rules.ts';
import { gathering } from './gathering.ts';
import { readVersion } from './versions.ts';

// All that the next version depends on stands in the row that is locked: a revision is begin, one
// statement that locks and reads, one that appends, and commit.

const STANDING = `
  select o.id::float8 as id, o.slug, i.symbol, i.name as instrument_name,
    o.horizon_from::text as horizon_from, o.horizon_to::text as horizon_to,
    o.status, o.review_reasons, o.condition_states, o.latest_version as version,
    (extract(epoch from o.published_at) * 1000)::float8 as published_at,
    'sha256:' || encode(o.hash, 'hex') as hash, o.framework_id::float8 as framework_id,
    o.bear_bps as bear, o.base_bps as base, o.bull_bps as bull
  from outlooks o join instruments i on i.id = o.instrument_id`;

export const LOCK_STANDING = {
  name: 'lock-standing',
  text: `${STANDING} where o.slug = $1 for no key update of o`,
};
const LOCK_SOME = {
  name: 'lock-some',
  text: `${STANDING} where o.slug = any($1) for no key update of o skip locked`,
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
  condition_states: OutlookVersion['conditionStates'];
  version: number;
  published_at: number;
  hash: string;
  framework_id: number;
};

/** A locked outlook: what stands, but for open triggers, and what goes into every version of it. */
type Locked = { row: StandingRow; standing: Standing; framework: PublishedFramework };

/** What an author sends as the next version; see {@link decideRevision}. */
export type RevisionRequest = {
  author: OutlookVersion['author'];
  rationale: string;
  probabilities?: Probabilities | undefined;
  framework?: Framework | undefined;
  /** Ids of evidence that the version cites. */
  evidence: readonly string[];
  acknowledges: readonly Acknowledgement[];
};

/** New probabilities of an outlook, whatever stands. */
export type NewNumbers = RevisionRequest & { slug: string; probabilities: Probabilities };

/** What an author revises: the wording that stands and, where it is asked for, the whole version. */
export type Revised = { framework: PublishedFramework; readWhole: () => Promise<OutlookVersion> };

export type Reviser = {
  /**
   * Appends a version with new probabilities. Those that are sent at the same time go into one
   * transaction, each judged on what the one before left and none held up by another's refusal.
   * @throws DomainError `outlook-not-found`, or what {@link decideRevision} throws
   */
  reviseNumbers: (request: NewNumbers) => Promise<OutlookVersion>;
  /**
   * Appends the version that `prepare` answers to what stands, in a transaction of its own. What it
   * throws leaves everything as it was. A framework comes only where `bringsRules` says that one may.
   * @throws DomainError `outlook-not-found`, `unknown-evidence`, `unknown-series`, or what
   *   {@link decideRevision} throws
   */
  revise: (
    slug: string,
    prepare: (current: Revised) => RevisionRequest | Promise<RevisionRequest>,
    options: { bringsRules: boolean },
  ) => Promise<OutlookVersion>;
};

/**
 * Revises outlooks. A transaction holds the rows of its outlooks, so writers of one take turns and each
 * decides on what the one before left.
 */
export function reviser(pool: pg.Pool, cache: FrameworkCache, now: () => Date): Reviser {
  const together = gathering<NewNumbers, OutlookVersion | null>(
    (requests) => reviseTogether(pool, cache, requests, now),
    { most: 64, atOnce: 1 },
  );
  const revise: Reviser['revise'] = (slug, prepare, options) =>
    reviseAlone(pool, cache, slug, prepare, { ...options, now });
  return {
    revise,
    reviseNumbers: async (request) => {
      const isPlain = request.evidence.length === 0 && request.acknowledges.length === 0;
      const revised = isPlain ? await together(request) : null;
      return revised ?? revise(request.slug, () => request, { bringsRules: false });
    },
  };
}

/**
 * Null for an outlook that somebody holds, that waits for an answer or that does not exist: it is for a
 * turn of its own.
 */
async function reviseTogether(
  pool: pg.Pool,
  cache: FrameworkCache,
  requests: readonly NewNumbers[],
  now: () => Date,
): Promise<(OutlookVersion | DomainError | null)[]> {
  try {
    return await inTransaction(pool, async (session) => {
      const slugs = [...new Set(requests.map(({ slug }) => slug))];
      const { rows } = await session.query<StandingRow>({ ...LOCK_SOME, values: [slugs] });
      const locked = await lockedBySlug(session, cache, rows);
      const appended: Appended[] = [];
      const outcomes = requests.map((request) => {
        const outlook = locked.get(request.slug);
        if (!outlook || outlook.row.review_reasons.length > 0) return null;
        return judged(outlook, request, now(), appended);
      });
      if (appended.length > 0) await appendVersions(session, appended);
      return outcomes;
    });
  } catch (error) {
    // One that Postgres refuses takes the others' transaction with it, not the others: it was undone.
    const isRefused = error instanceof pg.DatabaseError && /^2[23]/.test(error.code ?? '');
    if (isRefused && requests.length > 1) return requests.map(() => null);
    throw error;
  }
}

function judged(
  outlook: Locked,
  { author, ...proposal }: NewNumbers,
  now: Date,
  appended: Appended[],
): OutlookVersion | DomainError {
  try {
    const { standing: before } = outlook;
    const { next } = decideRevision(before, { ...proposal, authorId: author.id }, now);
    const { id, framework_id: frameworkId } = outlook.row;
    appended.push({ outlookId: id, next, frameworkId, before: before.probabilities });
    outlook.standing = { ...before, ...next };
    return { ...published(outlook, next, author, before.probabilities), ...NOTHING_CITED };
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
}

async function reviseAlone(
  pool: pg.Pool,
  cache: FrameworkCache,
  slug: string,
  prepare: Parameters<Reviser['revise']>[1],
  { bringsRules, now }: { bringsRules: boolean; now: () => Date },
): Promise<OutlookVersion> {
  return inTransaction(pool, async (session) => {
    if (bringsRules) await holdOffObservations(session);
    const { rows } = await session.query<StandingRow>({ ...LOCK_STANDING, values: [slug] });
    const outlook = (await lockedBySlug(session, cache, rows)).get(slug);
    if (!outlook) throw new DomainError('outlook-not-found', `There is no outlook "${slug}".`);
    const { row } = outlook;
    const isOwed = row.review_reasons.length > 0;
    const openTriggers = isOwed ? await readOpenTriggers(session, row.id) : [];
    const before: Standing = { ...outlook.standing, openTriggers };
    const { author, framework, evidence, ...request } = await prepare({
      framework: outlook.framework,
      readWhole: () => readVersion(session, cache, slug, 'newest'),
    });
    const frameworkHash = framework && hashFramework(framework, subjectOf(row));
    const proposal = { ...request, authorId: author.id, frameworkHash };
    const { next, answers } = decideRevision(before, proposal, now());
    await requireEvidence(session, row.id, evidence);
    await appendAnswers(session, row.id, next.version, answers);
    const replaced = next.kind === 'framework' ? framework : undefined;
    const frameworkId = replaced
      ? await publishFramework(session, row, replaced, next.frameworkHash)
      : row.framework_id;
    const version = { outlookId: row.id, next, frameworkId, before: before.probabilities };
    await appendVersions(session, [version]);
    await citeEvidence(session, row.id, next.version, evidence);
    if (!replaced && evidence.length === 0 && answers.length === 0) {
      const plain = published(outlook, next, author, before.probabilities);
      return { ...plain, ...NOTHING_CITED };
    }
    if (replaced) {
      await judgeFramework(session, {
        outlookId: row.id,
        framework: replaced,
        before: outlook.framework.read(),
        horizon: subjectOf(row).horizon,
        recordedAt: next.publishedAt,
      });
    }
    return readVersion(session, cache, slug, 'newest');
  });
}

const NOTHING_CITED = { evidence: [], answers: [] } as const;

async function publishFramework(
  session: pg.PoolClient,
  row: StandingRow,
  framework: Framework,
  hash: string,
): Promise<number> {
  const series = await requireRuleSeries(session, framework, subjectOf(row).horizon);
  return appendFramework(onSession(session), row.id, framework, hash, series);
}

async function lockedBySlug(
  session: Session,
  cache: FrameworkCache,
  rows: readonly StandingRow[],
): Promise<Map<string, Locked>> {
  const stored = await readFrameworks(
    session,
    cache,
    rows.map((row) => row.framework_id),
  );
  return new Map(
    rows.map((row) => {
      const found = stored.get(row.framework_id);
      if (!found) throw new Error(`framework ${row.framework_id} is missing`);
      const standing: Standing = {
        slug: row.slug,
        status: row.status,
        version: row.version,
        publishedAt: new Date(row.published_at),
        hash: row.hash,
        probabilities: probabilitiesOf(row),
        frameworkHash: found.hash,
        openTriggers: [],
      };
      return [row.slug, { row, standing, framework: found }];
    }),
  );
}

function subjectOf(row: StandingRow): Subject {
  return { instrument: row.symbol, horizon: { from: row.horizon_from, to: row.horizon_to } };
}

function published(
  { row, framework }: Pick<Locked, 'row' | 'framework'>,
  next: NewVersion,
  author: OutlookVersion['author'],
  previousProbabilities: Probabilities,
): Omit<OutlookVersion, 'evidence' | 'answers'> {
  return {
    slug: row.slug,
    instrument: { symbol: row.symbol, name: row.instrument_name },
    horizon: subjectOf(row).horizon,
    status: row.status,
    reviewReasons: [], // else it would not have been taken
    conditionStates: row.condition_states,
    latestVersion: next.version,
    version: next.version,
    kind: next.kind,
    publishedAt: next.publishedAt,
    author,
    rationale: next.rationale,
    hash: next.hash,
    previousHash: next.previousHash,
    probabilities: next.probabilities,
    previousProbabilities,
    framework,
  };
}
