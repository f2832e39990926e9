import type pg from 'pg';
import type { Actor, Desks } from '../domain/desks.ts';
import { type Framework, hashFramework } from '../domain/framework.ts';
import {
  type Decision,
  decideRevision,
  type OutlookVersion,
  type PublishedConsensus,
} from '../domain/outlook.ts';
import { type Probabilities, sameProbabilities } from '../domain/probabilities.ts';
import {
  approvalsFor,
  type RequestMode,
  proposalOf,
  requireApproval,
} from '../domain/proposals.ts';
import type { Acknowledgement } from '../domain/review.ts';
import type { Session } from '../postgres/pool.ts';
import { appendFramework, type FrameworkCache } from './frameworks.ts';
import { type VersionToAppend, appendVersions } from './append-version.ts';
import { appendAnswers, readOpenTriggers } from './conditions.ts';
import { recordPooledViews } from './consensus.ts';
import { citeEvidence, requireEvidence } from './evidence.ts';
import {
  type CurrentOutlook,
  type HeadRow,
  lockOutlooks,
  requireDeskOf,
  subjectOf,
} from './locked-outlooks.ts';
import { outlookNotFound } from './find-outlook.ts';
import { evaluateFramework } from './evaluate-conditions.ts';
import { lockOutObservations, requireRuleSeries } from './rules.ts';
import { readVersion } from './versions.ts';

/** What an author sends as the next version; see {@link decideRevision}. */
export type RevisionRequest = {
  rationale: string;
  probabilities?: Probabilities | undefined;
  framework?: Framework | undefined;
  /** Ids of evidence that the version cites. */
  evidence: readonly string[];
  acknowledges: readonly Acknowledgement[];
  /** The consensus, if the probabilities are one. */
  consensus?: PublishedConsensus | undefined;
  /** Keeps the probabilities; see {@link decideRevision}. */
  reaffirms?: boolean | undefined;
  /** Ends the outlook; see {@link decideRevision}. */
  withdraws?: true | undefined;
};

/** Revisions of several outlooks that are appended by one statement. */
export type GroupedRevisions = {
  /** The outlooks that are locked, by slug. */
  locked: ReadonlyMap<string, CurrentOutlook>;
  /**
   * An outlook after the revisions so far, for a caller; undefined if its revision needs a transaction of its own, because
   * another one has locked it, a review is due, the policy of its desk asks for approval, or it does not exist.
   * @throws DomainError `wrong-desk`
   */
  current: (slug: string, desks: Desks) => CurrentOutlook | undefined;
  /**
   * Decides an analyst's next version for a request that {@link isPlain}. It is appended with the others.
   * @throws DomainError what {@link decideRevision} throws
   */
  revise: (
    current: CurrentOutlook,
    author: OutlookVersion['author'],
    request: RevisionRequest,
  ) => OutlookVersion;
  append: () => Promise<void>;
};

/** How to carry out a revision: directly unless `mode` says otherwise. */
export type RevisionOptions = {
  mayChangeRules: boolean;
  mode?: RequestMode;
};

export type Reviser = {
  /** Locks outlooks for revisions that share the transaction. */
  group: (session: Session, slugs: readonly string[]) => Promise<GroupedRevisions>;
  /**
   * Appends the version that `prepare` makes from the current outlook. Call it in a transaction, and roll that back if it
   * throws. The request may have a framework only if `mayChangeRules` is set.
   * @throws DomainError `outlook-not-found`, `wrong-desk`, `unknown-evidence`, `unknown-series`, or what
   *   {@link decideRevision} throws; ApprovalNeeded, before it writes anything
   */
  revise: (
    session: pg.PoolClient,
    slug: string,
    actor: Actor,
    prepare: Prepare,
    options: RevisionOptions,
  ) => Promise<OutlookVersion>;
};

export type Prepare = (
  session: pg.PoolClient,
  current: CurrentOutlook,
) => RevisionRequest | Promise<RevisionRequest>;

/**
 * Revises outlooks. A transaction locks the rows of its outlooks, so writers of one outlook take turns, and each decides
 * on the state that the previous one left.
 */
export function reviser(cache: FrameworkCache, now: () => Date): Reviser {
  return {
    group: (session, slugs) => groupRevisions(session, cache, slugs, now),
    revise: (session, slug, actor, prepare, options) =>
      reviseAlone(session, cache, slug, actor, prepare, { ...options, now }),
  };
}

/** Whether a revision appends nothing but a version with new or reaffirmed probabilities. */
export function isPlain(request: RevisionRequest): boolean {
  const { framework, evidence, acknowledges, consensus, withdraws } = request;
  if (framework !== undefined || consensus !== undefined || withdraws !== undefined) return false;
  return evidence.length === 0 && acknowledges.length === 0;
}

function isReviewDue({ row }: CurrentOutlook): boolean {
  return row.review_reasons.length > 0;
}

/** Whether a plain revision needs approval, so that it becomes a proposal. */
function needsApproval({ row }: CurrentOutlook): boolean {
  return row.approvals !== null && row.approvals.revision > 0;
}

