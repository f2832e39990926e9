import type { Desk, Desks } from '../domain/desks.ts';
import type {
  DraftWarning,
  Preview,
  ProposalKind,
  ProposalState,
  StepKind,
} from '../domain/proposals.ts';
import type { Session } from '../postgres/pool.ts';
import { proposalNotFound } from './proposals.ts';
import { visibleDesks } from './visibility.ts';

type Analyst = { id: string; name: string };

/** A proposal, as lists show it. */
export type ProposalSummary = {
  id: string;
  desk: Desk;
  kind: ProposalKind;
  /** The slug of its outlook; null for a new one that is not published. */
  outlook: string | null;
  title: string;
  author: Analyst;
  state: ProposalState;
  /** The number of the newest draft. */
  draft: number;
  baseVersion: number | null;
  publishAt: Date | null;
  createdAt: Date;
  changedAt: Date;
};

/** What was done with a proposal. */
export type ProposalStep = {
  number: number;
  kind: StepKind;
  draft: number;
  /** Null for the service. */
  by: Analyst | null;
  text: string | null;
  /** Of a submission. */
  preview: Preview | null;
  /** Of a publication: the number of the version, or of the resolution. */
  version: number | null;
  /** In milliseconds since 1970. */
  recordedAt: number;
};

/** A proposal with its newest draft and all its steps. */
export type FullProposal = ProposalSummary & {
  body: Record<string, unknown>;
  note: string | null;
  warnings: readonly DraftWarning[];
  /** Times are in milliseconds since 1970. */
  drafts: readonly {
    number: number;
    note: string | null;
    publishAt: number | null;
    recordedAt: number;
  }[];
  steps: readonly ProposalStep[];
  /** How many approvals it needs, who gave theirs, and how many others could. */
  approvals: { needed: number; given: readonly Analyst[]; possible: number };
};

const milliseconds = (column: string): string => `(extract(epoch from ${column}) * 1000)::float8`;

const SUMMARY = `
  p.id, json_build_object('slug', d.slug, 'name', d.name) as desk, p.kind,
  coalesce(o.slug, case when p.state = 'published' then (
    select n.slug from outlook_versions v join outlooks n on n.id = v.outlook_id where v.proposal_id = p.id) end) as outlook,
  proposal_title(p) as title, json_build_object('id', a.id, 'name', a.name) as author, p.state, p.draft,
  p.base_version as "baseVersion", p.publish_at as "publishAt", p.created_at as "createdAt", p.changed_at as "changedAt"`;
const FROM = `
  from proposals p join desks d on d.id = p.desk_id join analysts a on a.id = p.author_id
  left join outlooks o on o.id = p.outlook_id`;

/**
 * A proposal with all that belongs to it.
 * @throws DomainError `proposal-not-found`, also if the caller does not act for its desk
 */
export async function readProposal(
  session: Session,
  id: string,
  { desks, now, countsIdentities }: { desks: Desks; now: () => Date; countsIdentities: boolean },
): Promise<FullProposal> {
  const { rows } = await session.query<FullProposal>({
    name: 'read-proposal',
    text: `select ${SUMMARY}, t.body, t.note, t.warnings, (
        select json_agg(json_build_object('number', r.number, 'note', r.note, 'publishAt', ${milliseconds('r.publish_at')},
            'recordedAt', ${milliseconds('r.recorded_at')}) order by r.number)
          from proposal_drafts r where r.proposal_id = p.id) as drafts, (
        select coalesce(json_agg(json_build_object('number', s.number, 'kind', s.kind, 'draft', s.draft,
            'by', case when b.id is not null then json_build_object('id', b.id, 'name', b.name) end, 'text', s.text,
            'preview', s.preview, 'version', s.version, 'recordedAt', ${milliseconds('s.recorded_at')}) order by s.number), '[]')
          from proposal_steps s left join analysts b on b.id = s.analyst_id where s.proposal_id = p.id) as steps,
        json_build_object('needed', greatest(1, approvals_needed(p)), 'given', (
          select coalesce(json_agg(json_build_object('id', g.id, 'name', g.name) order by place), '[]')
            from unnest(case when p.state in ('draft', 'returned') then '{}' else approvers_of(p.id) end)
              with ordinality as approver (id, place) join analysts g on g.id = approver.id),
          'possible', case when p.state in ('published', 'discarded') then 0 else (
            select count(*) from analysts g where g.id <> p.author_id and acts_for(g.id, p.desk_id, $3, $4)) end) as approvals
      ${FROM} join proposal_drafts t on t.proposal_id = p.id and t.number = p.draft
     where p.id = $1 and ($2::int[] is null or p.desk_id = any($2))`,
    values: [id, visibleDesks({ hasKey: true, desks }), now().toISOString(), countsIdentities],
  });
  const [found] = rows;
  if (!found) throw proposalNotFound(id);
  return found;
}

export type ProposalFilter = {
  state: ProposalState | null;
  desk: string | null;
  kind: ProposalKind | null;
  outlook: string | null;
  author: string | null;
};

/** The proposals of a caller's desks, newest first, those after `after`; at most `limit`. */
export async function listProposals(
  session: Session,
  desks: Desks,
  { state, desk, kind, outlook, author }: ProposalFilter,
  { after, limit }: { after: { createdAt: Date; id: string } | null; limit: number },
): Promise<ProposalSummary[]> {
  const values: unknown[] = [
    visibleDesks({ hasKey: true, desks }),
    after?.createdAt.toISOString(),
    after?.id,
    limit,
  ];
  const conditions = [
    '($1::int[] is null or p.desk_id = any($1))',
    '($2::timestamptz is null or (p.created_at, p.id) < ($2, $3::uuid))',
  ];
  const add = (condition: (parameter: string) => string, value: unknown) => {
    if (value !== null) conditions.push(condition(`$${values.push(value)}`));
  };
  add((parameter) => `p.state = ${parameter}`, state);
  add((parameter) => `p.desk_id = (select id from desks where slug = ${parameter})`, desk);
  add((parameter) => `p.kind = ${parameter}`, kind);
  add((parameter) => `p.outlook_id = (select id from outlooks where slug = ${parameter})`, outlook);
  add((parameter) => `p.author_id = ${parameter}`, author);
  const { rows } = await session.query<ProposalSummary>(
    `select ${SUMMARY} ${FROM} where ${conditions.join(' and ')}
      order by p.created_at desc, p.id desc limit $4`,
    values,
  );
  return rows;
}

/** The body, the note and the time of a draft; null if there is none with that number. */
export async function readDraftOf(
  session: Session,
  id: string,
  number: number,
): Promise<{ body: unknown; note: string | null; publishAt: string | null } | null> {
  const { rows } = await session.query<{
    body: unknown;
    note: string | null;
    publishAt: Date | null;
  }>(
    `select body, note, publish_at as "publishAt" from proposal_drafts where proposal_id = $1 and number = $2`,
    [id, number],
  );
  const [found] = rows;
  return found ? { ...found, publishAt: found.publishAt?.toISOString() ?? null } : null;
}
