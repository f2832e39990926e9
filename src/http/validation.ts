import type { FastifySchemaCompiler } from 'fastify';
import { z } from 'zod';
import type { SumFault } from '../domain/probabilities.ts';
import { numberFaultsOf } from './json-body.ts';
import { type FieldError, jsonPointer, Problem } from './problems.ts';

type HttpPart = 'body' | 'query' | 'path';
const PARTS: Record<string, HttpPart> = { body: 'body', querystring: 'query', params: 'path' };

/** The most errors in one problem: a body may have a hundred thousand. */
export const MOST_ERRORS = 100;

/** Validates requests by their zod schemas; one {@link Problem} reports all faults at once. */
export const validatorCompiler: FastifySchemaCompiler<z.ZodType> =
  ({ schema, httpPart }) =>
  (data: unknown) => {
    try {
      return { value: parse(schema, data, PARTS[httpPart ?? 'body'] ?? 'body') };
    } catch (error) {
      if (error instanceof Problem) return { error };
      throw error;
    }
  };

/**
 * Parses one part of a request.
 * @param sent the body as it was sent, if `data` was derived from it with the same members
 * @throws Problem `invalid-request`, or `probability-sum` if a sum is the only fault; for the path
 *   `not-found`, because nothing can exist at it
 */
export function parse<Output>(
  schema: z.ZodType<Output>,
  data: unknown,
  part: HttpPart = 'body',
  sent: unknown = data,
): Output {
  const parsed = schema.safeParse(data, { error: describe });
  const numbers = part === 'body' ? numberFaultsOf(sent) : [];
  if (parsed.success && numbers.length === 0) return parsed.data;
  const issues = parsed.error?.issues ?? [];
  const all = withNumbers(issues, part, numbers);
  const errors = all.slice(0, MOST_ERRORS);
  if (part === 'path') {
    throw new Problem('not-found', 'A part of the path is not valid; see `errors`.', { errors });
  }
  const sum = all.length === 1 && sumFaultOf(issues[0]);
  if (sum) {
    const { sum: total, excess } = sum;
    throw new Problem('probability-sum', sum.detail, {
      errors,
      extensions: { sum: total, excess },
    });
  }
  throw invalidRequest(all, part);
}

/** A problem with the first {@link MOST_ERRORS} of some errors, and the count of all. */
export function invalidRequest(all: readonly FieldError[], part: HttpPart = 'body'): Problem {
  const count = all.length === 1 ? '1 field' : `${all.length} fields`;
  const where =
    all.length > MOST_ERRORS ? `\`errors\` lists the first ${MOST_ERRORS}` : 'see `errors`';
  const stored = part === 'body' ? ' Nothing was stored.' : '';
  return new Problem('invalid-request', `Validation failed for ${count}; ${where}.${stored}`, {
    errors: all.slice(0, MOST_ERRORS),
  });
}

/**
 * The errors of issues and of faulty numbers. At such a number, the schema saw a double that was never sent, so what
 * it says about the value is left out; that the name is unknown is true all the same.
 */
function withNumbers(
  issues: readonly z.core.$ZodIssue[],
  part: HttpPart,
  numbers: readonly FieldError[],
): FieldError[] {
  if (numbers.length === 0) return issues.flatMap((issue) => fieldErrors(issue, part));
  const pointers = new Set(numbers.map(({ pointer }) => pointer));
  const others = issues.flatMap((issue) => {
    const errors = fieldErrors(issue, part);
    const isName = issue.code === 'unrecognized_keys';
    return isName ? errors : errors.filter(({ pointer }) => !pointers.has(pointer));
  });
  return [...numbers, ...others];
}

function fieldErrors(issue: z.core.$ZodIssue, part: HttpPart): FieldError[] {
  const where = part === 'body' ? {} : { in: part };
  if (issue.code === 'unrecognized_keys') {
    const noun = part === 'query' ? 'query parameter' : 'property';
    return issue.keys.map((key) => ({
      pointer: jsonPointer([...issuePath(issue), key]),
      detail: `unknown ${noun} ${JSON.stringify(key.slice(0, 100))}; ${issue.message}`,
      ...where,
    }));
  }
  if (issue.code === 'invalid_union') {
    // The client meant the branch that knows all members sent, or else the one with the fewest issues.
    const isStrange = (issues: readonly z.core.$ZodIssue[]) =>
      issues.some(({ code, path }) => code === 'unrecognized_keys' && path.length === 0);
    const [closest = []] = issue.errors.toSorted(
      (a, b) => Number(isStrange(a)) - Number(isStrange(b)) || a.length - b.length,
    );
    return closest.flatMap((inner) =>
      fieldErrors({ ...inner, path: [...issue.path, ...inner.path] }, part),
    );
  }
  return [{ pointer: jsonPointer(issuePath(issue)), detail: issue.message, ...where }];
}

function issuePath(issue: z.core.$ZodIssue): (string | number)[] {
  return issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part));
}

/** The fault in an issue of the sum rule (api/schemas/probabilities.ts); null for any other issue. */
function sumFaultOf(issue: z.core.$ZodIssue | undefined): SumFault | null {
  return issue?.code === 'custom' ? ((issue.params?.['sumFault'] as SumFault) ?? null) : null;
}

/** The texts of zod's own issues. A schema's own text takes precedence. */
function describe(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return 'is required';
      return `must be ${article(issue.expected)}, not ${typeof issue.input === 'number' ? issue.input : kindOf(issue.input)}`;
    case 'invalid_value':
      if (issue.input === undefined) return 'is required';
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.join(', ')}`;
    case 'too_small':
      return bound(issue.origin, issue.minimum, issue.inclusive ?? true, 'at least', 'more than');
    case 'too_big':
      return bound(issue.origin, issue.maximum, issue.inclusive ?? true, 'at most', 'less than');
    case 'unrecognized_keys':
      return `allowed here: ${knownKeys(issue.inst).join(', ') || 'none'}`;
    default:
      return undefined;
  }
}

function knownKeys(schema: unknown): string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

function bound(
  origin: string,
  limit: number | bigint,
  inclusive: boolean,
  within: string,
  beyond: string,
): string {
  const amount = `${inclusive ? within : beyond} ${limit}`;
  if (origin === 'string') return `must have ${amount} character${limit === 1 ? '' : 's'}`;
  if (origin === 'array') return `must have ${amount} entr${limit === 1 ? 'y' : 'ies'}`;
  return `must be ${amount}`;
}

function article(expected: string): string {
  if (expected === 'int') return 'a whole number';
  if (expected === 'string') return 'text';
  return /^[aeiou]/.test(expected) ? `an ${expected}` : `a ${expected}`;
}

function kindOf(input: unknown): string {
  if (input === null) return 'null';
  if (Array.isArray(input)) return 'an array';
  if (typeof input === 'string') return 'text';
  return article(typeof input);
}
