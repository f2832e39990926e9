import type { DomainErrorCode } from '../domain/errors.ts';
import type { ProblemCode } from './problem-catalogue.ts';

/** The problem that each error of the domain becomes. */
const DOMAIN_PROBLEMS: Record<DomainErrorCode, ProblemCode> = {
  'slug-taken': 'slug-taken',
  'symbol-taken': 'symbol-taken',
  'unknown-instrument': 'invalid-request',
  'continuation-refused': 'invalid-request',
  'outlook-not-found': 'not-found',
  'version-not-found': 'not-found',
  'nothing-stood': 'not-found',
  'instrument-not-found': 'not-found',
  'key-not-found': 'not-found',
  'last-admin-key': 'last-admin-key',
  'name-refused': 'invalid-request',
  'name-taken': 'name-taken',
  'webhook-not-found': 'not-found',
  'unknown-outlook': 'invalid-request',
  'no-change': 'no-change',
  'reaffirmation-refused': 'invalid-request',
  'condition-unanswered': 'condition-unanswered',
  'nothing-to-acknowledge': 'invalid-request',
  'condition-not-found': 'not-found',
  'assessment-refused': 'invalid-request',
  'unknown-evidence': 'invalid-request',
  'evidence-not-found': 'not-found',
  'evidence-refused': 'invalid-request',
  'unknown-series': 'invalid-request',
  'nothing-to-retract': 'invalid-request',
  'series-not-found': 'not-found',
  'series-taken': 'series-taken',
  'source-not-found': 'not-found',
  'source-refused': 'invalid-request',
  'closes-named': 'closes-named',
  'no-closes': 'no-closes',
  'analyst-not-found': 'not-found',
  'view-not-found': 'not-found',
  'already-resolved': 'already-resolved',
  'resolution-not-found': 'not-found',
  'resolution-refused': 'invalid-request',
  'reason-required': 'reason-required',
  'outcome-contradicted': 'outcome-contradicted',
  'no-views': 'no-views',
  'no-weights': 'no-weights',
  'no-pool': 'no-pool',
  'outlook-closed': 'outlook-closed',
  'horizon-ended': 'horizon-ended',
  'horizon-over': 'invalid-request',
};

export function domainProblem(code: DomainErrorCode): ProblemCode {
  return DOMAIN_PROBLEMS[code];
}
