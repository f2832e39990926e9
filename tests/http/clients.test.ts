import { expect, test } from 'vitest';
import { addressOf, Clients } from '../../src/http/clients.ts';

const RATES = {
  address: { requests: 1_000, work: 100 },
  key: { requests: 10, work: 0 },
};
/** Another network each. */
const address = (index: number) =>
  `2001:db8:${(index >> 16).toString(16)}:${(index & 0xffff).toString(16)}::`;

test('a client that has used half of a limit is remembered, however many others come', () => {
  const clients = new Clients(RATES);
  const byCount = clients.of('address', 'count');
  byCount.requests = 500;
  const byWork = clients.of('address', 'work');
  byWork.work.add(100_000);
  const light = clients.of('address', 'light');
  light.requests = 1;
  clients.of('address', 'count');
  clients.of('address', 'work');
  for (let index = 0; index < 100_000; index += 1)
    clients.of('address', address(index)).requests += 1;
  expect(clients.of('address', 'count')).toBe(byCount);
  expect(clients.of('address', 'work')).toBe(byWork);
  expect(byWork.work.level).toBeGreaterThan(1);
  expect(clients.of('address', 'light')).not.toBe(light);
});

test('memory is bounded, even if all clients are heavy', () => {
  const clients = new Clients(RATES);
  for (let index = 0; index < 100_000; index += 1) {
    clients.of('address', address(index)).requests = index % 2 === 0 ? 1_000 : 1;
    clients.of('address', address(index));
  }
  expect(clients.size).toBeLessThanOrEqual(40_000);
});

test('a key and an address are different clients, with limits of their own', () => {
  const clients = new Clients(RATES);
  const [ofAddress, ofKey] = [clients.of('address', 'x'), clients.of('key', 'x')];
  for (const { work } of [ofAddress, ofKey]) work.add(1_000);
  expect(ofKey).not.toBe(ofAddress);
  expect(ofAddress.work.level).toBeGreaterThan(1);
  expect(ofKey.work.level).toBe(0);
});

test.for([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::ffff:c000:201', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::'],
  ['2001:DB8:1:2::', '2001:db8:1:2::'],
  ['::1', '::'],
  ['fe80::1%eth0', 'fe80::'],
  ['unknown', 'unknown'],
] as const)('%s is counted as %s', ([ip, counted]) => {
  expect(addressOf({ ip })).toBe(counted);
});
