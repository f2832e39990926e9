import { type FieldError, type Problem, ProblemError } from '@outlook-ledger/client';

export { dataOrThrow, ProblemError } from '@outlook-ledger/client';

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

/** The service did not respond. */
export class UnavailableError extends Error {}

/** The user answered no. */
export class DeclinedError extends Error {}

/** A problem with a file of the user's. */
export class FileProblemError extends ProblemError {
  /** Says where in the file a fault is; '' if the fault says so itself. */
  readonly locate: (fault: FieldError) => string;

  constructor(problem: Problem, locate: (fault: FieldError) => string) {
    super(problem);
    this.locate = locate;
  }
}

export function exitCodeFor(error: unknown): number {
  if (error instanceof UsageError) return EXIT_CODES.usage;
  if (error instanceof DeclinedError) return EXIT_CODES.declined;
  if (error instanceof ProblemError && error.problem.status < 500) return EXIT_CODES.refused;
  return EXIT_CODES.unavailable;
}
