import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type Drawdown,
  type DrawdownLabel,
  drawdownLabelFaults,
  drawdownOf,
  fallsBy,
  labelOf,
} from '../../src/domain/drawdown.ts';
import type { Observation } from '../../src/domain/series.ts';
import vectors from '../vectors/drawdowns.json' with { type: 'json' };
import { bruteDrawdown } from '../support/brute-drawdown.ts';
import { nearestDouble } from '../support/rationals.ts';
import { randomNumbers } from '../support/simulation.ts';

const labelsOf = (depths: readonly (number | null)[]) =>
  depths.map((minDepth, index) => ({ key: `label-${index}`, label: 'L', minDepth }));
const depth = fc.double({ min: 0, max: 1, minExcluded: true, noNaN: true });

test('increasing depths are valid, with labels without a depth in between', () => {
  fc.assert(
    fc.property(fc.uniqueArray(depth), fc.array(fc.nat()), (depths, gaps) => {
      const labels: (number | null)[] = depths.toSorted((a, b) => a - b);
      for (const gap of gaps) labels.splice(gap % (labels.length + 1), 0, null);
      expect(drawdownLabelFaults(labelsOf(labels))).toEqual([]);
    }),
  );
});

test('a depth is refused exactly if an earlier one is as deep', () => {
  fc.assert(
    fc.property(fc.array(fc.option(depth, { nil: null })), (depths) => {
      const refused = depths.flatMap((own, index) => {
        const before = depths.slice(0, index).filter((other) => other !== null);
        return own !== null && before.some((other) => other >= own) ? [index] : [];
      });
      const faulty = drawdownLabelFaults(labelsOf(depths)).map(({ path }) => path);
      expect(faulty).toEqual(refused.map((index) => [index, 'minDepth']));
    }),
  );
});

test.for([
  [[0.2, 0.1], 1, 0.2],
  [[0.1, 0.1], 1, 0.1],
  [[0.1, 0.3, null, 0.2], 3, 0.3],
  [[0], 0, 0],
] as const)(
  'the depths %j are refused in words that tell the order',
  ([depths, index, deepest]) => {
    expect(drawdownLabelFaults(labelsOf(depths))).toEqual([
      {
        path: [index, 'minDepth'],
        detail: `must be greater than ${deepest}, the previous depth: list labels from shallow to deep`,
      },
    ]);
  },
);

test('keys are unique, whatever the depths', () => {
  const labels = [
    { key: 'fall', minDepth: 0.1 },
    { key: 'fall', minDepth: 0.2 },
  ];
  expect(drawdownLabelFaults(labels)).toEqual([
    { path: [1, 'key'], detail: '"fall" is already used by entry 0' },
  ]);
});

test('a label has a depth or a speed, not both', () => {
  const speed = { depth: 0.2, days: 10 };
  const labels = [
    { key: 'a', minDepth: 0.1, speed },
    { key: 'b', minDepth: null, speed },
  ];
  expect(drawdownLabelFaults(labels)).toEqual([
    { path: [0, 'speed'], detail: 'cannot be combined with minDepth: leave one of them out' },
  ]);
});

const closesOf = (observations: readonly (readonly (string | number)[])[]): Observation[] =>
  observations.map(([date, value]) => ({ date: String(date), value: Number(value) }));

/** A close a day from 1 January 2026 on. */
const daily = (...values: number[]): Observation[] =>
  values.map((value, index) => ({ date: dayAt(index), value }));
const dayAt = (index: number) => new Date(Date.UTC(2026, 0, 1 + index)).toISOString().slice(0, 10);

/** Depths to 1e-12, all else exactly. */
function rounded(drawdown: Drawdown | null): unknown {
  return JSON.parse(
    JSON.stringify(drawdown, (name, value: unknown) =>
      name === 'depth' ? Math.round(Number(value) * 1e12) : value,
    ),
  );
}

