import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, outlookBody, stored } from '../support/requests.ts';

// "What bad input gets", when outlooks are created: nothing is stored, and the response says how to fix it.

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

// JSON has no way to write some values that a client may send: § marks text to send without quotes.
const raw = (body: unknown) => JSON.stringify(body).replace(/"§([^"]*)"/g, '$1');

type Members = Record<string, unknown>;
const headwind = (key: string, rank: number) => ({ key, rank, title: 'T', description: 'D' });
const label = (key: string, minDepth: unknown) => ({
  key,
  label: 'L',
  minDepth,
  typicalCause: 'C',
  implication: 'I',
});
const metric = { name: 'N', value: 1, source: 'S', asOf: '2026-03-31', provenance: 'sourced' };
const bands = (bear: unknown, base: unknown, bull: unknown) => {
  const { scenarios } = outlookBody() as { scenarios: Record<string, Members> };
  const banded = (name: string, returnBand: unknown) => ({ ...scenarios[name], returnBand });
  const all = {
    bear: banded('bear', bear),
    base: banded('base', base),
    bull: banded('bull', bull),
  };
  return { scenarios: all };
};
const LINE =
  'must be one line without control or invisible characters and without leading or trailing space';
const DAY = 'must be a valid date, such as 2026-03-31';
const horizon = (from: unknown, to: unknown) => ({ horizon: { from, to } });

const OUTLOOKS: Case[] = [
  [
    'an unknown property',
    { colour: 'red' },
    {
      '/colour': expect.stringMatching(/^unknown property "colour"; allowed here: slug, /) as never,
    },
  ],
  [
    'an unknown property deep within',
    { faqs: [{ question: 'Q', answer: 'A', note: 'N' }] },
    { '/faqs/0/note': 'unknown property "note"; allowed here: question, answer' },
  ],
  [
    'a duplicate headwind key',
    { headwinds: [headwind('rates', 1), headwind('rates', 2)] },
    { '/headwinds/1/key': '"rates" is already used by entry 0' },
  ],
  [
    'a repeated headwind rank',
    { headwinds: [headwind('rates', 1), headwind('demand', 1)] },
    { '/headwinds/1/rank': '1 is already used by entry 0' },
  ],
  [
    'unordered drawdown depths',
    { drawdownLabels: [label('bear-market', 0.2), label('correction', 0.1)] },
    {
      '/drawdownLabels/1/minDepth':
        'must be greater than 0.2, the previous depth: list labels from shallow to deep',
    },
  ],
  [
    'a depth in percent',
    { drawdownLabels: [label('correction', 10)] },
    { '/drawdownLabels/0/minDepth': 'must be at most 1' },
  ],
  [
    'return bands with a hole',
    bands({ max: -0.1 }, { min: -0.05, max: 0.1 }, { min: 0.1 }),
    {
      '/scenarios/base/returnBand/min':
        'must be -0.1: the base band leaves a gap above the bear band, which ends there',
    },
  ],
  [
    'return bands that overlap',
    bands({ max: -0.1 }, { min: -0.1, max: 0.1 }, { min: 0.05 }),
    {
      '/scenarios/bull/returnBand/min':
        'must be 0.1: the bull band overlaps the base band, which ends there',
    },
  ],
  [
    'a horizon that ended before it began',
    horizon('2027-03-31', '2026-03-31'),
    { '/horizon/to': 'must be after 2027-03-31' },
  ],
  [
    'a horizon of no day',
    horizon('2026-03-31', '2026-03-31'),
    { '/horizon/to': 'must be after 2026-03-31' },
  ],
  ['a day that does not exist', horizon('2026-02-29', '2027-03-31'), { '/horizon/from': DAY }],
  ['a moment for a day', horizon('2026-03-31T00:00:00Z', '2027-03-31'), { '/horizon/from': DAY }],
  [
    'a day before the calendar',
    horizon('0000-12-31', '2027-03-31'),
    { '/horizon/from': 'must not be before 0001-01-01' },
  ],
  [
    'an unknown instrument',
    { instrument: 'NONE' },
    { '/instrument': '"NONE" is unknown; create it with POST /v1/instruments' },
  ],
  [
    'a figure beyond all',
    { metrics: [{ ...metric, value: '§1e999' }] },
    {
      '/metrics/0/value':
        '1e999 is beyond ±9007199254740991, up to which JSON numbers are exact: use a larger unit',
    },
  ],
  [
    'whole numbers that a double changes, or takes for 0',
    {
      metrics: [
        { ...metric, value: '§-9007199254740993' },
        { ...metric, value: '§1e-400' },
        { ...metric, value: '§9007199254740992', source: null },
      ],
      figure: '§1e400',
    },
    {
      '/figure':
        'unknown property "figure"; allowed here: slug, instrument, horizon, probabilities, rationale, continues, desk, visibility, from, title, summary, methodology, disclaimer, scenarios, headwinds, drawdownLabels, invalidationConditions, risks, positioning, metrics, faqs, references',
      '/metrics/0/value':
        '-9007199254740993 is beyond ±9007199254740991, up to which JSON numbers are exact: use a larger unit',
      '/metrics/1/value':
        '1e-400 is too small for a JSON number, which would be 0: send 0 or use a smaller unit',
      '/metrics/2/source': 'is required for a sourced metric',
      '/metrics/2/value':
        '9007199254740992 is beyond ±9007199254740991, up to which JSON numbers are exact: use a larger unit',
    },
  ],
  [
    'a metric without its source',
    { metrics: [{ ...metric, source: null }] },
    { '/metrics/0/source': 'is required for a sourced metric' },
  ],
  [
    'a broken rank',
    { headwinds: [headwind('rates', 1.5)] },
    { '/headwinds/0/rank': 'must be a whole number' },
  ],
  [
    'a script for a link',
    { references: [{ title: 'T', url: 'javascript:alert(1)' }] },
    { '/references/0/url': 'must be an http or https URL' },
  ],
  [
    'too many entries',
    { faqs: Array.from({ length: 101 }, () => ({ question: 'Q', answer: 'A' })) },
    { '/faqs': 'must have at most 100 entries' },
  ],
  [
    'a title too long',
    { title: 'T'.repeat(301) },
    { '/title': 'must have at most 300 characters' },
  ],
  ['a blank title', { title: '' }, { '/title': 'must not be blank' }],
  ['a blank summary', { summary: ' \n\u00a0' }, { '/summary': 'must not be blank' }],
  ...['two\nlines', ' T', 'T ', 'T\u200b', '\u202eT', 'T\ufeff', 'T\u2028T', 'T\u007f'].map(
    (title): Case => [`the title ${JSON.stringify(title)}`, { title }, { '/title': LINE }],
  ),
  ['a list for a text', { summary: [] }, { '/summary': 'must be text, not an array' }],
  ['null for a list', { headwinds: null }, { '/headwinds': 'must be an array, not null' }],
  [
    'a title of which no slug can be made',
    { slug: undefined, title: '???' },
    {
      '/slug': 'is required, because none can be made from the title',
    },
  ],
];

