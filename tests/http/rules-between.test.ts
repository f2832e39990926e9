import type { LightMyRequestResponse } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { DOCUMENT } from '../support/openapi.ts';
import { OPERATIONS } from '../support/operations.ts';
import { createOutlook, faultsOf, send } from '../support/requests.ts';

// A rule between members is judged by those that can be read. It neither fails on one that can't, nor finds fault with
// another because of it.

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

const pointersOf = (answer: LightMyRequestResponse): string[] =>
  (answer.json<{ errors?: { pointer: string }[] }>().errors ?? []).map(({ pointer }) => pointer);

type Query = Record<string, string>;
type Parameter = { name: string; in: string; schema: { type?: string; format?: string } };
type Operation = { operationId: string; parameters?: Parameter[] };

/** A valid value of each parameter; with what it can't be without. */
const VALID: Record<string, Query[]> = {
  minProbability: [{ minProbability: '0.1', scenario: 'bear' }],
  maxProbability: [{ maxProbability: '0.9', scenario: 'bear' }],
  scenario: [{ scenario: 'bear', minProbability: '0.1' }],
  sort: [{ sort: 'slug' }, { sort: 'relevance', q: 'small' }],
  kind: ['scenarios', 'history', 'drawdown', 'calibration', 'write'].map((kind) => ({ kind })),
  vintages: [{ vintages: 'newest' }, { vintages: 'all' }],
  from: [{ from: '2026-11-19' }, { from: '2026-11-19T00:00:00Z' }],
  to: [{ to: '2026-11-20' }, { to: '2026-11-20T00:00:00Z' }],
  since: [{ since: '2026-11-01' }],
  asOf: [{ asOf: '2026-11-20T16:00:00Z' }],
  updatedSince: [{ updatedSince: '2026-11-20T00:00:00Z' }],
};
const ANY = [
  '1',
  '400',
  '0.1',
  'true',
  'open',
  'json',
  'equal',
  'linear',
  'uniform',
  'light',
  'RUT',
];
const ODD = ['', '0', 'zzz', '2026-13-45', '2026-11-19T00:00'];
/** What is parsed by no schema: each parameter is given once. */
const TWICE = ['a', 'b'];

const queryOf = (query: Record<string, string | string[]>): string =>
  Object.entries(query)
    .flatMap(([name, values]) => [values].flat().map((value) => [name, value]))
    .map(([name = '', value = '']) => `${name}=${encodeURIComponent(value)}`)
    .join('&');

/** Every read with two query parameters or more, as the document and the pages have them. */
const READS: [url: string, names: string[]][] = [
  ...OPERATIONS.filter(({ method, isStream }) => method === 'GET' && !isStream).flatMap(
    ({ path, url }): [string, string[]][] => {
      const { parameters = [] } = (DOCUMENT.paths[path] as unknown as { get: Operation }).get;
      const names = parameters
        .filter((one) => one.in === 'query' && one.name !== 'v') // charts take any v
        .map(({ name }) => name);
      return names.length > 1 ? [[url.replace(/\?.*/, ''), names]] : [];
    },
  ),
  ['/outlooks/russell-2000-downside', ['version', 'asOf', 'against', 'olderThan']],
];

const isPage = (url: string): boolean => !url.startsWith('/v1/');
const ask = (url: string, query: Record<string, string | string[]>) =>
  ledger.app.inject({
    url: `${url}?${queryOf(query)}`,
    headers: { authorization: `Bearer ${ledger.keys.admin}` },
  });

/** The values of a parameter that are refused by themselves, for nothing else. */
async function refusedValues(url: string, name: string): Promise<(string | string[])[]> {
  const [companions = {}] = VALID[name] ?? [];
  const refused = [];
  for (const value of [...ODD, TWICE]) {
    const answer = await ask(url, { ...companions, [name]: value });
    if (answer.statusCode === 422) refused.push(value);
  }
  return refused;
}

/** Queries with a valid value of a parameter that are accepted by themselves. */
async function acceptedQueries(url: string, name: string): Promise<Query[]> {
  const accepted = [];
  for (const query of VALID[name] ?? ANY.map((value) => ({ [name]: value }))) {
    const answer = await ask(url, query);
    if (answer.statusCode !== 422) accepted.push(query);
  }
  return accepted.slice(0, 5);
}

describe.for(READS)('%s', ([url, names]) => {
  test.for(names)('only %s is reported if only that is wrong', async (name) => {
    const refused = await refusedValues(url, name);
    const [companions = {}] = VALID[name] ?? [];
    expect(refused).not.toEqual([]);
    for (const other of names.filter((one) => one !== name)) {
      for (const query of await acceptedQueries(url, other)) {
        for (const value of refused) {
          const sent = { ...companions, ...query, [name]: value };
          const [asked, answer] = [queryOf(sent), await ask(url, sent)];
          expect([asked, answer.statusCode]).toEqual([asked, 422]);
          if (isPage(url)) continue;
          expect([asked, ...new Set(pointersOf(answer))]).toEqual([asked, `/${name}`]);
        }
      }
    }
  });
});

