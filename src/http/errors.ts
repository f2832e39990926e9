import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import pg from 'pg';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Busy } from '../postgres/pool.ts';
import { hasStartedResponse } from './connections.ts';
import { DomainError } from '../domain/errors.ts';
import { ContradictedOutcome } from '../domain/resolution.ts';
import { type OpenTrigger, UnansweredConditions } from '../domain/review.ts';
import { domainProblem } from './domain-problems.ts';
import { type ProblemCode, PROBLEMS } from './problem-catalogue.ts';
import { jsonPointer, Problem, sendProblem } from './problems.ts';
import { noRoute } from './routing.ts';

/** Answers every error of a route with a problem. An unexpected error is logged; the client gets no details. */
export function handleErrors(app: FastifyInstance): void {
  app.decorateRequest('problem', null);
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply));
}

/** Answers with a problem an error of a route, or of Fastify before it finds a route (`frameworkErrors`). */
export function answerError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  reply.header('x-request-id', request.id); // no hook runs if the URL can't be parsed
  return sendProblem(request, reply, problemFor(error, request));
}

/** The problem that a client gets for an error. Errors of the service and of its database are logged. */
export function problemFor(error: unknown, request: FastifyRequest): Problem {
  const problem = toProblem(error, request);
  if (PROBLEMS[problem.code].status >= 500) {
    const level = PROBLEMS[problem.code].status === 503 ? 'warn' : 'error';
    request.log[level]({ reqId: request.id, err: error }, 'the request failed');
  }
  return problem;
}

function toProblem(error: unknown, request: FastifyRequest): Problem {
  const refusal = refusalOf(error);
  if (refusal) return refusal;
  if (isUnavailable(error)) {
    const { code, detail, after } = REFUSED_WRITES[sqlStateOf(error)] ?? UNREACHABLE;
    return new Problem(code, detail, { headers: { 'retry-after': after } });
  }
  return frameworkProblem(error as FastifyError, request);
}

/** The problem of a request that breaks a rule; null for any other error. */
export function refusalOf(error: unknown): Problem | null {
  if (error instanceof Problem) return error;
  if (error instanceof DomainError) {
    return new Problem(domainProblem(error.code), error.message, {
      errors: error.faults.map(({ path, detail }) => ({ pointer: jsonPointer(path), detail })),
      ...(error instanceof UnansweredConditions && {
        extensions: { conditions: error.conditions.map(representOpen) },
      }),
      ...(error instanceof ContradictedOutcome &&
        error.computed && { extensions: { closes: error.computed } }),
    });
  }
  if (!isPolicyChange(error)) return null;
  const detail = "The desk's policy has just changed; send the request again.";
  return new Problem('unavailable', detail, { headers: { 'retry-after': '1' } });
}

const POLICY_RULES = new Set([
  'outlook_versions_unapproved',
  'resolutions_unapproved',
  'resolutions_own_forecast',
]);

/** Whether Postgres refused what the policy allowed when it was decided, because another one was set in the meantime. */
function isPolicyChange(error: unknown): boolean {
  return error instanceof pg.DatabaseError && POLICY_RULES.has(error.constraint ?? '');
}

function representOpen({ key, invalidates, statement, reason, triggeredAt }: OpenTrigger) {
  return { key, invalidates, statement, reason, triggeredAt };
}

function frameworkProblem(error: FastifyError, request: FastifyRequest): Problem {
  switch (error.code) {
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new Problem('unsupported-media-type', contentTypeHint(request));
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new Problem(
        'body-too-large',
        `The body exceeds the limit of ${request.routeOptions.bodyLimit / 1_048_576} MiB.`,
        {
          headers: { connection: 'close' },
        },
      );
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new Problem('malformed-request', 'The URL is malformed, or a part of it is too long.');
    default:
      // The plugin that serves the files of Swagger UI throws errors that have only a status.
      if (error.statusCode === 403) return noRoute(request);
      if (error.statusCode === 412) {
        return new Problem(
          'precondition-failed',
          'The file has changed since the copy that `If-Match` or `If-Unmodified-Since` names.',
        );
      }
      if (error.statusCode === 416) {
        return new Problem('range-not-satisfiable', 'The file is shorter than the range.');
      }
      if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
        return new Problem('malformed-request', `The body cannot be read: ${error.message}.`);
      }
      return new Problem('internal-error', 'The service hit an unexpected error.');
  }
}

function contentTypeHint(request: FastifyRequest): string {
  const expected = request.method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const sent = request.headers['content-type'];
  return sent === undefined || sent.trim() === ''
    ? `Send the body with the header Content-Type: ${expected}.`
    : `Send ${expected}, not ${sent}.`;
}

// SQLSTATEs and system errors after which a retry may succeed: connection trouble (08), resources
// (53), a missing role or database (28, 3D), shutdown and cancellation (57), lock timeout (55P03), a
// primary that became a standby (25006), deadlock and serialization (40).
const UNAVAILABLE_CODES =
  /^(08...|53...|57...|55P03|25006|25P0[34]|40...|28000|28P01|3D000|ECONN\w+|ENOENT|ENOTFOUND|ENETUNREACH|EPIPE|ETIMEDOUT|EHOSTUNREACH|EAI_\w+)$/;
