import type { HorizonReturn, OpenCondition, Problem } from './api.ts';

/** The kinds of problems. `GET /problems/{code}` says what each means and how to fix the request. Releases add some. */
export const PROBLEM_CODES = [
  'already-approved',
  'already-public',
  'already-resolved',
  'analyst-deactivated',
  'author-only',
  'body-too-large',
  'closes-named',
  'condition-unanswered',
  'desk-taken',
  'disclosure-changed',
  'expectation-failed',
  'forbidden',
  'horizon-ended',
  'idempotency-key-in-flight',
  'idempotency-key-reused',
  'internal-error',
  'invalid-request',
  'last-admin-key',
  'malformed-request',
  'method-not-allowed',
  'name-taken',
  'no-change',
  'no-closes',
  'no-pool',
  'no-signed-log',
  'no-views',
  'no-weights',
  'not-acceptable',
  'not-found',
  'not-implemented',
  'opening-erased',
  'outcome-contradicted',
  'outlook-closed',
  'overloaded',
  'own-forecast',
  'own-proposal',
  'policy-unsatisfiable',
  'precondition-failed',
  'probability-sum',
  'proposal-changed',
  'proposal-full',
  'proposal-settled',
  'proposal-state',
  'range-not-satisfiable',
  'rate-limited',
  'read-only',
  'reason-required',
  'receipt-not-ready',
  'record-altered',
  'series-internal',
  'series-taken',
  'slug-taken',
  'storage-full',
  'symbol-taken',
  'too-few-views',
  'too-many-proposals',
  'too-many-streams',
  'unauthorized',
  'unavailable',
  'unknown-event',
  'unsupported-media-type',
  'weak-etag',
  'wrong-desk',
] as const;
export type ProblemCode = (typeof PROBLEM_CODES)[number];

/** What problems of some kinds have besides the members of all. */
type ExtraMembers = {
  'probability-sum': { sum: number; excess: number };
  'condition-unanswered': { conditions: OpenCondition[] };
  'proposal-changed': { draft: number; changes: string[] };
  'outcome-contradicted': { closes: HorizonReturn };
};

/** A problem of one kind. */
export type ProblemOf<Code extends ProblemCode> = Code extends ProblemCode
  ? Problem & { type: `/problems/${Code}` } & (Code extends keyof ExtraMembers
        ? ExtraMembers[Code]
        : unknown)
  : never;

/** A problem of any kind that this release knows; `type` tells them apart. */
export type KnownProblem = ProblemOf<ProblemCode>;

/** Whether a value is a problem (RFC 9457), of one of the kinds if any are given. */
export function isProblem(value: unknown): value is Problem;
export function isProblem<Code extends ProblemCode>(
  value: unknown,
  ...codes: Code[]
): value is ProblemOf<Code>;
export function isProblem(value: unknown, ...codes: string[]): boolean {
  const { type, title, status, detail } = (value ?? {}) as Partial<Record<string, unknown>>;
  const texts = [type, title, detail];
  if (typeof status !== 'number' || texts.some((text) => typeof text !== 'string')) return false;
  return codes.length === 0 || codes.some((code) => type === `/problems/${code}`);
}

/** The service answered with a problem. */
export class ProblemError extends Error {
  override readonly name: string = 'ProblemError';
  readonly problem: Problem;
  /** The response, whose body was read; null if the problem did not come with one. */
  readonly response: Response | null;

  constructor(problem: Problem, response: Response | null = null) {
    super(problem.detail);
    this.problem = problem;
    this.response = response;
  }
}

/** The response does not come from the service: a proxy or another server sent it. */
export class UnexpectedResponseError extends Error {
  override readonly name: string = 'UnexpectedResponseError';
  readonly response: Response;

  constructor(response: Response, reason = 'it is not from Outlook Ledger') {
    super(`Unexpected response (${response.status}) from ${response.url}: ${reason}.`);
    this.response = response;
  }
}

/** What a call of the client resolves to. */
export type CallResult<Data> =
  | { data: Data; error?: never; response: Response }
  | { data?: never; error: unknown; response: Response };

/**
 * The data of a response.
 * @throws ProblemError if the service answered with a problem, UnexpectedResponseError if something else answered
 */
export function dataOrThrow<Data>({ data, error, response }: CallResult<Data>): Data {
  // A proxy may answer with a page, or with an empty body, which openapi-fetch reports as the error ''.
  if (response.ok && data !== undefined) return data;
  if (isProblem(error)) throw new ProblemError(error, response);
  throw new UnexpectedResponseError(response);
}
