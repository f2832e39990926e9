import { readDesk } from '../access/desks.ts';
import { DomainError, type Fault } from '../domain/errors.ts';
import {
  type Approvals,
  MOST_APPROVALS,
  NO_APPROVALS,
  type Policy,
  PROPOSAL_KINDS,
} from '../domain/proposals.ts';
import type { Session } from '../postgres/pool.ts';

/** The approvals of a policy `p`, as JSON in SQL. */
const APPROVALS = `json_build_object(${PROPOSAL_KINDS.map((kind) => `'${kind}', p.${kind}`).join(', ')})`;

/** The approvals that the policy of a desk asks for, in SQL; null without a policy. */
export const approvalsOf = (desk: string): string =>
  `(select ${APPROVALS} from desk_policies p where p.desk_id = ${desk} order by p.version desc limit 1)`;

/** What a desk's policy demands of requests. */
export type DeskRules = Pick<Policy, 'approvals' | 'authorMayResolve'>;

/** What the policy of a desk demands; nothing without one. */
export async function readRules(session: Session, deskId: number): Promise<DeskRules> {
  const { rows } = await session.query<DeskRules>({
    name: 'read-policy',
    text: `select ${APPROVALS} as approvals, p.author_may_resolve as "authorMayResolve"
      from desk_policies p where p.desk_id = $1 order by p.version desc limit 1`,
    values: [deskId],
  });
  return rows[0] ?? { approvals: NO_APPROVALS, authorMayResolve: true };
}

/** The policy of a desk by its slug. @throws DomainError `desk-not-found` */
export async function readPolicy(session: Session, slug: string): Promise<Policy> {
  const desk = await readDesk(session, slug);
  const { rows } = await session.query<Omit<Policy, 'desk'>>(
    `select p.version, ${APPROVALS} as approvals, p.author_may_resolve as "authorMayResolve",
        case when a.id is not null then json_build_object('id', a.id, 'name', a.name) end as author,
        p.recorded_at as "recordedAt"
       from desk_policies p left join analysts a on a.id = p.author_id
      where p.desk_id = $1 order by p.version desc limit 1`,
    [desk.id],
  );
  const none = {
    version: 0,
    approvals: NO_APPROVALS,
    authorMayResolve: true,
    author: null,
    recordedAt: null,
  };
  return { desk: { slug: desk.slug, name: desk.name }, ...(rows[0] ?? none) };
}

/**
 * The analysts who act for a desk.
 * @param countsIdentities whether analysts of an identity provider count, whose desks only it knows
 */
export async function countActors(
  session: Session,
  deskId: number,
  { now, countsIdentities }: { now: Date; countsIdentities: boolean },
): Promise<number> {
  const { rows } = await session.query<{ count: number }>(
    'select count(*) from analysts a where acts_for(a.id, $1, $2, $3)',
    [deskId, now.toISOString(), countsIdentities],
  );
  return rows[0]?.count ?? 0;
}

/**
 * Sets the policy of a desk. Call it in a transaction.
 * @throws DomainError `desk-not-found`, or `policy-unsatisfiable` if it asks for more approvals than the analysts other than an
 *   author could give
 */
export async function setPolicy(
  session: Session,
  slug: string,
  { approvals, authorMayResolve }: DeskRules,
  by: { authorId: string | null; now: Date; countsIdentities: boolean },
): Promise<Policy> {
  const desk = await readDesk(session, slug);
  // Others who set it take turns.
  await session.query('select from desks where id = $1 for no key update', [desk.id]);
  requireSatisfiable(slug, approvals, await countActors(session, desk.id, by));
  await session.query(
    `insert into desk_policies (desk_id, version, ${PROPOSAL_KINDS.join(', ')}, author_may_resolve, author_id, recorded_at)
     select $1, coalesce((select max(version) from desk_policies where desk_id = $1), 0) + 1,
       ${PROPOSAL_KINDS.map((_, index) => `$${index + 5}`).join(', ')}, $2, $3, $4`,
    [
      desk.id,
      authorMayResolve,
      by.authorId,
      by.now.toISOString(),
      ...PROPOSAL_KINDS.map((kind) => approvals[kind]),
    ],
  );
  return readPolicy(session, slug);
}

function requireSatisfiable(slug: string, approvals: Approvals, actors: number): void {
  const others = Math.max(0, actors - 1);
  const analysts = actors === 1 ? '1 analyst acts' : `${actors} analysts act`;
  const faults: Fault[] = PROPOSAL_KINDS.filter((kind) => approvals[kind] > others).map((kind) => ({
    path: ['approvals', kind],
    detail: `must be at most ${Math.min(others, MOST_APPROVALS)}: ${analysts} for the desk "${slug}", and an author can't approve`,
  }));
  if (faults.length === 0) return;
  const could = others === 0 ? 'nobody else' : `only ${others} other${others === 1 ? '' : 's'}`;
  throw new DomainError(
    'policy-unsatisfiable',
    `${analysts} for the desk "${slug}", so ${could} could approve a proposal. Nothing was changed.`,
    faults,
  );
}
