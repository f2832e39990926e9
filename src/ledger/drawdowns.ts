import { drawdownOf, type DrawdownLabel, labelOf } from '../domain/drawdown.ts';
import type { Observation } from '../domain/series.ts';
import type { Session } from '../postgres/pool.ts';
import { baseClose, readCloses } from './closes.ts';
import type { Arrival } from './figures.ts';

type Labelled = { id: number; slug: string; horizon_from: string; labels: DrawdownLabel[] };

/**
 * Records new drawdown labels for those of the locked outlooks whose label changes with the closes just stored. A
 * drawdown counts from the close before the outlook's horizon. Without any close, the label goes, with a depth of 0.
 * @returns the slugs of the outlooks whose label changed
 */
export async function evaluateDrawdowns(
  session: Session,
  outlookIds: readonly number[],
  { series, changed: days, recordedAt }: Arrival,
): Promise<string[]> {
  const outlooks = await readLabelled(session, outlookIds, series.id);
  const newest = days.reduce((last, { date }) => (date > last ? date : last), '');
  const closesSince = new Map<string, Observation[]>();
  const changes = [];
  for (const { id, horizon_from: from, labels, label: before } of outlooks) {
    const closes = closesSince.get(from) ?? (await closesOf(session, series, from));
    closesSince.set(from, closes);
    const found = drawdownOf(closes, Infinity);
    const label = labelOf(closes, labels, found)?.key ?? null;
    if (label === before) continue;
    const day = found?.last.date ?? newest;
    changes.push({ outlook_id: id, label, depth: found?.depth ?? 0, day });
  }
  if (changes.length === 0) return [];
  await session.query(
    `insert into drawdown_changes (outlook_id, version, label, depth, day, recorded_at)
     select outlook_id, 0, label, depth, day, $2
       from json_to_recordset($1) as given (outlook_id bigint, label text, depth float8, day date)`,
    [JSON.stringify(changes), recordedAt.toISOString()],
  );
  const changed = new Set(changes.map(({ outlook_id }) => outlook_id));
  return outlooks.filter(({ id }) => changed.has(id)).map(({ slug }) => slug);
}

async function closesOf(
  session: Session,
  series: Arrival['series'],
  from: string,
): Promise<Observation[]> {
  const base = await baseClose(session, series, from);
  const closes = await readCloses(session, series, { from, asOf: null, limit: null });
  return base ? [base, ...closes] : closes;
}

async function readLabelled(
  session: Session,
  outlookIds: readonly number[],
  seriesId: number,
): Promise<(Labelled & { label: string | null })[]> {
  const { rows } = await session.query<Labelled & { label: string | null }>(
    `select o.id, o.slug, o.horizon_from,
        (select d.label from drawdown_changes d where d.outlook_id = o.id
          order by d.id desc limit 1) as label,
        (select coalesce(json_agg(json_build_object('key', l.key, 'label', l.label,
           'minDepth', l.min_depth, 'speed', case when l.speed_days is not null then
             json_build_object('depth', l.speed_depth, 'days', l.speed_days) end,
           'typicalCause', l.typical_cause, 'implication', l.implication) order by l.position), '[]')
           from drawdown_labels l where l.framework_id = o.framework_id) as labels
       from outlooks o join instruments i on i.id = o.instrument_id
      where o.id = any($1) and i.closes_id = $2
      order by o.id`,
    [outlookIds, seriesId],
  );
  return rows;
}
