import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Comparable, diffVersions, type VersionDiff } from '../../src/domain/diff.ts';
import type { Framework } from '../../src/domain/framework.ts';
import type { Headwind } from '../../src/domain/headwinds.ts';
import { probabilitiesOf, SCENARIO_NAMES } from '../../src/domain/probabilities.ts';
import type { Scenario } from '../../src/domain/scenarios.ts';
import { version } from '../support/any-version.ts';
import { applyDiff, invert } from '../support/apply-diff.ts';

const byRank = (headwinds: readonly Headwind[]) => headwinds.toSorted((a, b) => a.rank - b.rank);
const none = { added: [], removed: [], altered: [], moved: [] };
const noLists: VersionDiff['lists'] = {
  headwinds: none,
  drawdownLabels: none,
  invalidationConditions: none,
  risks: none,
  positioning: none,
  metrics: none,
  faqs: none,
  references: none,
};

const noEntries = {
  headwinds: [],
  drawdownLabels: [],
  invalidationConditions: [],
  risks: [],
  positioning: [],
  metrics: [],
  faqs: [],
  references: [],
};
const silent: Scenario = {
  title: 'T',
  outcome: 'O',
  conditions: 'C',
  direction: 'sideways',
  directionComment: null,
  returnBand: null,
  centralReturn: null,
};
const blank: Comparable = {
  probabilities: probabilitiesOf({ bear: 3000, base: 4500, bull: 2500 }),
  framework: {
    title: 'T',
    summary: 'S',
    methodology: null,
    disclaimer: null,
    scenarios: { bear: silent, base: silent, bull: silent },
    ...noEntries,
  },
};

/** FAQs whose questions are single letters. */
const faqs = (letters: string) => Array.from(letters, (question) => ({ question, answer: 'A' }));

/** The lists of a diff between two frameworks that say nothing else. */
function diffLists(from: Partial<Framework>, to: Partial<Framework>): VersionDiff['lists'] {
  const saying = (lists: Partial<Framework>) => ({
    ...blank,
    framework: { ...blank.framework, ...lists },
  });
  return diffVersions(saying(from), saying(to)).lists;
}

function subsequences(letters: string): string[] {
  return Array.from(letters).reduce(
    (all, letter) => all.concat(all.map((some) => some + letter)),
    [''],
  );
}

describe('a diff of any two versions', () => {
  test('leads from one to the other', () => {
    fc.assert(
      fc.property(version, version, (from, to) => {
        expect(applyDiff(from, diffVersions(from, to))).toStrictEqual({
          probabilities: to.probabilities,
          framework: { ...to.framework, headwinds: byRank(to.framework.headwinds) },
        });
      }),
    );
  });

  test('reversed is the diff the other way, in the same order', () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        expect(invert(diffVersions(a, b))).toStrictEqual(diffVersions(b, a));
      }),
    );
  });

  test('is empty if both say the same, in any order of headwinds and members', () => {
    const turned = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(turned);
      if (typeof value !== 'object' || value === null) return value;
      const members = Object.entries(value).toReversed();
      return Object.fromEntries(members.map(([name, member]) => [name, turned(member)]));
    };
    fc.assert(
      fc.property(version, (from) => {
        const headwinds = from.framework.headwinds.toReversed();
        const framework = turned({ ...from.framework, headwinds }) as Framework;
        const { probabilities, ...rest } = diffVersions(from, { ...from, framework });
        expect(rest).toStrictEqual({ fields: [], lists: noLists });
        expect(probabilities.deltas).toStrictEqual({ bear: 0, base: 0, bull: 0 });
        expect(probabilities.totalVariation).toBe(0);
      }),
    );
  });

  test('has the total variation of the probabilities: the sum of all increases', () => {
    fc.assert(
      fc.property(version, version, (from, to) => {
        const { deltas, totalVariation } = diffVersions(from, to).probabilities;
        const gains = SCENARIO_NAMES.map((name) => Math.max(0, deltas[name]));
        expect(totalVariation).toBe(gains.reduce((sum, gain) => sum + gain));
        expect(Number.isInteger(totalVariation)).toBe(true);
        expect(totalVariation).toBeLessThanOrEqual(10_000);
        expect(diffVersions(to, from).probabilities.totalVariation).toBe(totalVariation);
      }),
    );
  });

  test('moves all but the longest common order, of several the first', () => {
    const questions = fc
      .shuffledSubarray(['a', 'b', 'c', 'd', 'e', 'f', 'g'])
      .map((letters) => letters.join(''));
    fc.assert(
      fc.property(questions, questions, (from, to) => {
        const inTo = new Set(subsequences(to));
        const common = subsequences(from).filter((letters) => inTo.has(letters));
        const longest = Math.max(...common.map((letters) => letters.length));
        const [stay = ''] = common.filter((letters) => letters.length === longest).toSorted();
        const { moved } = diffLists({ faqs: faqs(from) }, { faqs: faqs(to) }).faqs;
        expect(moved.map(({ key }) => key)).toEqual(
          Array.from(from)
            .filter((letter) => to.includes(letter) && !stay.includes(letter))
            .toSorted(),
        );
      }),
    );
  });
});

