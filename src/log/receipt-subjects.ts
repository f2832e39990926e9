import type { Audience } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';
import { requireOutlook } from '../ledger/find-outlook.ts';
import { missingVersionError } from '../ledger/missing-version.ts';
import { viewNotFound } from '../ledger/views.ts';
import type { Session } from '../postgres/pool.ts';

/** What a receipt is about: one act, by what names it. A view or a resolution without a number is the newest. */
export type ReceiptSubject =
  | { kind: 'version'; slug: string; version: number }
  | { kind: 'evidence'; slug: string; id: string }
  | { kind: 'view'; slug: string; analyst: string; version: number | null }
  | { kind: 'resolution'; slug: string; number: number | null };

/** A row of the ledger: its table, its primary key as the digests name it, and its text as row_text() gives it. */
export type RowText = { relation: string; key: string; text: string };

/** The event that recorded a subject, the number of its version or resolution, and what selects its rows. */
export type SubjectRecord = { eventId: number; number: number; parameters: unknown[] };

/** A table, and which of its rows `t` belong to the subject. */
type Table = readonly [relation: string, where: string];

/**
 * How to find the event of a kind of subject, and its rows. `find` returns the event, the number of the version or the
 * resolution, and the parameters of the tables' conditions. The rows are those that the act itself wrote: no rows of other
 * acts in the same transaction, and no audit entries.
 */
type Kind = {
  find: string;
  tables: readonly Table[];
};

const OF_VERSION = 't.outlook_id = $1 and t.version = $2';
const OF_FRAMEWORK = 't.framework_id = $3';

const KINDS: Record<ReceiptSubject['kind'], Kind> = {
  version: {
    // A framework belongs to the version that published it.
    find: `
      select e.id as "eventId", v.version as number, jsonb_build_array(o.id, v.version,
          case when v.kind in ('created', 'framework') then v.framework_id end) as parameters
        from outlooks o
        join outlook_versions v on v.outlook_id = o.id and v.version = $2
        join events e on e.outlook_id = o.id and e.version = v.version
         and e.kind in ('outlook.created', 'outlook.version.published')
       where o.slug = $1`,
    tables: [
      ['outlooks', 't.id = $1 and $2 = 1'],
      ['outlook_versions', OF_VERSION],
      ['version_evidence', OF_VERSION],
      ['version_views', OF_VERSION],
      ['condition_answers', OF_VERSION],
      ['frameworks', 't.id = $3'],
      ['scenarios', OF_FRAMEWORK],
      ['headwinds', OF_FRAMEWORK],
      ['drawdown_labels', OF_FRAMEWORK],
      ['invalidation_conditions', OF_FRAMEWORK],
      ['condition_comparisons', OF_FRAMEWORK],
    ],
  },
  evidence: {
    find: `
      select e.id as "eventId", n.number, jsonb_build_array(n.id) as parameters
        from outlooks o
        join evidence n on n.outlook_id = o.id and n.id = $2
        join events e on e.outlook_id = o.id and e.kind = 'evidence.added'
         and e.data->>'id' = n.id::text
       where o.slug = $1`,
    tables: [
      ['evidence', 't.id = $1'],
      ['evidence_claims', 't.evidence_id = $1'],
    ],
  },
  view: {
    find: `
      select e.id as "eventId", w.version as number,
          jsonb_build_array(o.id, w.analyst_id, w.version) as parameters
        from outlooks o
        cross join lateral (
          select v.analyst_id, v.version from views v
           where v.outlook_id = o.id and v.analyst_id = $2 and v.version = coalesce($3, v.version)
           order by v.version desc limit 1) w
        join events e on e.outlook_id = o.id and e.kind in ('view.published', 'view.withdrawn')
         and e.data->'analyst'->>'id' = w.analyst_id::text and e.data->'version' = to_jsonb(w.version)
       where o.slug = $1`,
    tables: [['views', 't.outlook_id = $1 and t.analyst_id = $2 and t.version = $3']],
  },
  resolution: {
    find: `
      select e.id as "eventId", r.number, jsonb_build_array(o.id, r.number) as parameters
        from outlooks o
        cross join lateral (
          select n.number from resolutions n
           where n.outlook_id = o.id and n.number = coalesce($2, n.number)
           order by n.number desc limit 1) r
        join events e on e.outlook_id = o.id and e.kind in ('outlook.resolved', 'outlook.reopened')
         and e.data->'number' = to_jsonb(r.number)
       where o.slug = $1`,
    tables: [
      ['resolutions', 't.outlook_id = $1 and t.number = $2'],
      ['resolution_evidence', 't.outlook_id = $1 and t.number = $2'],
    ],
  },
};

/**
 * Finds the event that recorded a subject.
 * @throws DomainError if there is no such outlook, version, item, view or resolution
 */
export async function findSubject(
  session: Session,
  subject: ReceiptSubject,
): Promise<SubjectRecord> {
  const { rows } = await session.query<SubjectRecord>({
    name: `find-${subject.kind}-event`,
    text: KINDS[subject.kind].find,
    values: selectorOf(subject),
  });
  const [found] = rows;
  if (!found) throw await missingError(session, subject);
  return found;
}

/** The parameters of `find`. */
function selectorOf(subject: ReceiptSubject): unknown[] {
  const { slug } = subject;
  if (subject.kind === 'version') return [slug, subject.version];
  if (subject.kind === 'evidence') return [slug, subject.id];
  if (subject.kind === 'view') return [slug, subject.analyst, subject.version];
  return [slug, subject.number];
}

async function missingError(session: Session, subject: ReceiptSubject): Promise<DomainError> {
  const { slug } = subject;
  if (subject.kind === 'version') return missingVersionError(session, slug, subject);
  await requireOutlook(session, slug);
  if (subject.kind === 'evidence') {
    return new DomainError('evidence-not-found', `"${slug}" has no evidence ${subject.id}.`);
  }
  if (subject.kind === 'view') return viewNotFound(slug, subject.analyst);
  return new DomainError('resolution-not-found', `"${slug}" has no such resolution.`);
}

/** The rows of a subject that an audience may see, in the order of its tables. */
export async function readRowTexts(
  session: Session,
  kind: ReceiptSubject['kind'],
  { parameters }: SubjectRecord,
  { hasKey }: Pick<Audience, 'hasKey'>,
): Promise<RowText[]> {
  // The views that a version pooled are for those with a key.
  const tables = KINDS[kind].tables.filter(([relation]) => hasKey || relation !== 'version_views');
  const selects = tables.map(
    ([relation, where], place) => `
      select ${place} as place, '${relation}' as relation, row_key(t) as key, row_text(t) as text
        from ${relation} t where ${where}`,
  );
  const { rows } = await session.query<RowText>({
    name: `read-${kind}-rows-${hasKey}`,
    text: `select relation, key, text from (${selects.join(' union all ')}) rows order by place, key`,
    values: parameters,
  });
  return rows;
}
