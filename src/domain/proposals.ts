import type { Desk } from './desks.ts';

export const PROPOSAL_KINDS = [
  'outlook',
  'revision',
  'framework',
  'resolution',
  'withdrawal',
  'consensus',
] as const;
/** What a proposal asks for: each is a request of the API that needs an analyst. */
export type ProposalKind = (typeof PROPOSAL_KINDS)[number];

export const PROPOSAL_STATES = [
  'draft',
  'submitted',
  'approved',
  'returned',
  'published',
  'discarded',
] as const;
export type ProposalState = (typeof PROPOSAL_STATES)[number];

export const STEP_KINDS = [
  'submitted',
  'approved',
  'returned',
  'commented',
  'published',
  'discarded',
] as const;
export type StepKind = (typeof STEP_KINDS)[number];

/** Whether a proposal is published or discarded, so that nothing can be added to it. */
export function isSettled(state: ProposalState): boolean {
  return state === 'published' || state === 'discarded';
}

/** The most approvals that a policy can ask for. */
export const MOST_APPROVALS = 5;
/** The most drafts of a proposal. */
export const MOST_DRAFTS = 100;
/**
 * The most steps of a proposal before another one of a kind. Postgres takes 1,000, so that one with many comments can be approved
 * and returned all the same, and its author can always discard it.
 */
export const MOST_STEPS_BEFORE: Partial<Record<StepKind, number>> = {
  commented: 500,
  submitted: 980,
  approved: 996,
};
/** The most bytes of a draft's body as JSON. Numbers may be longer than they were sent: 1e15. */
export const MOST_BYTES = 1_200_000;
/** The most proposals of one author that are not settled. */
export const MOST_OPEN = 200;
/** The most characters of all drafts of a proposal. */
export const MOST_CHARACTERS = 8 * 2 ** 20;
/** How far ahead a proposal can be timed, in days. */
export const MOST_DAYS_AHEAD = 366;

/** How many approvals a desk asks for before it publishes something of a kind. */
export type Approvals = Readonly<Record<ProposalKind, number>>;

/** What a desk publishes only with approval. Version 0 asks for none: the desk never set a policy. */
export type Policy = {
  desk: Desk;
  version: number;
  approvals: Approvals;
  /** Whether an analyst may resolve an outlook that they forecast, by a version or a view. */
  authorMayResolve: boolean;
  /** Who set it; null if a command on the machine of the ledger did, or for the policy without a version. */
  author: { id: string; name: string } | null;
  /** Null for the policy without a version. */
  recordedAt: Date | null;
};

/** The approvals of a desk without a policy. */
export const NO_APPROVALS: Approvals = {
  outlook: 0,
  revision: 0,
  framework: 0,
  resolution: 0,
  withdrawal: 0,
  consensus: 0,
};

/** The parts of a version that decide which approvals of a policy it needs. */
type VersionOfKind = {
  kind: 'created' | 'probabilities' | 'framework' | 'withdrawn' | 'reaffirmed';
  isConsensus: boolean;
  /** Whether its probabilities differ from those of the version before. */
  changesProbabilities: boolean;
  /** Whether it answers triggered conditions. */
  answers: boolean;
};

/** How many approvals a version needs. Postgres counts the same way in approvals_needed(). */
export function approvalsFor(
  approvals: Approvals,
  { kind, isConsensus, changesProbabilities, answers }: VersionOfKind,
): number {
  if (kind === 'created') return approvals.outlook;
  if (kind === 'withdrawn') return approvals.withdrawal;
  if (isConsensus) return approvals.consensus;
  if (kind !== 'framework') return approvals.revision;
  return changesProbabilities || answers
    ? Math.max(approvals.framework, approvals.revision)
    : approvals.framework;
}

/** Why a draft could not be published as it is: the code of the problem, a JSON Pointer into the proposal, and what is wrong there. */
export type DraftWarning = { code: string; pointer: string; detail: string };

/** What a proposal would publish, as its approvers see it. If it changes before the publication, the proposal is returned. */
export type Preview = Readonly<Record<string, unknown>>;

/** How a request is carried out: directly, as a trial that is rolled back, or for the approved proposal with that id. */
export type RequestMode = 'direct' | 'trial' | { proposal: string };

/** The id of the proposal that is carried out; null for none. */
export function proposalOf(mode: RequestMode): string | null {
  return typeof mode === 'object' ? mode.proposal : null;
}

/** Thrown before anything is written: the desk's policy asks for approval, so the request becomes a proposal. */
export class ApprovalNeeded extends Error {
  readonly needed: number;

  constructor(needed: number) {
    super(`The desk's policy asks for approval by ${needed}.`);
    this.name = 'ApprovalNeeded';
    this.needed = needed;
  }
}

/**
 * Requires that a request has the approval that it needs. A trial needs none, and Postgres counts those of a proposal.
 * @param needed how many approvals the policy of the desk asks for
 * @throws ApprovalNeeded if a direct request needs any
 */
export function requireApproval(mode: RequestMode, needed: number): void {
  if (mode === 'direct' && needed > 0) throw new ApprovalNeeded(needed);
}
