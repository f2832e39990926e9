import type { Desk, Visibility } from './desks.ts';
import { DomainError } from './errors.ts';
import type { Horizon, PublishedFramework } from './framework.ts';
import { isOver, lastDayOf } from './horizon.ts';
import { hashVersion, type VersionKind } from './hash-chain.ts';
import type { ConditionState } from './condition-rules.ts';
import type { PoolMethod, PoolWeights } from './consensus.ts';
import {
  fractionsOf,
  type Probabilities,
  sameProbabilities,
  SCENARIO_NAMES,
  type ScenarioName,
} from './probabilities.ts';
import {
  type Acknowledgement,
  type ConditionAnswer,
  answersTo,
  type AnswerWay,
  type OpenTrigger,
} from './review.ts';

export const OUTLOOK_STATUSES = ['open', 'resolved', 'void', 'withdrawn'] as const;
export type OutlookStatus = (typeof OUTLOOK_STATUSES)[number];

/** The consensus that a version published. */
export type PublishedConsensus = {
  method: PoolMethod;
  weights: PoolWeights;
  /** In days: older views were left out; null if none was. */
  maxAge: number | null;
  /** By the analysts' names; weights sum to 1. */
  views: readonly { analyst: { id: string; name: string }; version: number; weight: number }[];
};

/** The outcome, as lists of outlooks show it. */
export type BriefResolution = {
  number: number;
  outcome: ScenarioName | 'void';
  realisedReturn: number | null;
  /** When the outcome became known; null if the outlook is void. */
  knownAt: Date | null;
  resolvedAt: Date;
};

/** The outcome, as an outlook shows it. */
export type Resolution = BriefResolution & { reason: string | null };

/** One complete version of an outlook. */
export type OutlookVersion = {
  slug: string;
  instrument: { symbol: string; name: string };
  horizon: Horizon;
  desk: Desk;
  visibility: Visibility;
  status: OutlookStatus;
  /** Why a review is due; empty if none is. */
  reviewReasons: readonly string[];
  /** By key; conditions that are left out are untriggered. */
  conditionStates: Readonly<Record<string, ConditionState>>;
  /** The evidence that the version cites. */
  evidence: readonly { id: string; headline: string }[];
  /** How the version answered triggered conditions. */
  answers: readonly { condition: string; way: AnswerWay; reason: string | null }[];
  /** If the probabilities are a consensus: the views and how they were pooled. */
  consensus: PublishedConsensus | null;
  /** Who approved it; empty if it needed no approval. */
  approvedBy: readonly { id: string; name: string }[];
  /** The outcome, if it is recorded. */
  resolution: Resolution | null;
  /** The slug of the outlook that this one continues over a later horizon. */
  continues: string | null;
  /** The slug of the newest outlook that continues this one; always null in a numbered version. */
  continuedBy: string | null;
  /** The newest version at the time of reading. */
  latestVersion: number;
  version: number;
  publishedAt: Date;
  author: { id: string; name: string };
  rationale: string;
  kind: VersionKind;
  hash: string;
  previousHash: string | null;
  probabilities: Probabilities;
  previousProbabilities: Probabilities | null;
  framework: PublishedFramework;
};

/** The current state, as far as the next version depends on it. */
export type Head = {
  slug: string;
  status: OutlookStatus;
  horizon: Horizon;
  version: number;
  publishedAt: Date;
  hash: string;
  probabilities: Probabilities;
  frameworkHash: string;
  /** The triggered conditions that the next version must answer. */
  openTriggers: readonly OpenTrigger[];
};

/** What an author proposes for the next version. A part that is left out stays unchanged. */
export type Proposal = {
  authorId: string;
  rationale: string;
  probabilities?: Probabilities | undefined;
  frameworkHash?: string | undefined;
  acknowledges?: readonly Acknowledgement[] | undefined;
  /** Whether the probabilities are a consensus of views instead of sent by the author. */
  isPooled?: boolean | undefined;
  /** Keeps the probabilities and the framework, and answers every condition that is not acknowledged. */
  reaffirms?: boolean | undefined;
  /** Ends the outlook. The version changes nothing and answers no condition. */
  withdraws?: true | undefined;
};

/** A version as it is appended to the ledger. */
export type NewVersion = {
  version: number;
  kind: VersionKind;
  publishedAt: Date;
  authorId: string;
  rationale: string;
  probabilities: Probabilities;
  frameworkHash: string;
  previousHash: string | null;
  hash: string;
};

