import fc from 'fast-check';
import type { z } from 'zod';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Comparable, ListName, VersionDiff } from '../../src/domain/diff.ts';
import {
  probabilitiesOf,
  SCENARIO_NAMES,
  type ScenarioName,
} from '../../src/domain/probabilities.ts';
import type { outlookDiff } from '../../src/api/schemas/diffs.ts';
import type { Outlook } from '../support/chain.ts';
import { applyDiff, invert } from '../support/apply-diff.ts';
import { wholePoints } from '../support/arbitraries.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, patchFramework, send } from '../support/requests.ts';

type Diff = z.output<typeof outlookDiff>;
type Entry = Record<string, unknown>;

/** The member that identifies the entries of each list. */
const KEYS: Record<ListName, string> = {
  headwinds: 'key',
  drawdownLabels: 'key',
  invalidationConditions: 'key',
  risks: 'area',
  positioning: 'investorType',
  metrics: 'name',
  faqs: 'question',
  references: 'title',
};
const LISTS = Object.keys(KEYS) as ListName[];
const NONE = { added: [], removed: [], altered: [], moved: [] };

const headwind = (key: string, rank: number) => ({ key, rank, title: 'T', description: 'D' });
const label = (key: string, minDepth: number | null) => {
  return { key, label: 'L', minDepth, speed: null, typicalCause: 'C', implication: 'I' };
};
const condition = (key: string) => ({ key, invalidates: 'bear', statement: 'S' });
const risk = (area: string, currentRead = 'Calm') => ({ area, whyItMatters: 'W', currentRead });
const holder = (...watchpoints: string[]) => ({
  investorType: 'Holder',
  approach: 'A',
  watchpoints,
});
const metric = (value: number | null, unit: string | null) => {
  const rest = { source: 'S', asOf: '2026-03-31', provenance: 'sourced' };
  return { name: 'P/E ~ forward', value, unit, display: '20 times', ...rest };
};
const faq = (question: string) => ({ question, answer: 'A' });
const reference = { title: 'a~1b/c', publisher: null, url: null, publishedOn: null };
const band = (min: number | null, max: number | null) => ({ returnBand: { min, max } });

const FIRST = {
  slug: 'compared',
  title: 'One',
  methodology: 'M',
  probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
  headwinds: [headwind('demand', 2), headwind('rates', 1), headwind('breadth', 3)],
  drawdownLabels: [label('correction', 0.1), label('crash', null)],
  invalidationConditions: [condition('relief'), condition('stress')],
  risks: [risk('Credit/rates'), risk('~Growth'), risk('Traps')],
  positioning: [holder('x', 'y')],
  metrics: [metric(20, 'x')],
  faqs: [faq('One?'), faq('Two?')],
  references: [],
};
const SECOND = {
  rationale: 'Much is new.',
  title: 'Two',
  methodology: null,
  scenarios: {
    bear: { conditions: 'Spreads widen.', ...band(null, -0.1) },
    base: band(-0.1, 0.1),
    bull: { direction: 'sideways', ...band(0.1, null) },
  },
  probabilities: { bear: 0.36, base: 0.425, bull: 0.215 },
  headwinds: [headwind('inflation', 3), headwind('demand', 1), headwind('breadth', 2)],
  drawdownLabels: [label('correction', 0.1), label('bear-market', 0.2), label('crash', null)],
  invalidationConditions: [condition('stress'), condition('relief')],
  risks: [
    risk('Traps'),
    risk('Credit/rates', 'Tense'),
    risk('~Growth'),
    risk('Credit/rates', 'New'),
  ],
  positioning: [holder('y', 'x')],
  metrics: [metric(19.5, null)],
  faqs: null,
  references: [reference],
};
const THIRD = { probabilities: { bear: 0.1, base: 0.2, bull: 0.7 }, rationale: 'Numbers only.' };
const FOURTH = {
  rationale: 'Some of it back.',
  title: 'One',
  faqs: [faq('Two?'), faq('Three?'), faq('One?')],
  risks: [risk('~Growth'), risk('Credit/rates')],
};
const NEWEST = 4;

