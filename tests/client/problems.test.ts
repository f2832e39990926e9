import {
  createClient,
  dataOrThrow,
  isProblem,
  type KnownProblem,
  type OpenCondition,
  PROBLEM_CODES,
  ProblemError,
  UnexpectedResponseError,
} from '@outlook-ledger/client';
import { afterAll, beforeAll, expect, expectTypeOf, test } from 'vitest';
import { PROBLEMS } from '../../src/http/problem-catalogue.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';

let ledger: TestLedger;
let baseUrl: string;
beforeAll(async () => {
  ledger = await startLedger();
  baseUrl = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(() => ledger.close());

test('the client knows every kind of problem', () => {
  expect([...PROBLEM_CODES]).toEqual(Object.keys(PROBLEMS).toSorted());
});

test('a problem is narrowed by its kind', async () => {
  const analyst = createClient({ baseUrl, key: ledger.keys.analyst });
  const { error } = await analyst.POST('/v1/outlooks/{slug}/revisions', {
    params: { path: { slug: SLUG } },
    body: { probabilities: { bear: 0.35, base: 0.45, bull: 0.25 }, rationale: 'R' },
  });
  expect(isProblem(error, 'condition-unanswered', 'slug-taken')).toBe(false);
  const sum = isProblem(error, 'probability-sum') ? error : null;
  expectTypeOf(sum?.sum).toEqualTypeOf<number | undefined>();
  expect([sum?.sum, sum?.excess]).toEqual([1.05, 0.05]);
});

test('the union of problems is narrowed by `type`', () => {
  const conditionsOf = (problem: KnownProblem): OpenCondition[] => {
    switch (problem.type) {
      case '/problems/condition-unanswered':
        return problem.conditions;
      // @ts-expect-error: no such kind
      case '/problems/condition-unanswerd':
        return [];
      default:
        return [];
    }
  };
  expect(conditionsOf({ type: '/problems/no-views' } as KnownProblem)).toEqual([]);
});

test('an unknown kind does not compile', () => {
  // @ts-expect-error: probability-sum
  expect(isProblem({}, 'probability-sums')).toBe(false);
});

test.each([null, undefined, '', 'text', [], {}, { title: 'T', status: '422', detail: 'D' }])(
  '%j is no problem',
  (value) => {
    expect(isProblem(value)).toBe(false);
  },
);

test('data is returned, a problem and an answer of somebody else are thrown', async () => {
  const reader = createClient({ baseUrl });
  const outlook = dataOrThrow(
    await reader.GET('/v1/outlooks/{slug}', { params: { path: { slug: SLUG } } }),
  );
  expect(outlook.slug).toBe(SLUG);
  const missing = await reader.GET('/v1/outlooks/{slug}', { params: { path: { slug: 'none' } } });
  expect(() => dataOrThrow(missing)).toThrow(ProblemError);
  for (const [status, body] of [
    [502, '<html>Bad gateway</html>'],
    [404, ''],
    [500, '{"message":"no"}'],
  ] as const) {
    const other = createClient({ baseUrl, fetch: async () => new Response(body, { status }) });
    const answer = await other.GET('/v1/outlooks');
    expect(() => dataOrThrow(answer)).toThrow(UnexpectedResponseError);
  }
});

test('a key may be a function, called for each request', async () => {
  const keys = ['olk_expired', ledger.keys.analyst];
  const client = createClient({ baseUrl, key: async () => keys.shift() ?? '' });
  const revise = () =>
    client.PUT('/v1/outlooks/{slug}/views/me', {
      params: { path: { slug: SLUG } },
      body: { probabilities: { bear: 0.3, base: 0.45, bull: 0.25 }, rationale: 'R' },
    });
  expect((await revise()).error?.status).toBe(401);
  expect((await revise()).data).toMatchObject({ version: 1 });
});