test('the test vectors agree with the definition and with the API', () => {
  expect(vectors.vectors.length).toBeGreaterThanOrEqual(50);
  for (const { observations, expected } of vectors.vectors) {
    const closes = closesOf(observations);
    expect(rounded(bruteDrawdown(closes))).toEqual(rounded(expected));
    expect(rounded(drawdownOf(closes))).toEqual(rounded(expected));
  }
});

test('any path agrees with the definition', () => {
  const step = fc.record({
    days: fc.integer({ min: 1, max: 40 }),
    // Few values, so that there are ties, and some that are no price.
    value: fc.oneof(fc.constantFrom(-3, 0, 1, 2, 3, 5, 8), fc.integer({ min: 1, max: 1_000_000 })),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let at = 0;
      const closes = steps.map(({ days, value }) => ({ date: dayAt((at += days)), value }));
      expect(rounded(drawdownOf(closes))).toEqual(rounded(bruteDrawdown(closes)));
    }),
    { numRuns: 300 },
  );
});

test('a least depth leaves out shallower episodes, and changes nothing else', () => {
  // Decimals whose depths lie on the least one, or a little beside it.
  const value = fc.integer({ min: -300, max: 1_000 }).map((tenths) => (tenths * 333) / 1_000);
  const scale = fc.constantFrom(1, 1e-15, 1e12, Number.MIN_VALUE * 1e6);
  const least = fc.constantFrom(0.01, 0.1, 0.25, 1, Infinity);
  fc.assert(
    fc.property(fc.array(value, { maxLength: 80 }), scale, least, (values, factor, minDepth) => {
      const closes = daily(...values.map((one) => one * factor));
      const all = drawdownOf(closes);
      const episodes = all?.episodes.filter(({ peakValue, troughValue }) =>
        fallsBy(peakValue, troughValue, minDepth),
      );
      const deepest = all?.episodes.toSorted((a, b) => b.depth - a.depth)[0] ?? null;
      expect(drawdownOf(closes, minDepth)).toEqual(all && { ...all, episodes, deepest });
    }),
    { numRuns: 300 },
  );
});

test('the fall that the sample states is one of 2.4 percent, on one day, and open', () => {
  const found = drawdownOf(
    closesOf([
      ['2026-11-19', 2861.99],
      ['2026-11-20', 2793.3],
    ]),
  );
  expect(found?.depth).toBeCloseTo(0.024, 5);
  expect(found).toMatchObject({
    last: { date: '2026-11-20', value: 2793.3 },
    peak: { date: '2026-11-19', value: 2861.99 },
    current: {
      peakDate: '2026-11-19',
      troughDate: '2026-11-20',
      recoveryDate: null,
      daysToTrough: 1,
      daysUnderWater: 1,
    },
  });
});

test('a fall and its recovery, by hand', () => {
  const found = drawdownOf(daily(100, 80, 90, 80, 100, 99));
  expect(found?.deepest).toEqual({
    peakDate: '2026-01-01',
    peakValue: 100,
    troughDate: '2026-01-02',
    troughValue: 80,
    recoveryDate: '2026-01-05',
    depth: 0.2,
    daysToTrough: 1,
    daysUnderWater: 4,
  });
  expect(found?.current).toMatchObject({ peakDate: '2026-01-05', depth: 0.01 });
  expect(found?.episodes).toHaveLength(2);
});

test('without a close above zero there is no drawdown', () => {
  expect(drawdownOf([])).toBeNull();
  expect(drawdownOf(daily(0, -1, 0))).toBeNull();
  expect(labelOf(daily(0, -1), [label('any', 0.1)])).toBeNull();
});

function label(
  key: string,
  minDepth: number | null,
  speed: DrawdownLabel['speed'] = null,
): DrawdownLabel {
  return { key, label: key, minDepth, speed, typicalCause: 'C', implication: 'I' };
}
const LABELS = [
  label('correction', 0.1),
  label('bear-market', 0.2),
  label('crash', null, { depth: 0.15, days: 3 }),
  label('untold', null),
];