let ledger: TestLedger;
let slugs = 0;
beforeAll(async () => {
  ledger = await startLedger();
  const slug = 'compared';
  await createOutlook(ledger, FIRST);
  ledger.clock.now = new Date('2026-11-21T09:30:00.125Z');
  await patchFramework(ledger, SECOND, { slug, as: 'admin' });
  await send(ledger, 'POST', '/v1/outlooks/compared/revisions', THIRD);
  await patchFramework(ledger, FOURTH, { slug });
});
afterAll(() => ledger.close());

const read = (version: number | string, query = '', slug = 'compared') =>
  ledger.call({ url: `/v1/outlooks/${slug}/versions/${version}/diff${query && `?${query}`}` });

async function diffOf(from: number, to: number, slug = 'compared'): Promise<Diff> {
  const answer = await read(to, `against=${from}`, slug);
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json<Diff>();
}

async function outlookAt(version: number, slug = 'compared'): Promise<Outlook> {
  return (await ledger.call({ url: `/v1/outlooks/${slug}/versions/${version}` })).json<Outlook>();
}

/** All pairs of different versions, in either order. */
function pairs(newest: number): [from: number, to: number][] {
  const versions = Array.from({ length: newest }, (_, index) => index + 1);
  return versions.flatMap((from) =>
    versions.filter((to) => to !== from).map((to): [number, number] => [from, to]),
  );
}

const alteration = (pointer: string, before: unknown, after: unknown) => ({
  pointer,
  before,
  after,
});
const first = (key: string) => ({ key, occurrence: 1 });

