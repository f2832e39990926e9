import type pg from 'pg';
import { type BaseBand, bandOf } from '../../src/domain/outcome.ts';
import type { ScenarioName } from '../../src/domain/probabilities.ts';
import { naiveClimatology, type Vintage } from './naive-climatology.ts';
import { readTimes } from './stored-sums.ts';
import type { Odds, StoredOutlook, StoredResolution } from './naive-sums.ts';

type Row = {
  id: number;
  slug: string;
  number: number;
  from: string;
  to: string;
  outcome: ScenarioName;
  realised: number | null;
  start: number | null;
  end: number | null;
  low: number | null;
  high: number | null;
  author: string;
  versions: {
    version: number;
    kind: string;
    author: string;
    odds: Odds;
    low: number | null;
    high: number | null;
    at: string;
  }[];
  views: { analyst: string; version: number; kind: string; odds: Odds; at: string }[] | null;
  closes: { date: string; value: number | null; recordedAt: string }[];
};

/** The resolutions of a ledger that have an outcome, with their outlooks, as plain rows say. Closes are daily. */
export async function readWritten(pool: pg.Pool): Promise<
  {
    slug: string;
    outlookId: number;
    number: number;
    outlook: StoredOutlook;
    resolution: StoredResolution;
  }[]
> {
  const { rows } = await pool.query<Row>(`
    select o.id, o.slug, r.number, o.horizon_from as "from", o.horizon_to as "to", r.outcome, r.realised_return as realised,
        r.start_value as start, r.end_value as "end", r.band_low as low, r.band_high as high, r.author_id as author,
        (select json_agg(json_build_object('version', v.version, 'kind', v.kind, 'author', v.author_id,
            'odds', array[v.bear_bps, v.base_bps, v.bull_bps], 'low', b.return_min, 'high', b.return_max,
            'at', v.recorded_at))
           from outlook_versions v join scenarios b on b.framework_id = v.framework_id and b.name = 'base'
          where v.outlook_id = o.id) as versions,
        (select json_agg(json_build_object('analyst', w.analyst_id, 'version', w.version, 'kind', w.kind,
            'odds', array[w.bear_bps, w.base_bps, w.bull_bps], 'at', w.recorded_at))
           from views w where w.outlook_id = o.id) as views,
        (select json_agg(json_build_object('date', c.date, 'value', c.value, 'recordedAt', c.recorded_at))
           from observations c where c.series_id = i.closes_id) as closes
      from resolutions r join outlooks o on o.id = r.outlook_id join instruments i on i.id = o.instrument_id
     where r.outcome is not null order by o.slug, r.number`);
  const written = rows.map(async (row) => {
    const band = bandOf(row.low, row.high);
    const closes =
      row.start === null || row.end === null ? null : { start: row.start, end: row.end };
    const vintages: Vintage[] = row.closes.map(({ recordedAt, ...close }) => ({
      ...close,
      recordedAt: new Date(recordedAt).toISOString(),
    }));
    return {
      slug: row.slug,
      outlookId: row.id,
      number: row.number,
      outlook: {
        from: Date.parse(row.from),
        to: Date.parse(row.to),
        versions: row.versions.map(({ low, high, at, ...version }) => ({
          ...version,
          band: bandOf(low, high),
          at: Date.parse(at),
        })),
        views: (row.views ?? []).map(({ at, ...view }) => ({ ...view, at: Date.parse(at) })),
        climatology: ({ low, high }: BaseBand) =>
          naiveClimatology(vintages, row, 'daily', [low, high]),
      },
      resolution: {
        ...(await readTimes(pool, row.id, row.number, { ...row, closes, band })),
        author: row.author,
        outcome: row.outcome,
        realisedReturn: row.realised,
        closes,
        band,
      },
    };
  });
  return Promise.all(written);
}
