import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Framework, hashFramework, type Subject } from '../../src/domain/framework.ts';
import { hashDocument } from '../../src/domain/hash-chain.ts';

const scenario = (direction: 'lower' | 'sideways' | 'higher') => ({
  title: `T ${direction}`,
  outcome: `O ${direction}`,
  conditions: `C ${direction}`,
  direction,
  directionComment: `D ${direction}`,
});
const framework: Framework = {
  title: 'Russell 2000',
  summary: 'S',
  methodology: 'M',
  disclaimer: 'D',
  scenarios: {
    bear: { ...scenario('lower'), returnBand: { min: null, max: -0.1 }, centralReturn: null },
    base: { ...scenario('sideways'), returnBand: { min: -0.1, max: 0.1 }, centralReturn: 0.01 },
    bull: { ...scenario('higher'), returnBand: { min: 0.1, max: null }, centralReturn: null },
  },
  headwinds: [
    { key: 'rates', rank: 1, title: 'Rates', description: 'High' },
    { key: 'demand', rank: 2, title: 'Demand', description: 'Soft' },
  ],
  drawdownLabels: [
    {
      key: 'correction',
      label: 'Correction',
      minDepth: 0.1,
      speed: null,
      typicalCause: 'A',
      implication: 'B',
    },
    {
      key: 'crash',
      label: 'Crash',
      minDepth: 0.2,
      speed: null,
      typicalCause: 'A',
      implication: 'B',
    },
  ],
  invalidationConditions: [
    { key: 'relief', invalidates: 'bear', statement: 'Rates fall', rule: null },
    { key: 'stress', invalidates: 'bull', statement: 'Spreads widen', rule: null },
  ],
  risks: [
    { area: 'Credit', whyItMatters: 'W', currentRead: 'R' },
    { area: 'Growth', whyItMatters: 'W', currentRead: 'R' },
  ],
  positioning: [{ investorType: 'Trader', approach: 'Stops', watchpoints: ['Liquidity', 'Macro'] }],
  metrics: [
    {
      name: 'Return',
      value: 25.72,
      unit: '%',
      display: 'd',
      source: 's',
      asOf: '2026-03-31',
      provenance: 'sourced',
    },
  ],
  faqs: [{ question: 'Q', answer: 'A' }],
  references: [{ title: 'R', publisher: 'P', url: 'https://a.example', publishedOn: '2026-03-31' }],
};
const subject: Subject = {
  instrument: 'RUT',
  horizon: { from: '2026-03-31', to: '2027-03-31' },
};
const standing = hashFramework(framework, subject);

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type Path = readonly (string | number)[];

/** Every path to a text or a number of a document. */
function leaves(value: Json, path: Path = []): Path[] {
  if (value === null) return [];
  if (typeof value !== 'object') return [path];
  return Object.entries(value).flatMap(([name, child]) => leaves(child, [...path, name]));
}

function altered(value: Json, path: Path): Json {
  const [name, ...rest] = path;
  if (name === undefined) return typeof value === 'number' ? value + 0.5 : `${value as string} `;
  const copy = structuredClone(value) as Record<string | number, Json>;
  copy[name] = altered(copy[name] ?? null, rest);
  return copy;
}

const document = { ...framework, ...subject } as unknown as Json;
const hashOf = (changed: Json) => {
  const { instrument, horizon, ...rest } = changed as unknown as Framework & Subject;
  return hashFramework(rest, { instrument, horizon });
};

test.for(leaves(document).map((path) => [path.join('/'), path] as const))(
  'a hash changes with %s',
  ([, path]) => {
    expect(hashOf(altered(document, path))).not.toBe(standing);
  },
);

test('a hash covers the framework and its subject, as the API returns them', () => {
  const { directionComment: _, centralReturn: _bear, ...bear } = framework.scenarios.bear;
  const { centralReturn: _bull, ...bull } = framework.scenarios.bull;
  const written = { ...framework, ...subject, methodology: undefined, faqs: undefined };
  const { methodology: __, faqs: ___, ...sparse } = written;
  const hashed = {
    ...sparse,
    drawdownLabels: framework.drawdownLabels.map(({ speed: _speed, ...label }) => label),
    invalidationConditions: framework.invalidationConditions.map(
      ({ rule: _rule, ...condition }) => condition,
    ),
    scenarios: {
      bear: { ...bear, returnBand: { max: -0.1 } },
      base: framework.scenarios.base,
      bull: { ...bull, returnBand: { min: 0.1 } },
    },
  };
  const stored: Framework = {
    ...framework,
    methodology: null,
    faqs: [],
    scenarios: {
      ...framework.scenarios,
      bear: { ...framework.scenarios.bear, directionComment: null },
    },
  };
  expect(hashFramework(stored, subject)).toBe(hashDocument(hashed));
});

test('null members and empty lists, which later releases add, are not hashed', () => {
  const later = {
    ...framework,
    outlookFor: null,
    glossary: [],
    risks: framework.risks.map((risk) => ({ ...risk, severity: null, links: [] })),
  };
  expect(hashFramework(later, subject)).toBe(standing);
});

test('the order of members does not affect a hash', () => {
  const reversed = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(reversed);
    if (typeof value !== 'object' || value === null) return value;
    const members = Object.entries(value).toReversed();
    return Object.fromEntries(members.map(([name, child]) => [name, reversed(child)]));
  };
  expect(hashOf(reversed(document))).toBe(standing);
});

test('headwinds are hashed by rank, as the API returns them, in whatever order they were sent', () => {
  const shuffled = fc.shuffledSubarray(framework.headwinds, { minLength: 2 });
  fc.assert(
    fc.property(shuffled, (headwinds) => {
      expect(hashFramework({ ...framework, headwinds }, subject)).toBe(standing);
    }),
  );
});

test.for(['drawdownLabels', 'invalidationConditions', 'risks'] as const)(
  'the order of %s is hashed',
  (list) => {
    const reversed = { ...framework, [list]: framework[list].toReversed() };
    expect(hashFramework(reversed, subject)).not.toBe(standing);
  },
);
