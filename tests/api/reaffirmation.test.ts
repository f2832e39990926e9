import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { verifyLedger } from '../../src/ledger/verification.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, send, stored } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

const odds = { bear: 0.3, base: 0.45, bull: 0.25 };
let count = 0;
let base = '';
beforeEach(() => create());

async function create(): Promise<void> {
  count += 1;
  base = `/v1/outlooks/case-${count}`;
  const conditions = ['one', 'two'].map((key) => ({ key, invalidates: 'bear', statement: 'S' }));
  const created = await createOutlook(ledger, {
    slug: `case-${count}`,
    probabilities: odds,
    invalidationConditions: conditions,
  });
  expect(created.statusCode, created.body).toBe(201);
}

const revise = (body: object, headers = {}) =>
  send(ledger, 'POST', `${base}/revisions`, body, { headers });
const trigger = (key: string) =>
  send(ledger, 'POST', `${base}/conditions/${key}/assessments`, {
    state: 'triggered',
    rationale: 'R',
  });
const rationale = 'Nothing has changed our mind.';

describe('a reaffirmation', () => {
  test('is a version with the same probabilities and a rationale of its own', async () => {
    const answer = await revise({ reaffirm: true, rationale });
    expect([answer.statusCode, answer.json()]).toMatchObject([
      201,
      {
        version: 2,
        rationale,
        probabilities: odds,
        change: {
          kind: 'reaffirmed',
          previousVersion: 1,
          deltas: { bear: 0, base: 0, bull: 0 },
        },
      },
    ]);
    const again = await revise({ reaffirm: true, probabilities: odds, rationale });
    expect(again.json()).toMatchObject({ version: 3, change: { kind: 'reaffirmed' } });
    for (const version of [2, 3]) {
      const read = await ledger.call({ url: `${base}/versions/${version}` });
      expect(read.json()).toMatchObject({ version, change: { kind: 'reaffirmed' } });
    }
  });

  test('answers all open conditions, and may give reasons for some', async () => {
    await trigger('one');
    await trigger('two');
    expect((await revise({ probabilities: odds, rationale })).statusCode).toBe(422);
    const acknowledges = [{ condition: 'two', reason: 'It will pass.' }];
    const answer = await revise({ reaffirm: true, rationale, acknowledges });
    expect(answer.json()).toMatchObject({
      review: { due: false },
      answers: [
        { condition: 'one', way: 'reaffirmed', reason: null },
        { condition: 'two', way: 'acknowledged', reason: 'It will pass.' },
      ],
    });
    const conditions = await ledger.call({ url: `${base}/conditions` });
    expect(conditions.json()).toMatchObject({
      items: [
        { key: 'one', lastChange: { answer: { version: 2, way: 'reaffirmed', reason: null } } },
        { key: 'two', lastChange: { answer: { version: 2, way: 'acknowledged' } } },
      ],
    });
  });

  test('of other probabilities is refused, and says which they are', async () => {
    const before = await stored(ledger);
    const answer = await revise({
      reaffirm: true,
      rationale,
      probabilities: { bear: 0.31, base: 0.44, bull: 0.25 },
    });
    expect([answer.statusCode, faultsOf(answer.json())]).toEqual([
      422,
      {
        '/probabilities':
          'must be those of version 1 (bear 0.3, base 0.45, bull 0.25) or left out, because reaffirm is true',
      },
    ]);
    expect(await stored(ledger)).toEqual(before);
  });

  test('may cite evidence, is conditional, and is sent again without harm', async () => {
    const evidence = await send(ledger, 'POST', `${base}/evidence`, {
      headline: 'H',
      summary: 'S',
      publisher: 'P',
      publishedAt: '2026-11-20T15:00:00Z',
    });
    const { id } = evidence.json<{ id: string }>();
    expect((await revise({ reaffirm: true, rationale }, { 'if-match': '"x"' })).statusCode).toBe(
      412,
    );
    const headers = { 'idempotency-key': `reaffirm-${count}` };
    const body = { reaffirm: true, rationale, evidence: [id] };
    const first = await revise(body, headers);
    expect(first.json()).toMatchObject({ version: 2, evidence: [{ id }] });
    expect((await revise(body, headers)).body).toBe(first.body);
  });

  test('at the same time as others is one version each', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => revise({ reaffirm: true, rationale })),
    );
    const versions = answers.map((one) => one.json<{ version: number }>().version);
    expect(versions.toSorted((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

test('the same probabilities without it are refused, and the refusal says how', async () => {
  for (const body of [
    { probabilities: odds, rationale },
    { probabilities: odds, rationale, reaffirm: false },
  ]) {
    const answer = await revise(body);
    expect(answer.json()).toMatchObject({ type: '/problems/no-change', status: 422 });
    expect(faultsOf(answer.json())).toEqual({
      '/probabilities':
        'equals version 1; change something, or send "reaffirm": true to stand by it',
    });
  }
});

test.each([
  [{ rationale }, { '/probabilities': 'is required' }],
  [{ rationale, reaffirm: false }, { '/probabilities': 'is required' }],
  [{}, { '/probabilities': 'is required', '/rationale': 'is required' }],
  [{ reaffirm: true }, { '/rationale': 'is required' }],
  [{ reaffirm: 'yes' }, { '/rationale': 'is required', '/reaffirm': expect.any(String) }],
  [{ reaffirm: true, probabilities: null, rationale }, { '/probabilities': expect.any(String) }],
])('%j is refused for every fault', async (body, faults) => {
  const answer = await revise(body);
  expect([answer.statusCode, faultsOf(answer.json())]).toEqual([422, faults]);
});

test('the chain of a ledger with reaffirmations and withdrawn views verifies', async () => {
  const url = `/v1/outlooks/${SLUG}`;
  const probabilities = { bear: 0.4, base: 0.4, bull: 0.2 };
  const answers = [
    await send(ledger, 'POST', `${url}/revisions`, { reaffirm: true, rationale }),
    await send(ledger, 'PUT', `${url}/views/me`, { probabilities, rationale }),
    await ledger.call({ method: 'DELETE', url: `${url}/views/me`, as: 'analyst' }),
  ];
  expect(answers.map(({ statusCode }) => statusCode)).toEqual([201, 201, 200]);
  expect((await verifyLedger(ledger.servicePool)).faults).toEqual([]);
});
