/** Probabilities in basis points, of three scenarios; they sum to 10,000. */
export type Points = { bear: number; base: number; bull: number };
export type Name = keyof Points;

export const NAMES = ['bear', 'base', 'bull'] as const satisfies readonly Name[];
const WHOLE = 10_000;

/**
 * The points after one of them was set: the two others share what is left as they shared it before, to the whole
 * point, so that all three sum to 10,000 whatever is set.
 * @param value any number; brought into 0–10,000 and to a whole point
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

/** Points as people read them: 3,050 is `30.5%`. */
export const percentOf = (points: number): string => `${points / 100}%`;

/** How far points moved, in percentage points and signed: `+5`, `−0.5`, `±0`. */
export function movedBy(points: number): string {
  if (points === 0) return '±0';
  return points > 0 ? `+${points / 100}` : `−${-points / 100}`;
}