describe('a diff', () => {
  test('has everything that a patch changed, and nothing else', async () => {
    const [one, two] = [await outlookAt(1), await outlookAt(2)];
    expect((await read(2)).json()).toStrictEqual({
      slug: 'compared',
      from: { version: 1, publishedAt: '2026-11-20T16:00:00.000Z', author: one.author },
      to: { version: 2, publishedAt: '2026-11-21T09:30:00.125Z', author: two.author },
      probabilities: {
        from: FIRST.probabilities,
        to: SECOND.probabilities,
        deltas: { bear: 0.06, base: -0.025, bull: -0.035 },
        totalVariation: 0.06,
      },
      fields: [
        alteration('/title', 'One', 'Two'),
        alteration('/methodology', 'M', null),
        alteration('/scenarios/bear/conditions', one.scenarios.bear.conditions, 'Spreads widen.'),
        alteration('/scenarios/bear/returnBand', null, { min: null, max: -0.1 }),
        alteration('/scenarios/base/returnBand', null, { min: -0.1, max: 0.1 }),
        alteration('/scenarios/bull/direction', 'higher', 'sideways'),
        alteration('/scenarios/bull/returnBand', null, { min: 0.1, max: null }),
      ],
      lists: {
        headwinds: {
          added: [{ ...first('inflation'), index: 2, entry: headwind('inflation', 3) }],
          removed: [{ ...first('rates'), index: 0, entry: headwind('rates', 1) }],
          altered: [
            { ...first('breadth'), fields: [alteration('/rank', 3, 2)] },
            { ...first('demand'), fields: [alteration('/rank', 2, 1)] },
          ],
          moved: [],
        },
        drawdownLabels: {
          ...NONE,
          added: [{ ...first('bear-market'), index: 1, entry: label('bear-market', 0.2) }],
        },
        invalidationConditions: { ...NONE, moved: [{ ...first('stress'), from: 1, to: 0 }] },
        risks: {
          added: [
            { key: 'Credit/rates', occurrence: 2, index: 3, entry: risk('Credit/rates', 'New') },
          ],
          removed: [],
          altered: [
            { ...first('Credit/rates'), fields: [alteration('/currentRead', 'Calm', 'Tense')] },
          ],
          moved: [{ ...first('Traps'), from: 2, to: 0 }],
        },
        positioning: {
          ...NONE,
          altered: [
            { ...first('Holder'), fields: [alteration('/watchpoints', ['x', 'y'], ['y', 'x'])] },
          ],
        },
        metrics: {
          ...NONE,
          altered: [
            {
              ...first('P/E ~ forward'),
              fields: [alteration('/value', 20, 19.5), alteration('/unit', 'x', null)],
            },
          ],
        },
        faqs: {
          ...NONE,
          removed: [
            { ...first('One?'), index: 0, entry: faq('One?') },
            { ...first('Two?'), index: 1, entry: faq('Two?') },
          ],
        },
        references: { ...NONE, added: [{ ...first('a~1b/c'), index: 0, entry: reference }] },
      },
    });
    expect([one.author.name, two.author.name]).toEqual(['analyst desk', 'admin desk']);
  });

  test('shows how a revision moved the numbers', async () => {
    expect((await read(3)).json()).toMatchObject({
      from: { version: 2 },
      to: { version: 3 },
      probabilities: {
        from: SECOND.probabilities,
        to: THIRD.probabilities,
        deltas: { bear: -0.26, base: -0.225, bull: 0.485 },
        totalVariation: 0.485,
      },
      fields: [],
      lists: Object.fromEntries(LISTS.map((name) => [name, NONE])),
    });
  });

  test('compares with the previous version unless another is given', async () => {
    for (const version of [2, 3, NEWEST]) {
      expect((await read(version)).body).toBe((await read(version, `against=${version - 1}`)).body);
    }
    expect((await read(NEWEST, 'against=1')).json()).toMatchObject({
      from: { version: 1 },
      to: { version: NEWEST },
    });
    expect((await read(1, `against=${NEWEST}`)).json()).toMatchObject({
      from: { version: NEWEST },
      to: { version: 1 },
    });
  });

  test('points to members of the outlook, before and after', async () => {
    let pointers = 0;
    for (const [from, to] of pairs(NEWEST)) {
      const [before, after] = [await outlookAt(from), await outlookAt(to)];
      for (const field of (await diffOf(from, to)).fields) {
        expect(resolve(before, field.pointer)).toEqual(field.before);
        expect(resolve(after, field.pointer)).toEqual(field.after);
        expect(field.after).not.toEqual(field.before);
        pointers += 1;
      }
    }
    // Seven between 1 and 2, and 1 and 3; all but the title's between 1 and 4; it alone between the others.
    expect(pointers).toBe(2 * (7 + 7 + 6 + 0 + 1 + 1));
  });

  test('points to entries by their places in the outlook, and to their members', async () => {
    const seen = { added: 0, removed: 0, altered: 0, moved: 0 };
    for (const [from, to] of pairs(NEWEST)) {
      const [before, after] = [await outlookAt(from), await outlookAt(to)];
      const { lists } = await diffOf(from, to);
      for (const name of LISTS) {
        const [left, right] = [before[name] as Entry[], after[name] as Entry[]];
        const use = (entries: Entry[], one: { key: string; occurrence: number }) =>
          entries.filter((entry) => entry[KEYS[name]] === one.key)[one.occurrence - 1];
        const { added, removed, altered, moved } = lists[name];
        for (const one of added) {
          expect(right[one.index]).toMatchObject(one.entry as Entry);
          expect(use(right, one)).toBe(right[one.index]);
        }
        for (const one of removed) {
          expect(left[one.index]).toMatchObject(one.entry as Entry);
          expect(use(left, one)).toBe(left[one.index]);
        }
        for (const one of moved) {
          expect(use(left, one)).toBe(left[one.from]);
          expect(use(right, one)).toBe(right[one.to]);
        }
        for (const { fields, ...one } of altered) {
          for (const { pointer, before, after } of fields) {
            expect(resolve(use(left, one), pointer)).toEqual(before);
            expect(resolve(use(right, one), pointer)).toEqual(after);
          }
        }
        seen.added += added.length;
        seen.removed += removed.length;
        seen.altered += altered.length;
        seen.moved += moved.length;
      }
    }
    expect(seen.added).toBe(seen.removed);
    expect(Object.values(seen).every((times) => times > 0)).toBe(true);
  });
});

