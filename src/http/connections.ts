import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { stopCharging } from '../postgres/work-meter.ts';
import { PROBLEMS } from './problem-catalogue.ts';

/** How many requests of a connection may be unanswered. */
const MOST_UNANSWERED = 16;
/** How long a client may take to read the refusal before its connection is closed, in milliseconds. */
const CLOSE_AFTER = 1_000;
/** After how long without a byte in either direction a connection closes, in milliseconds. */
const INACTIVITY_TIMEOUT = 60_000;

/** How many requests were dropped without a response, by the reason. */
export type DroppedRequests = {
  /** Their connection was closed before they were handled. */
  closed: number;
  /** Their connection had too many requests without a response. */
  pipelined: number;
};

/** The settings of Fastify that apply to its server; times in milliseconds. */
type Options = { keepAliveTimeout?: number; requestTimeout?: number; http?: object };

/**
 * Makes the server whose requests Fastify answers (`serverFactory`).
 *
 * Requests that a client pipelines are handled one after another: each starts once the response before it was sent, in a
 * later turn of the event loop. Node.js would start all of them at once. It reports a closed connection only to the first
 * unanswered request, and one connection could crowd out the others.
 */
export function createHttpServer(
  handle: RequestListener,
  options: Options,
  dropped: DroppedRequests,
): Server {
  const listener = inTurn(handle, dropped);
  const server = createServer(options.http ?? {}, listener);
  // Node.js itself would answer an empty 417; http/request-headers.ts refuses it with a problem.
  server.on('checkExpectation', listener);
  server.keepAliveTimeout = options.keepAliveTimeout ?? server.keepAliveTimeout;
  server.requestTimeout = options.requestTimeout ?? server.requestTimeout;
  server.setTimeout(INACTIVITY_TIMEOUT);
  server.on('connection', (socket) => {
    // A closed socket still knows its address if the address was read before.
    if (socket.remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    const connection: Connection = { waiting: 0, isRefused: false };
    connections.set(socket, connection);
    const restoreTraces = limitTraces(socket, connection);
    socket.once('close', () => {
      restoreTraces();
      const isUnanswered = replies.get(socket)?.raw.headersSent === false;
      dropped.closed += connection.waiting + (isUnanswered ? 1 : 0);
    });
  });
  return server;
}

type Connection = {
  /** How many requests wait for the responses before them. */
  waiting: number;
  /** Whether a request was refused because too many were unanswered. */
  isRefused: boolean;
};
const connections = new WeakMap<Socket, Connection>();
/** The reply that each connection is busy with. */
const replies = new WeakMap<Socket, FastifyReply>();

/** Records which reply each connection is busy with, for {@link isBusy} and {@link hasStartedResponse}. */
export function trackReplies(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    replies.set(request.raw.socket, reply);
    done();
  });
  app.addHook('onResponse', (request, _reply, done) => {
    replies.delete(request.raw.socket);
    done();
  });
}

/** Whether a connection has a request whose response is not complete. */
export function isBusy(socket: Socket): boolean {
  return replies.has(socket);
}

/** Whether a connection has a response that is written in part. */
export function hasStartedResponse(socket: Socket): boolean {
  return replies.get(socket)?.raw.headersSent === true;
}

/**
 * When a connection closes, Node.js makes an error for each unanswered request, and its stack trace costs more than the
 * request. This leaves out the traces while the connection closes. The returned function, called in the same event, ends that.
 */
function limitTraces(socket: Socket, connection: Connection): () => void {
  const { stackTraceLimit } = Error;
  socket.prependOnceListener('close', () => {
    if (connection.waiting > 0 || connection.isRefused) Error.stackTraceLimit = 0;
  });
  return () => void (Error.stackTraceLimit = stackTraceLimit);
}