test.for<[string, number[], string | null]>([
  ['at the peak', [100, 110], null],
  ['just above the first depth', [100, 90.01], null],
  ['at the first depth, whatever the last binary digit says', [100, 90], 'correction'],
  ['between two', [3000, 2900, 2800, 2700, 2600, 2500, 2401], 'correction'],
  ['at the second', [3000, 2700, 2600, 2500, 2450, 2400], 'bear-market'],
  ['by its speed', [100, 98, 96, 83], 'crash'],
  ['by its speed, as deep in as many days', [100, 99, 98, 85], 'crash'],
  ['no more, once the fall is older than that', [100, 85, 85, 85, 85], 'correction'],
])('the label %s', ([, values, key]) => {
  expect(labelOf(daily(...values), LABELS)?.key ?? null).toBe(key);
});

test('each tenth below a peak is exact', () => {
  for (const peak of [100, 2793.3, 2861.99, 0.07, 1e9]) {
    for (let tenths = 1; tenths < 10; tenths += 1) {
      const depth = tenths / 10;
      // As a provider writes it, not as a product of doubles: 2513.97, not 2513.9700000000003.
      const closes = daily(peak, Number((peak * (1 - depth)).toFixed(6)));
      expect([peak, depth, labelOf(closes, [label('so', depth)])?.key]).toEqual([
        peak,
        depth,
        'so',
      ]);
      expect(labelOf(daily(peak, peak * (1 - depth + 1e-9)), [label('so', depth)])).toBeNull();
    }
  }
});

test('a fall of exactly the depth is one, whatever the doubles say', () => {
  // By hand: 29.97 = 33.3 − 3.33. In doubles, the quotient is 0.09999999999999996.
  const closes = daily(33.3, 29.97);
  expect(drawdownOf(closes)).toMatchObject({ depth: 0.1, current: { depth: 0.1 } });
  expect(labelOf(closes, [label('tenth', 0.1)])?.key).toBe('tenth');
  expect(labelOf(closes, [label('fast', null, { depth: 0.1, days: 1 })])?.key).toBe('fast');
  expect(fallsBy(33.3, 29.97, 0.1)).toBe(true);
  expect(fallsBy(33.3, 29.970000000000002, 0.1)).toBe(false);
});

test('10,000 falls near an edge are decided as in rational arithmetic', () => {
  const random = randomNumbers(8);
  const whole = (most: number) => Math.floor(random() * most);
  let [wrong, edges] = [0, 0];
  for (let at = 0; at < 10_000; at += 1) {
    // A peak in cents and a depth in basis points; the value is a millionth off the edge at most.
    const [cents, points] = [1 + whole(1_000_000), 1 + whole(10_000)];
    const edge = BigInt(cents) * BigInt(10_000 - points); // in millionths
    const value = edge + BigInt(whole(3) - 1);
    const text = `${value < 0n ? '-' : ''}${String(value < 0n ? -value : value).padStart(7, '0')}`;
    const close = Number(`${text.slice(0, -6)}.${text.slice(-6)}`);
    const holds = value <= edge;
    edges += Number(value === edge);
    wrong += Number(fallsBy(cents / 100, close, points / 10_000) !== holds);
    const found = drawdownOf(daily(cents / 100, close));
    const depth = nearestDouble(BigInt(cents) * 10_000n - value, BigInt(cents) * 10_000n);
    wrong += Number(found?.depth !== Math.max(0, depth));
  }
  expect(edges).toBeGreaterThan(3_000);
  expect(wrong).toBe(0);
});

test('a speed counts calendar days, not closes', () => {
  const closes = (day: string) =>
    closesOf([
      ['2026-01-01', 100],
      [day, 80],
    ]);
  expect(labelOf(closes('2026-01-04'), LABELS)?.key).toBe('crash');
  expect(labelOf(closes('2026-01-05'), LABELS)?.key).toBe('bear-market');
});
