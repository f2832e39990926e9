import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { isBusy } from './connections.ts';

/** How long a connection that opens during a stop may take to send a request, in milliseconds. */
const REQUEST_WITHIN = 100;

/**
 * Lets a shutdown wait only for requests in flight. Node itself also waits for connections that have
 * not sent a whole request yet, and keeps connections alive whose requests it answers in the meantime.
 */
export function endConnectionsOnClose(app: FastifyInstance): void {
  const connections = new Set<Socket>();
  let isClosing = false;
  app.server.on('connection', (socket: Socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
    // The server still listens while other parts close. Such a connection may send a request, but nobody waits for one.
    if (isClosing) setTimeout(() => isBusy(socket) || socket.destroy(), REQUEST_WITHIN).unref();
  });
  app.addHook('onSend', async (_request, reply) => {
    if (isClosing) reply.header('connection', 'close');
  });
  app.addHook('preClose', async () => {
    isClosing = true;
    for (const socket of connections) if (!isBusy(socket)) socket.destroy();
  });
}
