import { DomainError } from '../domain/errors.ts';
import { drawdownOf, type DrawdownLabel, labelOf } from '../domain/drawdown.ts';
import type { Observation } from '../domain/series.ts';
import type { Session } from '../postgres/pool.ts';
import { readKnown, readCurrentObservations } from './observation-reads.ts';

/**
 * The closes of an instrument from a day on, as known now or at a given time.
 * @throws DomainError `no-closes` if the instrument names no series of closes
 */
export async function readCloses(
  session: Session,
  symbol: string,
  { from, asOf, limit }: { from: string; asOf: Date | null; limit: number },
): Promise<{ series: string; closes: Observation[] }> {
  const { rows } = await session.query<{ id: number; key: string }>(
    `select s.id, s.key from instruments i join series s on s.id = i.closes_id
      where i.symbol = $1`,
    [symbol],
  );
  const [series] = rows;
  if (!series) {
    throw new DomainError('no-closes', `The instrument "${symbol}" has no series of closes.`);
  }
  const closes =
    asOf === null
      ? await readCurrentObservations(session, series.id, { from, limit })
      : await readKnown(session, series.id, { from, asOf, limit });
  return { series: series.key, closes };
}

type Labelled = { id: number; slug: string; horizon_from: string; labels: DrawdownLabel[] };

/**
 * Records new drawdown labels for those of the locked outlooks whose label changes with the closes just stored. A
 * drawdown counts from the first day of the outlook's horizon.
 * @returns the slugs of the outlooks whose label changed
 */
export async function evaluateDrawdowns(
  session: Session,
  outlookIds: readonly number[],
  { seriesId, recordedAt }: { seriesId: number; recordedAt: Date },
): Promise<string[]> {
  const outlooks = await readLabelled(session, outlookIds, seriesId);
  const closesSince = new Map<string, Observation[]>();
  const changes = [];
  for (const { id, horizon_from: from, labels, label: before } of outlooks) {
    const closes =
      closesSince.get(from) ??
      (await readCurrentObservations(session, seriesId, { from, limit: null }));
    closesSince.set(from, closes);
    const found = drawdownOf(closes);
    const label = labelOf(closes, labels)?.key ?? null;
    if (!found || label === before) continue;
    changes.push({ outlook_id: id, label, depth: found.depth, day: found.last.date });
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
