import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { checkTiles } from '../support/naive-log.ts';
import { openSession } from '../support/plain-sql.ts';

let ledger: TestLedger;
let origin = '';
beforeAll(async () => {
  ledger = await startLedger();
  origin = await ledger.app.listen({ port: 0, host: '127.0.0.1' });
});
afterAll(() => ledger.close());

const state = async () =>
  (await (await fetch(`${origin}/v1/log`)).json()) as { size: number; root: string };

/** Events without an opening that the tree has, or that have no position yet. */
async function missing(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ missing: number }>(
    `select count(*) as missing from events where coalesce(log_position, position, 9e15) > (
      select size from log_generations)`,
  );
  return rows[0]?.missing ?? NaN;
}

test('a running service appends what is written, whoever writes it', async () => {
  await expect.poll(async () => (await state()).size).toBeGreaterThan(10);
  const before = (await state()).size;
  const revised = await ledger.revise({
    probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
    rationale: 'Yields jumped.',
  });
  expect(revised.statusCode).toBe(201);
  // No event that anybody follows reports this one.
  const payload = { name: 'Another desk', role: 'feed' };
  await ledger.call({ method: 'POST', url: '/v1/keys', as: 'admin', payload });
  await expect.poll(() => missing(ledger.pool)).toBe(0);
  const { size, root } = await state();
  expect(size).toBeGreaterThan(before);
  const read = async (path: string) => {
    const response = await fetch(`${origin}/log/1/${path}`);
    expect(response.status, path).toBe(200);
    return Buffer.from(await response.arrayBuffer());
  };
  const entries = await checkTiles(read, size, Buffer.from(root, 'base64'));
  expect(entries).toHaveLength(size);
});

test('while there is nothing to append, it asks the database twice a second', async () => {
  await expect.poll(() => missing(ledger.pool)).toBe(0);
  const looks: unknown[] = [];
  const watched = new Set<pg.PoolClient>();
  const watch = (client: pg.PoolClient) => {
    if (watched.has(client)) return;
    watched.add(client);
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    client.query = ((...args: unknown[]) => {
      const text = (args[0] as { text?: string }).text ?? args[0];
      if (String(text).includes('max(coalesce(log_position')) looks.push(args[0]);
      return query(...args);
    }) as never;
  };
  ledger.servicePool.on('acquire', watch);
  await delay(2_000);
  ledger.servicePool.off('acquire', watch);
  // The machine may be slow, but never so fast.
  expect(looks.length).toBeLessThanOrEqual(6);
  expect(looks.length).toBeGreaterThan(0);
});

test('a failure of the database ends with the failure', async () => {
  const owner = await openSession(ledger.url);
  try {
    await owner.query('alter table log_tiles rename to log_tiles_away');
    await ledger.pool.query(
      `insert into events (kind, outlook_id, version, data, recorded_at)
        values ('evidence.added', 1, 1, '{}', now())`,
    );
    await delay(700);
    expect(await missing(ledger.pool)).toBeGreaterThan(0);
    await owner.query('alter table log_tiles_away rename to log_tiles');
  } finally {
    await owner.end();
  }
  await expect.poll(() => missing(ledger.pool)).toBe(0);
});

test('it stops with the service', async () => {
  const other = await startLedger({ followsEvents: false });
  await other.app.listen({ port: 0, host: '127.0.0.1' });
  await other.close();
  expect(other.servicePool.totalCount).toBe(0);
});
