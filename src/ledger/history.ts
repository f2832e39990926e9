import type { Session } from '../postgres/pool.ts';
import { requireOutlook } from './find-outlook.ts';
import type { Probabilities } from '../domain/probabilities.ts';
import { probabilitiesOf } from '../domain/probabilities.ts';

/** The probabilities of a version, and when it was published. */
export type HistoryPoint = { version: number; publishedAt: Date; probabilities: Probabilities };

type Row = [version: number, publishedAt: number, bear: number, base: number, bull: number];

// The index outlook_versions_as_of holds all columns in this order: Postgres reads nothing else and sorts nothing. The
// rows start at the last version before `from`, which was current at that time.
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
 * How an outlook's probabilities moved: `points` are the versions published in [from, to), oldest first; `opening` is
 * the version current at `from`, null if there was none or `from` is undefined.
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

const READ_BATCH = {
  name: 'read-history-batch',
  rowMode: 'array' as const,
  text: `select v.version, (extract(epoch from v.recorded_at) * 1000)::float8,
      v.bear_bps, v.base_bps, v.bull_bps
    from outlook_versions v
   where v.outlook_id = (select id from outlooks where slug = $1)
     and (v.recorded_at, v.version) > ($2::timestamptz, $3::int) and v.recorded_at < $4
   order by v.recorded_at, v.version limit $5`,
};

/** How many versions a batch of a history has. */
const POINTS_AT_ONCE = 2_000;

/**
 * The versions of an outlook published in [from, to), oldest first, as {@link readHistory} reads them, but a batch at a
 * time, each with a query of its own.
 * @throws DomainError `outlook-not-found`
 */
export async function* historyBatches(
  session: Session,
  slug: string,
  { from, to }: { from: Date | undefined; to: Date | undefined },
): AsyncGenerator<HistoryPoint[], void> {
  await requireOutlook(session, slug);
  let after: [moment: string, version: number] = [from?.toISOString() ?? '-infinity', 0];
  for (;;) {
    const values = [slug, ...after, to?.toISOString() ?? 'infinity', POINTS_AT_ONCE];
    const { rows } = await session.query<Row>({ ...READ_BATCH, values });
    yield rows.map(pointOf);
    const last = rows.at(-1);
    if (last === undefined || rows.length < POINTS_AT_ONCE) return;
    after = [new Date(last[1]).toISOString(), last[0]];
  }
}

function pointOf([version, publishedAt, bear, base, bull]: Row): HistoryPoint {
  return {
    version,
    publishedAt: new Date(publishedAt),
    probabilities: probabilitiesOf({ bear, base, bull }),
  };
}

/** Something that a history chart marks beside the versions. */
export type HistoryEvent = {
  at: Date;
  kind: 'evidence' | 'triggered' | 'resolved';
  /** A headline, the key of a condition, or an outcome; `reopened` takes an outcome back. */
  subject: string;
};

/** The most events of each kind; the newest ones. */
const MOST_EVENTS = 50;

/**
 * The evidence that versions of an outlook cite, its triggered conditions and its resolutions, oldest first.
 * @param version the newest version to consider
 * @param until the end of the time to consider; null for the time at which the version was current, which never changes
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
      (select r.recorded_at, 'resolved', case when r.reopens then 'reopened' else coalesce(r.outcome, 'void') end
         from resolutions r where r.outlook_id = (select id from o) and r.recorded_at <= $3
        order by r.number desc limit $4)
      order by at`,
    // 'now' has no bound in time: the clocks of instances differ a little.
    values: [
      slug,
      version,
      until === 'now' ? 'infinity' : until && until.toISOString(),
      MOST_EVENTS,
    ],
  });
  return rows;
}