describe('a diff shows', () => {
  test('how the numbers moved, in basis points', () => {
    const to = { ...blank, probabilities: probabilitiesOf({ bear: 3600, base: 4250, bull: 2150 }) };
    expect(diffVersions(blank, to)).toStrictEqual({
      probabilities: {
        from: { bear: 3000, base: 4500, bull: 2500 },
        to: { bear: 3600, base: 4250, bull: 2150 },
        deltas: { bear: 600, base: -250, bull: -350 },
        totalVariation: 600,
      },
      fields: [],
      lists: noLists,
    });
  });

  test('what changed outside the lists, a return band as a whole', () => {
    const { framework } = blank;
    const banded = { ...silent, returnBand: { min: null, max: -0.1 } };
    const from = { ...framework, scenarios: { ...framework.scenarios, bear: banded } };
    const bear = { ...silent, returnBand: { min: null, max: -0.15 } };
    const bull = { ...silent, returnBand: { min: 0.1, max: null } };
    const to = { ...from, disclaimer: 'No advice', scenarios: { bear, base: silent, bull } };
    const diff = diffVersions({ ...blank, framework: from }, { ...blank, framework: to });
    expect(diff.lists).toStrictEqual(noLists);
    expect(diff.fields).toStrictEqual([
      { path: ['disclaimer'], before: null, after: 'No advice' },
      {
        path: ['scenarios', 'bear', 'returnBand'],
        before: { min: null, max: -0.1 },
        after: { min: null, max: -0.15 },
      },
      { path: ['scenarios', 'bull', 'returnBand'], before: null, after: { min: 0.1, max: null } },
    ]);
  });

  test('what changed outside the lists in the order of a framework', () => {
    const said: Scenario = {
      centralReturn: -0.2,
      returnBand: { min: null, max: null },
      directionComment: '',
      direction: 'lower',
      conditions: '',
      outcome: '',
      title: '',
    };
    const scenarios = { bull: said, base: said, bear: said };
    const to = { scenarios, disclaimer: '', methodology: '', summary: '', title: '' };
    const framework = { ...to, ...noEntries };
    const { fields } = diffVersions(blank, { ...blank, framework });
    const members = Object.keys(silent);
    expect(fields.map(({ path }) => path)).toEqual([
      ...['title', 'summary', 'methodology', 'disclaimer'].map((name) => [name]),
      ...SCENARIO_NAMES.flatMap((name) => members.map((member) => ['scenarios', name, member])),
    ]);
  });

  test('what was added and removed, and its place in its list', () => {
    const entry = { question: 'b', answer: 'A' };
    const placed = [{ key: 'b', occurrence: 1, index: 1, entry }];
    expect(diffLists({ faqs: faqs('ac') }, { faqs: faqs('abc') })).toStrictEqual({
      ...noLists,
      faqs: { ...none, added: placed },
    });
    expect(diffLists({ faqs: faqs('abc') }, { faqs: faqs('ac') })).toStrictEqual({
      ...noLists,
      faqs: { ...none, removed: placed },
    });
  });

  test('what changed, by key and not by place; a list within an entry as a whole', () => {
    const trader = { investorType: 'Trader', approach: 'Stops', watchpoints: ['Macro', 'Rates'] };
    const holder = { investorType: 'Holder', approach: 'Wait', watchpoints: [] };
    const swapped = ['Rates', 'Macro'];
    const positioning = [
      { ...trader, watchpoints: swapped },
      { ...holder, approach: 'Add', watchpoints: ['Rates'] },
    ];
    const changes = [
      { path: ['approach'], before: 'Wait', after: 'Add' },
      { path: ['watchpoints'], before: [], after: ['Rates'] },
    ];
    const swap = { path: ['watchpoints'], before: ['Macro', 'Rates'], after: swapped };
    expect(diffLists({ positioning: [trader, holder] }, { positioning })).toStrictEqual({
      ...noLists,
      positioning: {
        ...none,
        altered: [
          { key: 'Holder', occurrence: 1, fields: changes },
          { key: 'Trader', occurrence: 1, fields: [swap] },
        ],
      },
    });
  });

  test.for([
    ['one entry carried down', 'abcde', 'bcdae', [{ key: 'a', occurrence: 1, from: 0, to: 3 }]],
    ['one entry carried up', 'abcde', 'dabce', [{ key: 'd', occurrence: 1, from: 3, to: 0 }]],
    ['two that changed places', 'bBa', 'baB', [{ key: 'a', occurrence: 1, from: 2, to: 1 }]],
    ['one carried past its like', 'aba', 'aab', [{ key: 'b', occurrence: 1, from: 1, to: 2 }]],
  ] as const)('of %s only the one that moved', ([, from, to, moved]) => {
    expect(diffLists({ faqs: faqs(from) }, { faqs: faqs(to) })).toStrictEqual({
      ...noLists,
      faqs: { ...none, moved },
    });
  });

  test('no move of an entry because others were added or removed before it', () => {
    const { moved } = diffLists({ faqs: faqs('abc') }, { faqs: faqs('xybc') }).faqs;
    expect(moved).toEqual([]);
  });

  test('which of several entries with one key it means', () => {
    const risk = (area: string, currentRead: string) => ({ area, whyItMatters: 'W', currentRead });
    const growth = risk('Growth', 'Slow');
    const from = [risk('Credit', 'Calm'), growth, risk('Credit', 'Tight')];
    const to = [risk('Credit', 'Tense'), growth, risk('Credit', 'Wide'), risk('Credit', 'New')];
    const read = (before: string, after: string) => [{ path: ['currentRead'], before, after }];
    expect(diffLists({ risks: from }, { risks: to })).toStrictEqual({
      ...noLists,
      risks: {
        ...none,
        added: [{ key: 'Credit', occurrence: 3, index: 3, entry: risk('Credit', 'New') }],
        altered: [
          { key: 'Credit', occurrence: 1, fields: read('Calm', 'Tense') },
          { key: 'Credit', occurrence: 2, fields: read('Tight', 'Wide') },
        ],
      },
    });
  });

  test('headwinds by rank: a new rank is a change, and a move if it passes others', () => {
    const headwind = (key: string, rank: number) => ({ key, rank, title: 'T', description: 'D' });
    expect(
      diffLists(
        { headwinds: [headwind('demand', 2), headwind('rates', 1), headwind('breadth', 3)] },
        { headwinds: [headwind('demand', 2), headwind('breadth', 3), headwind('rates', 9)] },
      ),
    ).toStrictEqual({
      ...noLists,
      headwinds: {
        ...none,
        altered: [
          { key: 'rates', occurrence: 1, fields: [{ path: ['rank'], before: 1, after: 9 }] },
        ],
        moved: [{ key: 'rates', occurrence: 1, from: 0, to: 2 }],
      },
    });
  });
});
