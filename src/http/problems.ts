import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Fault } from '../domain/errors.ts';
import { type ProblemCode, PROBLEMS } from './problem-catalogue.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** What it was refused with. */
    problem: ProblemCode | null;
  }
}

/** One faulty field. `in` is absent for the body, which `pointer` then points into. */
export type FieldError = { pointer: string; detail: string; in?: 'query' | 'path' | 'header' };

/** A request that ends in a problem. Thrown in the http layer; rendered in http/errors.ts. */
export class Problem extends Error {
  readonly code: ProblemCode;
  readonly errors: readonly FieldError[];
  readonly extensions: Readonly<Record<string, unknown>>;
  /** A field that is sent several times has several values. */
  readonly headers: Readonly<Record<string, string | string[]>>;

  constructor(
    code: ProblemCode,
    detail: string,
    more: {
      errors?: readonly FieldError[];
      extensions?: Readonly<Record<string, unknown>>;
      headers?: Readonly<Record<string, string | string[]>>;
      /** For the log. */
      cause?: unknown;
    } = {},
  ) {
    super(detail, { cause: more.cause });
    this.name = 'Problem';
    this.code = code;
    this.errors = more.errors ?? [];
    this.extensions = more.extensions ?? {};
    this.headers = more.headers ?? {};
  }
}

/** A request that nobody in force can be recognised by; tells nothing that its sender does not know. */
export function unauthorized(detail: string): Problem {
  return new Problem('unauthorized', detail, {
    headers: { 'www-authenticate': 'Bearer realm="Outlook Ledger"' },
  });
}

/** The path of a request, without its query. */
export function pathOf({ url }: FastifyRequest): string {
  return url.split('?', 1)[0] ?? '';
}

/** A path as a JSON Pointer (RFC 6901): `['a/b', 0]` is `/a~1b/0`. */
export function jsonPointer(path: Fault['path']): string {
  return path
    .map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`)
    .join('');
}

/** Answers a problem as `application/problem+json` (RFC 9457). */
export function sendProblem(
  request: FastifyRequest,
  reply: FastifyReply,
  problem: Problem,
): FastifyReply {
  const { status, title } = PROBLEMS[problem.code];
  request.problem = problem.code;
  return reply
    .code(status)
    .headers({ 'cache-control': 'no-store', ...problem.headers })
    .type('application/problem+json')
    .send(
      // Bytes, because fastify adds a charset to text, which problem+json does not have.
      Buffer.from(
        JSON.stringify({
          type: `/problems/${problem.code}`,
          title,
          status,
          detail: problem.message,
          instance: pathOf(request),
          ...problem.extensions,
          ...(problem.errors.length > 0 && { errors: problem.errors }),
        }),
      ),
    );
}
