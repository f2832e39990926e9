import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seed } from '../../bench/seed.ts';
import { createDatabase, databaseSettings } from '../support/database.ts';
import { openSession } from '../support/plain-sql.ts';
import { cleanUp, type Service, startService } from '../support/service.ts';

const VERSIONS = 100_000;
const MEBIBYTE = 2 ** 20;
const WALKER = fileURLToPath(new URL('stream-clients/walk-versions.mjs', import.meta.url));

let service: Service;
beforeAll(async () => {
  const url = await createDatabase({ empty: true });
  service = await startService({
    ...databaseSettings(url),
    LOAD_SAMPLES: 'true',
    LOG_LEVEL: 'error',
    RATE_LIMIT_PER_ADDRESS: '0',
    WORK_PER_ADDRESS: '0',
  });
  const owner = await openSession(url);
  await seed(owner, [{ prefix: 'long', count: 1, versions: VERSIONS }], () => {});
  await owner.end();
}, 300_000);
afterAll(() => cleanUp());

test(`${VERSIONS} versions are walked by the client, in a memory that does not grow`, async () => {
  const began = performance.now();
  const args = [service.origin, 'long-1', String(VERSIONS)];
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--expose-gc',
    '--max-old-space-size=64',
    WALKER,
    ...args,
  ]);
  const { walked, last, heaps } = JSON.parse(stdout) as {
    walked: number;
    last: number;
    heaps: number[];
  };
  process.stdout.write(
    `${walked} versions in ${((performance.now() - began) / 1000).toFixed(1)} s; ` +
      `heap after each tenth: ${heaps.map((bytes) => (bytes / MEBIBYTE).toFixed(1)).join(' ')} MiB\n`,
  );
  expect([walked, last]).toEqual([VERSIONS, 1]);
  expect((heaps.at(-1) ?? 0) - (heaps[0] ?? 0)).toBeLessThan(2 * MEBIBYTE);
});