const horizon = { from: '2026-03-31', to: '2027-03-31' };
const scenario = { title: 'T', outcome: 'O', conditions: 'C' };
const banded = (bear: unknown, base: unknown, bull: unknown) => ({
  scenarios: {
    bear: { ...scenario, returnBand: bear },
    base: { ...scenario, returnBand: base },
    bull: { ...scenario, returnBand: bull },
  },
});
const label = { label: 'L', typicalCause: 'C', implication: 'I' };
const headwind = { title: 'T', description: 'D' };
const metric = { name: 'M', value: 1, source: 'S', asOf: '2026-01-01', provenance: 'sourced' };
const comparison = { series: 'rut-close', operator: 'lt', threshold: 1 };
const condition = { key: 'a', invalidates: 'bear', statement: 'S' };

const OUTLOOKS: [what: string, change: Record<string, unknown>, pointers: string[]][] = [
  ['from', { horizon: { ...horizon, from: 'zzz' } }, ['/horizon/from']],
  ['from that is no text', { horizon: { ...horizon, from: 7 } }, ['/horizon/from']],
  ['to', { horizon: { ...horizon, to: '' } }, ['/horizon/to']],
  ['to that is left out', { horizon: { from: horizon.from } }, ['/horizon/to']],
  ['a day of no year', { horizon: { ...horizon, from: '' } }, ['/horizon/from']],
  [
    'a probability',
    { probabilities: { bear: '0.3', base: 0.5, bull: 0.5 } },
    ['/probabilities/bear'],
  ],
  [
    'the end of a band',
    banded({ max: 'x' }, { min: 0, max: 0.1 }, { min: 0.2 }),
    ['/scenarios/bear/returnBand/max'],
  ],
  [
    'the end of a band beyond its bounds',
    banded({ max: -0.1 }, { min: -7000, max: 0.1 }, { min: 0.2 }),
    ['/scenarios/base/returnBand/min'],
  ],
  [
    'a depth',
    {
      drawdownLabels: [
        { ...label, key: 'a', minDepth: 5 },
        { ...label, key: 'b', minDepth: 0.2 },
      ],
    },
    ['/drawdownLabels/0/minDepth'],
  ],
  [
    'a depth beside a speed',
    { drawdownLabels: [{ ...label, key: 'a', minDepth: 5, speed: { depth: 0.1, days: 10 } }] },
    ['/drawdownLabels/0/minDepth'],
  ],
  [
    'a speed beside a depth',
    { drawdownLabels: [{ ...label, key: 'a', minDepth: 0.1, speed: { depth: 0.1, days: 'x' } }] },
    ['/drawdownLabels/0/speed/days'],
  ],
  [
    'keys',
    {
      headwinds: [
        { ...headwind, key: 'A b', rank: 1 },
        { ...headwind, key: 'A b', rank: 2 },
      ],
    },
    ['/headwinds/0/key', '/headwinds/1/key'],
  ],
  [
    'ranks',
    {
      headwinds: [
        { ...headwind, key: 'a', rank: 0 },
        { ...headwind, key: 'b', rank: 0 },
      ],
    },
    ['/headwinds/0/rank', '/headwinds/1/rank'],
  ],
  ['the value of a metric', { metrics: [{ ...metric, value: 'x' }] }, ['/metrics/0/value']],
  [
    'the display of a metric without a value',
    { metrics: [{ ...metric, value: null, display: 7 }] },
    ['/metrics/0/display'],
  ],
  ['the source of a metric', { metrics: [{ ...metric, source: 'a\nb' }] }, ['/metrics/0/source']],
  ['the day of a metric', { metrics: [{ ...metric, asOf: 'zzz' }] }, ['/metrics/0/asOf']],
  [
    'the provenance of a metric',
    { metrics: [{ ...metric, provenance: 'x', source: null }] },
    ['/metrics/0/provenance'],
  ],
  [
    'the threshold of a comparison',
    {
      invalidationConditions: [
        { ...condition, rule: { all: [{ ...comparison, threshold: 'x' }, comparison] } },
      ],
    },
    ['/invalidationConditions/0/rule/all/0/threshold'],
  ],
  [
    'the series of comparisons',
    {
      invalidationConditions: [
        {
          ...condition,
          rule: {
            all: [
              { ...comparison, series: 'A b' },
              { ...comparison, series: 'A b' },
            ],
          },
        },
      ],
    },
    ['/invalidationConditions/0/rule/all/0/series', '/invalidationConditions/0/rule/all/1/series'],
  ],
];

test.for(OUTLOOKS)('of an outlook, %s', async ([, change, pointers]) => {
  const answer = await createOutlook(ledger, { slug: 'refused', ...change });
  expect(answer.statusCode, answer.body).toBe(422);
  expect(pointersOf(answer).toSorted(), answer.body).toEqual(pointers);
});