const POOL_MESSAGES =
  /^(timeout exceeded when trying to connect|Query read timeout|Connection terminated|Client has encountered a connection error)/;

type Unavailability = { code: ProblemCode; detail: string; after: string };

const UNREACHABLE: Unavailability = {
  code: 'unavailable',
  detail: 'The database is unreachable or busy; try again.',
  after: '2',
};
/** By SQLSTATE. */
const REFUSED_WRITES: Partial<Record<string, Unavailability>> = {
  '25006': {
    code: 'read-only',
    detail: 'The database is read-only; nothing was stored.',
    after: '5',
  },
  '53100': {
    code: 'storage-full',
    detail: "The database's disk is full; nothing was stored.",
    after: '5',
  },
};

function sqlStateOf(error: unknown): string {
  return (error instanceof pg.DatabaseError && error.code) || '';
}

/** Whether an error says that the database is unavailable for now. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof Busy) return true;
  if (POOL_MESSAGES.test(error.message)) return true;
  // A host name with several addresses fails with an error for each.
  if (error instanceof AggregateError) return error.errors.some(isUnavailable);
  if (error instanceof pg.DatabaseError && isFromReset(error)) return true;
  const isOfDatabase = error instanceof pg.DatabaseError || 'syscall' in error;
  return isOfDatabase && 'code' in error && UNAVAILABLE_CODES.test(String(error.code));
}

/**
 * Whether an error says that the ledger went back to an earlier state, or is being restored, during a request: the caller
 * was found a moment ago and has no row any more (23503), or a table or function is away (42P01, 42883) or was replaced
 * (0A000).
 */
function isFromReset({ code = '', constraint = '', message }: pg.DatabaseError): boolean {
  if (code === '23503') return constraint.endsWith('_analysts_id_fk');
  return /^(42P01|42883)$/.test(code) || message.startsWith('cached plan must not change');
}

/** Rejects after `ms` milliseconds, with the error of a query that takes too long. */
export async function failAfter(ms: number): Promise<never> {
  await delay(ms, undefined, { ref: false });
  throw new Busy();
}

type SocketFault = { code: ProblemCode; status: string; detail: string };

const NOT_HTTP: SocketFault = {
  code: 'malformed-request',
  status: '400 Bad Request',
  detail: 'The bytes received are not an HTTP request.',
};
const SOCKET_FAULTS: Record<string, SocketFault> = {
  HPE_HEADER_OVERFLOW: {
    code: 'malformed-request',
    status: '431 Request Header Fields Too Large',
    detail: 'The headers exceed 16 KiB.',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    code: 'malformed-request',
    status: '408 Request Timeout',
    detail: 'The request took too long to arrive.',
  },
};
const UNKNOWN_METHOD: SocketFault = {
  code: 'not-implemented',
  status: '501 Not Implemented',
  detail: 'No URL of this service has this method.',
};

/** An error of Node's HTTP parser, with the bytes that it can't read. */
type ParseError = Error & { code?: string; rawPacket?: unknown; bytesParsed?: number };

/** Answers bytes that are not an HTTP request. It writes to the socket, because there is no reply yet. */
export function handleClientError(error: ParseError, socket: Socket): void {
  // Bytes after a request with `Connection: close` are ignored; the connection ends after the response (RFC 9112, 9.6).
  if (error.code === 'HPE_CLOSED_CONNECTION') return;
  if (error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  endWithProblem(socket, isOfUnknownMethod(error) ? UNKNOWN_METHOD : faultOf(error));
}

/** Refuses CONNECT requests. Node hands their sockets to a listener, because they ask for a tunnel. */
export function refuseTunnels(app: FastifyInstance): void {
  app.server.on('connect', (_request, socket: Socket) => endWithProblem(socket, UNKNOWN_METHOD));
}

function faultOf({ code = '' }: ParseError): SocketFault {
  return SOCKET_FAULTS[code] ?? NOT_HTTP;
}

/** Whether bytes start like a request whose method the parser does not know (RFC 9110, 9.1): `FOO / HTTP/1.1`. */
function isOfUnknownMethod({ code, rawPacket, bytesParsed = 0 }: ParseError): boolean {
  if (code !== 'HPE_INVALID_METHOD' || !Buffer.isBuffer(rawPacket)) return false;
  const lineStart = bytesParsed === 0 ? 0 : rawPacket.lastIndexOf('\n', bytesParsed - 1) + 1;
  const line = rawPacket.subarray(lineStart).toString('latin1');
  return /^[\w!#$%&'*+.^`|~-]+ [^ \r\n]+ HTTP\/1\.[01]\r?\n/.test(line);
}

/** Ends a connection with a problem, unless a part of a response was written to it already. */
function endWithProblem(socket: Socket, { code, status, detail }: SocketFault): void {
  if (!socket.writable || hasStartedResponse(socket)) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify({
    type: `/problems/${code}`,
    title: PROBLEMS[code].title,
    status: Number.parseInt(status, 10),
    detail,
  });
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
