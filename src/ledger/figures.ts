import {
  type Comparison,
  comparisonsOf,
  type Figure,
  type FigureChange,
  figuresKey,
  judgedOn,
  type FiguresBySeries,
  type Rule,
} from '../domain/condition-rules.ts';
import { type Dating, type Frequency, periodEnd } from '../domain/series.ts';
import type { Session } from '../postgres/pool.ts';

/** New vintages of one series; `before` and `value` are null where the day had or has no value. */
export type Arrival = {
  series: { id: number; key: string; frequency: Frequency; dated: Dating };
  changed: readonly { date: string; before: number | null; value: number | null }[];
  recordedAt: Date;
};

/** The figures that a comparison looks back at from a day: the compared ones and, for a crossing, the one before. */
type Need = Pick<Comparison, 'series' | 'judgedOn'> & { most: number };

function needsOf(rules: readonly Rule[]): Map<string, Need> {
  const needs = new Map<string, Need>();
  for (const comparison of rules.flatMap(comparisonsOf)) {
    const key = figuresKey(comparison);
    const most = Math.max(needs.get(key)?.most ?? 0, comparison.forObservations + 1);
    needs.set(key, { ...comparison, most });
  }
  return needs;
}

/**
 * The figures that rules need to be evaluated before and after an arrival: those from the first changed day on, and as
 * many before it as a rule looks back. Days before `from`, the start of the earliest horizon, are not evaluated.
 */
export async function readFigureChange(
  session: Session,
  rules: readonly Rule[],
  arrival: Arrival,
  from: string,
): Promise<FigureChange> {
  const { series, changed, recordedAt } = arrival;
  const today = recordedAt.toISOString().slice(0, 10);
  const end = (date: string) => periodEnd(date, series.frequency, series.dated);
  const needs = needsOf(rules);
  const isPeriodJudged = needs.has(figuresKey({ series: series.key, judgedOn: null }));
  const days = isPeriodJudged ? changed.map(({ date }) => end(date)) : [];
  const since = days.reduce((first, day) => (day < first ? day : first), today);
  const bound = since > from ? since : from < today ? from : today;
  const [before, after] = [new Map<string, Figure[]>(), new Map<string, Figure[]>()];
  for (const [key, need] of needs) {
    const isArriving = need.series === series.key;
    if (judgedOn(need) === 'recorded') {
      const read = await readRecorded(session, need, bound);
      const earlier = isArriving
        ? read.filter((one) => one.recordedAt.getTime() !== recordedAt.getTime())
        : read;
      before.set(key, earlier);
      after.set(key, read);
    } else {
      // Without the changed days, there are still as many before the bound as a rule looks back.
      const most = need.most + (isArriving ? changed.length : 0);
      const read = await readByPeriod(session, { ...need, most }, bound);
      before.set(key, isArriving ? undone(read, changed, end) : read);
      after.set(key, read);
    }
  }
  return { before, after, since };
}

/** The newest figures of the series that a rule compares, as many as it looks back. */
export async function readNewestFigures(session: Session, rule: Rule): Promise<FiguresBySeries> {
  const known = new Map<string, Figure[]>();
  for (const [key, need] of needsOf([rule])) {
    const read = judgedOn(need) === 'recorded' ? readRecorded : readByPeriod;
    known.set(key, await read(session, need, null));
  }
  return known;
}

// The index observations_standing finds the values from a day on and those before it, however long the series is. A
// period that ends on the day or later may begin up to a year before it.
const READ_BY_PERIOD = {
  name: 'read-figures-by-period',
  text: `
    with s as (
      select id, frequency, dated, coalesce($2::date, 'infinity') - case dated when 'start' then 366 else 0 end as bound
        from series where key = $1)
    select date, value, period_end(date, (select frequency from s), (select dated from s)) as "from" from (
      (select o.date, o.value from observations o
        where o.series_id = (select id from s) and o.superseded_at is null and o.value is not null
          and o.date < (select bound from s)
        order by o.date desc limit $3)
      union all
      (select o.date, o.value from observations o
        where o.series_id = (select id from s) and o.superseded_at is null and o.value is not null
          and o.date >= (select bound from s))) seen
    order by date`,
};

/** From the day `bound` on, null for none, and the `most` newest before it. */
async function readByPeriod(
  session: Session,
  { series, most }: Need,
  bound: string | null,
): Promise<Figure[]> {
  const { rows } = await session.query<Figure>({
    ...READ_BY_PERIOD,
    values: [series, bound, most],
  });
  return rows;
}

// The index observations_recorded finds the vintages since a day. Those before it are known as of the day; for each
// retraction since then, one more may come to be among the newest. The last vintage before the day tells on which day the
// rule was judged last, also if it retracted a value.
const READ_RECORDED = {
  name: 'read-figures-recorded',
  text: `
    with s as (
      select s.id, coalesce($2::date, (
          select max(o.recorded_at) at time zone 'UTC' from observations o where o.series_id = s.id)::date)
          ::timestamp at time zone 'UTC' as bound
        from series s where s.key = $1),
    later as (
      select o.date, o.value, o.recorded_at from observations o
       where o.series_id = (select id from s) and o.recorded_at >= (select bound from s)),
    earlier as (
      select o.date, k.value, k.recorded_at from observations o cross join lateral (
          select k.value, k.recorded_at from observations k
           where k.series_id = o.series_id and k.date = o.date and k.recorded_at < (select bound from s)
           order by k.recorded_at desc limit 1) k
       where o.series_id = (select id from s) and o.superseded_at is null and k.value is not null
       order by o.date desc
       limit $3 + (select count(*) from later where value is null)),
    last as (
      select o.date, o.value, o.recorded_at from observations o
       where o.series_id = (select id from s) and o.recorded_at < (select bound from s)
       order by o.recorded_at desc limit 1)
    select date, value, (recorded_at at time zone 'UTC')::date as "from", recorded_at as "recordedAt"
      from (select * from earlier union select * from last union all select * from later) seen
     order by recorded_at, date`,
};

/**
 * What was recorded from the day `bound` on, null for the last day, and before it the `most` newest by date and the last
 * vintage.
 */
async function readRecorded(
  session: Session,
  { series, most }: Need,
  bound: string | null,
): Promise<(Figure & { recordedAt: Date })[]> {
  const { rows } = await session.query<Figure & { recordedAt: Date }>({
    ...READ_RECORDED,
    values: [series, bound, most],
  });
  return rows;
}

/** The figures as they were before an arrival. */
function undone(
  after: readonly Figure[],
  changed: Arrival['changed'],
  end: (date: string) => string,
): Figure[] {
  const dates = new Set(changed.map(({ date }) => date));
  const earlier = changed.flatMap(({ date, before }) =>
    before === null ? [] : [{ date, value: before, from: end(date) }],
  );
  return [...after.filter(({ date }) => !dates.has(date)), ...earlier].toSorted((a, b) =>
    a.date < b.date ? -1 : 1,
  );
}
