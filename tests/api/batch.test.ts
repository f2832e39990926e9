import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  for (const slug of ['b', 'a', 'c']) await createOutlook(ledger, { slug });
  await ledger.revise({ probabilities: { bear: 0.35, base: 0.4, bull: 0.25 }, rationale: 'R' });
});
afterAll(() => ledger.close());

type Batch = { items: { slug: string; version: number }[]; missing: string[] };
const ask = (slugs: string) => ledger.call({ url: `/v1/batch/outlooks?slugs=${slugs}` });
async function read(slugs: string): Promise<Batch> {
  const answer = await ask(slugs);
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json<Batch>();
}

describe('a batch', () => {
  test("returns each outlook's complete current version, in the requested order", async () => {
    const { items, missing } = await read(`c,${SLUG},a`);
    expect(missing).toEqual([]);
    const each = ['c', SLUG, 'a'].map((slug) => ledger.call({ url: `/v1/outlooks/${slug}` }));
    expect(items).toEqual((await Promise.all(each)).map((answer) => answer.json<unknown>()));
    expect(items[1]?.version).toBe(2);
  });

  test('lists the slugs that no outlook has, in the requested order', async () => {
    const { items, missing } = await read('z,b,nowhere,a');
    expect(items.map(({ slug }) => slug)).toEqual(['b', 'a']);
    expect(missing).toEqual(['z', 'nowhere']);
    expect(await read('nowhere')).toEqual({ items: [], missing: ['nowhere'] });
  });

  test('is never stale', async () => {
    expect((await read('late,b')).missing).toEqual(['late']);
    await createOutlook(ledger, { slug: 'late' });
    expect(await read('late,b')).toMatchObject({ items: [{ slug: 'late' }, { slug: 'b' }] });
    const before = await ask(`b,${SLUG}`);
    await ledger.revise({ probabilities: { bear: 0.4, base: 0.4, bull: 0.2 }, rationale: 'R' });
    const after = await ask(`b,${SLUG}`);
    expect(after.json()).toMatchObject({ items: [{ version: 1 }, { version: 3 }] });
    expect(after.headers.etag).not.toBe(before.headers.etag);
    expect(after.headers['cache-control']).toBe('public, no-cache');
  });

  test('takes 100 slugs of 100 characters, with commas plain or escaped', async () => {
    const slugs = Array.from({ length: 100 }, (_, index) => `${index}-`.padEnd(100, 'x'));
    expect((await read(slugs.join(','))).missing).toEqual(slugs);
    expect((await read('a%2Cb')).items).toHaveLength(2);
  });
});

const FORM =
  'must be words of lower-case letters and digits, joined by hyphens, such as rate-relief';
const many = Array.from({ length: 101 }, (_, index) => `s${index}`);

test.for<[details: string[], query: string]>([
  [['is required'], ''],
  [['must contain at least one slug of an outlook'], 'slugs='],
  [['must be given once'], 'slugs=a&slugs=b'],
  [[`"A_B" ${FORM}`, `"Ü" ${FORM}`], 'slugs=A_B,a,Ü'],
  [[`"" ${FORM}`], 'slugs=a,,b'],
  [[`"" ${FORM}`, '"" appears more than once'], 'slugs=,a,'],
  [[`" b" ${FORM}`], 'slugs=a, b'],
  [[`"a\\u0000" ${FORM}`], 'slugs=a%00'],
  [['"a" appears more than once', '"b" appears more than once'], 'slugs=a,b,a,b,a'],
  [[`"${'x'.repeat(100)}" must have at most 100 characters`], `slugs=${'x'.repeat(101)}`],
  [['must contain at most 100 slugs, not 101'], `slugs=${many.join(',')}`],
  [
    ['must contain at most 100 slugs, not 103', '"s0" appears more than once', `"A" ${FORM}`],
    `slugs=${many.join(',')},s0,A`,
  ],
])('refuses slugs: %j', async ([details, query]) => {
  const answer = await ledger.call({ url: `/v1/batch/outlooks?${query}` });
  expect(answer.statusCode).toBe(422);
  const errors = details.map((detail) => ({ pointer: '/slugs', detail, in: 'query' }));
  expect(answer.json()).toMatchObject({ type: '/problems/invalid-request', errors });
});

test('an unknown parameter is refused by name', async () => {
  const answer = await ledger.call({ url: '/v1/batch/outlooks?slugs=a&slug=b' });
  expect(answer.json()).toMatchObject({
    errors: [{ pointer: '/slug', detail: 'unknown query parameter "slug"; allowed here: slugs' }],
  });
});
