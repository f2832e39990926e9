import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';

type OpenRequest = {
  socket: Socket;
  /** When {@link countLostConnections} first saw that the connection is closed, by `performance.now()`; null before. */
  closedSince: number | null;
};

const openRequests = new Set<OpenRequest>();

/** How long a request may stay unfinished after its connection closed before it counts as lost, in milliseconds. */
const LOST_AFTER = 5_000;

/**
 * Calls `done` once: when the response was sent, or when its connection closed before that. This works for every request,
 * because a connection handles only one at a time (see `connections.ts`).
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
  const entry: OpenRequest = { socket: request.raw.socket, closedSince: null };
  openRequests.add(entry);
  response.once('close', () => {
    openRequests.delete(entry);
    done();
  });
}

/**
 * How many connections of this process have been closed for some seconds although a request on them has not finished.
 * Anything but 0 is a defect: what such a request holds is never freed. Call it repeatedly, because it measures from the
 * first call that sees a connection closed.
 */
export function countLostConnections(): number {
  const now = performance.now();
  const lost = new Set<Socket>();
  for (const entry of openRequests) {
    if (!entry.socket.destroyed) continue;
    entry.closedSince ??= now;
    if (now - entry.closedSince >= LOST_AFTER) lost.add(entry.socket);
  }
  return lost.size;
}