test.for(OUTLOOKS)('an outlook with %s is refused', async ([, change, faults]) => {
  const refused = await ledger.call({
    method: 'POST',
    url: '/v1/outlooks',
    as: 'analyst',
    headers: { 'content-type': 'application/json' },
    payload: raw(
      outlookBody({
        slug: 'bad',
        ...change,
      }),
    ),
  });
  expect(refused.statusCode).toBe(422);
  expect(refused.json()).toMatchObject({ type: '/problems/invalid-request' });
  expect(faultsOf(refused.json())).toEqual(faults);
  expect(await stored(ledger)).toEqual(before);
});

test.for([{ slug: SLUG }, { slug: undefined, title: 'Russell 2000 downside' }])(
  'a slug that is taken is a conflict: %j',
  async (change) => {
    const refused = await createOutlook(ledger, change);
    expect(refused.statusCode).toBe(409);
    expect(refused.json()).toMatchObject({
      type: '/problems/slug-taken',
      detail: `The outlook "${SLUG}" already exists.`,
      errors: [
        {
          pointer: '/slug',
          detail: 'is taken; choose another slug, or revise the outlook that has it',
        },
      ],
    });
    expect(await stored(ledger)).toEqual(before);
  },
);

test.for(['', 'A', 'a_b', '-a', 'a-', 'a--b', 'ä', 'a b', 'a\n', 'a'.repeat(101), 1, null])(
  '%j is no slug',
  async (slug) => {
    const refused = await createOutlook(ledger, { slug });
    expect([refused.statusCode, Object.keys(faultsOf(refused.json()))]).toEqual([422, ['/slug']]);
    expect(await stored(ledger)).toEqual(before);
  },
);
