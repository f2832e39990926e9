import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, patchFramework, stored } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

let slug = '';
let count = 0;
beforeEach(async () => {
  slug = `case-${(count += 1)}`;
  await createOutlook(ledger, { slug });
});

type Body = Record<string, unknown>;
const current = async () => (await ledger.call({ url: `/v1/outlooks/${slug}` })).json<Body>();
const patch = (body: unknown, options = {}) =>
  patchFramework(
    ledger,
    typeof body === 'object' && !Array.isArray(body) ? { rationale: 'Why.', ...body } : body,
    { slug, ...options },
  );

describe('a merge patch', () => {
  test('is the next version, of the kind "framework", and keeps what it leaves out', async () => {
    const before = await current();
    const patched = await patch({ summary: 'Shorter.' });
    expect(patched.statusCode).toBe(201);
    expect(patched.headers.location).toBe(`/v1/outlooks/${slug}/versions/2`);
    const after = patched.json<Body>();
    expect(after).toEqual({
      ...before,
      summary: 'Shorter.',
      version: 2,
      author: { id: expect.any(String) as string, name: 'analyst desk' },
      rationale: 'Why.',
      hash: expect.stringMatching(/^sha256:/) as string,
      previousHash: before['hash'],
      frameworkHash: expect.stringMatching(/^sha256:/) as string,
      change: { kind: 'framework', previousVersion: 1, deltas: { bear: 0, base: 0, bull: 0 } },
    });
    expect(after['frameworkHash']).not.toBe(before['frameworkHash']);
    for (const url of [`/v1/outlooks/${slug}`, `/v1/outlooks/${slug}/versions/2`]) {
      const read = await ledger.call({ url });
      expect([read.body, read.headers.etag]).toEqual([patched.body, patched.headers.etag]);
    }
  });

  test('replaces a list as a whole', async () => {
    const headwinds = [{ key: 'only', rank: 1, title: 'T', description: 'D' }];
    expect((await patch({ headwinds })).json()).toMatchObject({ headwinds });
  });

  test('merges objects member by member', async () => {
    const before = await current();
    const scenarios = before['scenarios'] as Record<string, object>;
    const patched = await patch({ scenarios: { bear: { conditions: 'Spreads widen.' } } });
    expect(patched.json<Body>()['scenarios']).toEqual({
      ...scenarios,
      bear: { ...scenarios['bear'], conditions: 'Spreads widen.' },
    });
  });

  test('takes optional members away with null', async () => {
    const patched = await patch({
      methodology: null,
      disclaimer: null,
      faqs: null,
      scenarios: { bear: { directionComment: null, direction: null } },
    });
    expect(patched.json()).toMatchObject({
      methodology: null,
      disclaimer: null,
      faqs: [],
      scenarios: {
        bear: {
          directionComment: null,
          direction: 'lower',
        },
      },
    });
  });

  test('may include probabilities, which the deltas show', async () => {
    const probabilities = { bear: 0.25, base: 0.45, bull: 0.3 };
    const patched = await patch({ summary: 'Shorter.', probabilities });
    expect(patched.json()).toMatchObject({
      summary: 'Shorter.',
      probabilities,
      change: {
        kind: 'framework',
        deltas: {
          bear: -0.05,
          base: 0,
          bull: 0.05,
        },
      },
    });
  });

  test('of nothing but probabilities is of the kind "probabilities"', async () => {
    const before = await current();
    const patched = await patch({ probabilities: { bear: 0.25, base: 0.45, bull: 0.3 } });
    expect(patched.json()).toMatchObject({
      change: { kind: 'probabilities' },
      frameworkHash: before['frameworkHash'],
    });
  });

  test('counts as a change of the framework only if the framework differs', async () => {
    const { title } = await current();
    const probabilities = { bear: 0.25, base: 0.45, bull: 0.3 };
    expect((await patch({ title, probabilities })).json()).toMatchObject({
      change: { kind: 'probabilities' },
    });
  });

  test('of nothing is no change, though the headwinds were once sent out of order', async () => {
    const headwind = (rank: number) => ({ key: `k-${rank}`, rank, title: 'T', description: 'D' });
    slug = 'unordered';
    await createOutlook(ledger, { slug, headwinds: [headwind(2), headwind(1)] });
    expect((await patch({})).json()).toMatchObject({ type: '/problems/no-change' });
  });
});