/** The value that a JSON Pointer points to, by RFC 6901 and without our own code. */
function resolve(document: unknown, pointer: string): unknown {
  return pathOf(pointer).reduce((node, name) => (node as Entry)[name], document);
}

function pathOf(pointer: string): string[] {
  expect(pointer).toMatch(/^\//);
  const parts = pointer.slice(1).split('/');
  return parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function pointsOf(fractions: Record<ScenarioName, number>): Record<ScenarioName, number> {
  const points = SCENARIO_NAMES.map((name) => [name, exactly(fractions[name])] as const);
  return Object.fromEntries(points) as Record<ScenarioName, number>;
}

function exactly(fraction: number): number {
  const points = Math.round(fraction * 10_000);
  expect(points / 10_000).toBe(fraction);
  return points + 0;
}

/** A response as the domain's diff, which can be inverted and applied. */
function decoded({ probabilities, fields, lists }: Diff): VersionDiff {
  const { from, to, deltas, totalVariation } = probabilities;
  const field = ({ pointer, before, after }: Diff['fields'][number]) => {
    return { path: pathOf(pointer), before, after };
  };
  const list = (name: ListName) => ({
    ...lists[name],
    altered: lists[name].altered.map((one) => ({ ...one, fields: one.fields.map(field) })),
  });
  return {
    probabilities: {
      from: probabilitiesOf(pointsOf(from)),
      to: probabilitiesOf(pointsOf(to)),
      deltas: pointsOf(deltas),
      totalVariation: exactly(totalVariation),
    },
    fields: fields.map(field),
    lists: Object.fromEntries(LISTS.map((name) => [name, list(name)])) as never,
  };
}

/** The parts of a version that a diff compares, from a response. */
function comparable(answer: Outlook): Comparable {
  const { probabilities, title, summary, methodology, disclaimer } = answer;
  const lists = Object.fromEntries(LISTS.map((name) => [name, answer[name]])) as never;
  const scenario = (name: ScenarioName) => {
    const { probability: _, ...said } = answer.scenarios[name];
    return said;
  };
  return {
    probabilities: probabilitiesOf(pointsOf(probabilities)),
    framework: {
      ...(lists as Comparable['framework']),
      title,
      summary,
      methodology,
      disclaimer,
      scenarios: { bear: scenario('bear'), base: scenario('base'), bull: scenario('bull') },
      invalidationConditions: answer.invalidationConditions.map(
        ({ state: _state, ...said }) => said,
      ),
    },
  };
}

/** Checks that each diff of two versions leads from one to the other, and back. */
async function expectWays(slug: string, newest: number): Promise<void> {
  for (const [from, to] of pairs(newest)) {
    const [way, back] = [await diffOf(from, to, slug), await diffOf(to, from, slug)];
    expect([back.from, back.to]).toEqual([way.to, way.from]);
    expect(invert(decoded(way))).toStrictEqual(decoded(back));
    const [before, after] = [await outlookAt(from, slug), await outlookAt(to, slug)];
    expect([way.from, way.to]).toMatchObject([before, after].map(({ version }) => ({ version })));
    expect(applyDiff(comparable(before), decoded(way))).toStrictEqual(comparable(after));
  }
}

describe('the way there and the way back', () => {
  test('lead from one version to the other', async () => {
    expect.hasAssertions();
    await expectWays('compared', NEWEST);
  });

  // With characters that are special in pointers and members.
  const key = fc.constantFrom('a', 'b', 'A', 'a/b', '~', '~1', '~0/', '__proto__', 'constructor');
  const text = fc.constantFrom('x', 'y');
  const headwinds = fc
    .shuffledSubarray(['rates', 'demand', 'breadth', 'credit'])
    .chain((keys) =>
      fc
        .shuffledSubarray([1, 2, 3, 4, 5], { minLength: keys.length, maxLength: keys.length })
        .map((ranks) => keys.map((name, index) => headwind(name, ranks[index] ?? 0))),
    );
  const patch = fc.record(
    {
      title: text,
      disclaimer: fc.option(text),
      scenarios: fc.record({ bull: fc.record({ directionComment: fc.option(text) }) }),
      probabilities: wholePoints.map(({ bear, base, bull }) => {
        return { bear: bear / 10_000, base: base / 10_000, bull: bull / 10_000 };
      }),
      headwinds,
      risks: fc
        .array(fc.tuple(key, text), { maxLength: 6 })
        .map((all) => all.map(([area, currentRead]) => risk(area, currentRead))),
      faqs: fc.option(fc.array(key.map(faq), { maxLength: 6 })),
      positioning: fc.array(
        fc.array(key, { maxLength: 2 }).map((all) => holder(...all)),
        {
          maxLength: 3,
        },
      ),
    },
    { requiredKeys: [] },
  );

  test('lead from any version to any other', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(patch, { minLength: 1, maxLength: 3 }), async (patches) => {
        const slug = `round-${(slugs += 1)}`;
        await createOutlook(ledger, { slug });
        let newest = 1;
        for (const body of patches) {
          const patched = await patchFramework(ledger, { rationale: 'R', ...body }, { slug });
          // Refused where it asks for what stands already.
          expect([201, 422], patched.body).toContain(patched.statusCode);
          if (patched.statusCode === 201) newest += 1;
        }
        await expectWays(slug, newest);
      }),
      { numRuns: 20 },
    );
  });
});

