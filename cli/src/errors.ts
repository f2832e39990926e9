import type { FieldError, Problem } from '@outlook-ledger/client';

/** The exit codes of the process. README.md explains them. */
export const EXIT_CODES = { done: 0, refused: 1, usage: 2, unavailable: 3, declined: 4 } as const;

/** The command, a file it names or the key file is wrong. Nothing was sent. */
export class UsageError extends Error {
  /** Each fault with its place, such as a line of a file. */
  readonly faults: readonly string[];

  constructor(message: string, faults: readonly string[] = []) {
    super(message);
    this.faults = faults;
  }
}

/** The service did not respond, or what responded is not the service. */
export class UnavailableError extends Error {}

/** The user answered no. */
export class DeclinedError extends Error {}

/** The service responded with a problem (RFC 9457). */
export class ProblemError extends Error {
  readonly problem: Problem;
  /** Says where in the user's input a fault is; '' if the fault says so itself. */
  readonly locate: (fault: FieldError) => string;

  constructor(problem: Problem, locate = ({ pointer }: FieldError) => pointer || 'the request') {
    super(problem.detail);
    this.problem = problem;
    this.locate = locate;
  }
}

/**
 * The data of a response.
 * @throws ProblemError if the service sent a problem, UnavailableError if the response is not the service's
 */
export function dataOrThrow<Data>(
  result:
    | { data: Data; error?: never; response: Response }
    | { data?: never; error: unknown; response: Response },
): Data {
  // A proxy may respond with a page, or with an empty body, which openapi-fetch reports as the error ''.
  if (result.response.ok && result.data !== undefined) return result.data;
  if (isProblem(result.error)) throw new ProblemError(result.error);
  throw new UnavailableError(
    `Unexpected response (${result.response.status}) from ${result.response.url}: it is not from Outlook Ledger.`,
  );
}

function isProblem(value: unknown): value is Problem {
  const { title, status, detail } = (value ?? {}) as Partial<Record<string, unknown>>;
  return typeof title === 'string' && typeof status === 'number' && typeof detail === 'string';
}

export function exitCodeFor(error: unknown): number {
  if (error instanceof UsageError) return EXIT_CODES.usage;
  if (error instanceof DeclinedError) return EXIT_CODES.declined;
  if (error instanceof ProblemError && error.problem.status < 500) return EXIT_CODES.refused;
  return EXIT_CODES.unavailable;
}
