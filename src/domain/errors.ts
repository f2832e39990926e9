/** A faulty field: its place in the document, and how to fix it. */
export type Fault = { path: readonly (string | number)[]; detail: string };

/**
 * A fault at each entry whose `member` an earlier entry already has. An entry without it is
 * skipped, so that a fault in one entry does not hide the faults between the others.
 */
export function repeated<Member extends string>(
  entries: readonly Partial<Readonly<Record<Member, unknown>>>[],
  member: Member,
): Fault[] {
  const first = new Map<unknown, number>();
  return entries.flatMap((entry, index) => {
    const value = entry[member];
    if (typeof value !== 'string' && typeof value !== 'number') return [];
    const earlier = first.get(value);
    if (earlier === undefined) {
      first.set(value, index);
      return [];
    }
    const quoted = JSON.stringify(value);
    return [{ path: [index, member], detail: `${quoted} is already used by entry ${earlier}` }];
  });
}

export type DomainErrorCode =
  | 'slug-taken'
  | 'symbol-taken'
  | 'unknown-instrument'
  | 'continuation-refused'
  | 'outlook-not-found'
  | 'version-not-found'
  | 'nothing-stood'
  | 'instrument-not-found'
  | 'key-not-found'
  | 'last-admin-key'
  | 'name-refused'
  | 'name-taken'
  | 'webhook-not-found'
  | 'webhook-refused'
  | 'unknown-outlook'
  | 'no-change'
  | 'reaffirmation-refused'
  | 'condition-unanswered'
  | 'nothing-to-acknowledge'
  | 'condition-not-found'
  | 'assessment-refused'
  | 'unknown-evidence'
  | 'evidence-not-found'
  | 'evidence-refused'
  | 'unknown-series'
  | 'series-not-found'
  | 'series-taken'
  | 'already-public'
  | 'source-not-found'
  | 'source-refused'
  | 'nothing-to-retract'
  | 'closes-named'
  | 'wrong-desk'
  | 'desk-not-found'
  | 'desk-taken'
  | 'desk-refused'
  | 'no-closes'
  | 'analyst-not-found'
  | 'analyst-deactivated'
  | 'view-not-found'
  | 'already-resolved'
  | 'resolution-not-found'
  | 'resolution-refused'
  | 'reason-required'
  | 'outcome-contradicted'
  | 'no-views'
  | 'too-few-views'
  | 'no-weights'
  | 'no-pool'
  | 'outlook-closed'
  | 'own-forecast'
  | 'policy-unsatisfiable'
  | 'proposal-not-found'
  | 'proposal-state'
  | 'proposal-settled'
  | 'proposal-full'
  | 'proposal-refused'
  | 'author-only'
  | 'own-proposal'
  | 'already-approved'
  | 'too-many-proposals'
  | 'horizon-ended'
  | 'horizon-over';

/** A request that breaks a rule of the ledger. `code` is stable; http/problem-catalogue.ts maps it to a problem. */
export class DomainError extends Error {
  readonly code: DomainErrorCode;
  readonly faults: readonly Fault[];

  constructor(code: DomainErrorCode, detail: string, faults: readonly Fault[] = []) {
    super(detail);
    this.name = 'DomainError';
    this.code = code;
    this.faults = faults;
  }
}
