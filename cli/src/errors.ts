import type { FieldError, Problem } from '@outlook-ledger/client';

/** What the process exits with; README.md tells what each means. */
export const EXIT = { done: 0, refused: 1, usage: 2, unavailable: 3, declined: 4 } as const;

/** The command, a file that it names or the key file makes no sense. Nothing was sent. */
export class UsageError extends Error {
  /** Faults by where they stand, such as a line of a file. */
  readonly faults: readonly string[];

  constructor(message: string, faults: readonly string[] = []) {
    super(message);
    this.faults = faults;
  }
}

/** No answer came, or none that this program understands. */
export class Unavailable extends Error {}

/** Whoever was asked said no. */
export class Declined extends Error {}

/** The service answered with a problem (RFC 9457). */
export class Refusal extends Error {
  readonly problem: Problem;
  /** In words, where a fault stands in what was given. */
  readonly placeOf: (fault: FieldError) => string;

  constructor(problem: Problem, placeOf = ({ pointer }: FieldError) => pointer || 'the request') {
    super(problem.detail);
    this.problem = problem;
    this.placeOf = placeOf;
  }
}

/**
 * What an answer of the client holds.
 * @throws Refusal where it is a problem, Unavailable where it is of something else than the service
 */
export function dataOf<Data>(
  answer:
    | { data: Data; error?: never; response: Response }
    | { data?: never; error: unknown; response: Response },
): Data {
  // A proxy may answer with a page, or with nothing, which openapi-fetch makes an error that is ''.
  if (answer.response.ok && answer.data !== undefined) return answer.data;
  if (isProblem(answer.error)) throw new Refusal(answer.error);
  throw new Unavailable(
    `${answer.response.url} answered ${answer.response.status}, and not as Outlook Ledger does.`,
  );
}

export function isProblem(value: unknown): value is Problem {
  const { title, status, detail } = (value ?? {}) as Partial<Record<string, unknown>>;
  return typeof title === 'string' && typeof status === 'number' && typeof detail === 'string';
}

export function exitCodeOf(failure: unknown): number {
  if (failure instanceof UsageError) return EXIT.usage;
  if (failure instanceof Declined) return EXIT.declined;
  if (failure instanceof Refusal && failure.problem.status < 500) return EXIT.refused;
  return EXIT.unavailable;
}
