import { deskOf } from '../access/desks.ts';
import { actsFor, type Desk, type Desks, requireDesk } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';
import {
  type DraftWarning,
  isSettled,
  MOST_CHARACTERS,
  MOST_DRAFTS,
  MOST_OPEN,
  MOST_STEPS_BEFORE,
  type Preview,
  type ProposalKind,
  type ProposalState,
  type StepKind,
} from '../domain/proposals.ts';
import type { Session } from '../postgres/pool.ts';
import { visibleDesks, visibleTo } from './visibility.ts';

/** A locked proposal, as far as its next step depends on it. */
export type LockedProposal = {
  id: string;
  desk: Desk & { id: number };
  kind: ProposalKind;
  /** The slug of its outlook; null for a new one. */
  outlook: string | null;
  outlookId: number | null;
  author: { id: string; name: string };
  state: ProposalState;
  /** The numbers of the newest draft and the newest step; 0 for none. */
  draft: number;
  step: number;
  /** The version of its outlook for which it was submitted; null for a new outlook, and while it is not submitted. */
  baseVersion: number | null;
  publishAt: Date | null;
};

const LOCK = `
  select p.id, json_build_object('id', d.id, 'slug', d.slug, 'name', d.name) as desk, p.kind, o.slug as outlook,
      p.outlook_id as "outlookId", json_build_object('id', a.id, 'name', a.name) as author, p.state, p.draft, p.step,
      p.base_version as "baseVersion", p.publish_at as "publishAt"
    from proposals p join desks d on d.id = p.desk_id join analysts a on a.id = p.author_id
    left join outlooks o on o.id = p.outlook_id`;

/** The error for an id that no proposal has, or one that the caller may not see. */
export function proposalNotFound(id: string): DomainError {
  return new DomainError('proposal-not-found', `There is no proposal "${id}".`);
}

/**
 * Locks a proposal until the transaction ends.
 * @throws DomainError `proposal-not-found`, also if the caller does not act for its desk
 */
export async function lockProposal(
  session: Session,
  id: string,
  desks: Desks,
): Promise<LockedProposal> {
  // By a statement of its own, so that the next one reads what the lock waited for.
  await session.query('select from proposals where id = $1 for no key update', [id]);
  const { rows } = await session.query<LockedProposal>(`${LOCK} where p.id = $1`, [id]);
  const [found] = rows;
  if (!found || !actsFor(desks, found.desk.id)) throw proposalNotFound(id);
  return found;
}

/**
 * Locks the approved proposal that has been due for the longest, unless another transaction has locked it.
 * @param skipped ids of proposals to leave out
 */
export async function lockDueProposal(
  session: Session,
  now: Date,
  skipped: readonly string[],
): Promise<LockedProposal | null> {
  const { rows } = await session.query<LockedProposal>({
    name: 'lock-due-proposal',
    text: `${LOCK} where p.state = 'approved' and p.publish_at <= $1 and p.id <> all($2::uuid[])
      order by p.publish_at limit 1 for no key update of p skip locked`,
    values: [now.toISOString(), skipped],
  });
  return rows[0] ?? null;
}

/** @throws DomainError `proposal-settled` */
export function requireUnsettled({ state }: Pick<LockedProposal, 'state'>): void {
  if (!isSettled(state)) return;
  throw new DomainError('proposal-settled', `The proposal is ${state}.`);
}

/** The parts of a proposal that never change. */
export type NewProposal = Pick<LockedProposal, 'kind' | 'outlookId' | 'author'> & {
  deskId: number;
};

/**
 * Inserts a proposal, which has to get its first draft in the same transaction.
 * @returns its id
 * @throws DomainError `too-many-proposals`
 */
export async function insertProposal(
  session: Session,
  { kind, outlookId, deskId, author }: NewProposal,
  now: Date,
): Promise<string> {
  const { rows: open } = await session.query<{ count: number }>(
    `select count(*) from proposals where author_id = $1 and state not in ('published', 'discarded')`,
    [author.id],
  );
  if ((open[0]?.count ?? 0) >= MOST_OPEN) {
    const detail = `You have ${MOST_OPEN} proposals that are neither published nor discarded.`;
    throw new DomainError('too-many-proposals', detail);
  }
  const { rows } = await session.query<{ id: string }>(
    `insert into proposals (kind, outlook_id, desk_id, author_id, created_at, changed_at)
     values ($1, $2, $3, $4, $5, $5) returning id`,
    [kind, outlookId, deskId, author.id, now.toISOString()],
  );
  const [inserted] = rows;
  if (!inserted) throw new Error('a proposal was inserted but not returned');
  return inserted.id;
}

/** The text of a proposal, and when to publish it; null for at once. */
export type Draft = {
  body: Record<string, unknown>;
  note: string | null;
  publishAt: Date | null;
};

