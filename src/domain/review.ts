import { DomainError, type Fault } from './errors.ts';
import {
  comparisonsOf,
  judgedOn,
  type ComparisonReading,
  type Operator,
  type Rule,
  type Transition,
} from './condition-rules.ts';
import { type Probabilities, type ScenarioName, WHOLE } from './probabilities.ts';

export const CHANGE_CAUSES = ['observations', 'assessment', 'framework', 'horizon'] as const;
/**
 * What changed the state of a condition: new observations, an analyst's assessment, the publication of a
 * framework with a rule, or the end of the horizon.
 */
export type ChangeCause = (typeof CHANGE_CAUSES)[number];

/** A value that a rule was evaluated with. */
export type SeriesValue = { series: string; date: string; value: number };

/** A triggered condition that no version has answered yet. */
export type OpenTrigger = {
  /** The id of the change that triggered it. */
  changeId: number;
  key: string;
  invalidates: ScenarioName;
  statement: string;
  /** Why it was triggered, as a sentence. */
  reason: string;
  /** When the ledger recorded it. */
  triggeredAt: string;
};

export const ANSWER_WAYS = ['weight', 'acknowledged', 'reaffirmed'] as const;
/**
 * The version lowered the probability of the invalidated scenario, gave a reason for keeping it, or reaffirmed all
 * probabilities.
 */
export type AnswerWay = (typeof ANSWER_WAYS)[number];
export type ConditionAnswer = {
  changeId: number;
  key: string;
  way: AnswerWay;
  reason: string | null;
};

/** An author's reason for keeping the probability of an invalidated scenario. */
export type Acknowledgement = { condition: string; reason: string };

/** Triggered conditions that a proposal leaves unanswered. */
export class UnansweredConditions extends DomainError {
  readonly conditions: readonly OpenTrigger[];

  constructor(conditions: readonly OpenTrigger[], detail: string, faults: readonly Fault[]) {
    super('condition-unanswered', detail, faults);
    this.conditions = conditions;
  }
}

/**
 * How a proposal answers the triggered conditions: each by a reason, by a lower probability of the scenario that it
 * invalidates, or because it reaffirms all probabilities.
 * @throws UnansweredConditions if one is left unanswered; DomainError `nothing-to-acknowledge` if a
 *   reason is given for a condition that needs no answer
 */
export function answersTo(
  open: readonly OpenTrigger[],
  before: Probabilities,
  proposed: {
    probabilities: Probabilities;
    acknowledges: readonly Acknowledgement[];
    reaffirms: boolean;
  },
): ConditionAnswer[] {
  const { probabilities: after, acknowledges, reaffirms } = proposed;
  requireOpen(open, acknowledges);
  const unanswered: OpenTrigger[] = [];
  const answers = open.flatMap((trigger): ConditionAnswer[] => {
    const { changeId, key, invalidates } = trigger;
    const reason = acknowledges.find(({ condition }) => condition === key)?.reason;
    if (reason !== undefined) return [{ changeId, key, way: 'acknowledged', reason }];
    if (reaffirms) return [{ changeId, key, way: 'reaffirmed', reason: null }];
    if (after[invalidates] < before[invalidates]) {
      return [{ changeId, key, way: 'weight', reason: null }];
    }
    unanswered.push(trigger);
    return [];
  });
  if (unanswered.length === 0) return answers;
  const named = unanswered.map(({ reason }) => reason).join(' ');
  throw new UnansweredConditions(
    unanswered,
    `${named} Lower the probability of the invalidated scenario, or give a reason in acknowledges.`,
    unanswered.map(({ key, invalidates, reason }) => ({
      path: ['probabilities', invalidates],
      detail: `${reason} It invalidates the ${invalidates} scenario: go below ${before[invalidates] / WHOLE}, or add {"condition": "${key}", "reason": "…"} to acknowledges`,
    })),
  );
}

function requireOpen(open: readonly OpenTrigger[], acknowledges: readonly Acknowledgement[]): void {
  const faults = acknowledges.flatMap(({ condition }, index) => {
    if (open.some(({ key }) => key === condition)) return [];
    const detail = `"${condition}" needs no answer; ${
      open.length === 0
        ? 'leave acknowledges out'
        : `these do: ${open.map(({ key }) => key).join(', ')}`
    }`;
    return [{ path: ['acknowledges', index, 'condition'], detail }];
  });
  if (faults.length === 0) return;
  throw new DomainError(
    'nothing-to-acknowledge',
    'Only a triggered condition without an answer can be acknowledged.',
    faults,
  );
}

const COMPARED: Record<Operator, string> = {
  lt: 'below',
  lte: 'at or below',
  gt: 'above',
  gte: 'at or above',
  crossesAbove: 'crossing above',
  crossesBelow: 'crossing below',
};

const often = (forObservations: number): string =>
  forObservations > 1 ? ` for ${forObservations} observations in a row` : '';

/** A rule in words: "us-30y-yield below 4.25 for 3 observations in a row". */
export function describeRule(rule: Rule): string {
  const said = comparisonsOf(rule).map((comparison) => {
    const { series, operator, threshold, forObservations } = comparison;
    const when = judgedOn(comparison) === 'recorded' ? ', on the day it is recorded' : '';
    return `${series} ${COMPARED[operator]} ${threshold}${often(forObservations)}${when}`;
  });
  return said.join('any' in rule ? ' or ' : ' and ');
}

/**
 * Why a rule changed the state of a condition, as a sentence for the analyst who must answer it. It names only the
 * comparisons that are met.
 */
export function reasonOf(key: string, { state, day, readings }: Transition): string {
  if (state === 'untriggered') return `"${key}": the rule does not hold as of ${day}.`;
  const said = readings.flatMap(({ comparison, isMet, newest }) => {
    if (!isMet || !newest) return [];
    const { series, operator, threshold, forObservations } = comparison;
    return `${series} was ${newest.value} on ${newest.date}, ${COMPARED[operator]} ${threshold}${often(forObservations)}`;
  });
  return `"${key}" is triggered: ${said.join('; ')}.`;
}

/** Why a condition whose rule has no day to judge becomes untriggered. */
export const reasonWithoutDay = (key: string): string =>
  `"${key}": no observation lies within the horizon yet.`;

/** The newest values that a rule saw: for a trigger those of the comparisons that are met, otherwise all. */
export function valuesOf(
  state: Transition['state'],
  readings: readonly ComparisonReading[],
): SeriesValue[] {
  const values = readings.flatMap(({ comparison: { series }, isMet, newest }) =>
    newest && (isMet || state === 'untriggered') ? [{ series, ...newest }] : [],
  );
  // A series that several comparisons use is listed once, unless they see another newest observation.
  return values.filter(
    ({ series, date }, index) =>
      values.findIndex((one) => one.series === series && one.date === date) === index,
  );
}
