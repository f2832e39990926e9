import type { LightMyRequestResponse } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, outlookBody, patchFramework, send, stored } from '../support/requests.ts';

// All faults at once, each at its place.

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

type Fault = { pointer: string; detail: string };
const faultsOf = (answer: LightMyRequestResponse) => answer.json<{ errors: Fault[] }>().errors;
const pointersOf = (answer: LightMyRequestResponse) =>
  faultsOf(answer)
    .map(({ pointer }) => pointer)
    .toSorted();
const scenario = { title: 'T', outcome: 'O', conditions: 'C' };

test('the response to many faults lists each of them, including a wrong sum', async () => {
  const before = await stored(ledger);
  const refused = await createOutlook(ledger, {
    slug: 'Not a slug',
    title: undefined,
    instrument: 'rut',
    horizon: { from: '2027-03-31', to: '2026-03-31', until: 'then' },
    probabilities: { bear: 0.5, base: 0.5, bull: 0.5 },
    summary: 7,
    scenarios: {
      bear: { ...scenario, title: undefined, returnBand: { max: -0.1 } },
      base: { ...scenario, outcome: '', returnBand: { min: 0, max: 0.1 } },
      bull: { ...scenario, direction: 'up', returnBand: { min: 0.1 } },
    },
    headwinds: [
      { key: 'rates', rank: 1, title: 'T' },
      { key: 'rates', rank: 1, title: 'T', description: 'D' },
      'not a headwind',
    ],
    drawdownLabels: [
      { key: 'deep', minDepth: 0.2, label: 'L', typicalCause: 'C', implication: 'I' },
      { key: 'flat', minDepth: 0.1, label: 'L', typicalCause: 'C' },
    ],
    metrics: [{ value: null, provenance: 'sourced', extra: 1 }],
    colour: 'red',
  });
  expect(refused.statusCode).toBe(422);
  expect(refused.json()).toMatchObject({
    type: '/problems/invalid-request',
    detail: 'Validation failed for 23 fields; see `errors`. Nothing was stored.',
  });
  expect(pointersOf(refused)).toEqual(
    [
      '/slug',
      '/title',
      '/instrument',
      '/horizon/to',
      '/horizon/until',
      '/probabilities',
      '/summary',
      '/scenarios/bear/title',
      '/scenarios/base/outcome',
      '/scenarios/bull/direction',
      '/scenarios/base/returnBand/min',
      '/headwinds/0/description',
      '/headwinds/1/key',
      '/headwinds/1/rank',
      '/headwinds/2',
      '/drawdownLabels/1/implication',
      '/drawdownLabels/1/minDepth',
      '/metrics/0/name',
      '/metrics/0/extra',
      '/metrics/0/display',
      '/metrics/0/source',
      '/metrics/0/asOf',
      '/colour',
    ].toSorted(),
  );
  expect(await stored(ledger)).toEqual(before);
});

test('a wrong sum is reported beside a missing rationale, with its correction', async () => {
  const probabilities = { bear: 0.35, base: 0.45, bull: 0.25 };
  const refused = await ledger.revise({ probabilities });
  expect(refused.json()).toMatchObject({ type: '/problems/invalid-request' });
  expect(faultsOf(refused)).toEqual([
    { pointer: '/probabilities', detail: 'sums to 1.05; take 0.05 away' },
    { pointer: '/rationale', detail: 'is required' },
  ]);
});

test('a wrong sum is reported beside a fourth scenario', async () => {
  const probabilities = { bear: 0.35, base: 0.45, bull: 0.25, crash: 0 };
  const refused = await ledger.revise({ probabilities, rationale: 'R' });
  expect(pointersOf(refused)).toEqual(['/probabilities', '/probabilities/crash']);
});

test('all faults of a patch are reported at once, too', async () => {
  const probabilities = { bear: 0.5, base: 0.5, bull: 0.5 };
  const refused = await patchFramework(ledger, { title: null, probabilities, colour: 'red' });
  expect(pointersOf(refused)).toEqual(['/colour', '/probabilities', '/rationale', '/title']);
});

test('all unknown query parameters are reported at once, by name', async () => {
  const refused = await ledger.call({ url: '/v1/outlooks?colour=red&limit=0&status=shut&a%2Fb=1' });
  expect(refused.statusCode).toBe(422);
  expect(faultsOf(refused)).toEqual([
    { pointer: '/status', detail: 'must be one of open, resolved, void, withdrawn', in: 'query' },
    { pointer: '/limit', detail: 'must be a whole number in 1–100', in: 'query' },
    ...['colour', 'a/b'].map((name) => ({
      pointer: `/${name.replace('/', '~1')}`,
      detail: `unknown query parameter "${name}"; allowed here: instrument, status, reviewDue, awaitingResolution, contradicted, scenario, minProbability, maxProbability, updatedSince, q, author, horizonEndsAfter, horizonEndsBefore, desk, outcome, sort, asOf, limit, cursor, format`,
      in: 'query',
    })),
  ]);
});

test.for([
  ['a/b~c', '/a~1b~0c'],
  ['~1', '/~01'],
  ['', '/'],
  ['0', '/0'],
  [' ', '/ '],
  ['\u0000', '/\u0000'],
  ['\ud800', '/\ud800'],
  ['é\u{1F4C8}"\\', '/é\u{1F4C8}"\\'],
  ['constructor', '/constructor'],
  ['toString', '/toString'],
] as const)('the property %j is pointed to as %j', async ([name, pointer]) => {
  for (const at of ['', '/probabilities', '/headwinds/0'] as const) {
    const body = outlookBody({ slug: 'odd' });
    const holder = at === '' ? body : nested(body, at);
    const refused = await send(ledger, 'POST', '/v1/outlooks', {
      ...body,
      ...withProperty(body, holder, name),
    });
    expect(refused.statusCode).toBe(422);
    expect(pointersOf(refused)).toEqual([`${at}${pointer}`]);
  }
});

function nested(body: Record<string, unknown>, at: '/probabilities' | '/headwinds/0'): object {
  return at === '/probabilities'
    ? (body['probabilities'] as object)
    : ((body['headwinds'] as object[])[0] ?? {});
}

function withProperty(body: Record<string, unknown>, holder: object, name: string): object {
  Object.defineProperty(holder, name, { value: 1, enumerable: true, configurable: true });
  return holder === body ? { [name]: 1 } : {};
}

test('of very many faults, the first hundred are listed', async () => {
  const names = Array.from({ length: 5000 }, (_, index) => [`odd-${index}`, index] as const);
  const refused = await createOutlook(ledger, { slug: 'many', ...Object.fromEntries(names) });
  expect(refused.json()).toMatchObject({
    detail: 'Validation failed for 5000 fields; `errors` lists the first 100. Nothing was stored.',
  });
  expect(faultsOf(refused)).toHaveLength(100);
});