const item = { headline: 'H', summary: 'S', publisher: 'P', publishedAt: '2026-11-17T12:00:00Z' };
const sentiment = { score: 0, label: 'L', scale: { min: -1, max: 1 }, provider: 'P' };
const claim = {
  statement: 'S',
  effect: 'supports',
  target: { kind: 'scenario', key: 'bear' },
  horizon: 'days',
};
const UUID = '00000000-0000-4000-8000-000000000000';

const BODIES: [what: string, method: 'POST' | 'PUT', path: string, body: object, string[]][] = [
  ...[
    ['score', { ...sentiment, score: 'x' }, ['/sentiment/score']] as const,
    [
      'scale',
      { ...sentiment, score: 7, scale: { min: 'x', max: 1 } },
      ['/sentiment/scale/min'],
    ] as const,
  ].map(([what, given, pointers]): (typeof BODIES)[number] => [
    `a sentiment's ${what}`,
    'POST',
    '/evidence',
    { ...item, sentiment: given },
    [...pointers],
  ]),
  ...['min', 'max'].map((end): (typeof BODIES)[number] => [
    `the ${end} of a range`,
    'POST',
    '/evidence',
    { ...item, claims: [{ ...claim, range: { min: 1, max: 0.5, unit: 'U', [end]: 'x' } }] },
    [`/claims/0/range/${end}`],
  ]),
  [
    'the symbols of tickers',
    'POST',
    '/evidence',
    { ...item, tickers: [{ symbol: ' ' }, { symbol: ' ' }] },
    ['/tickers/0/symbol', '/tickers/1/symbol'],
  ],
  [
    'ids of evidence',
    'POST',
    '/withdrawal',
    { rationale: 'R', evidence: ['x', 'x', 7, UUID] },
    ['/evidence/0', '/evidence/1', '/evidence/2'],
  ],
  [
    'more ids of evidence than may be cited',
    'POST',
    '/withdrawal',
    { rationale: 'R', evidence: Array.from({ length: 101 }, () => UUID) },
    ['/evidence'],
  ],
  [
    'what is acknowledged',
    'POST',
    '/revisions',
    {
      probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
      rationale: 'R',
      acknowledges: [
        { condition: 'A b', reason: 'R' },
        { condition: 'A b', reason: 'R' },
      ],
    },
    ['/acknowledges/0/condition', '/acknowledges/1/condition'],
  ],
];

test.for(BODIES)('in a body, %s', async ([, method, path, body, pointers]) => {
  const url = `/v1/outlooks/russell-2000-downside${path}`;
  const answer = await send(ledger, method, url, body);
  expect(answer.statusCode, answer.body).toBe(422);
  expect([...new Set(pointersOf(answer))].toSorted(), answer.body).toEqual(pointers);
});

type Schema = {
  $ref?: string;
  type?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
};
type Place = { body: unknown; required: string[] };

function resolved(schema: Schema): Schema {
  const name = schema.$ref?.split('/').at(-1);
  if (name !== undefined) {
    return resolved((DOCUMENT.components.schemas as Record<string, Schema>)[name] ?? {});
  }
  const options = (schema.anyOf ?? []).map(resolved).filter(({ type }) => type !== 'null');
  return options.length === 1 ? (options[0] as Schema) : schema;
}

/** A body with an empty object at each place where the schema has one, and the pointers to what that lacks. */
function emptyObjects(schema: Schema, at: string): Place[] {
  const { properties = {}, required = [], items } = resolved(schema);
  const own = { body: {}, required: required.map((name) => `${at}/${name}`) };
  const inside = Object.entries(properties).flatMap(([name, member]) =>
    emptyObjects(member, `${at}/${name}`).map((place) => ({
      ...place,
      body: { [name]: place.body },
    })),
  );
  const entries = items
    ? emptyObjects(items, `${at}/0`).map((place) => ({ ...place, body: [place.body] }))
    : [];
  return [...(required.length > 0 ? [own] : []), ...inside, ...entries];
}

type Write = { requestBody?: { content: Record<string, { schema: Schema }> } };

const LACKING = OPERATIONS.flatMap(({ method, path, url }) => {
  const operation = (DOCUMENT.paths[path] as Record<string, Write>)[method.toLowerCase()];
  const [[type, media] = []] = Object.entries(operation?.requestBody?.content ?? {});
  if (type === undefined || media === undefined) return [];
  return emptyObjects(media.schema, '').map(
    ({ body, required }) => [method, url, JSON.stringify(body), type, required] as const,
  );
});

test.for(LACKING)('%s %s says what %s lacks', async ([method, url, body, type, names]) => {
  const headers = { 'content-type': type };
  const answer = await ledger.call({ method, url, as: 'admin', headers, payload: body });
  expect(answer.statusCode, answer.body).toBe(422);
  const details = faultsOf(answer.json());
  for (const name of names) expect([name, details[name]]).toEqual([name, 'is required']);
});
