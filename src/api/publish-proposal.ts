import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';
import { PROBLEMS } from '../http/problem-catalogue.ts';
import { findNotActing, readApprovers } from '../ledger/approvals.ts';
import { appendStep, type LockedProposal, readDraft } from '../ledger/proposals.ts';
import type { Session } from '../postgres/pool.ts';
import { carryOut, type CarriedOut, type CarryOutDeps } from './carry-out.ts';
import { refusalByRule } from './proposal-trials.ts';

export type PublishDeps = CarryOutDeps & {
  /** Whether analysts of an identity provider act for desks. */
  countsIdentities: boolean;
};

/** The rules that Postgres checks at a commit. */
const AT_COMMIT =
  'require_first_version, require_pooled_views, require_answering_version, require_approval';

/** Why an approved proposal is not published. */
class NotPublished extends Error {}

/**
 * Publishes an approved, locked proposal through the path of its direct request, in a savepoint. Policy, author, approvers and
 * version are checked again. Whatever refuses it returns the proposal, with a step that says why.
 * @returns what was published; null if the proposal was returned
 */
export async function publishProposal(
  session: pg.PoolClient,
  deps: PublishDeps,
  proposal: LockedProposal,
): Promise<CarriedOut | null> {
  await session.query('savepoint publication');
  try {
    const published = await publish(session, deps, proposal);
    await session.query('release savepoint publication');
    return published;
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === null) throw error;
    await session.query('rollback to savepoint publication');
    const text = `Not published. ${(await versionMoved(session, proposal)) ?? reason}`;
    await appendStep(session, proposal, { kind: 'returned', analyst: null, text }, deps.now());
    return null;
  }
}

async function publish(
  session: pg.PoolClient,
  deps: PublishDeps,
  proposal: LockedProposal,
): Promise<CarriedOut> {
  const { id, kind, outlook, author, desk, draft } = proposal;
  await requirePublishable(session, deps, proposal);
  const { body, preview } = await readDraft(session, id, draft);
  const actor = { analyst: author, desks: [desk.id] };
  const carried = await carryOut(session, deps, { kind, outlook, body }, actor, { proposal: id });
  if (!isDeepStrictEqual(JSON.parse(JSON.stringify(carried.preview)), preview)) {
    throw new NotPublished(
      `It would no longer publish what was approved: ${describe(carried.preview)} instead of ${describe(preview ?? {})}. Submit it again.`,
    );
  }
  await session.query(`set constraints ${AT_COMMIT} immediate`);
  return carried;
}

/** The longest description of a preview, in characters. */
const LONGEST = 500;

function describe(preview: object): string {
  return JSON.stringify(preview).slice(0, LONGEST);
}

async function requirePublishable(
  session: Session,
  { now, countsIdentities }: PublishDeps,
  proposal: LockedProposal,
): Promise<void> {
  const moved = await versionMoved(session, proposal);
  if (moved !== null) throw new NotPublished(moved);
  const { id, author, desk } = proposal;
  const approvers = await readApprovers(session, id);
  const needed = await readNeeded(session, id);
  if (approvers.length < needed) {
    throw new NotPublished(
      `The policy of the desk now asks for approval by ${needed}, and ${approvers.length} approved it. Submit it again.`,
    );
  }
  const ids = [author.id, ...approvers.map((approver) => approver.id)];
  const left = await findNotActing(session, ids, desk.id, { now: now(), countsIdentities });
  if (left.some((analyst) => analyst.id === author.id)) {
    throw new NotPublished('Its author no longer acts for the desk.');
  }
  if (left.length > 0) {
    throw new NotPublished(
      `${left.length} of those who approved it no longer ${left.length === 1 ? 'acts' : 'act'} for the desk. Submit it again.`,
    );
  }
}

/** How many approvals the policy of the desk asks of a proposal now. */
export async function readNeeded(session: Session, id: string): Promise<number> {
  const { rows } = await session.query<{ needed: number }>(
    'select approvals_needed(p) as needed from proposals p where id = $1',
    [id],
  );
  return rows[0]?.needed ?? 0;
}

/** Whether its outlook has a newer version than the one that a proposal was submitted for. */
export async function isMoved(session: Session, proposal: LockedProposal): Promise<boolean> {
  return (await versionMoved(session, proposal)) !== null;
}

/** What is published since a proposal was submitted; null if it is still for the current version. */
async function versionMoved(
  session: Session,
  { outlookId, baseVersion }: LockedProposal,
): Promise<string | null> {
  if (outlookId === null) return null;
  const { rows } = await session.query<{ version: number }>(
    'select latest_version as version from outlooks where id = $1',
    [outlookId],
  );
  const version = rows[0]?.version ?? 0;
  if (version === baseVersion) return null;
  return `Version ${version} has been published since, but the proposal was submitted for version ${baseVersion}. Review it, and submit it again.`;
}

/** The end of a step's text; null if the error is not about the proposal, so that publishing it may succeed later. */
function reasonOf(error: unknown): string | null {
  if (error instanceof NotPublished) return error.message;
  if (error instanceof pg.DatabaseError && error.constraint?.endsWith('_unapproved')) {
    return 'It would not publish what was approved, or the policy of the desk now asks for more approvals. Submit it again.';
  }
  const problem = refusalByRule(error);
  if (problem === null || PROBLEMS[problem.code].status >= 500) return null;
  const faults = problem.errors.map(({ pointer, detail }) => `${pointer}: ${detail}`);
  return [problem.message, ...faults].join('\n').slice(0, MOST_CHARACTERS);
}

/** The longest reason, in characters. Steps take 20,000. */
const MOST_CHARACTERS = 10_000;
