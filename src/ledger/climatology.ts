import { byScenario, type Fractions, type ScenarioName } from '../domain/probabilities.ts';
import type { BaseBand } from '../domain/outcome.ts';
import type { Session } from '../postgres/pool.ts';

/**
 * What history alone says about an outlook (climatology; Murphy 1992). The function climatology() in migrations/schema.sql
 * computes it.
 */
export type Climatology = {
  /** The key of the series of closes; null if the instrument has none. */
  series: string | null;
  /** The length of the horizon and of each span, in days. */
  days: number;
  /** Past spans as long as the horizon; they overlap. */
  spans: number;
  /** The most of them of which no two overlap. */
  independent: number;
  /** The days of the first span's start and of the last close; null without a span. */
  first: string | null;
  last: string | null;
} & (
  | { /** The smoothed share of the spans in each band. */ probabilities: Fractions; reason: null }
  | { probabilities: null; reason: string }
);

type Row = Record<ScenarioName, number | null> &
  Pick<Climatology, 'series' | 'days' | 'spans' | 'independent' | 'first' | 'last'>;

/**
 * What history alone says about an outlook, for each of some base bands, in their order; as known at a given time, if the
 * horizon had not started by then. A band is null where the scenarios have none.
 */
export async function readClimatologies(
  session: Session,
  slug: string,
  bands: readonly (BaseBand | null)[],
  asOf: Date | null,
): Promise<Climatology[]> {
  const keys = bands.map((band) => JSON.stringify(band));
  const distinct = [...new Map(bands.map((band, index) => [keys[index], band])).values()];
  const { rows } = await session.query<Row>({
    name: 'read-climatologies',
    text: `select s.key as series, o.horizon_to - o.horizon_from as days, c.bear, c.base, c.bull,
        coalesce(c.spans, 0) as spans, coalesce(c.independent, 0) as independent, c.first, c.last
      from outlooks o
      join instruments i on i.id = o.instrument_id
      left join series s on s.id = i.closes_id
      cross join lateral climatology(o.id, $2, $3, $4) c
     where o.slug = $1 order by c.place`,
    values: [
      slug,
      distinct.map((band) => band?.low ?? null),
      distinct.map((band) => band?.high ?? null),
      asOf?.toISOString() ?? null,
    ],
  });
  const found = new Map(
    rows.map((row, index) => {
      const band = distinct[index] ?? null;
      return [JSON.stringify(band), climatologyOf(row, band)];
    }),
  );
  return keys.flatMap((key) => found.get(key) ?? []);
}

function climatologyOf(row: Row, band: BaseBand | null): Climatology {
  const { bear, base, bull, ...rest } = row;
  if (bear !== null && base !== null && bull !== null) {
    const shares = { bear, base, bull };
    return { ...rest, probabilities: byScenario((name) => shares[name]), reason: null };
  }
  return { ...rest, probabilities: null, reason: whyMissing(row, band) };
}

function whyMissing({ series, days, independent }: Row, band: BaseBand | null): string {
  if (band === null) return 'the scenarios have no return bands';
  if (series === null) return 'the instrument has no series of closes';
  const spans = `${independent} ${independent === 1 ? 'span' : 'spans'} of ${days} ${days === 1 ? 'day' : 'days'}`;
  return `the closes known at the start of the horizon hold only ${spans} that do not overlap, and it takes five`;
}
