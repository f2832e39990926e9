import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { probabilitiesOf, SCENARIO_NAMES } from '../../src/domain/probabilities.ts';
import {
  centralReturnFaults,
  DEFAULT_DIRECTIONS,
  DIRECTIONS,
  directionsOf,
  returnBandFaults,
  type ReturnBand,
} from '../../src/domain/scenarios.ts';
import { probabilities } from '../support/arbitraries.ts';

describe('directions', () => {
  const direction = fc.constantFrom(...DIRECTIONS);
  const pointing = fc.record({ bear: direction, base: direction, bull: direction });

  test('each have the sum of the scenarios that point there, and 1 together', () => {
    fc.assert(
      fc.property(probabilities, pointing, (points, directions) => {
        const weights = directionsOf(points, directions);
        for (const name of DIRECTIONS) {
          const pointed = SCENARIO_NAMES.filter((scenario) => directions[scenario] === name);
          const sum = pointed.reduce((total, scenario) => total + points[scenario], 0);
          expect(weights[name]).toBe(sum / 10_000);
        }
        const whole = DIRECTIONS.reduce((sum, name) => sum + Math.round(weights[name] * 10_000), 0);
        expect(whole).toBe(10_000);
      }),
    );
  });

  test('are bear lower, base sideways and bull higher unless the desk says otherwise', () => {
    const points = probabilitiesOf({ bear: 3000, base: 4500, bull: 2500 });
    expect(directionsOf(points, DEFAULT_DIRECTIONS)).toEqual({
      lower: 0.3,
      sideways: 0.45,
      higher: 0.25,
    });
  });

  test('add up without rounding noise if two scenarios point the same way', () => {
    const points = probabilitiesOf({ bear: 1000, base: 2000, bull: 7000 });
    expect(directionsOf(points, { bear: 'lower', base: 'lower', bull: 'higher' })).toEqual({
      lower: 0.3,
      sideways: 0,
      higher: 0.7,
    });
  });
});

