import type { Session } from '../postgres/pool.ts';
import { requireOutlook } from './find-outlook.ts';
import type { Probabilities } from '../domain/probabilities.ts';
import { probabilitiesOf } from '../domain/probabilities.ts';

/** What a version said, and from when on. */
export type HistoryPoint = { version: number; publishedAt: Date; probabilities: Probabilities };

type Row = [version: number, publishedAt: number, bear: number, base: number, bull: number];

// All columns stand in outlook_versions_as_of, in this order: the index alone answers, and nothing is
// sorted. It starts at the last version before `from`, which is what stood then.
const READ_HISTORY = {
  name: 'read-history',
  rowMode: 'array' as const,
  text: `select v.version, (extract(epoch from v.recorded_at) * 1000)::float8,
      v.bear_bps, v.base_bps, v.bull_bps
    from outlooks o join outlook_versions v on v.outlook_id = o.id
   where o.slug = $1 and v.recorded_at < $3
     and v.recorded_at >= coalesce((
       select max(s.recorded_at) from outlook_versions s
        where s.outlook_id = o.id and s.recorded_at < $2), '-infinity')
   order by v.recorded_at, v.version`,
};

/**
 * How an outlook's probabilities moved: what was published in [from, to), oldest first, and before it
 * what stood at `from`; null where nothing did, or where the history starts with the outlook.
 * @throws DomainError `outlook-not-found`
 */
export async function readHistory(
  session: Session,
  slug: string,
  { from, to }: { from: Date | undefined; to: Date | undefined },
): Promise<{ opening: HistoryPoint | null; points: HistoryPoint[] }> {
  const values = [slug, from?.toISOString() ?? '-infinity', to?.toISOString() ?? 'infinity'];
  const { rows } = await session.query<Row>({ ...READ_HISTORY, values });
  if (rows.length === 0) await requireOutlook(session, slug);
  const first = from === undefined ? 0 : rows.findIndex(([, at]) => at >= from.getTime());
  const start = first === -1 ? rows.length : first;
  const opening = rows[start - 1];
  return { opening: opening ? pointOf(opening) : null, points: rows.slice(start).map(pointOf) };
}

function pointOf([version, publishedAt, bear, base, bull]: Row): HistoryPoint {
  return {
    version,
    publishedAt: new Date(publishedAt),
    probabilities: probabilitiesOf({ bear, base, bull }),
  };
}

/** What happened to an outlook beside its versions, as far as a picture of its history marks it. */
export type HistoryEvent = {
  at: Date;
  kind: 'evidence' | 'triggered' | 'resolved';
  /** A headline, the key of a condition, or what came about. */
  subject: string;
};

/** How many of each kind are told, the newest. */
const MOST_EVENTS = 50;

/**
 * The evidence that versions of an outlook cite, its conditions that were triggered, and what it was resolved as;
 * ascending by time.
 * @param version the newest that counts
 * @param until a moment, or now; null for what was the case when the version was published, which never changes
 */
export async function readHistoryEvents(
  session: Session,
  slug: string,
  { version, until }: { version: number; until: Date | 'now' | null },
): Promise<HistoryEvent[]> {
  const { rows } = await session.query<HistoryEvent>({
    name: 'read-history-events',
    text: `
      with o as (select id from outlooks where slug = $1)
      (select c.recorded_at as at, 'triggered' as kind, c.key as subject
         from condition_changes c where c.outlook_id = (select id from o) and c.state = 'triggered'
          and case when $3::timestamptz is null then c.version < $2 else c.recorded_at <= $3 end
        order by c.id desc limit $4)
      union all
      (select e.recorded_at, 'evidence', e.headline
         from evidence e where e.outlook_id = (select id from o) and exists (
           select from version_evidence v where v.evidence_id = e.id and v.version <= $2)
        order by e.number desc limit $4)
      union all
      (select r.recorded_at, 'resolved', coalesce(r.outcome, 'void')
         from resolutions r where r.outlook_id = (select id from o) and r.recorded_at <= $3
        order by r.number desc limit $4)
      order by at`,
    // Now is whatever is recorded: clocks of instances differ a little.
    values: [
      slug,
      version,
      until === 'now' ? 'infinity' : until && until.toISOString(),
      MOST_EVENTS,
    ],
  });
  return rows;
}
