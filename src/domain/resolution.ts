import { exact } from './decimals.ts';
import { DomainError, type Fault } from './errors.ts';
import { isOver, lastDayOf } from './horizon.ts';
import { type OutcomeTiming, knownAtFaults, type RequestFacts } from './known-at.ts';
import {
  type BaseBand,
  type HorizonReturn,
  outcomeOfReturn,
  outcomeOfHorizonReturn,
} from './outcome.ts';
import type { ScenarioName } from './probabilities.ts';

/** The outcome that an analyst records. */
export type ResolutionRequest = {
  /** Left out: decided by the closes or, without them, by `realisedReturn`. `reopened` takes the current outcome back. */
  outcome?: ScenarioName | 'void' | 'reopened' | undefined;
  /** Over the horizon, a fraction; null if not stated. */
  realisedReturn: number | null;
  /** When the outcome became known; null for the latest time that is possible. */
  knownAt: Date | null;
  reason: string | null;
  /** The number of the resolution that it corrects. */
  supersedes: number | null;
};

/** The facts that a resolution depends on. */
export type Resolvable = OutcomeTiming & {
  slug: string;
  /** Computed from closes, or why that is impossible. */
  computed: HorizonReturn | { missing: string };
  /** The number of the current resolution; null if there is none, or the outlook was reopened. */
  current: number | null;
  /** The number of the reopening; null unless it is the newest resolution. */
  reopening: number | null;
};

/** A resolution to append. A void one, and one that reopens, has no outcome. */
export type ResolutionToAppend = {
  number: number;
  outcome: ScenarioName | null;
  reopens: boolean;
  realisedReturn: number | null;
  /** As requested; null for the latest time that is possible. */
  knownAt: Date | null;
  reason: string | null;
  band: BaseBand | null;
  computed: HorizonReturn | null;
};

/** A resolution whose outcome contradicts the closes or its own return. */
export class ContradictedOutcome extends DomainError {
  readonly computed: HorizonReturn | null;

  constructor(detail: string, faults: readonly Fault[], computed: HorizonReturn | null) {
    super('outcome-contradicted', detail, faults);
    this.computed = computed;
  }
}

/**
 * Decides the resolution of an outlook.
 * @throws DomainError `already-resolved` if the outlook has a resolution that the request does not name,
 *   `resolution-refused` if the outcome is left out and cannot be computed, or `knownAt` is not possible,
 *   `reason-required` for a void, early, correcting or reopening resolution without a reason, for one by closes of which
 *   the last is not in yet, and for an earlier `knownAt`, or {@link ContradictedOutcome}
 */
export function decideResolution(
  outlook: Resolvable,
  request: ResolutionRequest,
  now: Date,
): ResolutionToAppend {
  const { band } = outlook;
  if (request.outcome === 'reopened') return decideReopening(outlook, request);
  requireNext(outlook, request);
  const isEarly = !isOver(outlook.horizon, now);
  const computed = isEarly || 'missing' in outlook.computed ? null : outlook.computed;
  const implied = band && impliedBy(band, computed, request.realisedReturn);
  const outcome = request.outcome ?? implied;
  if (outcome === null) {
    throw new DomainError(
      'resolution-refused',
      `The outcome of "${outlook.slug}" is missing and cannot be computed.`,
      [{ path: ['outcome'], detail: `is required: ${whyNotComputed(outlook, isEarly)}` }],
    );
  }
  requireGrounds(outlook, { ...request, outcome }, { isEarly, computed, now });
  return {
    number: nextNumber(outlook),
    outcome: outcome === 'void' ? null : outcome,
    reopens: false,
    realisedReturn:
      request.realisedReturn ?? (outcome === 'void' ? null : (computed?.value ?? null)),
    knownAt: request.knownAt,
    reason: request.reason,
    band,
    computed,
  };
}

const nextNumber = ({ current, reopening }: Resolvable): number => (current ?? reopening ?? 0) + 1;

/** The outcome that closes or, without them, a stated return imply; null without both. */
function impliedBy(
  band: BaseBand,
  computed: HorizonReturn | null,
  realisedReturn: number | null,
): ScenarioName | null {
  if (computed) return outcomeOfHorizonReturn(band, computed);
  return realisedReturn === null ? null : outcomeOfReturn(band, realisedReturn);
}

function decideReopening(outlook: Resolvable, request: ResolutionRequest): ResolutionToAppend {
  const { slug, current, band } = outlook;
  if (current === null) {
    throw new DomainError('resolution-refused', `"${slug}" has no outcome.`, [
      { path: ['outcome'], detail: 'cannot be reopened, because the outlook is open already' },
    ]);
  }
  requireNext(outlook, request);
  const faults: Fault[] = (['realisedReturn', 'knownAt'] as const)
    .filter((member) => request[member] !== null)
    .map((member) => ({
      path: [member],
      detail: 'must be left out, because a reopened outlook has no outcome',
    }));
  const ground = 'it takes back a resolution';
  if (request.reason === null) {
    faults.push({ path: ['reason'], detail: `is required: ${ground}` });
  }
  if (faults.length > 0) {
    const code = request.reason === null ? 'reason-required' : 'resolution-refused';
    throw new DomainError(code, `"${slug}" cannot be reopened like this.`, faults);
  }
  return {
    number: nextNumber(outlook),
    outcome: null,
    reopens: true,
    realisedReturn: null,
    knownAt: null,
    reason: request.reason,
    band,
    computed: null,
  };
}

