import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';

type Unfinished = {
  socket: Socket;
  /** When it was first seen that its connection is closed, by `performance.now()`; null before. */
  lostAt: number | null;
};

const unfinished = new Set<Unfinished>();

/** How long what waits for a request may take to notice that its connection closed, in milliseconds. */
const NOTICED_WITHIN = 5_000;

/**
 * Calls `done` once: when the response was sent, or when its connection closed before. That holds for each request that
 * is handled, because a connection has only one at a time (see `connections.ts`).
 */
export function whenFinished(
  request: FastifyRequest,
  { raw: response }: FastifyReply,
  done: () => void,
): void {
  if (response.destroyed) {
    done(); // its connection closed while the request waited for something else
    return;
  }
  const entry: Unfinished = { socket: request.raw.socket, lostAt: null };
  unfinished.add(entry);
  response.once('close', () => {
    unfinished.delete(entry);
    done();
  });
}

/**
 * How many connections have been closed for some seconds although requests on them never finished, in this process.
 * Anything but 0 is a defect: what these requests hold is never freed. Call it repeatedly; it compares with the last call.
 */
export function countLost(): number {
  const now = performance.now();
  const lost = new Set<Socket>();
  for (const entry of unfinished) {
    if (!entry.socket.destroyed) continue;
    entry.lostAt ??= now;
    if (now - entry.lostAt >= NOTICED_WITHIN) lost.add(entry.socket);
  }
  return lost.size;
}
