import type { OutlookVersion } from '../domain/outlook.ts';
import type { Session } from '../postgres/pool.ts';

type Analyst = OutlookVersion['author'];

const listOf = (ids: string): string => `(
  select coalesce(json_agg(json_build_object('id', g.id, 'name', g.name) order by place), '[]')
    from unnest(${ids}) with ordinality as approver (id, place) join analysts g on g.id = approver.id)`;

/**
 * Who approved a row of outlook_versions or resolutions, in their order, as JSON in SQL; an empty list without a proposal.
 * @param alias of the table in the statement
 */
export const approversOf = (alias: string): string =>
  `case when ${alias}.proposal_id is null then '[]' else ${listOf(`approvers_of(${alias}.proposal_id)`)} end`;

/** Who approved a proposal since it was submitted last, in their order; nobody without one. */
export async function readApprovers(
  session: Session,
  proposalId: string | null,
): Promise<Analyst[]> {
  if (proposalId === null) return [];
  const { rows } = await session.query<{ approvers: Analyst[] }>(
    `select ${listOf('approvers_of($1)')} as approvers`,
    [proposalId],
  );
  return rows[0]?.approvers ?? [];
}

/**
 * The given analysts who no longer act for a desk.
 * @param countsIdentities whether analysts of an identity provider act for it, whose desks only it knows
 */
export async function findNotActing(
  session: Session,
  ids: readonly string[],
  deskId: number,
  { now, countsIdentities }: { now: Date; countsIdentities: boolean },
): Promise<Analyst[]> {
  const { rows } = await session.query<Analyst>(
    'select id, name from analysts where id = any($1) and not acts_for(id, $2, $3, $4) order by id',
    [ids, deskId, now.toISOString(), countsIdentities],
  );
  return rows;
}