type Numbers = [bear: number, base: number, bull: number];
test.for<[before: Numbers, after: Numbers, totalVariation: number]>([
  [[0.3, 0.45, 0.25], [0.35, 0.4, 0.25], 0.05],
  [[0.3, 0.45, 0.25], [0.36, 0.425, 0.215], 0.06],
  [[0.1, 0.2, 0.7], [0.3, 0.6, 0.1], 0.6],
  [[0.3333, 0.3333, 0.3334], [0.3333, 0.3334, 0.3333], 0.0001],
  [[1, 0, 0], [0, 0, 1], 1],
  [[0, 1, 0], [0.5, 0, 0.5], 1],
])('from %j to %j all moved by %d', async ([before, after, totalVariation]) => {
  const slug = `moved-${(slugs += 1)}`;
  const named = ([bear, base, bull]: Numbers) => ({ bear, base, bull });
  await createOutlook(ledger, { slug, probabilities: named(before) });
  const revision = { probabilities: named(after), rationale: 'R' };
  await send(ledger, 'POST', `/v1/outlooks/${slug}/revisions`, revision);
  const [way, back] = [await diffOf(1, 2, slug), await diffOf(2, 1, slug)];
  expect(way.probabilities).toMatchObject({
    from: named(before),
    to: named(after),
    totalVariation,
  });
  expect(back.probabilities.totalVariation).toBe(totalVariation);
});

test('shows no movement if only the wording changed', async () => {
  const slug = `moved-${(slugs += 1)}`;
  await createOutlook(ledger, { slug });
  await patchFramework(ledger, { title: 'Reworded', rationale: 'R' }, { slug });
  const { probabilities, fields } = await diffOf(1, 2, slug);
  expect(probabilities).toMatchObject({
    deltas: { bear: 0, base: 0, bull: 0 },
    totalVariation: 0,
  });
  expect(fields.map(({ pointer }) => pointer)).toEqual(['/title']);
});

