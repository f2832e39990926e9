import type { LightMyRequestResponse } from 'fastify';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import {
  createOutlook,
  faultsOf,
  outlookBody,
  patchFramework,
  send,
  stored,
} from '../support/requests.ts';

// "What bad input gets", for probabilities: nothing is stored, and the response says how to fix it.

let ledger: TestLedger;
let before: Record<string, unknown>;
beforeAll(async () => {
  ledger = await startLedger();
});
beforeEach(async () => {
  before = await stored(ledger);
});
afterAll(() => ledger.close());

type Case = [name: string, body: Record<string, unknown>, faults: Record<string, string>];

const NUMBER = 'must be a number, such as 0.35';
const good = { bear: 0.35, base: 0.4, bull: 0.25 };

const PROBABILITIES: Case[] = [
  ['a percentage', { ...good, bear: 35 }, { bear: 'probabilities are fractions: 35 % is 0.35' }],
  [
    'three percentages',
    { bear: 35, base: 40, bull: 25 },
    {
      bear: 'probabilities are fractions: 35 % is 0.35',
      base: 'probabilities are fractions: 40 % is 0.4',
      bull: 'probabilities are fractions: 25 % is 0.25',
    },
  ],
  [
    'more than four decimals',
    { bear: 0.33333, base: 0.33333, bull: 0.33334 },
    {
      bear: 'has more than four decimals; write 0.3333, so that the three sum to 1: 0.3333 + 0.3333 + 0.3334',
      base: 'has more than four decimals; write 0.3333, so that the three sum to 1: 0.3333 + 0.3333 + 0.3334',
      bull: 'has more than four decimals; write 0.3334, so that the three sum to 1: 0.3333 + 0.3333 + 0.3334',
    },
  ],
  [
    'more than four decimals, of another sum',
    { bear: 0.33333, base: 0.4, bull: 0.25 },
    { bear: 'has more than four decimals; the smallest step is 0.0001, so write 0.3333' },
  ],
  [
    'a negative',
    { bear: -0.1, base: 0.85, bull: 0.25 },
    { bear: 'must not be negative: a probability is between 0 and 1' },
  ],
  [
    'numbers that no double stands for',
    { ...good, bear: '§1e999', bull: '§-1e-999' },
    {
      bear: '1e999 is beyond ±9007199254740991, up to which JSON numbers are exact: use a larger unit',
      bull: '-1e-999 is too small for a JSON number, which would be 0: send 0 or use a smaller unit',
    },
  ],
  ['text', { ...good, bear: '0.35' }, { bear: 'must be a number without quotes, such as 0.35' }],
  ['"NaN"', { ...good, bear: 'NaN' }, { bear: 'must be a number without quotes, such as 0.35' }],
  ['null', { ...good, bear: null }, { bear: NUMBER }],
  ['true', { ...good, bear: true }, { bear: NUMBER }],
  ['an object', { ...good, bear: {} }, { bear: NUMBER }],
  ['a missing scenario', { bear: 0.35, base: 0.65 }, { bull: 'is required' }],
  [
    'a fourth scenario',
    { ...good, crash: 0 },
    { crash: 'unknown property "crash"; allowed here: bear, base, bull' },
  ],
];

// JSON has no way to write some values that a client may send: § marks text to send without quotes.
const raw = (body: unknown) => JSON.stringify(body).replace(/"§([^"]*)"/g, '$1');

