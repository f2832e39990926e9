import { DomainError, type Fault } from './errors.ts';
import type { Horizon } from './framework.ts';
import type { ScenarioName } from './probabilities.ts';
import type { Frequency, Observation } from './series.ts';
import { startOf } from './time-weighting.ts';

/** The base scenario's return band, half-open [low, high): bear is below it, bull starts at its end. */
export type BaseBand = { low: number; high: number };

/** The scenario that a return over the horizon, a fraction, falls into. */
export function outcomeOfReturn({ low, high }: BaseBand, value: number): ScenarioName {
  if (value < low) return 'bear';
  return value < high ? 'base' : 'bull';
}

/** The return over a finished horizon, computed from the instrument's closes. */
export type HorizonReturn = {
  /** The last close before the first day of the horizon, and the last one within it. */
  start: Observation;
  end: Observation;
  /** end / start − 1, a fraction. */
  value: number;
};

// The maximum age of the close that is used for a day: some days without trading or, for a series that
// is less frequent than daily, twice the time between two observations.
export const STALE_AFTER_DAYS: Record<Frequency, number> = {
  daily: 10,
  weekly: 14,
  biweekly: 28,
  monthly: 62,
  quarterly: 184,
  semiannual: 366,
  annual: 731,
};
const DAY = 86_400_000;

/** The return over a horizon [from, to), or why closes can't decide it. */
export function returnOver(
  horizon: Horizon,
  frequency: Frequency,
  { start, end }: { start: Observation | null; end: Observation | null },
): HorizonReturn | { missing: string } {
  const most = STALE_AFTER_DAYS[frequency];
  const staleAt = (close: Observation | null, day: string): boolean =>
    close === null || startOf(day) - startOf(close.date) > most * DAY;
  const missing = (day: string) => ({
    missing: `there is no close within the ${most} days before ${day}`,
  });
  if (start === null || staleAt(start, horizon.from)) return missing(horizon.from);
  if (end === null || staleAt(end, horizon.to) || end.date < horizon.from) {
    return missing(horizon.to);
  }
  if (start.value <= 0) {
    return {
      missing: `the close of ${start.date} is not positive, so no return can be computed from it`,
    };
  }
  const ratio = end.value / start.value;
  if (!Number.isFinite(ratio) || (ratio === 0 && end.value !== 0)) {
    return {
      missing: `the closes ${start.value} and ${end.value} are too far apart to compute a return`,
    };
  }
  return { start, end, value: ratio - 1 };
}

/** The outcome that an analyst records. */
export type ResolutionRequest = {
  /** Left out: decided by the closes or, without them, by `realisedReturn`. */
  outcome?: ScenarioName | 'void' | undefined;
  /** Over the horizon, a fraction; null if not stated. */
  realisedReturn: number | null;
  reason: string | null;
  /** The number of the resolution that it corrects. */
  supersedes: number | null;
};

/** The facts that a resolution depends on. */
export type Resolvable = {
  slug: string;
  horizon: Horizon;
  /** Of the current framework; null if it has no return bands. */
  band: BaseBand | null;
  /** Computed from closes, or why that is impossible. */
  computed: HorizonReturn | { missing: string };
  /** The number of the current resolution. */
  standing: number | null;
};

/** A resolution to append. A void one has no outcome. */
export type Decided = {
  number: number;
  outcome: ScenarioName | null;
  realisedReturn: number | null;
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
 *   `resolution-refused` if the outcome is left out and cannot be computed, `reason-required` for a void, early
 *   or correcting resolution without a reason, or {@link ContradictedOutcome}
 */
export function decideResolution(
  outlook: Resolvable,
  request: ResolutionRequest,
  now: Date,
): Decided {
  requireNext(outlook, request);
  const isEarly = now.getTime() < startOf(outlook.horizon.to);
  const computed = isEarly || 'missing' in outlook.computed ? null : outlook.computed;
  const { band } = outlook;
  const value = computed?.value ?? request.realisedReturn;
  const implied = band && value !== null ? outcomeOfReturn(band, value) : null;
  const outcome = request.outcome ?? implied;
  if (outcome === null) {
    throw new DomainError(
      'resolution-refused',
      `The outcome of "${outlook.slug}" is missing and cannot be computed.`,
      [{ path: ['outcome'], detail: `is required: ${whyNotComputed(outlook, isEarly)}` }],
    );
  }
  requireReason(outlook, { ...request, outcome }, { isEarly, computed });
  return {
    number: (outlook.standing ?? 0) + 1,
    outcome: outcome === 'void' ? null : outcome,
    realisedReturn:
      request.realisedReturn ?? (outcome === 'void' ? null : (computed?.value ?? null)),
    reason: request.reason,
    band,
    computed,
  };
}

function whyNotComputed({ band, computed, horizon }: Resolvable, isEarly: boolean): string {
  if (isEarly) return `the horizon ends on ${horizon.to}, and closes decide nothing before then`;
  if (band === null) return 'without return bands, closes do not decide the outcome';
  return 'missing' in computed ? computed.missing : '';
}

function requireNext({ slug, standing }: Resolvable, { supersedes }: ResolutionRequest): void {
  if (supersedes === standing) return;
  if (standing === null) {
    throw new DomainError('resolution-refused', `"${slug}" is not resolved yet.`, [
      {
        path: ['supersedes'],
        detail: 'must be left out, because the outlook has no resolution to correct',
      },
    ]);
  }
  throw new DomainError(
    'already-resolved',
    `"${slug}" already has resolution ${standing}. Nothing was stored.`,
    [
      {
        path: ['supersedes'],
        detail: `to correct the current resolution, send {"supersedes": ${standing}} and a reason`,
      },
    ],
  );
}

function requireReason(
  { horizon, band }: Resolvable,
  { outcome, realisedReturn, reason, supersedes }: ResolutionRequest & { outcome: string },
  { isEarly, computed }: { isEarly: boolean; computed: HorizonReturn | null },
): void {
  if (reason !== null) return;
  const contradicted: Fault[] = [];
  const contradicts = (path: string, value: number, source: string) => {
    if (band === null || outcome === 'void') return;
    const said = outcomeOfReturn(band, value);
    if (said === outcome) return;
    const detail = `${source} is ${percent(value)}, which is ${said}: send that outcome, or a reason`;
    contradicted.push({ path: [path], detail });
  };
  if (computed) {
    const { start, end, value } = computed;
    contradicts('outcome', value, `the return from close ${start.value} to close ${end.value}`);
  }
  if (realisedReturn !== null) contradicts('realisedReturn', realisedReturn, 'the stated return');
  const grounds = [
    outcome === 'void' && 'a void outlook is not scored',
    isEarly && `the horizon is not over until ${horizon.to}`,
    supersedes !== null && 'it corrects a resolution',
  ].filter((ground) => ground !== false);
  const faults = [
    ...contradicted,
    ...grounds.map((ground) => ({ path: ['reason'], detail: `is required: ${ground}` })),
  ];
  if (contradicted.length > 0) {
    const detail = `The outcome ${outcome} contradicts the return over the horizon.`;
    throw new ContradictedOutcome(detail, faults, computed);
  }
  if (grounds.length > 0) {
    throw new DomainError(
      'reason-required',
      `The resolution requires a reason: ${grounds.join('; ')}.`,
      faults,
    );
  }
}

const percent = (value: number): string => `${Number((100 * value).toFixed(4))} %`;