describe('is refused', () => {
  const WHOLE = 'must be a whole number of at least 1';
  test.for<[version: number, query: string, faults: Record<string, string>]>([
    [2, 'against=2', { '/against': 'must be another version than 2' }],
    [1, 'against=1', { '/against': 'must be another version than 1' }],
    [1, '', { '/against': 'is required, because version 1 has no previous version' }],
    [2, 'against=0', { '/against': WHOLE }],
    [1, 'against=0', { '/against': WHOLE }],
    [2, 'against=-1', { '/against': WHOLE }],
    [2, 'against=01', { '/against': WHOLE }],
    [2, 'against=', { '/against': WHOLE }],
    [2, 'against=latest', { '/against': WHOLE }],
    [2, 'against=1&against=1', { '/against': WHOLE }],
    [2, 'against=2147483648', { '/against': 'must be at most 2147483647' }],
    [2, 'from=1', { '/from': 'unknown query parameter "from"; allowed here: against' }],
  ])('of version %i: %s', async ([version, query, faults]) => {
    const answer = await read(version, query);
    expect(answer.statusCode).toBe(422);
    const problem = answer.json<{ type: string; errors: { in: string }[] }>();
    expect(problem.type).toBe('/problems/invalid-request');
    expect(faultsOf(problem as never)).toEqual(faults);
    expect(problem.errors.map((error) => error.in)).toEqual(['query']);
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  const NEWEST_IS = `its newest is ${NEWEST}.`;
  const newest = (version: number) => `"compared" has no version ${version}; ${NEWEST_IS}`;
  test.for<[version: number, query: string, detail: string]>([
    [5, '', newest(5)],
    [5, 'against=1', newest(5)],
    [1, 'against=5', newest(5)],
    [2147483647, 'against=1', newest(2147483647)],
    [9, 'against=8', NEWEST_IS],
    [6, '', NEWEST_IS],
  ])('as not found: %i %s', async ([version, query, detail]) => {
    const answer = await read(version, query);
    expect(answer.statusCode).toBe(404);
    expect(answer.json<{ detail: string }>().detail).toContain(detail);
    expect(answer.json()).toMatchObject({ type: '/problems/not-found' });
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  test('as not found if the outlook or the path does not exist', async () => {
    const unknown = await read(2, '', 'nowhere');
    expect([unknown.statusCode, unknown.json()]).toMatchObject([
      404,
      { detail: 'There is no outlook "nowhere".' },
    ]);
    for (const version of ['0', '01', 'latest']) {
      const answer = await read(version, 'against=1');
      expect([answer.statusCode, answer.json()]).toMatchObject([
        404,
        { errors: [{ pointer: '/version', detail: WHOLE, in: 'path' }] },
      ]);
    }
  });
});

test('may be cached for ever, and stays the same whatever is published', async () => {
  const slug = 'lasting';
  await createOutlook(ledger, { slug });
  const revised = (bear: number) =>
    send(ledger, 'POST', `/v1/outlooks/${slug}/revisions`, {
      probabilities: { bear, base: 0.5, bull: (50 - 100 * bear) / 100 },
      rationale: 'R',
    });
  expect((await read(2, '', slug)).statusCode).toBe(404);
  await revised(0.1);
  const before = await read(2, '', slug);
  expect(before.statusCode).toBe(200);
  expect(before.headers['cache-control']).toBe('public, max-age=31536000, immutable');
  expect((await read(1, 'against=3', slug)).statusCode).toBe(404);
  await revised(0.2);
  const after = await read(2, '', slug);
  expect([after.body, after.headers.etag]).toEqual([before.body, before.headers.etag]);
  const back = await read(1, 'against=3', slug);
  expect(back.json()).toMatchObject({ from: { version: 3 }, to: { version: 1 } });
  const known = { 'if-none-match': String(back.headers.etag) };
  const url = `/v1/outlooks/${slug}/versions/1/diff?against=3`;
  expect((await ledger.call({ url, headers: known })).statusCode).toBe(304);
});
