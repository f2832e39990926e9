import { randomInt, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cleanUp, keysShown, newFolder, type Service, startService } from '../support/service.ts';
import { publish, versionsOf } from '../support/writers.ts';

const REQUESTS = 10_000;
const SLUGS = Array.from({ length: 50 }, (_, index) => `outlook-${index}`);

let service: Service;
let key = '';
beforeAll(async () => {
  service = await startService({ DATA_DIR: newFolder(), LOG_LEVEL: 'warn' });
  [key = ''] = keysShown(service.stdout());
  for (const slug of SLUGS) await publish({ origin: service.origin, key }, slug);
});
afterAll(cleanUp);

async function post(path: string, body: string, id: string) {
  const response = await fetch(service.origin + path, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      'idempotency-key': `"${id}"`,
    },
    body,
  });
  return { status: response.status, text: await response.text() };
}

type Sent = { slug: string; id: string; body: string };
const sent: Sent[] = Array.from({ length: REQUESTS }, (_, index) => {
  const id = randomUUID();
  // Of one outlook none asks for what the one before asked for.
  const bear = (index % 9_000) / 10_000;
  const probabilities = { bear, base: Math.round(9_000 - bear * 10_000) / 10_000, bull: 0.1 };
  const slug = SLUGS[index % SLUGS.length] ?? '';
  return { slug, id, body: JSON.stringify({ probabilities, rationale: id }) };
});

test('10,000 requests, each sent three times at random concurrency, take effect once each', async () => {
  // Each three times; the second and third may come at any later place.
  const queue = sent.flatMap((one, index) => [
    { at: index, one },
    { at: index + randomInt(200), one },
    { at: randomInt(index, REQUESTS + 200), one },
  ]);
  queue.sort((a, b) => a.at - b.at);
  const answers = new Map<string, string>();
  let [conflicts, replays] = [0, 0];
  let next = 0;
  const work = async () => {
    for (let job = queue[next++]; job; job = queue[next++]) {
      const { slug, id, body } = job.one;
      for (;;) {
        const { status, text } = await post(`/v1/outlooks/${slug}/revisions`, body, id);
        if (status === 409) {
          conflicts += 1;
          continue;
        }
        expect([status, text]).toEqual([201, text]);
        const before = answers.get(id);
        if (before !== undefined) replays += 1;
        expect(text).toBe(before ?? text);
        answers.set(id, text);
        break;
      }
    }
  };
  await Promise.all(Array.from({ length: randomInt(20, 60) }, work));
  process.stdout.write(
    `${answers.size} requests, ${replays} answered again byte for byte, ${conflicts} refused while in flight\n`,
  );
  expect([answers.size, replays]).toEqual([REQUESTS, 2 * REQUESTS]);
  for (const slug of SLUGS) {
    const versions = (await versionsOf({ origin: service.origin, key }, slug)).slice(0, -1);
    const ours = sent.filter((one) => one.slug === slug).map(({ id }) => id);
    expect(versions.map(({ rationale }) => rationale).toSorted()).toEqual(ours.toSorted());
  }
});
