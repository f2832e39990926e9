import pg from 'pg';
import { DomainError } from '../domain/errors.ts';
import { type Framework, hashFramework, type PublishedFramework } from '../domain/framework.ts';
import {
  decideRevision,
  type NewVersion,
  type OutlookVersion,
  type PublishedConsensus,
  type Head,
} from '../domain/outlook.ts';
import type { Probabilities } from '../domain/probabilities.ts';
import type { Acknowledgement } from '../domain/review.ts';
import { inTransaction } from '../postgres/pool.ts';
import { appendFramework, type FrameworkCache } from './frameworks.ts';
import { appendAudit, type NewAuditEntry } from '../access/audit-log.ts';
import { type VersionToAppend, appendVersions } from './append-version.ts';
import { appendAnswers, readOpenTriggers } from './conditions.ts';
import { type PooledViews, readConsensus, recordPooledViews } from './consensus.ts';
import { citeEvidence, requireEvidence } from './evidence.ts';
import {
  LOCK_HEADS,
  LOCK_HEAD,
  type Locked,
  lockedBySlug,
  type HeadRow,
  subjectOf,
} from './locked-outlooks.ts';
import { evaluateFramework } from './evaluate-conditions.ts';
import { lockOutObservations, requireRuleSeries } from './rules.ts';
import { batchCalls } from '../postgres/batching.ts';
import { readVersion } from './versions.ts';

/** What an author sends as the next version; see {@link decideRevision}. */
export type RevisionRequest = {
  author: OutlookVersion['author'];
  rationale: string;
  probabilities?: Probabilities | undefined;
  framework?: Framework | undefined;
  /** Ids of evidence that the version cites. */
  evidence: readonly string[];
  acknowledges: readonly Acknowledgement[];
  /** Where the probabilities are the consensus of views. */
  consensus?: PublishedConsensus | undefined;
  /** Ends the outlook; see {@link decideRevision}. */
  withdraws?: true | undefined;
};

/** New probabilities of an outlook, whatever stands. */
export type NewNumbers = RevisionRequest & {
  slug: string;
  probabilities: Probabilities;
  audit: NewAuditEntry;
};

/** What an author revises: the wording that stands and, where they are asked for, the whole version and what views add up to. */
export type CurrentOutlook = {
  framework: PublishedFramework;
  readWhole: () => Promise<OutlookVersion>;
  pool: (how: Pick<PublishedConsensus, 'method' | 'weights'>) => Promise<PooledViews>;
};

export type Reviser = {
  /**
   * Appends a version with new probabilities. Those that are sent at the same time go into one
   * transaction, each judged on what the one before left and none held up by another's refusal.
   * @throws DomainError `outlook-not-found`, or what {@link decideRevision} throws
   */
  reviseNumbers: (request: NewNumbers) => Promise<OutlookVersion>;
  /**
   * Appends the version that `prepare` answers to what stands. Call it in a transaction, which what it throws
   * leaves to be rolled back. A framework comes only where `bringsRules` says that one may.
   * @throws DomainError `outlook-not-found`, `unknown-evidence`, `unknown-series`, or what
   *   {@link decideRevision} throws
   */
  revise: (
    session: pg.PoolClient,
    slug: string,
    prepare: (current: CurrentOutlook) => RevisionRequest | Promise<RevisionRequest>,
    options: { bringsRules: boolean },
  ) => Promise<OutlookVersion>;
};

/**
 * Revises outlooks. A transaction holds the rows of its outlooks, so writers of one take turns and each
 * decides on what the one before left.
 */
