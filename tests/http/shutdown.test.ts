import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startLedger } from '../support/ledger.ts';

// Browsers open connections ahead of requests, also while the service stops.
test('a connection that opens during a stop does not hold it up', async () => {
  const ledger = await startLedger({ samples: false });
  let socket: Socket | undefined;
  ledger.app.addHook('preClose', async () => {
    const { port } = ledger.app.server.address() as AddressInfo;
    const accepted = once(ledger.app.server, 'connection');
    socket = connect(port, '127.0.0.1').on('error', () => undefined);
    await accepted;
  });
  await ledger.app.listen({ host: '127.0.0.1', port: 0 });
  const stopped = ledger.app.close().then(() => 'stopped');
  expect(await Promise.race([stopped, delay(20_000, 'held up', { ref: false })])).toBe('stopped');
  socket?.destroy();
  await stopped;
  await ledger.close();
});
