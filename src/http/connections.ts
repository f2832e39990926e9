import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { PROBLEMS } from './problem-catalogue.ts';

/** How many requests of a connection may be without a response. */
const MOST_UNANSWERED = 16;
/** After how many more a connection is closed at once. */
const MOST_EXCESS = 240;
/** How long a client may take to read why its connection closes, in milliseconds. */
const LEAVE_WITHIN = 1_000;
/** After how long without a byte in either direction a connection closes, in milliseconds. */
const SILENT_FOR = 60_000;

/** Requests that were dropped without a response. */
export type Dropped = {
  /** Their connection was closed before they were handled. */
  closed: number;
  /** Their connection had too many requests without a response. */
  pipelined: number;
};

/** The settings of Fastify that apply to its server; times in milliseconds. */
type Options = { keepAliveTimeout?: number; requestTimeout?: number; http?: object };

/**
 * Makes the server that Fastify answers requests of (`serverFactory`).
 *
 * Requests that a client pipelines are handled one after another: each starts once the response before it was sent, in a
 * later turn of the event loop. Node.js would start all of them at once, would not report a closed connection to those
 * that are not at its head, and would let the connection crowd out the others.
 */
export function createHttpServer(
  handle: RequestListener,
  options: Options,
  dropped: Dropped,
): Server {
  const server = createServer(options.http ?? {}, inTurn(handle, dropped));
  server.keepAliveTimeout = options.keepAliveTimeout ?? server.keepAliveTimeout;
  server.requestTimeout = options.requestTimeout ?? server.requestTimeout;
  server.setTimeout(SILENT_FOR);
  server.on('connection', (socket) => {
    // A socket knows its address after it was closed only if it was asked before.
    if (socket.remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    const connection: Connection = { current: null, waiting: 0, excess: 0 };
    connections.set(socket, connection);
    socket.once('close', () => (dropped.closed += unansweredOf(connection)));
  });
  return server;
}

type Connection = {
  /** The response to the request that is handled, or was handled last. */
  current: ServerResponse | null;
  /** How many requests wait for that response. */
  waiting: number;
  /** How many more came. */
  excess: number;
};
const connections = new WeakMap<Socket, Connection>();

/** Whether a part of a response was written to a connection, but not all of it. */
export function isInResponse(socket: Socket): boolean {
  const { current } = connections.get(socket) ?? {};
  return current?.headersSent === true && !current.writableFinished;
}

function unansweredOf({ current, waiting }: Connection): number {
  return waiting + (current === null || current.headersSent ? 0 : 1);
}

function inTurn(handle: RequestListener, dropped: Dropped): RequestListener {
  return (request, response) => {
    const { socket } = request;
    const connection = connections.get(socket);
    if (connection === undefined || socket.destroyed) {
      dropped.closed += 1;
      return;
    }
    const start = () => {
      connection.current = response;
      handle(request, response);
    };
    if (response.socket !== null) {
      start(); // no response is before this one
    } else if (connection.excess > 0 || connection.waiting + 1 >= MOST_UNANSWERED) {
      dropped.pipelined += 1;
      refuse(connection, socket, response);
    } else {
      connection.waiting += 1;
      response.once('socket', () =>
        setImmediate(() => {
          if (socket.destroyed) return;
          connection.waiting -= 1;
          start();
        }),
      );
    }
  };
}

/**
 * Closes a connection with too many requests, after an answer to the first one too many. Node.js can't be stopped from
 * parsing what a client sent already.
 */
function refuse(connection: Connection, socket: Socket, response: ServerResponse): void {
  connection.excess += 1;
  if (connection.excess > MOST_EXCESS) socket.destroy();
  if (connection.excess > 1) return;
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
  setTimeout(() => socket.destroy(), LEAVE_WITHIN).unref();
}
