import type { Framework } from './framework.ts';
import type { Headwind } from './headwinds.ts';
import { type Alteration, alterations, diffLists, type ListDiff } from './list-diff.ts';
import { type Probabilities, SCENARIO_NAMES, type ScenarioName } from './probabilities.ts';

/** The parts of a version that a diff compares. */
export type Comparable = { probabilities: Probabilities; framework: Framework };

/** How the probabilities moved, all in basis points. */
export type ProbabilitiesDiff = {
  from: Probabilities;
  to: Probabilities;
  /** Signed; they sum to 0. */
  deltas: Record<ScenarioName, number>;
  /** Half the sum of the absolute deltas: the total variation distance. */
  totalVariation: number;
};

/** The lists of a framework. */
export type ListName = {
  [Name in keyof Framework]: Framework[Name] extends readonly unknown[] ? Name : never;
}[keyof Framework];

/** The difference between two versions: all changes, and nothing that stays. */
export type VersionDiff = {
  probabilities: ProbabilitiesDiff;
  /** Members that are not lists, in the order of a framework; `path` starts at the framework. */
  fields: Alteration[];
  /** Headwinds by rank, in whatever order they were sent. */
  lists: { [Name in ListName]: ListDiff<Framework[Name][number]> };
};

/** Compares any two versions, in either order; `diffVersions(b, a)` is the exact reverse. */
export function diffVersions(from: Comparable, to: Comparable): VersionDiff {
  return {
    probabilities: diffProbabilities(from.probabilities, to.probabilities),
    fields: diffFields(from.framework, to.framework),
    lists: diffFrameworkLists(from.framework, to.framework),
  };
}

function diffProbabilities(from: Probabilities, to: Probabilities): ProbabilitiesDiff {
  const deltas = {
    bear: to.bear - from.bear,
    base: to.base - from.base,
    bull: to.bull - from.bull,
  };
  // A whole number: if deltas sum to 0, the sum of their absolute values is even.
  const totalVariation =
    (Math.abs(deltas.bear) + Math.abs(deltas.base) + Math.abs(deltas.bull)) / 2;
  return { from, to, deltas, totalVariation };
}

function diffFields(from: Framework, to: Framework): Alteration[] {
  const scenarios = SCENARIO_NAMES.flatMap((name) =>
    alterations(from.scenarios[name], to.scenarios[name], [
      'title',
      'outcome',
      'conditions',
      'direction',
      'directionComment',
      'returnBand',
      'centralReturn',
    ]).map((field) => ({ ...field, path: ['scenarios', name, ...field.path] })),
  );
  const members = ['title', 'summary', 'methodology', 'disclaimer'] as const;
  return [...alterations(from, to, members), ...scenarios];
}

function diffFrameworkLists(from: Framework, to: Framework): VersionDiff['lists'] {
  return {
    headwinds: diffLists(byRank(from.headwinds), byRank(to.headwinds), 'key', [
      'rank',
      'title',
      'description',
    ]),
    drawdownLabels: diffLists(from.drawdownLabels, to.drawdownLabels, 'key', [
      'label',
      'minDepth',
      'speed',
      'typicalCause',
      'implication',
    ]),
    invalidationConditions: diffLists(
      from.invalidationConditions,
      to.invalidationConditions,
      'key',
      ['invalidates', 'statement', 'rule'],
    ),
    risks: diffLists(from.risks, to.risks, 'area', ['whyItMatters', 'currentRead']),
    positioning: diffLists(from.positioning, to.positioning, 'investorType', [
      'approach',
      'watchpoints',
    ]),
    metrics: diffLists(from.metrics, to.metrics, 'name', [
      'value',
      'unit',
      'display',
      'source',
      'asOf',
      'provenance',
    ]),
    faqs: diffLists(from.faqs, to.faqs, 'question', ['answer']),
    references: diffLists(from.references, to.references, 'title', [
      'publisher',
      'url',
      'publishedOn',
    ]),
  };
}

function byRank(headwinds: readonly Headwind[]): Headwind[] {
  return headwinds.toSorted((a, b) => a.rank - b.rank);
}
