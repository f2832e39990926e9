import fc from 'fast-check';
import type { BaseBand } from '../../src/domain/outcome.ts';
import type { ScenarioName } from '../../src/domain/probabilities.ts';
import { type Climatology, naiveClimatology, type Vintage } from './naive-climatology.ts';
import type { Odds } from './naive-sums.ts';

export const DAY = 86_400_000;
export const HORIZON = { from: '2026-01-11', to: '2026-01-31' };
export const FROM = Date.parse(HORIZON.from);
export const TO = Date.parse(HORIZON.to);
export const BANDS: (BaseBand | null)[] = [
  { low: -0.1, high: 0.15 },
  { low: -0.05, high: 0.1 },
  { low: -0.2, high: 0.2 },
  { low: 0.1, high: 0.15 },
  null,
];
const KINDS = [
  'revise',
  'revise',
  'revise',
  'view',
  'view',
  'leave',
  'withdraw',
  'resolve',
  'reopen',
] as const;

/** What happens next to an outlook; it is left out where it can't. */
export type Step = {
  kind: (typeof KINDS)[number];
  who: number;
  odds: Odds;
  band: number;
  /** Hours since the step before. */
  hours: number;
  outcome: ScenarioName | null;
  /** What a resolution after the horizon goes by. */
  by: 'closes' | 'noisy' | 'stated' | 'both' | 'nothing';
  end: number;
  stated: number;
  /** When the outcome is said to have been known, as a share of the time until it is recorded; null if unsaid. */
  known: number | null;
};
export type World = { steps: readonly Step[]; hasCloses: boolean };

const odds = fc
  .tuple(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 10_000 }))
  .map(([a, b]): Odds => [Math.min(a, b), Math.abs(a - b), 10_000 - Math.max(a, b)]);

export const worlds: fc.Arbitrary<World> = fc.record({
  hasCloses: fc.boolean(),
  steps: fc.array(
    fc.record({
      kind: fc.constantFrom(...KINDS),
      who: fc.nat(2),
      odds: fc.oneof(odds, fc.constantFrom<Odds>([10_000, 0, 0], [1_000, 3_000, 6_000])),
      band: fc.nat(BANDS.length - 1),
      hours: fc.oneof(fc.constantFrom(0, 24, 48), fc.double({ min: 0, max: 120, noNaN: true })),
      outcome: fc.constantFrom<ScenarioName | null>('bear', 'base', 'bull', 'base', 'bull', null),
      by: fc.constantFrom('closes', 'noisy', 'stated', 'both', 'nothing'),
      end: fc.constantFrom(115, 110, 90, 95, 80, 100, 120, 104.5),
      stated: fc.constantFrom(-0.3, -0.1, 0, 0.1, 0.15, 0.2),
      known: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
    }),
    { minLength: 6, maxLength: 24, size: 'max' },
  ),
});

/** 120 daily closes before the horizon, whose returns over 20 days often meet the edge of a band. */
export const CLOSES: Vintage[] = Array.from({ length: 120 }, (_, index) => ({
  date: new Date(FROM - (120 - index) * DAY).toISOString().slice(0, 10),
  value: [100, 110, 115, 90, 104.5, 100, 120][Math.floor(index / 7) % 7] ?? 100,
  recordedAt: '2026-01-10T22:00:00.000Z',
}));

export const history = (band: BaseBand): Climatology =>
  naiveClimatology(CLOSES, HORIZON, 'daily', [band.low, band.high]);