describe('is refused, and nothing is stored,', () => {
  const deep = (open: string, close: string) => open.repeat(50_000) + close.repeat(50_000);
  const whole = (members: string) => `{"rationale":"Why.",${members}}`;
  const SCENARIO =
    'title, outcome, conditions, direction, directionComment, returnBand, centralReturn';
  test.for<[string, unknown, number, string, Record<string, string> | null]>([
    [
      'null of a required member',
      { title: null },
      422,
      'invalid-request',
      { '/title': 'is required' },
    ],
    [
      'numbers that a double cannot stand for, wherever they are',
      whole(
        '"title":null,"scenarios":{"bear":{"returnBand":{"max":-1e-400}}},"metrics":[{"name":"M","value":9007199254740993,"provenance":"editorial"}]',
      ),
      422,
      'invalid-request',
      {
        '/title': 'is required',
        '/scenarios/bear/returnBand/max':
          '-1e-400 is too small for a JSON number, which would be 0: send 0 or use a smaller unit',
        '/scenarios/base/returnBand':
          'is missing: give return bands for all three scenarios or for none',
        '/scenarios/bull/returnBand':
          'is missing: give return bands for all three scenarios or for none',
        '/metrics/0/value':
          '9007199254740993 is beyond ±9007199254740991, up to which JSON numbers are exact: use a larger unit',
      },
    ],
    [
      'null of a scenario',
      { scenarios: { bear: null } },
      422,
      'invalid-request',
      { '/scenarios/bear': 'is required' },
    ],
    [
      'null of its rationale',
      { rationale: null },
      422,
      'invalid-request',
      { '/rationale': 'is required' },
    ],
    ['what stands already', {}, 422, 'no-change', { '': 'equals version 1; change something' }],
    [
      'probabilities that do not sum to 1',
      { probabilities: { bear: 0.5, base: 0.5, bull: 0.5 } },
      422,
      'probability-sum',
      { '/probabilities': 'sums to 1.5; take 0.5 away' },
    ],
    [
      'one of three probabilities, as they are no member of the framework',
      { probabilities: { bear: 0.5 } },
      422,
      'invalid-request',
      { '/probabilities/base': 'is required', '/probabilities/bull': 'is required' },
    ],
    ['an array', '[]', 422, 'invalid-request', { '': 'must be an object, not an array' }],
    ['null', 'null', 422, 'invalid-request', { '': 'must be an object, not null' }],
    ['text', '"text"', 422, 'invalid-request', { '': 'must be an object, not text' }],
    ['an empty body', '', 400, 'malformed-request', null],
    ['half a body', '{"rationale":', 400, 'malformed-request', null],
    [
      'a __proto__',
      whole('"__proto__":{"title":"T"}'),
      422,
      'invalid-request',
      {
        '/__proto__': expect.stringMatching(
          /^unknown property "__proto__"; allowed here: /,
        ) as string,
      },
    ],
    [
      'a prototype in constructor',
      whole('"constructor":{"prototype":{}}'),
      422,
      'invalid-request',
      { '/constructor': expect.stringMatching(/^unknown property "constructor"; /) as string },
    ],
    [
      'arrays 50,000 levels deep',
      whole(`"risks":${deep('[', ']')}`),
      400,
      'malformed-request',
      null,
    ],
    [
      'objects 50,000 levels deep',
      whole(`"scenarios":{"bear":${'{"bear":'.repeat(50_000)}1${'}'.repeat(50_000)}}`),
      400,
      'malformed-request',
      null,
    ],
    [
      'a name that is unknown, though it is taken away',
      { sumary: null, slug: null, scenarios: { sideways: null, bear: { titel: null } } },
      422,
      'invalid-request',
      {
        '/sumary': expect.stringMatching(/^unknown property "sumary"; allowed here: /) as string,
        '/slug': expect.stringMatching(/^unknown property "slug"; allowed here: /) as string,
        '/scenarios/sideways': 'unknown property "sideways"; allowed here: bear, base, bull',
        '/scenarios/bear/titel': `unknown property "titel"; allowed here: ${SCENARIO}`,
      },
    ],
    [
      'what fixes the outlook for good',
      { horizon: { from: '2026-03-31', to: '2028-03-31' } },
      422,
      'invalid-request',
      {
        '/horizon': expect.stringMatching(/^unknown property "horizon"; allowed here: /) as string,
      },
    ],
    [
      'a constructor',
      { constructor: { title: 'T' } },
      422,
      'invalid-request',
      { '/constructor': expect.stringMatching(/^unknown property "constructor"; /) as string },
    ],
    [
      'bands that the merge leaves with a hole',
      { scenarios: { bear: { returnBand: { max: -0.1 } } } },
      422,
      'invalid-request',
      {
        '/scenarios/base/returnBand':
          'is missing: give return bands for all three scenarios or for none',
        '/scenarios/bull/returnBand':
          'is missing: give return bands for all three scenarios or for none',
      },
    ],
  ])('with %s', async ([, body, status, code, faults]) => {
    const before = await stored(ledger);
    const refused = await patch(body);
    expect(refused.statusCode).toBe(status);
    const problem = refused.json<{ errors?: { pointer: string; detail: string }[] }>();
    expect(problem).toMatchObject({ type: `/problems/${code}` });
    const found = problem.errors?.map(({ pointer, detail }) => [pointer, detail] as const);
    expect(found ? Object.fromEntries(found) : null).toEqual(faults);
    expect(await stored(ledger)).toEqual(before);
  });

  test.for(['application/json', 'application/json-patch+json', 'text/plain', 'x'])(
    'as %s',
    async (type) => {
      const before = await stored(ledger);
      const refused = await patch({ summary: 'Shorter.' }, { type });
      expect(refused.statusCode).toBe(415);
      expect(refused.json()).toMatchObject({
        type: '/problems/unsupported-media-type',
        detail: `Send application/merge-patch+json, not ${type}.`,
      });
      expect(await stored(ledger)).toEqual(before);
    },
  );
});

test('a merge patch may declare its charset', async () => {
  const type = 'application/merge-patch+json; charset=utf-8';
  expect((await patch({ summary: 'Shorter.' }, { type })).statusCode).toBe(201);
});

test('an outlook that does not exist is not found', async () => {
  slug = 'nowhere';
  expect((await patch({ summary: 'Shorter.' })).statusCode).toBe(404);
});
