import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { outlookBody, patchFramework, send, stored } from '../support/requests.ts';

let ledger: TestLedger;
let before: Record<string, unknown>;
beforeAll(async () => {
  ledger = await startLedger();
  before = await stored(ledger);
});
afterAll(() => ledger.close());

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type Path = readonly string[];

/** The paths to every text of a document; of like entries of a list, the first. */
function texts(value: Json, path: Path = []): Path[] {
  if (typeof value === 'string') return [path];
  if (typeof value !== 'object' || value === null) return [];
  const members = Array.isArray(value) ? Object.entries(value.slice(0, 1)) : Object.entries(value);
  return members.flatMap(([name, child]) => texts(child, [...path, name]));
}

function replaced(value: Json, [name, ...rest]: Path, text: string): Json {
  if (name === undefined) return text;
  const copy = structuredClone(value) as Record<string, Json>;
  copy[name] = replaced(copy[name] ?? null, rest, text);
  return copy;
}

const metric = { name: 'N', value: 1, unit: '%', display: 'D', source: 'S', asOf: '2026-03-31' };
const reference = {
  title: 'T',
  publisher: 'P',
  url: 'https://a.example',
  publishedOn: '2026-01-01',
};
const SAMPLE = outlookBody({
  slug: 'texts',
  metrics: [{ ...metric, provenance: 'sourced' }],
  references: [reference],
}) as Json;
const PATHS = texts(SAMPLE).map((path) => [path.join('/'), path] as const);
const BAD = { NUL: 'a\u0000b', 'a high surrogate': 'a\ud83d', 'a low surrogate': '\udcc8a' };

describe.each(Object.entries(BAD))('%s', (_, text) => {
  test.for(PATHS)('in /%s of an outlook is refused there', async ([, path]) => {
    const refused = await send(ledger, 'POST', '/v1/outlooks', replaced(SAMPLE, path, text));
    expect(refused.statusCode).toBe(422);
    const { errors } = refused.json<{ errors: { pointer: string; detail: string }[] }>();
    expect([...new Set(errors.map(({ pointer }) => pointer))]).toEqual([`/${path.join('/')}`]);
  });

  test.for([
    ['/v1/instruments', { symbol: 'BAD', name: text, kind: 'index' }, '/name'],
    ['/v1/instruments', { symbol: text, name: 'N', kind: 'index' }, '/symbol'],
    ['/v1/instruments', { symbol: 'BAD', name: 'N', kind: text }, '/kind'],
    ['/v1/keys', { name: text, role: 'analyst' }, '/name'],
    ['/v1/keys', { name: 'N', role: text }, '/role'],
    ['/v1/keys', { name: 'N', role: 'analyst', expiresAt: text }, '/expiresAt'],
  ] as const)('in %s %j is refused there', async ([url, body, pointer]) => {
    const refused = await send(ledger, 'POST', url, body, { as: 'admin' });
    expect([refused.statusCode, refused.json()]).toMatchObject([422, { errors: [{ pointer }] }]);
  });

  test('in a rationale or a patch is refused there', async () => {
    const probabilities = { bear: 0.35, base: 0.4, bull: 0.25 };
    for (const refused of [
      await ledger.revise({ probabilities, rationale: text }),
      await patchFramework(ledger, { rationale: text, title: 'T' }),
      await patchFramework(ledger, { rationale: text, [text]: text, risks: text }),
    ]) {
      expect(refused.statusCode).toBe(422);
      expect(refused.body).toContain('"pointer":"/rationale"');
    }
  });

  test('in the name of a property is refused', async () => {
    const body = { symbol: 'BAD', name: 'N', kind: 'index', [text]: 1 };
    const refused = await send(ledger, 'POST', '/v1/instruments', body);
    expect(refused.statusCode).toBe(422);
    expect(refused.json()).toMatchObject({ errors: [{ pointer: `/${text}` }] });
  });

  test('and nothing of it was stored', async () => {
    expect(await stored(ledger)).toEqual(before);
  });
});

test.for([
  ['a NUL character', 'a\u0000b', 'must not contain a NUL character (\\u0000)'],
  ['half a pair', 'a\ud83d', 'must not contain an unpaired surrogate (\\ud800–\\udfff)'],
] as const)('%s is named in the error', async ([, title, detail]) => {
  const refused = await patchFramework(ledger, { rationale: 'R', title });
  expect(refused.json()).toMatchObject({ errors: [{ pointer: '/title', detail }] });
});

// What counts as blank in Postgres depends on its locale; none of it may cause a 500.
const BLANKS =
  '\t\n\u000b\f\r \u001c\u001f\u0085\u00a0\u1680\u180e\u2000\u200b\u2028\u3000\ufeff\u0001\uffff';
test.for(BLANKS.split(''))(
  'a rationale of nothing but %j is stored or refused, never a fault',
  async (rationale) => {
    const { probabilities } = (
      await ledger.call({ url: '/v1/outlooks/russell-2000-downside' })
    ).json<{
      probabilities: { bear: number };
    }>();
    const bear = probabilities.bear === 0.3 ? 0.2 : 0.3;
    const answer = await ledger.revise({
      probabilities: { bear, base: 0.5, bull: (5000 - bear * 10_000) / 10_000 },
      rationale,
    });
    expect([201, 422]).toContain(answer.statusCode);
    expect(answer.statusCode === 422).toBe(/^\s$/.test(rationale));
  },
);

const titled = (title: string) => patchFramework(ledger, { rationale: 'R', title });

test.for([
  '\u00ad',
  '\u034f',
  '\u115f',
  '\u17b4',
  '\u200b',
  '\u2060',
  '\u2062',
  '\u206f',
  '\u2800',
  '\u3164',
])('a title with %j, which readers can not see, is refused', async (hidden) => {
  const refused = await titled(`Rates${hidden}stay high`);
  expect([refused.statusCode, refused.json()]).toMatchObject([
    422,
    { errors: [{ pointer: '/title' }] },
  ]);
  const body = { symbol: 'BAD', name: `New${hidden}index`, kind: 'index' };
  expect((await send(ledger, 'POST', '/v1/instruments', body)).statusCode).toBe(422);
});

test.for([
  [
    'emoji',
    'Bear \u{1f43b}\u200d\u2744\ufe0f, \u2764\ufe0f and \u{1f3f4}\u{e0067}\u{e0062}\u{e007f}',
  ],
  ['Persian', '\u0646\u0627\u0645\u0647\u200c\u0627\u06cc'],
  ['two directions', '\u05e9\u05dc\u05d5\u05dd \u200f(a) \u061cb'],
  ['Mongolian', '\u182e\u180e\u1820\u180b'],
])('a title in %s keeps what it needs', async ([, title = '']) => {
  const revised = await titled(title);
  expect([revised.statusCode, revised.json()]).toMatchObject([201, { title }]);
});
