import { afterAll, beforeAll, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, send, stored } from '../support/requests.ts';
import { changeState } from '../support/plain-sql.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

const reviseOutlook = (slug: string, bear: number, base: number, bull: number) =>
  send(ledger, 'POST', `/v1/outlooks/${slug}/revisions`, {
    probabilities: {
      bear,
      base,
      bull,
    },
    rationale: 'Yields jumped.',
  });

test('a sum of 1.05 is refused with the wording of the contract', async () => {
  const response = await ledger.revise({
    probabilities: { bear: 0.35, base: 0.45, bull: 0.25 },
    rationale: 'Yields jumped.',
  });
  expect(response.statusCode).toBe(422);
  expect(response.headers['content-type']).toBe('application/problem+json');
  expect(response.json()).toEqual({
    type: '/problems/probability-sum',
    title: 'Probabilities must sum to 1',
    status: 422,
    detail: 'bear 0.35 + base 0.45 + bull 0.25 = 1.05, which is 0.05 too much.',
    instance: '/v1/outlooks/russell-2000-downside/revisions',
    sum: 1.05,
    excess: 0.05,
    errors: [{ pointer: '/probabilities', detail: 'sums to 1.05; take 0.05 away' }],
  });
});

test('a revision is the next version: by whom, why, and how far each probability moved', async () => {
  const read = () => ledger.call({ url: `/v1/outlooks/${SLUG}` });
  const before = (await read()).json<Record<string, unknown>>();
  ledger.clock.now = new Date('2026-11-20T16:31:00.000Z');
  const revised = await ledger.revise({
    probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
    rationale: 'Yields jumped.',
  });
  expect(revised.statusCode).toBe(201);
  expect(revised.headers.location).toBe(`/v1/outlooks/${SLUG}/versions/2`);
  const after = revised.json<Record<string, unknown>>();
  const scenarios = before['scenarios'] as Record<string, object>;
  expect(after).toEqual({
    ...before,
    version: 2,
    publishedAt: '2026-11-20T16:31:00.000Z',
    author: { id: expect.any(String) as string, name: 'analyst desk' },
    rationale: 'Yields jumped.',
    hash: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string,
    previousHash: before['hash'],
    change: {
      kind: 'probabilities',
      previousVersion: 1,
      deltas: { bear: 0.05, base: -0.05, bull: 0 },
    },
    probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
    directions: { lower: 0.35, sideways: 0.4, higher: 0.25 },
    scenarios: {
      bear: { ...scenarios['bear'], probability: 0.35 },
      base: { ...scenarios['base'], probability: 0.4 },
      bull: { ...scenarios['bull'], probability: 0.25 },
    },
  });
  expect(after['hash']).not.toBe(before['hash']);

  for (const url of [`/v1/outlooks/${SLUG}`, String(revised.headers.location)]) {
    const answer = await ledger.call({ url });
    expect(answer.body).toBe(revised.body);
    expect(answer.headers.etag).toBe(revised.headers.etag);
  }
});

test('each of several revisions has its own deltas, and version 1 stays as it was', async () => {
  await createOutlook(ledger, { slug: 'run' });
  const first = await ledger.call({ url: '/v1/outlooks/run/versions/1' });
  const steps: [number, number, number][] = [
    [0.3, 0.4499, 0.2501],
    [1, 0, 0],
    [0, 0, 1],
    [0.3333, 0.3333, 0.3334],
  ];
  for (const step of steps) expect((await reviseOutlook('run', ...step)).statusCode).toBe(201);
  const { items } = (await ledger.call({ url: '/v1/outlooks/run/versions' })).json<{
    items: { version: number; change: { deltas: object | null; previousVersion: number | null } }[];
  }>();
  expect(
    items.map(({ version, change }) => [version, change.previousVersion, change.deltas]),
  ).toEqual([
    [5, 4, { bear: 0.3333, base: 0.3333, bull: -0.6666 }],
    [4, 3, { bear: -1, base: 0, bull: 1 }],
    [3, 2, { bear: 0.7, base: -0.4499, bull: -0.2501 }],
    [2, 1, { bear: 0, base: -0.0001, bull: 0.0001 }],
    [1, null, null],
  ]);
  expect((await ledger.call({ url: '/v1/outlooks/run/versions/1' })).body).toBe(first.body);
});

test('the current probabilities are not a revision', async () => {
  await createOutlook(ledger, { slug: 'still' });
  const before = await stored(ledger);
  const refused = await reviseOutlook('still', 0.3, 0.45, 0.25);
  expect(refused.statusCode).toBe(422);
  expect(refused.json()).toMatchObject({
    type: '/problems/no-change',
    detail: 'The request equals version 1.',
    errors: [
      {
        pointer: '/probabilities',
        detail: 'equals version 1; change something, or send "reaffirm": true to stand by it',
      },
    ],
  });
  expect(await stored(ledger)).toEqual(before);
});

test.for(['resolved', 'void', 'withdrawn'])(
  'an outlook that is %s accepts none',
  async (status) => {
    const slug = `is-${status}`;
    await createOutlook(ledger, { slug });
    await changeState(ledger.pool, `status = '${status}'`, `slug = '${slug}'`);
    const before = await stored(ledger);
    const refused = await reviseOutlook(slug, 0.35, 0.4, 0.25);
    expect(refused.statusCode).toBe(409);
    expect(refused.json()).toMatchObject({
      type: '/problems/outlook-closed',
      detail: `"${slug}" is ${status} and accepts no further versions.`,
    });
    expect(await stored(ledger)).toEqual(before);
  },
);

test('a clock that goes back does not reorder versions', async () => {
  ledger.clock.now = new Date('2026-12-01T00:00:00.000Z');
  await createOutlook(ledger, { slug: 'back' });
  ledger.clock.now = new Date('2026-11-30T00:00:00.000Z');
  const revised = await reviseOutlook('back', 0.35, 0.4, 0.25);
  expect(revised.json()).toMatchObject({ version: 2, publishedAt: '2026-12-01T00:00:00.000Z' });
});

test('clients that revise at once each get a version of their own, without a gap', async () => {
  await createOutlook(ledger, { slug: 'rush' });
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      reviseOutlook('rush', (index + 1) / 100, 0.5, (49 - index) / 100),
    ),
  );
  const versions = answers.map((answer) => answer.json<{ version: number }>().version);
  expect(versions.toSorted((a, b) => a - b)).toEqual(answers.map((_, index) => index + 2));
  for (const answer of answers) {
    const { previousHash, version } = answer.json<{ previousHash: string; version: number }>();
    const before = await ledger.call({ url: `/v1/outlooks/rush/versions/${version - 1}` });
    expect(before.json<{ hash: string }>().hash).toBe(previousHash);
    const numbered = await ledger.call({ url: String(answer.headers.location) });
    expect(numbered.body).toBe(answer.body);
  }
});

test('an outlook that does not exist is not found', async () => {
  const answer = await reviseOutlook('nowhere', 0.35, 0.4, 0.25);
  expect(answer.statusCode).toBe(404);
  expect(answer.json()).toMatchObject({ detail: 'There is no outlook "nowhere".' });
});