describe('return bands', () => {
  type Bands = Record<'bear' | 'base' | 'bull', ReturnBand | null>;
  const faultsOf = ({ bear, base, bull }: Bands) =>
    returnBandFaults({
      bear: { returnBand: bear },
      base: { returnBand: base },
      bull: { returnBand: bull },
    });
  const pathsOf = (bands: Bands) => faultsOf(bands).map(({ path }) => path.join('/'));
  const band = (min: number | null, max: number | null): ReturnBand => ({ min, max });
  const partition = (low: number, high: number) => ({
    bear: band(null, low),
    base: band(low, high),
    bull: band(high, null),
  });
  const bounds = fc
    .tuple(
      fc.double({ min: -1, max: 1000, noNaN: true }),
      fc.double({ min: -1, max: 1000, noNaN: true }),
    )
    .filter(([a, b]) => a !== b)
    .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);

  test('may be left out altogether', () => {
    expect(faultsOf({ bear: null, base: null, bull: null })).toEqual([]);
  });

  test('may be any partition of the line', () => {
    fc.assert(
      fc.property(bounds, ([low, high]) => {
        expect(faultsOf(partition(low, high))).toEqual([]);
      }),
    );
  });

  test('may state their outer bounds, below −1 too', () => {
    const outer = fc.double({ min: Number.MIN_VALUE, max: 1000, noNaN: true });
    fc.assert(
      fc.property(bounds, outer, outer, ([low, high], below, above) => {
        fc.pre(low - below < low && high + above > high);
        const { base } = partition(low, high);
        const bands = { bear: band(low - below, low), base, bull: band(high, high + above) };
        expect(faultsOf(bands)).toEqual([]);
      }),
    );
  });

  test('are refused, at the moved end or its neighbour, if one end moves', () => {
    const ends = fc.constantFrom(
      ['bear', 'min'],
      ['bear', 'max'],
      ['base', 'min'],
      ['base', 'max'],
      ['bull', 'min'],
      ['bull', 'max'],
    ) as fc.Arbitrary<['bear' | 'base' | 'bull', 'min' | 'max']>;
    const other = fc.option(fc.double({ min: -1, max: 1000, noNaN: true }), { nil: null });
    // Where two bands touch, either end may be the wrong one: the fault is at the later.
    const expectedPaths: Record<string, string[]> = {
      'bear/min': ['bear/returnBand/min'],
      'bear/max': ['bear/returnBand/max', 'base/returnBand/min'],
      'base/min': ['base/returnBand/min', 'base/returnBand/max'],
      'base/max': ['base/returnBand/max', 'bull/returnBand/min'],
      'bull/min': ['bull/returnBand/min'],
      'bull/max': ['bull/returnBand/max'],
    };
    fc.assert(
      fc.property(bounds, ends, other, ([low, high], [name, end], moved) => {
        const bands = partition(low, high);
        fc.pre(bands[name][end] !== moved);
        // The outer bounds may be anywhere beyond their band's other end.
        fc.pre(`${name}/${end}` !== 'bear/min' || (moved !== null && moved >= low));
        fc.pre(`${name}/${end}` !== 'bull/max' || (moved !== null && moved <= high));
        const paths = pathsOf({ ...bands, [name]: { ...bands[name], [end]: moved } });
        expect(paths).not.toEqual([]);
        expect(expectedPaths[`${name}/${end}`]).toEqual(expect.arrayContaining(paths));
      }),
      { numRuns: 500 },
    );
  });

  test.for<[string, Bands, [path: string, detail: string][]]>([
    [
      'a hole',
      { bear: band(null, -0.1), base: band(-0.05, 0.1), bull: band(0.1, null) },
      [
        [
          'base/returnBand/min',
          'must be -0.1: the base band leaves a gap above the bear band, which ends there',
        ],
      ],
    ],
    [
      'an overlap',
      { bear: band(null, -0.1), base: band(-0.1, 0.1), bull: band(0.05, null) },
      [
        [
          'bull/returnBand/min',
          'must be 0.1: the bull band overlaps the base band, which ends there',
        ],
      ],
    ],
    [
      'one band missing',
      { ...partition(-0.1, 0.1), base: null },
      [['base/returnBand', 'is missing: give return bands for all three scenarios or for none']],
    ],
    [
      'two bands missing',
      { ...partition(-0.1, 0.1), bear: null, bull: null },
      [
        ['bear/returnBand', 'is missing: give return bands for all three scenarios or for none'],
        ['bull/returnBand', 'is missing: give return bands for all three scenarios or for none'],
      ],
    ],
    [
      'outer bounds inside the line',
      { bear: band(-0.1, -0.1), base: band(-0.1, 0.1), bull: band(0.1, 0.05) },
      [
        ['bear/returnBand/min', 'must be less than -0.1, where the bear band ends'],
        ['bull/returnBand/max', 'must be greater than 0.1, where the bull band starts'],
      ],
    ],
    [
      'an empty base band',
      { bear: band(null, 0), base: band(0, 0), bull: band(0, null) },
      [['base/returnBand/max', 'must be greater than 0, where the base band starts']],
    ],
    [
      'a base band that runs backwards',
      { bear: band(null, 0.1), base: band(0.1, -0.1), bull: band(-0.1, null) },
      [['base/returnBand/max', 'must be greater than 0.1, where the base band starts']],
    ],
    [
      'open ends within the line',
      { bear: band(null, null), base: band(null, null), bull: band(null, null) },
      [
        ['bear/returnBand/max', 'must be a number: the bear band ends where the base band starts'],
        ['base/returnBand/min', 'must be a number: the base band starts where the bear band ends'],
        ['base/returnBand/max', 'must be a number: the base band ends where the bull band starts'],
        ['bull/returnBand/min', 'must be a number: the bull band starts where the base band ends'],
      ],
    ],
  ])('are refused with %s', ([, bands, faults]) => {
    expect(faultsOf(bands).map(({ path, detail }) => [path.join('/'), detail])).toEqual(faults);
  });
});

describe('a central return', () => {
  const faultsOf = (centralReturn: number | null, min: number | null, max: number | null) =>
    centralReturnFaults({ centralReturn, returnBand: { min, max } }).map(({ detail }) => detail);

  test.for<[number | null, number | null, number | null, string[]]>([
    [-0.25, -0.4, -0.1, []],
    [-0.4, -0.4, -0.1, []],
    [-0.1, -0.4, -0.1, ["must be less than -0.1, where the scenario's return band ends"]],
    [-0.41, -0.4, -0.1, ["must be at least -0.4, where the scenario's return band starts"]],
    [-5, null, -0.1, []],
    [5, 0.1, null, []],
    [null, 0.1, 0.2, []],
  ])('of %s lies in [%s, %s)', ([value, min, max, faults]) => {
    expect(faultsOf(value, min, max)).toEqual(faults);
  });

  test('of a scenario without a band may be any', () => {
    expect(centralReturnFaults({ centralReturn: -3, returnBand: null })).toEqual([]);
  });
});
