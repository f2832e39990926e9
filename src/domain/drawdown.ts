import { exact, nearestQuotient } from './decimals.ts';
import { type Fault, repeated } from './errors.ts';
import { countUntil, type Observation } from './series.ts';

/**
 * The name for a fall of the instrument. `minDepth` is the drawdown from the running peak, a
 * fraction in (0, 1], from which the label applies. A label defined by speed, such as a crash, has a
 * `speed` instead: at least `depth`, a fraction in (0, 1], below the highest close of a day and the `days`
 * calendar days before it. A label with neither is never computed.
 */
export type DrawdownLabel = {
  key: string;
  label: string;
  minDepth: number | null;
  speed: { depth: number; days: number } | null;
  typicalCause: string;
  implication: string;
};

/** Keys are unique, depths increase from label to label, and no label has both a depth and a speed. */
export function drawdownLabelFaults(labels: readonly Partial<DrawdownLabel>[]): Fault[] {
  const faults = repeated(labels, 'key');
  let deepest = 0;
  for (const [index, { minDepth, speed }] of labels.entries()) {
    if (typeof minDepth !== 'number') continue;
    if (typeof speed === 'object' && speed !== null) {
      faults.push({
        path: [index, 'speed'],
        detail: 'cannot be combined with minDepth: leave one of them out',
      });
    }
    if (minDepth <= deepest) {
      faults.push({
        path: [index, 'minDepth'],
        detail: `must be greater than ${deepest}, the previous depth: list labels from shallow to deep`,
      });
    }
    deepest = Math.max(deepest, minDepth);
  }
  return faults;
}

/**
 * A fall from a running peak until it is reached again. Named as pyfolio and quantstats name them; days
 * are calendar days.
 */
export type DrawdownEpisode = {
  /** The last day at the peak. */
  peakDate: string;
  peakValue: number;
  /** The first day with the lowest close. */
  troughDate: string;
  troughValue: number;
  /** The first day back at the peak or above; null while under water. */
  recoveryDate: string | null;
  /** −D at the trough, a fraction of the peak; above 1 if a close is negative. */
  depth: number;
  daysToTrough: number;
  /** Up to the recovery, or to the last close while under water. */
  daysUnderWater: number;
};

export type Drawdown = {
  last: Observation;
  /** The highest close, on the last day that reached it. */
  peak: Observation;
  /** −D of the last close; 0 at the peak. */
  depth: number;
  /** The open episode. */
  current: DrawdownEpisode | null;
  /** The deepest episode; the first of several that are equally deep. */
  deepest: DrawdownEpisode | null;
  /** Those of at least a given depth, in the order of their peaks. */
  episodes: DrawdownEpisode[];
};

/** A fall from a peak, with the lowest close so far and the first one back at the peak, if there is one. */
type Fall = { peak: Observation; trough: Observation; recovery: Observation | null };

/**
 * The drawdowns of closes: D_t = P_t / max_{s ≤ t} P_s − 1, of which depths are the negation.
 *
 * Closes before the first positive one are skipped, because a fall from such a peak has no depth.
 * @param closes ascending by date, each day once
 * @param minDepth the least depth of the episodes to list, a fraction of the peak; `Infinity` lists none
 * @returns null if no close is positive
 */
export function drawdownOf(closes: readonly Observation[], minDepth = 0): Drawdown | null {
  const start = closes.findIndex(({ value }) => value > 0);
  let peak = closes[start];
  if (peak === undefined) return null;
  const falls: Fall[] = [];
  let [trough, last]: [Observation | null, Observation] = [null, peak];
  for (let at = start + 1; at < closes.length; at += 1) {
    last = closes[at] ?? last;
    if (last.value < peak.value) {
      if (trough === null || last.value < trough.value) trough = last;
      continue;
    }
    if (trough) falls.push({ peak, trough, recovery: last });
    [peak, trough] = [last, null];
  }
  const current = trough && { peak, trough, recovery: null };
  if (current) falls.push(current);
  const end = last;
  const deepest = deepestOf(falls);
  return {
    last,
    peak,
    depth: depthOf(peak.value, last.value),
    current: current && episodeOf(current, end),
    deepest: deepest && episodeOf(deepest, end),
    episodes: falls
      .filter((fall) => mayBeAtLeast(fall, minDepth))
      .filter(({ peak: { value }, trough: { value: low } }) => fallsBy(value, low, minDepth))
      .map((fall) => episodeOf(fall, end)),
  };
}