async function groupRevisions(
  session: Session,
  cache: FrameworkCache,
  slugs: readonly string[],
  now: () => Date,
): Promise<GroupedRevisions> {
  const outlooks = await lockOutlooks(session, cache, slugs, { waits: false });
  const versions: VersionToAppend[] = [];
  return {
    locked: outlooks,
    current: (slug, desks) => {
      const current = outlooks.get(slug);
      if (current) requireDeskOf(current, desks);
      return current && !isReviewDue(current) && !needsApproval(current) ? current : undefined;
    },
    revise: (current, author, request) => {
      const { version } = decide(current, author, request, now());
      versions.push(version);
      return published(current, version, author);
    },
    append: () => appendVersions(session, versions),
  };
}

/** Decides the next version without writing it. From then on it is the current one for the group. */
function decide(
  current: CurrentOutlook,
  author: OutlookVersion['author'],
  { framework, consensus, ...request }: RevisionRequest,
  now: Date,
): { version: VersionToAppend; answers: Decision['answers'] } {
  const { row, head } = current;
  const frameworkHash = framework && hashFramework(framework, subjectOf(row));
  const isPooled = consensus !== undefined;
  const proposal = { ...request, authorId: author.id, frameworkHash, isPooled };
  const { next, answers } = decideRevision(head, proposal, now);
  current.head = { ...head, ...next };
  const { id: outlookId, framework_id: frameworkId } = row;
  const before = head.probabilities;
  return { version: { outlookId, next, frameworkId, before, consensus }, answers };
}

async function reviseAlone(
  session: pg.PoolClient,
  cache: FrameworkCache,
  slug: string,
  { analyst: author, desks }: Actor,
  prepare: Prepare,
  { mayChangeRules, mode = 'direct', now }: RevisionOptions & { now: () => Date },
): Promise<OutlookVersion> {
  if (mayChangeRules) await lockOutObservations(session);
  const current = (await lockOutlooks(session, cache, [slug], { waits: true })).get(slug);
  if (!current) throw outlookNotFound(slug);
  requireDeskOf(current, desks);
  const { row } = current;
  const isOwed = isReviewDue(current);
  const openTriggers = isOwed ? await readOpenTriggers(session, row.id) : [];
  current.head = { ...current.head, openTriggers };
  const request = await prepare(session, current);
  const { version, answers } = decide(current, author, request, now());
  const { next } = version;
  requireApproval(mode, approvalsNeeded(row, version, answers));
  version.proposalId = proposalOf(mode);
  await requireEvidence(session, row.id, request.evidence);
  await appendAnswers(session, row.id, next.version, answers);
  const framework = next.kind === 'framework' ? request.framework : undefined;
  if (framework) {
    const series = await requireRuleSeries(session, framework, subjectOf(row).horizon, {
      desks,
      internalTo: row.internal_to,
    });
    const { frameworkHash: hash } = next;
    version.frameworkId = await appendFramework(session, row.id, framework, hash, series);
  }
  await appendVersions(session, [version]);
  if (!isOwed && isPlain(request) && version.proposalId === null)
    return published(current, version, author);
  await citeEvidence(session, row.id, next.version, request.evidence);
  await recordPooledViews(session, row.id, next.version, request.consensus?.views ?? []);
  if (framework) {
    await evaluateFramework(session, {
      outlookId: row.id,
      framework,
      before: current.framework.read(),
      horizon: subjectOf(row).horizon,
      recordedAt: next.publishedAt,
    });
  }
  return readVersion(session, cache, slug, 'newest');
}

/** How many approvals a version needs by the policy of its desk. */
function approvalsNeeded(
  { approvals }: HeadRow,
  version: VersionToAppend,
  answers: Decision['answers'],
): number {
  if (approvals === null) return 0;
  const { next, before, consensus } = version;
  return approvalsFor(approvals, {
    kind: next.kind,
    isConsensus: consensus !== undefined,
    changesProbabilities: before !== null && !sameProbabilities(before, next.probabilities),
    answers: answers.length > 0,
  });
}

/** The complete version that a revision appends if it {@link isPlain}, without a proposal. */
function published(
  { row, framework }: CurrentOutlook,
  { next, before }: VersionToAppend,
  author: OutlookVersion['author'],
): OutlookVersion {
  return {
    slug: row.slug,
    instrument: { symbol: row.symbol, name: row.instrument_name },
    horizon: subjectOf(row).horizon,
    desk: { slug: row.desk_slug, name: row.desk_name },
    visibility: row.internal_to === null ? 'public' : 'internal',
    status: row.status,
    reviewReasons: row.review_reasons,
    conditionStates: row.condition_states,
    evidence: [],
    answers: [],
    consensus: null,
    approvedBy: [],
    resolution: null,
    continues: row.continues,
    continuedBy: row.continued_by,
    latestVersion: next.version,
    version: next.version,
    kind: next.kind,
    publishedAt: next.publishedAt,
    author,
    rationale: next.rationale,
    hash: next.hash,
    previousHash: next.previousHash,
    probabilities: next.probabilities,
    previousProbabilities: before,
    framework,
  };
}
