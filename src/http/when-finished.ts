import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';

/** What to call when a connection closes, for its requests that are not answered yet. */
const onClose = new WeakMap<Socket, Set<() => void>>();

/**
 * Calls `done` once: when the response was sent, or when its connection closed before. Node reports a closed connection
 * only to the response that it is sending; those that a client pipelined behind it never hear of it, nor does Fastify's
 * `onResponse` run for them.
 */
export function whenFinished(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  const { socket } = request.raw;
  if (socket.destroyed) return done();
  const waiting = onClose.get(socket) ?? listenTo(socket);
  const finish = () => {
    if (waiting.delete(finish)) done();
  };
  waiting.add(finish);
  reply.raw.once('close', finish);
}

// One listener for all requests of a connection, because Node warns of more than ten.
function listenTo(socket: Socket): Set<() => void> {
  const waiting = new Set<() => void>();
  onClose.set(socket, waiting);
  socket.once('close', () => {
    for (const finish of waiting) finish();
  });
  return waiting;
}