function inTurn(handle: RequestListener, dropped: DroppedRequests): RequestListener {
  return (request, response) => {
    const { socket } = request;
    const connection = connections.get(socket);
    if (connection === undefined || socket.destroyed) {
      dropped.closed += 1;
      return;
    }
    if (request.headers['transfer-encoding'] !== undefined) boundChunks(request, response);
    if (response.socket !== null) {
      stopCharging();
      handle(request, response); // no response is before this one
    } else if (connection.isRefused || connection.waiting + 1 >= MOST_UNANSWERED) {
      dropped.pipelined += 1;
      refuse(connection, socket, response);
    } else {
      connection.waiting += 1;
      // Node.js gives a response the socket once those before it were sent.
      response.once('socket', () =>
        setImmediate(() => {
          if (socket.destroyed) return;
          connection.waiting -= 1;
          stopCharging();
          handle(request, response);
        }),
      );
    }
  };
}

/** Ends a connection without reading what still arrives; the client has time to read the response. */
function leave(socket: Socket): void {
  socket.end();
  setImmediate(() => socket.pause()); // once Node.js has begun to discard the body
  setTimeout(() => socket.destroy(), CLOSE_AFTER).unref();
}

/** How many chunks of a body may be small. */
const SMALL_CHUNKS = 1_024;
/** How large the chunks of a body with more of them must be on average, in bytes. */
const LEAST_AVERAGE = 64;
const TOO_SMALL_CHUNKS = `its chunks have less than ${LEAST_AVERAGE} bytes on average; send larger ones`;

/**
 * Bounds what a body in chunks costs, whose parts Node.js parses one by one: a megabyte in chunks of a byte takes a second
 * and 100 MB of memory. A connection ends with the response if the body has not arrived by then, because Node.js would
 * parse all the rest for nothing.
 */
function boundChunks(request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  const { shouldKeepAlive } = response;
  response.shouldKeepAlive = false;
  request.once('end', () => (response.shouldKeepAlive = shouldKeepAlive));
  // Node.js would close the connection with bytes unread, which takes the response from the client.
  socket.destroySoon = () => {
    if (request.complete) Socket.prototype.destroySoon.call(socket);
    else leave(socket);
  };
  const push = request.push.bind(request);
  let chunks = 0;
  let bytes = 0;
  let isRefused = false;
  request.push = (chunk: Buffer | null) => {
    chunks += 1;
    bytes += chunk?.length ?? 0;
    if (!isRefused && (chunks <= SMALL_CHUNKS || bytes >= chunks * LEAST_AVERAGE))
      return push(chunk);
    if (request.listenerCount('error') === 0)
      socket.destroy(); // nobody reads it
    else if (!isRefused) request.emit('error', new Error(TOO_SMALL_CHUNKS));
    isRefused = true;
    return false;
  };
}

/**
 * Refuses a request of a connection with too many unanswered ones, and closes the connection. Only the first refusal gets a
 * response.
 */
function refuse(connection: Connection, socket: Socket, response: ServerResponse): void {
  if (connection.isRefused) return;
  connection.isRefused = true;
  stopParsing(socket);
  const { status, title } = PROBLEMS['rate-limited'];
  const detail = `Your connection has ${MOST_UNANSWERED} requests without a response; wait for responses before you send more.`;
  const body = JSON.stringify({ type: '/problems/rate-limited', title, status, detail });
  response
    .writeHead(status, {
      'content-type': 'application/problem+json',
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-store',
      'retry-after': '1',
      connection: 'close',
    })
    .end(body);
  setTimeout(() => socket.destroy(), CLOSE_AFTER).unref();
}

/** What a parser of Node.js returns to go on as if the connection left HTTP (as it does for an upgrade). */
const LEAVE_HTTP = 2;

/**
 * Stops the parser of a connection. Otherwise Node.js makes a request and a response of whatever has arrived: one read of
 * 64 KiB brings a thousand, and an attacker reconnects. There is no public way; without these members, it goes on parsing.
 */
function stopParsing(socket: Socket & { parser?: { onIncoming?: unknown } | null }): void {
  if (typeof socket.parser?.onIncoming === 'function') socket.parser.onIncoming = () => LEAVE_HTTP;
}
