/** The probabilities of three scenarios in basis points; they sum to 10,000. */
export type Points = { bear: number; base: number; bull: number };
export type Name = keyof Points;

export const NAMES = ['bear', 'base', 'bull'] as const satisfies readonly Name[];
const WHOLE = 10_000;

/** Whether two are equal. */
export const areSame = (one: Points, other: Points): boolean =>
  NAMES.every((name) => one[name] === other[name]);

/**
 * The points after one of them was set. The other two split the rest in the same ratio as in `points`, in whole
 * points, so that all three always sum to 10,000.
 * @param points the points before this slider started to move, so that moving it back restores them
 * @param value any number; it is clamped to 0–10,000 and rounded
 */
export function withPoint(points: Points, name: Name, value: number): Points {
  const set = Math.min(
    WHOLE,
    Math.max(0, Math.round(Number.isFinite(value) ? value : points[name])),
  );
  const [first, second] = NAMES.filter((other) => other !== name) as [Name, Name];
  const left = WHOLE - set;
  const shared = points[first] + points[second];
  const share = Math.round(left * (shared === 0 ? 0.5 : points[first] / shared));
  return { ...points, [name]: set, [first]: share, [second]: left - share };
}

/** The step of a slider, in basis points: half a percent is as fine as a finger or an arrow key gets. */
const STEP = 50;

/** The position of a slider after a move from `current` to `value`: the nearest step other than the old position. */
export function stepped(current: number, value: number): number {
  if (value === current) return current;
  const nearest = Math.round(value / STEP) * STEP;
  if (value > current)
    return Math.min(WHOLE, Math.max(nearest, (Math.floor(current / STEP) + 1) * STEP));
  return Math.max(0, Math.min(nearest, (Math.ceil(current / STEP) - 1) * STEP));
}

/** Points as people read them: 3,050 is `30.5%`. */
export const percentOf = (points: number): string => `${points / 100}%`;

/** How far points moved, in percentage points and signed: `+5`, `−0.5`, `±0`. */
export function movedBy(points: number): string {
  if (points === 0) return '±0';
  return points > 0 ? `+${points / 100}` : `−${-points / 100}`;
}
