import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { freePort } from '../support/service.ts';
import { Proxy } from '../support/proxy.ts';
import { createOutlook, send } from '../support/requests.ts';
import { takeSnapshot } from '../support/rollback.ts';
import {
  begin,
  cleanUp,
  onTerminal,
  outlook,
  preloaded,
  type Running,
  shows,
} from '../support/outlook-command.ts';

let ledger: TestLedger;
let proxy: Proxy;
let url: string;
beforeAll(async () => {
  ledger = await startLedger();
  ledger.clock.now = new Date('2026-11-21T16:00:00.000Z');
  proxy = new Proxy(await ledger.app.listen({ host: '127.0.0.1', port: 0 }));
  url = await proxy.listen();
});
afterEach(() => {
  proxy.weather = 'calm';
});
afterAll(async () => {
  cleanUp();
  await proxy.close();
  await ledger.close();
});

let version = 1;
/** Publishes the next version of the sample. */
async function revise(): Promise<void> {
  version += 1;
  const probabilities =
    version % 2 === 0
      ? { bear: 0.35, base: 0.4, bull: 0.25 }
      : { bear: 0.3, base: 0.45, bull: 0.25 };
  expect((await ledger.revise({ probabilities, rationale: 'R' })).statusCode).toBe(201);
}

/** Starts to watch, and waits until the stream is open. */
async function watch(...args: string[]): Promise<Running> {
  const running = begin(['watch', ...args], { url });
  await shows(running, 'Watching for events', 'stderr');
  return running;
}

const linesOf = (running: Running): string[] => running.stdout().split('\n').slice(0, -1);

describe('outlook watch', () => {
  test('prints a line for each event as it happens, until Ctrl-C', async () => {
    const running = await watch();
    await revise();
    await shows(running, '\n');
    expect(linesOf(running)).toEqual([
      `2026-11-21 16:00 UTC  ${SLUG}  outlook.version.published  version 2: bear 0.35 (+0.05), base 0.40 (−0.05), bull 0.25 (·)`,
    ]);
    await send(ledger, 'POST', `/v1/outlooks/${SLUG}/evidence`, {
      headline: 'Retail sales rose <b>',
      summary: 'S',
      publisher: 'P',
      publishedAt: '2026-11-20T12:00:00Z',
    });
    await shows(running, 'evidence.added  Retail sales rose <b>\n');
    running.kill('SIGINT');
    expect(await running.ended).toMatchObject({ code: 0 });
    expect(linesOf(running)).toHaveLength(2);
  });

  test('of one outlook prints no other events; --json prints each event on a line', async () => {
    const running = await watch(SLUG, '--json');
    await createOutlook(ledger, { slug: 'other' });
    await revise();
    await shows(running, '\n');
    running.kill('SIGTERM');
    expect(await running.ended).toMatchObject({ code: 0 });
    expect(linesOf(running).map((line) => JSON.parse(line) as unknown)).toEqual([
      {
        id: expect.stringMatching(/^\d+-[0-9a-f]{8}$/) as string,
        event: 'outlook.version.published',
        data: expect.objectContaining({ slug: SLUG, version: 3 }) as unknown,
      },
    ]);
  });

  test('misses and repeats nothing if connections are lost, also before the first event', async () => {
    const running = await watch(SLUG, '--json');
    const published: number[] = [];
    // The first connection is lost before the first event, the others after one.
    for (let round = 0; round < 3; round += 1) {
      proxy.block();
      await revise();
      published.push(version);
      proxy.weather = 'calm';
      await shows(running, `"version":${version}`);
    }
    await revise();
    published.push(version);
    await shows(running, `"version":${version}`);
    running.kill('SIGINT');
    const { stderr } = await running.ended;
    expect(stderr).toContain('Connection lost.');
    const versions = linesOf(running).map(
      (line) => (JSON.parse(line) as { data: { version: number } }).data.version,
    );
    expect(versions).toEqual(published);
  });

  test('says that the ledger went back to an earlier state, and goes on', async () => {
    const snapshot = await takeSnapshot(ledger);
    const before = version;
    const texts = await watch();
    const json = await watch(SLUG, '--json');
    await revise();
    await shows(json, `"version":${version}`);
    await snapshot.goBack();
    version = before;
    await shows(json, 'stream.reset');
    await shows(texts, 'stream.reset: the ledger went back to an earlier state');
    await revise();
    for (const running of [texts, json]) {
      await expect.poll(() => linesOf(running).length).toBe(3);
      running.kill('SIGINT');
      await running.ended;
    }
    const events = linesOf(json).map((line) => JSON.parse(line) as { id: string; event: string });
    expect(events.map(({ event }) => event)).toEqual([
      'outlook.version.published',
      'stream.reset',
      'outlook.version.published',
    ]);
    expect(events[1]).toMatchObject({ data: { lastEventId: events[0]?.id } });
  });

  test('ends on a terminal by Ctrl-C, also while the service is unreachable', async () => {
    const running = onTerminal(['watch'], { url });
    await shows(running, 'Watching for events');
    proxy.block();
    await shows(running, 'Connection lost.');
    running.type('\u0003');
    expect((await running.ended).code).toBe(0);
  });

  test('ends by Ctrl-C after a garbage collection', async () => {
    const env = preloaded(`process.on('SIGUSR2', async () => {
      for (let turn = 0; turn < 5; turn += 1) {
        gc();
        await new Promise((resolve) => setImmediate(resolve));
      }
      process.stderr.write('Garbage collected.');
    });`);
    const running = begin(['watch'], { url, env });
    await shows(running, 'Watching for events', 'stderr');
    running.kill('SIGUSR2');
    await shows(running, 'Garbage collected.', 'stderr');
    running.kill('SIGINT');
    expect(await running.ended).toMatchObject({ code: 0 });
  });

  test('fails for a missing outlook and for an unreachable service', async () => {
    expect(await outlook(['watch', 'missing'], { url })).toMatchObject({ code: 1, stdout: '' });
    const port = await freePort();
    const away = await outlook(['watch'], { url: `http://127.0.0.1:${port}` });
    expect(away).toMatchObject({ code: 3, stdout: '' });
    expect(away.stderr).toContain('No response from');
  });
});
