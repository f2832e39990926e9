import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cleanUp, keysShown, newFolder, startService } from '../support/service.ts';
import { missingPart, type Printed, runSteps, stepsOf } from '../support/tour.ts';

// Runs docs/tour-desks.md against a fresh service, which is restarted where the page says so.

const CLI = fileURLToPath(new URL('../../cli/bin/outlook.js', import.meta.url));
const STEPS = stepsOf('docs/tour-desks.md');
/** The first command after the restart. */
const AFTER_RESTART = 'until curl -s $RUT';

let printed: Printed[];
beforeAll(async () => {
  const settings = { DATA_DIR: newFolder() };
  let service = await startService(settings);
  const [key = ''] = keysShown(service.stdout());
  const { origin } = service;
  // A request to it restarts the service: a shell can wait for that.
  const restarter = createServer((_, response) => {
    void (async () => {
      service.kill('SIGTERM');
      await service.ended;
      service = await startService({ ...settings, PORT: new URL(origin).port });
      response.end();
    })();
  }).listen(0, '127.0.0.1');
  await once(restarter, 'listening');
  const { port } = restarter.address() as AddressInfo;
  printed = await runSteps(STEPS, (script) =>
    script
      .replace('KEY=olk_…', `KEY=${key}`)
      .replaceAll('http://127.0.0.1:3000', origin)
      .replaceAll('npx outlook', `node '${CLI}'`)
      // Time enough for what comes before, and no more waiting than that.
      .replace('30_000', '20_000')
      .replace(AFTER_RESTART, `curl -s http://127.0.0.1:${port}; ${AFTER_RESTART}`),
  );
  restarter.close();
}, 300_000);
afterAll(cleanUp);

test('the steps of the story are found', () => {
  expect(STEPS.length).toBeGreaterThan(25);
  expect(STEPS.filter(({ command }) => command.startsWith(AFTER_RESTART))).toHaveLength(1);
});

test.each(STEPS.map((step, index) => ({ ...step, index })))(
  '$command prints what the story shows',
  ({ output, index }) => {
    const { output: actual, status } = printed[index] ?? { output: '', status: 'never run' };
    expect(missingPart(output, actual), `printed: ${actual.slice(0, 1_000)}`).toBeNull();
    expect(status).toBe('0');
  },
);