/** A version, and how it answers triggered conditions. */
export type Decision = { next: NewVersion; answers: readonly ConditionAnswer[] };

/** Version 1 of an outlook. */
export function firstVersion(
  slug: string,
  proposal: Pick<Proposal, 'authorId' | 'rationale'> & {
    probabilities: Probabilities;
    frameworkHash: string;
  },
  now: Date,
): NewVersion {
  return chained(slug, {
    ...proposal,
    version: 1,
    kind: 'created',
    publishedAt: now,
    previousHash: null,
  });
}

/**
 * Decides the version that follows `current`.
 *
 * It is published at `now`, or at the time of the previous version if the clock has gone back since,
 * so that the order of versions is the order of their times.
 * @throws DomainError `outlook-closed` if the outlook is not open, `horizon-ended` if its horizon is over, `no-change` if the
 *   proposal equals the current version and neither answers a condition nor reaffirms, `reaffirmation-refused` if it
 *   reaffirms other probabilities than the current ones, or what {@link answersTo} throws
 */
export function decideRevision(current: Head, proposal: Proposal, now: Date): Decision {
  if (current.status !== 'open') {
    throw new DomainError(
      'outlook-closed',
      `"${current.slug}" is ${current.status} and accepts no further versions.`,
    );
  }
  if (!proposal.withdraws) requireRunning(current, timeAfter(current, now));
  const { probabilities = current.probabilities, frameworkHash = current.frameworkHash } = proposal;
  const { acknowledges = [], reaffirms = false } = proposal;
  if (proposal.withdraws) return { next: nextOf(current, proposal, 'withdrawn', now), answers: [] };
  const kind = frameworkHash === current.frameworkHash ? 'probabilities' : 'framework';
  const isSame =
    kind === 'probabilities' && sameProbabilities(probabilities, current.probabilities);
  if (reaffirms && !isSame) throw otherThanReaffirmed(current);
  if (!reaffirms && isSame && acknowledges.length === 0) throw unchanged(current, proposal);
  const answers = answersTo(current.openTriggers, current.probabilities, {
    probabilities,
    acknowledges,
    reaffirms,
  });
  return { next: nextOf(current, proposal, reaffirms ? 'reaffirmed' : kind, now), answers };
}

function otherThanReaffirmed({ version, probabilities }: Head): DomainError {
  const fractions = fractionsOf(probabilities);
  const said = SCENARIO_NAMES.map((name) => `${name} ${fractions[name]}`).join(', ');
  return new DomainError(
    'reaffirmation-refused',
    `A reaffirmation keeps the probabilities of version ${version}. Nothing was stored.`,
    [
      {
        path: ['probabilities'],
        detail: `must be those of version ${version} (${said}) or left out, because reaffirm is true`,
      },
    ],
  );
}

function unchanged({ version }: Head, { frameworkHash, isPooled }: Proposal): DomainError {
  const isNumbers = frameworkHash === undefined && !isPooled;
  const detail = isPooled
    ? `the consensus equals version ${version}; there is nothing to publish`
    : `equals version ${version}; change something${
        isNumbers ? ', or send "reaffirm": true to stand by it' : ''
      }`;
  const path = isNumbers ? ['probabilities'] : [];
  return new DomainError('no-change', `The request equals version ${version}.`, [{ path, detail }]);
}

/**
 * Refuses forecasts of a horizon that is over.
 * @throws DomainError `horizon-ended`
 */
export function requireRunning(
  { slug, horizon }: { slug: string; horizon: Horizon },
  now: Date,
): void {
  if (!isOver(horizon, now)) return;
  throw new DomainError(
    'horizon-ended',
    `The horizon of "${slug}" ended on ${lastDayOf(horizon)}, so it accepts no further versions or views.`,
  );
}

const timeAfter = ({ publishedAt }: Head, now: Date): Date =>
  now < publishedAt ? publishedAt : now;

function nextOf(
  current: Head,
  { authorId, rationale, ...proposal }: Proposal,
  kind: VersionKind,
  now: Date,
): NewVersion {
  return chained(current.slug, {
    authorId,
    rationale,
    version: current.version + 1,
    kind,
    publishedAt: timeAfter(current, now),
    probabilities: proposal.probabilities ?? current.probabilities,
    frameworkHash: proposal.frameworkHash ?? current.frameworkHash,
    previousHash: current.hash,
  });
}

function chained(slug: string, version: Omit<NewVersion, 'hash'>): NewVersion {
  return { ...version, hash: hashVersion({ slug, ...version }) };
}
