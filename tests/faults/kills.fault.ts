import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  cleanUp,
  freePort,
  isAlive,
  keysShown,
  newFolder,
  postmasterOf,
  run,
  type Service,
  startService,
  until,
} from '../support/service.ts';
import { keepWriting, publish, type Target, versionsOf } from '../support/writers.ts';

const WRITERS = 20;
const KILLS = { service: 50, postgres: 20 };
const SLUGS = ['one', 'two', 'three', 'four', 'five'];

let dataDir = '';
let settings: Record<string, string> = {};
let service: Service;
let target: Target;
beforeAll(async () => {
  dataDir = newFolder();
  settings = { DATA_DIR: dataDir, PORT: String(await freePort()), LOG_LEVEL: 'warn' };
  service = await startService(settings);
  const [key = ''] = keysShown(service.stdout());
  target = { origin: `http://127.0.0.1:${settings['PORT']}`, key };
  for (const slug of SLUGS) await publish(target, slug);
});
afterAll(cleanUp);

async function restart(): Promise<void> {
  await service.ended;
  const server = postmasterOf(dataDir);
  if (server !== null) await until(() => !isAlive(server));
  service = await startService(settings);
}

test('whatever is killed, what was acknowledged is there once', async () => {
  let isOver = false;
  const writers = Array.from({ length: WRITERS }, () => keepWriting(target, SLUGS, () => isOver));
  const failed = Promise.all(writers).catch((error: unknown) => error);
  for (let kill = 0; kill < KILLS.service + KILLS.postgres; kill += 1) {
    await delay(randomInt(50, 1_500));
    const server = postmasterOf(dataDir);
    // Every so many kills it is PostgreSQL, which the service starts again.
    if (kill % 7 >= 5 && server !== null) {
      process.kill(server, 'SIGKILL');
      await until(() => ![null, server].includes(postmasterOf(dataDir)));
      if (!isAlive(service.pid)) throw new Error('the service ended with PostgreSQL');
    } else {
      service.kill('SIGKILL');
      await restart();
    }
  }
  await delay(500);
  isOver = true;
  expect(await failed).toBeInstanceOf(Array);
  const all = await Promise.all(writers);

  const acknowledged = all.flatMap((written) => written.acknowledged);
  const sum = (of: (written: (typeof all)[number]) => number) =>
    all.reduce((total, written) => total + of(written), 0);
  const retries = sum((written) => written.retries);
  process.stdout.write(
    `${acknowledged.length} revisions acknowledged over ${KILLS.service + KILLS.postgres} kills, ` +
      `${retries} tries without an answer or answered 409 or 503\n`,
  );
  expect(acknowledged.length).toBeGreaterThan(500);
  expect(retries).toBeGreaterThan(100);
  for (const slug of SLUGS) {
    const versions = await versionsOf(target, slug);
    expect(versions.map(({ version }) => version)).toEqual(
      versions.map((_, index) => versions.length - index),
    );
    const rationales = versions.slice(0, -1).map(({ rationale }) => rationale);
    expect(new Set(rationales).size).toBe(rationales.length);
    const ours = acknowledged.filter((one) => one.slug === slug);
    // Nothing was refused or left unsent: everything was acknowledged, once.
    expect(new Set(rationales)).toEqual(new Set(ours.map(({ id }) => id)));
    for (const { id, version } of ours) {
      expect(versions[versions.length - version]?.rationale).toBe(id);
    }
  }
  const verify = run('commands/verify.js', [], settings);
  expect([(await verify.ended).code, verify.stderr()]).toEqual([0, '']);
  process.stdout.write(verify.stdout());
});
