import fc from 'fast-check';
import type { Comparable } from '../../src/domain/diff.ts';
import { type Framework, PROVENANCES } from '../../src/domain/framework.ts';
import type { Rule } from '../../src/domain/condition-rules.ts';
import type { Headwind } from '../../src/domain/headwinds.ts';
import { SCENARIO_NAMES } from '../../src/domain/probabilities.ts';
import { DIRECTIONS, type Scenario } from '../../src/domain/scenarios.ts';
import { probabilities } from './arbitraries.ts';

// Few texts and few keys, so that many entries stay, many change, and keys repeat.
const text = fc.constantFrom('', 'x', 'y');
const optional = fc.constantFrom(null, 'x', 'y');
const key = fc.constantFrom('a', 'b', 'c', 'd', 'B', '1', '1 a', '__proto__');
const bandEnd = fc.constantFrom(null, -0.1, 0, 0.1);

// Of the prototype that documents have, and with members in any order.
function record<Part extends object>(model: {
  [Member in keyof Part]: fc.Arbitrary<Part[Member]>;
}) {
  const members = fc.record<Part>(model, { noNullPrototype: true });
  return fc.tuple(members, fc.boolean()).map(([part, turned]) => {
    const entries = Object.entries(part);
    return Object.fromEntries(turned ? entries.toReversed() : entries) as Part;
  });
}

const byKey = { selector: ({ key }: { key: string }) => key, maxLength: 8 };
const scenario = record<Scenario>({
  title: text,
  outcome: text,
  conditions: text,
  direction: fc.constantFrom(...DIRECTIONS),
  directionComment: optional,
  returnBand: fc.option(record({ min: bandEnd, max: bandEnd })),
  centralReturn: bandEnd,
});
const rule: Rule = {
  series: 'yield',
  operator: 'lt',
  threshold: 4,
  forObservations: 2,
  judgedOn: null,
};
const framework = record<Framework>({
  title: text,
  summary: text,
  methodology: optional,
  disclaimer: optional,
  scenarios: record({ bear: scenario, base: scenario, bull: scenario }),
  headwinds: fc.uniqueArray(
    record<Headwind>({ key, rank: fc.integer({ min: 1, max: 9 }), title: text, description: text }),
    { comparator: (a, b) => a.key === b.key || a.rank === b.rank, maxLength: 8 },
  ),
  drawdownLabels: fc.uniqueArray(
    record({
      key,
      label: text,
      minDepth: bandEnd,
      speed: fc.constantFrom(null, { depth: 0.2, days: 10 }),
      typicalCause: text,
      implication: text,
    }),
    byKey,
  ),
  invalidationConditions: fc.uniqueArray(
    record({
      key,
      invalidates: fc.constantFrom(...SCENARIO_NAMES),
      statement: text,
      rule: fc.constantFrom(null, rule, { any: [rule, { ...rule, threshold: 3 }] }),
    }),
    byKey,
  ),
  risks: fc.array(record({ area: key, whyItMatters: text, currentRead: text })),
  positioning: fc.array(
    record({
      investorType: key,
      approach: text,
      watchpoints: fc.array(text, { maxLength: 2 }),
    }),
  ),
  metrics: fc.array(
    record({
      name: key,
      value: bandEnd,
      unit: optional,
      display: optional,
      source: optional,
      asOf: optional,
      provenance: fc.constantFrom(...PROVENANCES),
    }),
  ),
  faqs: fc.array(record({ question: key, answer: text })),
  references: fc.array(
    record({ title: key, publisher: optional, url: optional, publishedOn: optional }),
  ),
});

/** A version that says anything, as far as it is compared. */
export const version = record<Comparable>({
  probabilities,
  framework,
});