// Exact decimals decide, but they are slow, and there may be ten thousand falls. Doubles rule out most of them first.
const SLACK = 1e-12;
/** Below this peak, doubles have too few digits to rule anything out. */
const SMALLEST_PEAK = 1e-290;

/** Whether a fall may be at least that deep, by doubles. */
function mayBeAtLeast({ peak, trough }: Fall, depth: number): boolean {
  const rough = (peak.value - trough.value) / peak.value;
  return rough >= depth * (1 - SLACK) - SLACK || peak.value < SMALLEST_PEAK;
}

function deepestOf(falls: readonly Fall[]): Fall | null {
  const rough = falls.reduce(
    (most, { peak, trough }) => Math.max(most, (peak.value - trough.value) / peak.value),
    0,
  );
  const exactDepthOf = ({ peak, trough }: Fall) => depthOf(peak.value, trough.value);
  const [first = null, ...others] = falls.filter((fall) => mayBeAtLeast(fall, rough));
  return others.reduce(
    (most, fall) => (most && exactDepthOf(fall) > exactDepthOf(most) ? fall : most),
    first,
  );
}

/**
 * How far each close is below the highest so far, from the first positive close on; 0 at a peak. In floating point,
 * because a chart draws tens of thousands of them and shows no sixteenth digit.
 */
export function depthsOf(closes: readonly Observation[]): Observation[] {
  const start = closes.findIndex(({ value }) => value > 0);
  let peak = 0;
  return closes.slice(start === -1 ? closes.length : start).map(({ date, value }) => {
    peak = Math.max(peak, value);
    return { date, value: (peak - value) / peak };
  });
}

/** @param last the last close */
function episodeOf({ peak, trough, recovery }: Fall, last: Observation): DrawdownEpisode {
  const recoveryDate = recovery && recovery.date;
  return {
    peakDate: peak.date,
    peakValue: peak.value,
    troughDate: trough.date,
    troughValue: trough.value,
    recoveryDate,
    depth: depthOf(peak.value, trough.value),
    daysToTrough: daysBetween(peak.date, trough.date),
    daysUnderWater: daysBetween(peak.date, recoveryDate ?? last.date),
  };
}

/** 1 − value ÷ peak, the nearest double: of 33.3 and 29.97 it is 0.1, not 0.09999999999999996. */
function depthOf(peak: number, value: number): number {
  return nearestQuotient(exact(peak).minus(value), exact(peak));
}

const DAY = 86_400_000;
const daysBetween = (from: string, to: string): number =>
  Math.round((Date.parse(to) - Date.parse(from)) / DAY);

/**
 * Whether a value is at least a given depth below a positive peak. Prices and depths are decimals, so this is decided
 * without rounding: 29.97 is exactly 0.1 below 33.3.
 * @param least a fraction of the peak
 */
export function fallsBy(peak: number, value: number, least: number): boolean {
  return exact(peak).minus(value).gte(exact(peak).times(least));
}

/**
 * The label for the last close in an outlook's framework: the last in its list that applies.
 * The list goes from shallow to deep. Null if none applies.
 * @param closes as for {@link drawdownOf}
 * @param drawdown the drawdown of these closes, if it is known
 */
export function labelOf(
  closes: readonly Observation[],
  labels: readonly DrawdownLabel[],
  drawdown: Pick<Drawdown, 'last' | 'peak'> | null = drawdownOf(closes, Infinity),
): DrawdownLabel | null {
  if (!drawdown) return null;
  const applies = ({ minDepth, speed }: DrawdownLabel) => {
    if (minDepth !== null) return fallsBy(drawdown.peak.value, drawdown.last.value, minDepth);
    if (speed === null) return false;
    const highest = highestWithin(closes, drawdown.last, speed.days);
    return highest > 0 && fallsBy(highest, drawdown.last.value, speed.depth);
  };
  return labels.findLast(applies) ?? null;
}

/** The highest close of the last day and that many calendar days before. */
function highestWithin(closes: readonly Observation[], last: Observation, days: number): number {
  const before = new Date(Date.parse(last.date) - (days + 1) * DAY).toISOString().slice(0, 10);
  let highest = last.value;
  for (let at = countUntil(closes, before); at < closes.length; at += 1) {
    highest = Math.max(highest, closes[at]?.value ?? highest);
  }
  return highest;
}
