import { isIP, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type pg from 'pg';
import { LedgerClient } from '../client.ts';
import type { Session } from '../pool.ts';
import { settingFaults } from '../session-settings.ts';
import { fail, type Finding, ok, orOk, rowOf, type Sessions, warn } from './finding.ts';

/** How far the clocks of the service and the database may differ, in milliseconds. */
const CLOCK = { warn: 2_000, fail: 60_000 };

/** The socket of a connection; pg declares no type for it. */
function socketOf(client: pg.ClientBase): Socket {
  return (client as unknown as { connection: { stream: Socket } }).connection.stream;
}

function isLocal(socket: Socket): boolean {
  const address = socket.remoteAddress ?? '';
  return isIP(address) === 0 || /^(::ffff:)?127\.|^::1$/.test(address);
}

/** Whether others on the way can read or change what goes over the connection. */
export function checkTransport(client: pg.ClientBase): Finding[] {
  const socket = socketOf(client);
  if (!(socket instanceof TLSSocket)) {
    if (isLocal(socket)) return [ok('The connection stays on this machine.')];
    const remedy =
      'Add ?sslmode=verify-full to DATABASE_URL, unless the network between is your own.';
    return [warn('The connection is not encrypted.', remedy)];
  }
  const protocol = socket.getProtocol() ?? 'TLS';
  if (socket.authorized)
    return [ok(`The connection is encrypted (${protocol}), and the certificate verified.`)];
  const message = `The connection is encrypted (${protocol}), but the certificate is not verified: another server could pose as the database.`;
  const remedy =
    'Use ?sslmode=verify-full, with sslrootcert=FILE if a private authority signed the certificate.';
  return [warn(message, remedy)];
}

/** Whether a pooler is between the service and the database, and whether there is a way past it for what needs one. */
export async function checkPooler(
  client: pg.ClientBase,
  { service }: Sessions,
): Promise<Finding[]> {
  if (!isPooled(client)) return [ok('No pooler is between the service and the database.')];
  if (service !== client && !isPooled(service)) {
    return [ok('DATABASE_URL leads to a pooler, and DIRECT_DATABASE_URL past it.')];
  }
  const message =
    'DATABASE_URL leads to a pooler, and no setting leads past it: the service polls for events ten times a second instead of listening for them.';
  return [warn(message, 'Set DIRECT_DATABASE_URL to the URL of PostgreSQL itself.')];
}

function isPooled(session: Session): boolean {
  return session instanceof LedgerClient && session.isPooled;
}

/** The settings of the role and the database that do harm, or that have no effect on the service. */
export async function checkSettings({ service }: Sessions): Promise<Finding[]> {
  const faults = (await settingFaults(service)).map(({ isHarmful, fault, remedy }) =>
    (isHarmful ? fail : warn)(`The setting ${fault}.`, `Run: ${remedy}`),
  );
  return orOk(faults, 'No setting of the role or the database does harm.');
}

/** @param now the clock of the service */
export async function checkClock({ service }: Sessions, now: () => Date): Promise<Finding[]> {
  const before = now().getTime();
  const { time } = await rowOf<{ time: Date }>(service, 'select clock_timestamp() as time');
  const after = now().getTime();
  // The database read its clock in between.
  const ahead = Math.max(before - time.getTime(), time.getTime() - after, 0);
  const message = `The clocks of this machine and of the database differ by ${(ahead / 1000).toFixed(1)} s.`;
  if (ahead < CLOCK.warn) return [ok(message)];
  const remedy = 'Let both synchronise their clocks (NTP).';
  return [ahead < CLOCK.fail ? warn(message, remedy) : fail(message, remedy)];
}