/**
 * Appends a draft, after which the proposal is not submitted any more.
 * @throws DomainError `proposal-full`
 */
export async function appendDraft(
  session: Session,
  { id, draft: newest }: Pick<LockedProposal, 'id' | 'draft'>,
  { body, note, publishAt, warnings }: Draft & { warnings: readonly DraftWarning[] },
  now: Date,
): Promise<void> {
  const text = JSON.stringify(body);
  const { rows } = await session.query<{ characters: number }>(
    'select coalesce(sum(length(body::text)), 0)::bigint as characters from proposal_drafts where proposal_id = $1',
    [id],
  );
  if (newest >= MOST_DRAFTS || (rows[0]?.characters ?? 0) + text.length > MOST_CHARACTERS) {
    throw new DomainError('proposal-full', 'The proposal takes no more drafts.');
  }
  await session.query(
    `insert into proposal_drafts (proposal_id, number, body, note, publish_at, warnings, recorded_at)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [
      id,
      newest + 1,
      text,
      note,
      publishAt?.toISOString(),
      JSON.stringify(warnings),
      now.toISOString(),
    ],
  );
}

/** What somebody does with the newest draft of a proposal; without an analyst, the service does. */
export type NewStep = {
  kind: Exclude<StepKind, 'published'>;
  analyst: { id: string } | null;
  text?: string | null | undefined;
  baseVersion?: number | null;
  preview?: Preview;
};

/** Appends a step to a locked proposal. @throws DomainError `proposal-full` for a step too many */
export async function appendStep(
  session: Session,
  { id, step, draft }: Pick<LockedProposal, 'id' | 'step' | 'draft'>,
  { kind, analyst, text = null, baseVersion = null, preview }: NewStep,
  now: Date,
): Promise<void> {
  if (step >= (MOST_STEPS_BEFORE[kind] ?? Infinity)) {
    const more = kind === 'commented' ? 'comments' : 'steps: discard it and open another one';
    throw new DomainError('proposal-full', `The proposal takes no more ${more}.`);
  }
  await session.query(
    `insert into proposal_steps (proposal_id, number, kind, draft, analyst_id, text, base_version, preview, recorded_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [
      id,
      step + 1,
      kind,
      draft,
      analyst?.id,
      text,
      baseVersion,
      preview && JSON.stringify(preview),
      now.toISOString(),
    ],
  );
}

/** The body and the time of a draft, and what it would publish by its newest submission; null before the first. */
export async function readDraft(
  session: Session,
  id: string,
  draft: number,
): Promise<{ body: Record<string, unknown>; publishAt: Date | null; preview: Preview | null }> {
  const { rows } = await session.query<{
    body: Record<string, unknown>;
    publishAt: Date | null;
    preview: Preview | null;
  }>(
    `select d.body, d.publish_at as "publishAt", (
        select s.preview from proposal_steps s
         where s.proposal_id = d.proposal_id and s.draft = d.number and s.kind = 'submitted'
         order by s.number desc limit 1) as preview
       from proposal_drafts d where d.proposal_id = $1 and d.number = $2`,
    [id, draft],
  );
  const [found] = rows;
  if (!found) throw new Error(`the proposal ${id} has no draft ${draft}`);
  return found;
}

/**
 * The outlook that a proposal is about, and its desk.
 * @throws DomainError `unknown-outlook` if there is none that the caller may see; `wrong-desk`
 */
export async function findSubject(
  session: Session,
  slug: string,
  desks: Desks,
): Promise<{ deskId: number; outlookId: number }> {
  const { rows } = await session.query<{ id: number; desk: Desk & { id: number } }>(
    `select o.id, json_build_object('id', d.id, 'slug', d.slug, 'name', d.name) as desk
       from outlooks o join ${deskOf('o')} where o.slug = $1 and ${visibleTo('o', '$2')}`,
    [slug, visibleDesks({ hasKey: true, desks })],
  );
  const [found] = rows;
  if (!found) {
    throw new DomainError('unknown-outlook', `There is no outlook "${slug}".`, [
      { path: ['outlook'], detail: 'names no outlook' },
    ]);
  }
  requireDesk(desks, found.desk, `"${slug}"`);
  return { deskId: found.desk.id, outlookId: found.id };
}

/** The slug of the desk of an outlook; undefined without one that the caller may see. */
export async function findDeskOf(
  session: Session,
  outlook: string | null,
  desks: Desks,
): Promise<string | undefined> {
  if (outlook === null) return undefined;
  const { rows } = await session.query<{ slug: string }>(
    `select d.slug from outlooks o join ${deskOf('o')} where o.slug = $1 and ${visibleTo('o', '$2')}`,
    [outlook, visibleDesks({ hasKey: true, desks })],
  );
  return rows[0]?.slug;
}
