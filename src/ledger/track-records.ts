import { BUCKETS } from '../domain/calibration.ts';
import { DomainError } from '../domain/errors.ts';
import { OUTLOOK_STATUSES, type OutlookStatus } from '../domain/outlook.ts';
import { type Fractions, fractionsOf, SCENARIO_NAMES, WHOLE } from '../domain/probabilities.ts';
import { bandOf, outcomeFor } from '../domain/outcome.ts';
import { UNIFORM } from '../domain/scoring.ts';
import {
  FORECAST_SOURCES,
  type ForecastSource,
  type SummedForecast,
  type TrackRecord,
  TrackRecorder,
} from '../domain/track-record.ts';
import type { Session } from '../postgres/pool.ts';
import { RESOLVED_BY, resolvedBy, type ResolvedRow, STATUS_BY } from './resolved-by.ts';

/** Whose forecasts of which outlooks; the horizon ends in [from, to). A filter that is null lets all pass. */
export type RecordScope = {
  /** Null for whole outlooks, whoever wrote their versions. */
  analystId: string | null;
  source: ForecastSource;
  /** The symbol of an instrument. */
  instrument: string | null;
  from: string | null;
  to: string | null;
  /** Leaves out what was recorded later; null leaves out nothing. */
  asOf: Date | null;
};

export type RecordOfForecaster = TrackRecord & { counts: Record<OutlookStatus, number> };

/**
 * The track record of the forecasts in a scope.
 * @param reference the forecast that skill is measured against
 */
export async function readTrackRecord(
  session: Session,
  scope: RecordScope,
  reference: Fractions,
): Promise<RecordOfForecaster> {
  const recorder = new TrackRecorder(reference);
  await addForecasts(session, scope, recorder);
  return { ...recorder.result(), counts: await countOutlooks(session, scope) };
}

/**
 * The skill of analysts by id: their mean Brier scores against uniform thirds, over all their scored versions and views.
 * Analysts without a scored forecast are left out.
 */
export async function readSkills(
  session: Session,
  analystIds: readonly string[],
  asOf: Date | null,
): Promise<Map<string, { n: number; skill: number }>> {
  const skills = new Map<string, { n: number; skill: number }>();
  for (const analystId of analystIds) {
    const recorder = new TrackRecorder(UNIFORM);
    for (const source of FORECAST_SOURCES) {
      const scope = { analystId, source, instrument: null, from: null, to: null, asOf };
      await addForecasts(session, scope, recorder);
    }
    const { n, scores } = recorder.result();
    const skill = scores?.brier.skill.value ?? null;
    if (skill !== null) skills.set(analystId, { n, skill });
  }
  return skills;
}

/** Sums in one read: a bound for the memory it takes, and for the time in which no other request is served. */
const PAGE = 1_000;

type SumsRow = ResolvedRow & {
  outlook_id: number;
  position: number;
  low: number | null;
  high: number | null;
  packed: Buffer;
};

/** The last row of a page. */
type Place = { outlookId: number; position: number };
const START: Place = { outlookId: 0, position: 0 };

/** Adds the forecasts and the outcome of each resolved outlook in a scope, outlook by outlook. */
async function addForecasts(
  session: Session,
  scope: RecordScope,
  recorder: TrackRecorder,
): Promise<void> {
  const read = async (after: Place): Promise<SumsRow[]> =>
    (await session.query<SumsRow>(sumsQuery(scope, after))).rows;
  let { outlookId } = START;
  let page: Promise<SumsRow[]> | null = read(START);
  while (page) {
    const rows: SumsRow[] = await page;
    const last: SumsRow | undefined = rows.length < PAGE ? undefined : rows.at(-1);
    // Requested before this page is added up, which takes as long as Postgres takes to read the next.
    page = last ? read({ outlookId: last.outlook_id, position: last.position }) : null;
    page?.catch(() => {}); // handled where it is awaited
    for (const row of rows) {
      if (row.outlook_id !== outlookId && outlookId > 0) recorder.endOutlook();
      outlookId = row.outlook_id;
      recorder.add(forecastOf(row), outcomeFor(resolvedBy(row), bandOf(row.low, row.high)));
    }
  }
  if (outlookId > 0) recorder.endOutlook();
}

/** A filter that is not set is left out of the text, so that Postgres picks the index for those that are. */
function sumsQuery(
  { analystId, source, instrument, from, to, asOf }: RecordScope,
  after: Place,
): { text: string; values: unknown[] } {
  const values: unknown[] = [after.outlookId, after.position, source];
  const sent = (value: unknown): string => `$${values.push(value)}`;
  const filters = [
    // A bound for both tables, so that both scans start where the page before ended.
    `(f.outlook_id, f.position) > ($1, $2) and r.outlook_id >= $1`,
    'f.source = $3',
    analystId === null ? 'f.analyst_id is null' : `f.analyst_id = ${sent(analystId)}`,
    instrument !== null &&
      `f.instrument_id = (select id from instruments where symbol = ${sent(instrument)})`,
    from !== null && `f.due_on >= ${sent(from)}`,
    to !== null && `f.due_on < ${sent(to)}`,
    'r.outcome is not null',
    ...(asOf === null ? ['r.superseded_at is null'] : standsAsOf(sent(asOf.toISOString()))),
  ].filter((filter) => filter !== false);
  const text = `
    select f.outlook_id, f.position, f.band_low as low, f.band_high as high,
      ${PACKED} as packed,
      ${RESOLVED_BY}
    from forecast_sums f join resolutions r on r.outlook_id = f.outlook_id
    where ${filters.join(' and ')} order by f.outlook_id, f.position limit ${PAGE}`;
  return { text, values };
}