export function reviser(pool: pg.Pool, cache: FrameworkCache, now: () => Date): Reviser {
  const together = batchCalls<NewNumbers, OutlookVersion | null>(
    (requests) => reviseTogether(pool, cache, requests, now),
    { most: 64, atOnce: 1 },
  );
  const revise: Reviser['revise'] = (session, slug, prepare, options) =>
    reviseAlone(session, cache, slug, prepare, { ...options, now });
  return {
    revise,
    reviseNumbers: async (request) => {
      const isPlain = request.evidence.length === 0 && request.acknowledges.length === 0;
      const revised = isPlain ? await together(request) : null;
      if (revised) return revised;
      return inTransaction(pool, async (session) => {
        await appendAudit(session, [request.audit]);
        return revise(session, request.slug, () => request, { bringsRules: false });
      });
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
      const { rows } = await session.query<HeadRow>({ ...LOCK_HEADS, values: [slugs] });
      const locked = await lockedBySlug(session, cache, rows);
      const appended: VersionToAppend[] = [];
      const outcomes = requests.map((request) => {
        const outlook = locked.get(request.slug);
        if (!outlook || outlook.row.review_reasons.length > 0) return null;
        return decideOne(outlook, request, now(), appended);
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

function decideOne(
  outlook: Locked,
  { author, audit, ...proposal }: NewNumbers,
  now: Date,
  appended: VersionToAppend[],
): OutlookVersion | DomainError {
  try {
    const { head: before } = outlook;
    const { next } = decideRevision(before, { ...proposal, authorId: author.id }, now);
    const { id, framework_id: frameworkId } = outlook.row;
    appended.push({ outlookId: id, next, frameworkId, before: before.probabilities, audit });
    outlook.head = { ...before, ...next };
    return { ...published(outlook, next, author, before.probabilities), ...NOTHING_CITED };
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
}

async function reviseAlone(
  session: pg.PoolClient,
  cache: FrameworkCache,
  slug: string,
  prepare: Parameters<Reviser['revise']>[2],
  { bringsRules, now }: { bringsRules: boolean; now: () => Date },
): Promise<OutlookVersion> {
  if (bringsRules) await lockOutObservations(session);
  const { rows } = await session.query<HeadRow>({ ...LOCK_HEAD, values: [slug] });
  const outlook = (await lockedBySlug(session, cache, rows)).get(slug);
  if (!outlook) throw new DomainError('outlook-not-found', `There is no outlook "${slug}".`);
  const { row } = outlook;
  const isOwed = row.review_reasons.length > 0;
  const openTriggers = isOwed ? await readOpenTriggers(session, row.id) : [];
  const before: Head = { ...outlook.head, openTriggers };
  const { author, framework, evidence, consensus, ...request } = await prepare({
    framework: outlook.framework,
    readWhole: () => readVersion(session, cache, slug, 'newest'),
    pool: (how) => readConsensus(session, slug, { ...how, asOf: null }),
  });
  const frameworkHash = framework && hashFramework(framework, subjectOf(row));
  const isPooled = consensus !== undefined;
  const proposal = { ...request, authorId: author.id, frameworkHash, isPooled };
  const { next, answers } = decideRevision(before, proposal, now());
  await requireEvidence(session, row.id, evidence);
  await appendAnswers(session, row.id, next.version, answers);
  const replaced = next.kind === 'framework' ? framework : undefined;
  const frameworkId = replaced
    ? await publishFramework(session, row, replaced, next.frameworkHash)
    : row.framework_id;
  const version = {
    outlookId: row.id,
    next,
    frameworkId,
    before: before.probabilities,
    consensus,
  };
  await appendVersions(session, [version]);
  await citeEvidence(session, row.id, next.version, evidence);
  await recordPooledViews(session, row.id, next.version, consensus?.views ?? []);
  const isPlain = next.kind === 'probabilities' && consensus === undefined;
  if (isPlain && evidence.length === 0 && answers.length === 0) {
    const plain = published(outlook, next, author, before.probabilities);
    return { ...plain, ...NOTHING_CITED };
  }
  if (replaced) {
    await evaluateFramework(session, {
      outlookId: row.id,
      framework: replaced,
      before: outlook.framework.read(),
      horizon: subjectOf(row).horizon,
      recordedAt: next.publishedAt,
    });
  }
  return readVersion(session, cache, slug, 'newest');
}

const NOTHING_CITED = { evidence: [], answers: [], consensus: null } as const;

async function publishFramework(
  session: pg.PoolClient,
  row: HeadRow,
  framework: Framework,
  hash: string,
): Promise<number> {
  const series = await requireRuleSeries(session, framework, subjectOf(row).horizon);
  return appendFramework(session, row.id, framework, hash, series);
}

function published(
  { row, framework }: Pick<Locked, 'row' | 'framework'>,
  next: NewVersion,
  author: OutlookVersion['author'],
  previousProbabilities: Probabilities,
): Omit<OutlookVersion, keyof typeof NOTHING_CITED> {
  return {
    slug: row.slug,
    instrument: { symbol: row.symbol, name: row.instrument_name },
    horizon: subjectOf(row).horizon,
    status: row.status,
    reviewReasons: [], // else it would not have been taken
    conditionStates: row.condition_states,
    resolution: null,
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
