import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Fault } from '../domain/errors.ts';
import { type ProblemCode, PROBLEMS } from './problem-catalogue.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The problem that it was refused with; null if none. */
    problem: ProblemCode | null;
  }
}

/** One faulty field. Without `in`, `pointer` points into the body. */
export type FieldError = { pointer: string; detail: string; in?: 'query' | 'path' | 'header' };

/** The problem with which a request ends. Any room may throw it; http/errors.ts renders it. */
export class Problem extends Error {
  readonly code: ProblemCode;
  readonly errors: readonly FieldError[];
  readonly extensions: Readonly<Record<string, unknown>>;
  /** An array for a field that is sent several times. */
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

/** A request without valid credentials. The detail must not reveal anything that its sender does not know. */
export function unauthorized(detail: string): Problem {
  return new Problem('unauthorized', detail, {
    headers: { 'www-authenticate': 'Bearer realm="Outlook Ledger"' },
  });
}

/** A request without a key, some of whose parameters need one. */
export function keyNeeded(parameters: readonly string[]): Problem {
  return unauthorized(
    `These parameters need a key: ${parameters.join(', ')}. Send one as Authorization: Bearer olk_…, or leave them out.`,
  );
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
    .removeHeader('content-disposition') // of a response that was to be saved as a file
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