const standsAsOf = (moment: string): string[] => [
  `r.recorded_at <= ${moment}`,
  `(r.superseded_at is null or r.superseded_at > ${moment})`,
];

// In one column: parsing ten thousand rows of twenty columns takes longer than finding them.
const NUMBERS =
  'share bear base bull bear_squared base_squared bull_squared bear_log base_log bull_log'.split(
    ' ',
  );
const PACKED = `${NUMBERS.map((name) => `float8send(f.${name})`).join(' || ')} || f.leads || f.buckets`;
const NUMBER_BYTES = 8;
// The layout that sum_up_forecasts() packs (src/postgres/tables/forecasts.ts).
const LEADS_AT = NUMBERS.length * NUMBER_BYTES;
const LEAD_BYTES = 4;
const LEAD_COUNT = 11;
const BUCKETS_AT = LEADS_AT + LEAD_COUNT * LEAD_BYTES;
const BUCKET_BYTES = 18;

function forecastOf({ packed: { buffer, byteOffset, byteLength } }: SumsRow): SummedForecast {
  const view = new DataView(buffer, byteOffset, byteLength);
  const number = (place: number) => view.getFloat64(place * NUMBER_BYTES);
  const buckets = [];
  for (let at = BUCKETS_AT; at < byteLength; at += BUCKET_BYTES) {
    const which = view.getInt16(at);
    buckets.push({
      scenario: SCENARIO_NAMES[Math.floor(which / BUCKETS)] ?? 'bull',
      bucket: which % BUCKETS,
      weight: view.getFloat64(at + 2),
      predicted: view.getFloat64(at + 10),
    });
  }
  const leads = [];
  for (let at = LEADS_AT; at < BUCKETS_AT; at += LEAD_BYTES) {
    leads.push(leadOf(view.getInt16(at), view.getInt16(at + 2)));
  }
  return {
    share: number(0),
    weighted: { bear: number(1), base: number(2), bull: number(3) },
    squared: { bear: number(4), base: number(5), bull: number(6) },
    surprise: { bear: number(7), base: number(8), bull: number(9) },
    buckets,
    leads,
  };
}

function leadOf(bear: number, base: number): Fractions | null {
  return bear === -1 ? null : fractionsOf({ bear, base, bull: WHOLE - bear - base });
}

async function countOutlooks(
  session: Session,
  { analystId, source, instrument, from, to, asOf }: RecordScope,
): Promise<Record<OutlookStatus, number>> {
  const values: unknown[] = [];
  const sent = (value: unknown): string => `$${values.push(value)}`;
  const moment = asOf && sent(asOf.toISOString());
  const status =
    moment === null
      ? 'o.status'
      : `case when o.status = 'withdrawn' and o.published_at <= ${moment} then 'withdrawn' else coalesce((
           select ${STATUS_BY} from resolutions r
            where r.outlook_id = o.id and r.recorded_at <= ${moment}
            order by r.number desc limit 1), 'open') end`;
  const filters = [
    analystId !== null && `f.analyst_id = ${sent(analystId)} and f.source = ${sent(source)}`,
    analystId !== null && moment !== null && `f.since <= ${moment}`,
    analystId === null &&
      moment !== null &&
      `exists (select from outlook_versions v
        where v.outlook_id = o.id and v.version = 1 and v.recorded_at <= ${moment})`,
    instrument !== null &&
      `o.instrument_id = (select id from instruments where symbol = ${sent(instrument)})`,
    from !== null && `o.horizon_to >= ${sent(from)}`,
    to !== null && `o.horizon_to < ${sent(to)}`,
  ].filter((filter) => filter !== false);
  const where = filters.length > 0 ? `where ${filters.join(' and ')}` : '';
  const { rows } = await session.query<{ status: OutlookStatus; count: number }>(
    `select ${status} as status, count(*) as count from outlooks o
      ${analystId === null ? '' : 'join forecasters f on f.outlook_id = o.id'} ${where} group by 1`,
    values,
  );
  const counts = new Map(rows.map((row) => [row.status, row.count]));
  const count = (name: OutlookStatus) => counts.get(name) ?? 0;
  return Object.fromEntries(OUTLOOK_STATUSES.map((name) => [name, count(name)])) as Record<
    OutlookStatus,
    number
  >;
}

/** @throws DomainError `analyst-not-found` */
export async function readAnalyst(
  session: Session,
  id: string,
): Promise<{ id: string; name: string }> {
  const { rows } = await session.query<{ id: string; name: string }>(
    'select id, name from analysts where id = $1',
    [id],
  );
  const [found] = rows;
  if (found) return found;
  throw new DomainError('analyst-not-found', `There is no analyst ${id}.`);
}