describe.each([
  ['a revision', (probabilities: object) => ledger.revise(raw({ rationale: 'R', probabilities }))],
  [
    'a patch',
    (probabilities: object) => patchFramework(ledger, raw({ rationale: 'R', probabilities })),
  ],
  [
    'a new outlook',
    (probabilities: object) =>
      ledger.call({
        method: 'POST',
        url: '/v1/outlooks',
        as: 'analyst',
        headers: { 'content-type': 'application/json' },
        payload: raw(
          outlookBody({
            slug: 'bad',
            probabilities,
          }),
        ),
      }),
  ],
])('the probabilities of %s', (name, sendProbabilities) => {
  // A merge patch removes members that are null.
  const cases = PROBABILITIES.filter(([fault]) => name !== 'a patch' || fault !== 'null');

  test.for(cases)('may not be %s', async ([, probabilities, faults]) => {
    const refused = await sendProbabilities(probabilities);
    expect(refused.statusCode).toBe(422);
    expect(refused.json()).toMatchObject({ type: '/problems/invalid-request', status: 422 });
    const pointed = Object.entries(faults).map(([key, detail]) => [
      `/probabilities/${key}`,
      detail,
    ]);
    expect(faultsOf(refused.json())).toEqual(Object.fromEntries(pointed));
    expect(await stored(ledger)).toEqual(before);
  });

  test.for([
    [{ ...good, base: 0.45 }, 1.05, 0.05, 'sums to 1.05; take 0.05 away'],
    [{ ...good, base: 0.3999 }, 0.9999, -0.0001, 'sums to 0.9999; add 0.0001'],
    [{ bear: 0, base: 0, bull: 0 }, 0, -1, 'sums to 0; add 1'],
    [{ bear: 1, base: 1, bull: 1 }, 3, 2, 'sums to 3; take 2 away'],
    [{ bear: 0.3333, base: 0.3333, bull: 0.3333 }, 0.9999, -0.0001, 'sums to 0.9999; add 0.0001'],
  ] as const)('may not be %j', async ([probabilities, sum, excess, detail]) => {
    const refused = await sendProbabilities(probabilities);
    expect(refused.statusCode).toBe(422);
    expect(refused.json()).toMatchObject({
      type: '/problems/probability-sum',
      sum,
      excess,
      errors: [
        {
          pointer: '/probabilities',
          detail,
        },
      ],
    });
    expect(await stored(ledger)).toEqual(before);
  });

  test.for([[], 'text', 1, null])('may not be %j', async (probabilities) => {
    const refused = await sendProbabilities(probabilities as never);
    expect([refused.statusCode, Object.keys(faultsOf(refused.json()))]).toEqual([
      422,
      ['/probabilities'],
    ]);
    expect(await stored(ledger)).toEqual(before);
  });
});

test('probabilities may carry the noise of doubles, wherever they are sent', async () => {
  const noisy = (bear: number, base: number) => ({ bear, base, bull: 1 - bear - base });
  const sent = (answer: LightMyRequestResponse) => [
    answer.statusCode,
    answer.json<{ probabilities?: object }>().probabilities,
  ];
  const rationale = 'R';
  const revised = await ledger.revise({ rationale, probabilities: noisy(0.55, 0.3) });
  expect(sent(revised)).toEqual([201, { bear: 0.55, base: 0.3, bull: 0.15 }]);
  const patched = await patchFramework(ledger, { rationale, probabilities: noisy(0.7, 0.2) });
  expect(sent(patched)).toEqual([201, { bear: 0.7, base: 0.2, bull: 0.1 }]);
  const body = { slug: 'noisy', probabilities: { ...noisy(0.9, 0.1), bear: 0.9000000000000001 } };
  const created = await createOutlook(ledger, body);
  expect(sent(created)).toEqual([201, { bear: 0.9, base: 0.1, bull: 0 }]);
  const view = { rationale, probabilities: { bear: 1.0000000000000002, base: -2.7e-17, bull: 0 } };
  const held = await send(ledger, 'PUT', '/v1/outlooks/noisy/views/me', view);
  expect(sent(held)).toEqual([201, { bear: 1, base: 0, bull: 0 }]);

  const bound = 1 - 0.8 - 0.1; // 0.09999999999999995, below the bull of the sample
  const list = await ledger.call({
    url: `/v1/outlooks?scenario=bull&minProbability=${bound}&maxProbability=${1 - 0.9}`,
  });
  expect(list.json<{ items: { slug: string }[] }>().items).toMatchObject([
    { probabilities: { bull: 0.1 } },
  ]);
  const url = `/v1/outlooks/noisy/scores?reference=0.55,0.45,${1 - 0.55 - 0.45}`;
  expect((await ledger.call({ url })).json()).toMatchObject({
    reference: { probabilities: { bear: 0.55, base: 0.45, bull: 0 } },
  });
});
