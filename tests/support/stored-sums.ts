import type pg from 'pg';
import type { ScenarioName } from '../../src/domain/probabilities.ts';
import { outcomeOfCloses } from '../../src/domain/outcome.ts';
import type { NaiveSums, Odds, StoredResolution } from './naive-sums.ts';

type Row = Omit<NaiveSums, 'buckets' | 'leads'> & {
  buckets: { bucket: number; sums: NaiveSums['buckets'][number] }[] | null;
  leads:
    | {
        first: number;
        last: number;
        odds: Odds;
        outcome: ScenarioName;
        brier: number;
        climatology: number | null;
      }[]
    | null;
};

/** The sums of a resolution as the database keeps them. */
export async function storedSums(
  pool: pg.Pool,
  outlook: number,
  number: number,
): Promise<NaiveSums[]> {
  const { rows } = await pool.query<Row>(
    `select source, analyst_id as analyst, by_closes as "byCloses", attainable,
        array[bear_share, base_share, bull_share] as shares, array[bear_error, base_error, bull_error] as errors,
        logarithmic, ranked_probability as "rankedProbability",
        case when climatology_brier is not null then json_build_object('brier', climatology_brier,
          'logarithmic', climatology_logarithmic, 'rankedProbability', climatology_ranked_probability) end as climatology,
        (select json_agg(json_build_object('bucket', bucket, 'sums', json_build_array(
            array[bear_weight, bear_predicted, bear_realised], array[base_weight, base_predicted, base_realised],
            array[bull_weight, bull_predicted, bull_realised])))
          from forecast_buckets where sums_id = f.id) as buckets,
        (select json_agg(json_build_object('first', first_tenth, 'last', last_tenth,
            'odds', array[bear_bps, base_bps, bull_bps], 'outcome', outcome, 'brier', brier,
            'climatology', climatology_brier)) from forecast_leads where sums_id = f.id) as leads
       from forecast_sums f where outlook_id = $1 and number = $2`,
    [outlook, number],
  );
  return rows.map(({ buckets, leads, ...row }) => ({
    ...row,
    buckets: Object.fromEntries((buckets ?? []).map(({ bucket, sums }) => [bucket, sums])),
    leads: Object.fromEntries(
      (leads ?? []).flatMap(({ first, last, ...lead }) =>
        Array.from({ length: last - first + 1 }, (_, index) => [first + index, lead]),
      ),
    ),
  }));
}

/** Sums in an order of their own; `close` turns each finite number into what it is compared with. */
export function comparable(
  sums: readonly NaiveSums[],
  close: (value: number) => unknown = (value) => value,
): unknown {
  const near = (value: unknown): unknown => {
    if (typeof value === 'number' && Number.isFinite(value)) return close(value);
    if (Array.isArray(value)) return value.map(near);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, near(one)]));
  };
  const keyOf = ({ source, analyst }: NaiveSums) => `${source} ${analyst}`;
  return near(sums.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)));
}

/** When the outcome of a resolution was known, and the latest time at which it can have become known. */
export async function readTimes(
  pool: pg.Pool,
  outlook: number,
  number: number,
  { closes, band, outcome }: Pick<StoredResolution, 'closes' | 'band' | 'outcome'>,
): Promise<{ knownAt: number; latest: number }> {
  const { rows } = await pool.query<{ known: Date | null; recorded: Date; reopens: boolean }>(
    `select known_at as known, recorded_at as recorded, reopens from resolutions
      where outlook_id = $1 and number <= $2 order by number`,
    [outlook, number],
  );
  const own = rows.at(-1);
  if (!own?.known) throw new Error(`resolution ${number} has no outcome`);
  const knownAt = own.known.getTime();
  // No time is stated in these tests where the closes decide.
  if (closes && band && outcomeOfCloses(band, closes) === outcome)
    return { knownAt, latest: knownAt };
  const before = rows.slice(rows.findLastIndex(({ reopens }) => reopens) + 1, -1);
  const corrected = before.findLast(({ known }) => known !== null);
  return { knownAt, latest: (corrected?.known ?? own.recorded).getTime() };
}
