import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { chainFault, type Outlook } from '../support/chain.ts';
import { distinctRevision, historyOf } from '../support/outlooks.ts';
import { get, revise, SLUG } from '../support/http-client.ts';
import {
  cleanUp,
  isAlive,
  keysShown,
  logLines,
  newFolder,
  postmasterOf,
  run,
  startService,
  until,
} from '../support/service.ts';
import { stopService, type UsedFolder, useFolder } from '../support/used-folder.ts';

afterAll(cleanUp);

const REVISION = {
  probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
  rationale: 'Yields jumped.',
};

test("an analyst's first day, and the next", async () => {
  const dataDir = newFolder();
  const first = await startService({ DATA_DIR: dataDir });
  const sample = await get(first.origin, `/v1/outlooks/${SLUG}`);
  expect(sample.version).toBe(1);
  expect(sample.probabilities).toEqual({ bear: 0.3, base: 0.45, bull: 0.25 });
  expect(sample.directions).toEqual({ lower: 0.3, sideways: 0.45, higher: 0.25 });

  const [key, ...more] = keysShown(first.stdout());
  expect(more).toEqual([]);
  expect(new Set(first.stdout().match(/olk_[\w-]+/g))).toEqual(new Set([key]));
  const { status, location, body } = await revise(first.origin, key ?? '', REVISION);
  expect(status).toBe(201);
  expect(body.version).toBe(2);
  expect(body.change.deltas).toEqual({ bear: 0.05, base: -0.05, bull: 0 });
  expect(await get(first.origin, location ?? '')).toEqual(body);
  const wrong = { ...REVISION, probabilities: { bear: 0.35, base: 0.45, bull: 0.25 } };
  const refused = await revise(first.origin, key ?? '', wrong);
  expect(refused.status).toBe(422);
  expect(refused.body).toMatchObject({ sum: 1.05, excess: 0.05 });
  await stopService(first, dataDir);
  const logged = logLines(first.stdout()).map((line) => JSON.parse(line) as object);
  expect(logged.length).toBeGreaterThan(4);
  expect(JSON.stringify(logged)).not.toContain('olk_');
  expect(first.stderr()).toBe('');

  const second = await startService({ DATA_DIR: dataDir });
  expect(await get(second.origin, `/v1/outlooks/${SLUG}`)).toEqual(body);
  expect(second.stdout()).not.toContain('olk_');
  const list = await fetch(`${second.origin}/v1/outlooks`);
  expect(((await list.json()) as { items: Outlook[] }).items).toHaveLength(1);
  expect((await revise(second.origin, key ?? '', distinctRevision(1))).status).toBe(201);
  await stopService(second, dataDir);
});

describe('on a folder that was used before', () => {
  let used: UsedFolder;
  beforeAll(async () => {
    used = await useFolder();
  });

  test('kill -9 loses nothing that was acknowledged, and the next start is at once', async () => {
    const dataDir = used.copy();
    const service = await startService({ DATA_DIR: dataDir });
    const postmaster = postmasterOf(dataDir);
    const acknowledged: Outlook[] = [];
    let next = 0;
    const client = async () => {
      for (;;) {
        const { body } = await revise(service.origin, used.key, distinctRevision((next += 1)));
        acknowledged.push(body);
        if (acknowledged.length === 60) service.kill('SIGKILL');
      }
    };
    const clients = await Promise.allSettled([client(), client(), client(), client()]);
    expect(clients.map(({ status }) => status)).toEqual(clients.map(() => 'rejected'));
    expect(await service.ended).toEqual({ code: null, signal: 'SIGKILL' });

    const restarted = await startService({ DATA_DIR: dataDir });
    expect(postmaster && isAlive(postmaster)).toBe(false);
    const history = await historyOf(SLUG, (url) => get(restarted.origin, url));
    expect(chainFault(history)).toBeNull();
    expect(acknowledged.length).toBeGreaterThanOrEqual(60);
    for (const answer of acknowledged) expect(history[answer.version - 1]).toEqual(answer);
    expect((await revise(restarted.origin, used.key, REVISION)).status).toBe(201);
    expect(restarted.stdout()).not.toContain('olk_');
    await stopService(restarted, dataDir);
  });

  test('PostgreSQL that is killed is started again, and the service continues', async () => {
    const dataDir = used.copy();
    const service = await startService({ DATA_DIR: dataDir });
    const killed = postmasterOf(dataDir);
    process.kill(killed ?? 0, 'SIGKILL');
    await until(async () => (await fetch(`${service.origin}/readyz`)).status === 503);
    await until(async () => (await fetch(`${service.origin}/readyz`)).status === 200);
    expect(postmasterOf(dataDir)).not.toBe(killed);
    expect((await revise(service.origin, used.key, distinctRevision(1))).status).toBe(201);
    await stopService(service, dataDir);
  });

  test('a second start on a live folder says in one line what is wrong', async () => {
    const dataDir = used.copy();
    const service = await startService({ DATA_DIR: dataDir });
    const second = run('server.js', [], { DATA_DIR: dataDir, PORT: '0' });
    expect(await second.ended).toEqual({ code: 1, signal: null });
    expect(second.stderr()).toMatch(/^Outlook Ledger can't start: .*already in use.*DATA_DIR.*\n$/);
    expect(second.stdout()).toBe('');
    expect((await revise(service.origin, used.key, REVISION)).status).toBe(201);
    await stopService(service, dataDir);
  });

  test('a port in use is reported in one line, and PostgreSQL ends', async () => {
    const dataDir = used.copy();
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const { port } = holder.address() as { port: number };
    const service = run('server.js', [], { DATA_DIR: dataDir, PORT: String(port) });
    expect(await service.ended).toEqual({ code: 1, signal: null });
    expect(service.stderr()).toMatch(/^Outlook Ledger can't start: .*EADDRINUSE.*; set PORT .*\n$/);
    expect(postmasterOf(dataDir)).toBeNull();
    await new Promise((resolve) => holder.close(resolve));
  });
});