function whyNotComputed({ band, computed, horizon }: Resolvable, isEarly: boolean): string {
  if (isEarly) {
    return `the last day of the horizon is ${lastDayOf(horizon)}, and closes decide nothing before it is over`;
  }
  if (band === null) return 'without return bands, closes do not decide the outcome';
  return 'missing' in computed ? computed.missing : '';
}

function requireNext(
  { slug, current, reopening }: Resolvable,
  { supersedes }: ResolutionRequest,
): void {
  if (supersedes === current) return;
  if (current === null) {
    if (supersedes === reopening) return;
    throw new DomainError('resolution-refused', `"${slug}" is not resolved.`, [
      {
        path: ['supersedes'],
        detail: 'must be left out, because the outlook has no resolution to correct',
      },
    ]);
  }
  throw new DomainError(
    'already-resolved',
    `"${slug}" already has resolution ${current}. Nothing was stored.`,
    [
      {
        path: ['supersedes'],
        detail: `to correct the current resolution, send {"supersedes": ${current}} and a reason`,
      },
    ],
  );
}

/** A request with its outcome, requested or implied. */
type RequestWithOutcome = ResolutionRequest & { outcome: ScenarioName | 'void' };
/** With whether the horizon is not over by then. */
type Facts = RequestFacts & { isEarly: boolean };

/** Refuses what is impossible, and what takes a reason if there is none. */
function requireGrounds(outlook: Resolvable, asked: RequestWithOutcome, facts: Facts): void {
  const { outcome, reason } = asked;
  const { isEarly, computed } = facts;
  const known = knownAtFaults(outlook, asked, facts);
  const grounds =
    reason !== null
      ? []
      : [
          outcome === 'void' && 'a void outlook is not scored',
          isEarly && `the horizon is not over until ${outlook.horizon.to}`,
          outlook.current !== null && 'it corrects a resolution',
          computed && awaitedClose(outlook, computed),
          known.ground,
        ].filter((ground) => typeof ground === 'string');
  const contradicted = reason === null ? contradictions(outlook.band, asked, computed) : [];
  const faults = [
    ...contradicted,
    ...known.faults,
    ...grounds.map((ground) => ({ path: ['reason'], detail: `is required: ${ground}` })),
  ];
  if (contradicted.length > 0) {
    const detail = `The outcome ${outcome} contradicts the return over the horizon.`;
    throw new ContradictedOutcome(detail, faults, computed);
  }
  if (known.faults.length > 0) {
    const detail = `The outcome of "${outlook.slug}" cannot have become known then.`;
    throw new DomainError('resolution-refused', detail, faults);
  }
  if (grounds.length > 0) {
    throw new DomainError(
      'reason-required',
      `The resolution requires a reason: ${grounds.join('; ')}.`,
      faults,
    );
  }
}

/** Why closes don't decide yet: the close of the last day, or a later one that shows that there is none, is not in. */
function awaitedClose(
  { horizon, band, closes }: Resolvable,
  { end }: HorizonReturn,
): string | null {
  const lastDay = lastDayOf(horizon);
  if (band === null || (closes && closes.newestOn >= lastDay)) return null;
  return `the close of ${lastDay} or later is not in yet; the last one is of ${end.date}`;
}

function contradictions(
  band: BaseBand | null,
  { outcome, realisedReturn }: RequestWithOutcome,
  computed: HorizonReturn | null,
): Fault[] {
  if (band === null || outcome === 'void') return [];
  const faults: Fault[] = [];
  const contradicts = (path: string, value: number, implied: ScenarioName, source: string) => {
    if (implied === outcome) return;
    const detail = `${source} is ${percent(band, value, implied)}, which is ${implied}: send that outcome, or a reason`;
    faults.push({ path: [path], detail });
  };
  if (computed) {
    const { start, end, value } = computed;
    const source = `the return from close ${start.value} to close ${end.value}`;
    contradicts('outcome', value, outcomeOfHorizonReturn(band, computed), source);
  }
  // A stated return that is the one of the closes is judged by the closes, which are exact.
  if (realisedReturn !== null && realisedReturn !== computed?.value) {
    const implied = outcomeOfReturn(band, realisedReturn);
    contradicts('realisedReturn', realisedReturn, implied, 'the stated return');
  }
  return faults;
}

/** A return in percent, rounded unless that would move it into another scenario. */
function percent(band: BaseBand, value: number, implied: ScenarioName): string {
  const rounded = exact(value).times(100).toDecimalPlaces(4);
  const isSame = outcomeOfReturn(band, rounded.div(100).toNumber()) === implied;
  return `${(isSame ? rounded : exact(value).times(100)).toString()} %`;
}
