import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SCENARIO_NAMES, type ScenarioName } from '../../src/domain/probabilities.ts';
import { changeState } from '../support/plain-sql.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, patchFramework, send } from '../support/requests.ts';

type Item = {
  slug: string;
  title: string;
  version: number;
  status: string;
  review: { due: boolean };
  publishedAt: string;
  probabilities: Record<ScenarioName, number>;
};

const START = Date.parse('2026-11-20T16:00:00.000Z');
let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger({ samples: false });
  await send(ledger, 'POST', '/v1/instruments', { symbol: 'RUT', name: 'R', kind: 'index' });
});
afterAll(() => ledger.close());

async function list(query: string): Promise<Item[]> {
  const items: Item[] = [];
  for (let url = `/v1/outlooks?${query}`; url !== '';) {
    const answer = await ledger.call({ url });
    expect(answer.statusCode, answer.body).toBe(200);
    items.push(...answer.json<{ items: Item[] }>().items);
    url = /^<(.+)>; rel="next"$/.exec(String(answer.headers.link))?.[1] ?? '';
  }
  return items;
}
const at = (milliseconds: number) => new Date(START + milliseconds).toISOString();
const asOf = (milliseconds: number, rest = '') => list(`asOf=${at(milliseconds)}${rest}`);
const named = (items: readonly Item[]) => items.map(({ slug, version }) => `${slug}@${version}`);

const probabilitiesOf = (bear: number) => ({
  bear,
  base: 0.5,
  bull: (5000 - Math.round(bear * 10_000)) / 10_000,
});

async function publish(slug: string, bear: number, title: string): Promise<void> {
  const probabilities = probabilitiesOf(bear);
  const answer = await createOutlook(ledger, { slug, probabilities, title, summary: 'S' });
  expect(answer.statusCode, answer.body).toBe(201);
}

/** Refused where it asks for what stands already. */
async function revise(slug: string, bear: number, title: string): Promise<void> {
  const probabilities = probabilitiesOf(bear);
  const answer = await patchFramework(ledger, { probabilities, title, rationale: 'R' }, { slug });
  expect([201, 422]).toContain(answer.statusCode);
}

describe('a list as of a given time', () => {
  beforeAll(async () => {
    ledger.clock.now = new Date(START);
    await publish('one', 0.1, 'Zircon');
    ledger.clock.now = new Date(START + 1000);
    await publish('two', 0.2, 'Gallium');
    ledger.clock.now = new Date(START + 2000);
    await revise('one', 0.3, 'Zircon');
    ledger.clock.now = new Date(START + 3000);
    await revise('two', 0.4, 'Zircon');
    await revise('two', 0.2, 'Zircon and zircon');
    ledger.clock.now = new Date(START + 4000);
  });

  test.for<[milliseconds: number, shown: string[]]>([
    [-1, []],
    [0, ['one@1']],
    [999, ['one@1']],
    [1000, ['two@1', 'one@1']],
    [1999, ['two@1', 'one@1']],
    [2000, ['one@2', 'two@1']],
    [2999, ['one@2', 'two@1']],
    [3000, ['two@3', 'one@2']],
    [4000, ['two@3', 'one@2']],
  ])('at %i ms shows %j', async ([milliseconds, shown]) => {
    expect(named(await asOf(milliseconds))).toEqual(shown);
    expect(named(await asOf(milliseconds, '&limit=1'))).toEqual(shown);
    expect(named(await asOf(milliseconds, '&sort=publishedAt'))).toEqual(shown.toReversed());
    expect(named(await asOf(milliseconds, '&sort=slug'))).toEqual(shown.toSorted());
  });

  test.for<[query: string, milliseconds: number, shown: string[]]>([
    ['scenario=bear&minProbability=0.2', 1500, ['two@1']],
    ['scenario=bear&minProbability=0.2', 2500, ['one@2', 'two@1']],
    ['scenario=bear&maxProbability=0.1', 2500, []],
    ['scenario=bear&minProbability=0.4', 3500, []],
    [`updatedSince=${at(1000)}`, 1500, ['two@1']],
    [`updatedSince=${at(1000)}`, 2500, ['one@2', 'two@1']],
    [`updatedSince=${at(2501)}`, 2500, []],
    ['q=gallium', 2999, ['two@1']],
    ['q=gallium', 3000, []],
    ['q=zircon', 2999, ['one@2']],
    ['q=zircon', 3000, ['two@3', 'one@2']],
    ['q=zircon&instrument=RUT&scenario=bear&maxProbability=0.2', 3000, ['two@3']],
    ['instrument=NONE', 3000, []],
  ])('filters by %s the versions of then: at %i ms %j', async ([query, milliseconds, shown]) => {
    expect(named(await asOf(milliseconds, `&${query}`))).toEqual(shown);
  });

  test('shows each as it was published, with its title at that time', async () => {
    const [two] = await asOf(2000, '&q=gallium');
    expect(two).toMatchObject({ title: 'Gallium', version: 1, publishedAt: at(1000) });
    const whole = await ledger.call({ url: '/v1/outlooks/two/versions/1' });
    expect(whole.json()).toMatchObject(two ?? {});
    expect((await ledger.call({ url: `/v1/outlooks/two?asOf=${at(2000)}` })).json()).toMatchObject(
      two ?? {},
    );
  });

  test('filters by the current status and review, and shows the state at publication', async () => {
    await changeState(ledger.pool, `status = 'void', review_reasons = '{x}'`, `slug = 'one'`);
    const published = [{ slug: 'one', version: 1, status: 'open', review: { due: false } }];
    expect(await asOf(500, '&status=void')).toMatchObject(published);
    expect(await asOf(500, '&reviewDue=true')).toMatchObject(published);
    expect(await asOf(500, '&status=open')).toEqual([]);
    expect(await asOf(4000, '&status=void')).toMatchObject([{ slug: 'one', status: 'open' }]);
    expect(await list('status=void')).toMatchObject([{ status: 'void', review: { due: true } }]);
    await changeState(ledger.pool, `status = 'open', review_reasons = '{}'`);
  });

  test('in the future is refused', async () => {
    const answer = await ledger.call({ url: `/v1/outlooks?asOf=${at(4001)}` });
    expect(answer.statusCode).toBe(422);
    expect(faultsOf(answer.json())).toEqual({
      '/asOf': `must not be in the future; the server time is ${at(4000)}`,
    });
    expect(await asOf(4000)).toEqual(await list(''));
  });

  test('may be in any year that timestamps can express', async () => {
    expect(await list('asOf=0001-01-01T00:00:00Z')).toEqual([]);
    expect(await list('asOf=2026-11-20T18:00:00.999%2B02:00')).toEqual(await asOf(999));
  });
});

describe('a list as of any time', () => {
  const TITLES = ['Zircon', 'Gallium', 'Zircon and gallium'];
  // Few and rare waits, so that versions share their times.
  const step = fc.record({
    which: fc.nat(4),
    bear: fc.integer({ min: 0, max: 5000 }),
    title: fc.constantFrom(...TITLES),
    wait: fc.constantFrom(0, 0, 1, 500, 86_400_000),
  });
  const question = fc.record({
    /** The place in the time that the steps took, in thousandths; -1 is just before. */
    place: fc.integer({ min: -1, max: 1000 }),
    limit: fc.integer({ min: 1, max: 4 }),
    sort: fc.constantFrom('-publishedAt', 'publishedAt', 'slug'),
    scenario: fc.option(fc.constantFrom(...SCENARIO_NAMES)),
    min: fc.integer({ min: 0, max: 6000 }),
    q: fc.option(fc.constantFrom('zircon', 'gallium')),
  });
  type Step = typeof step extends fc.Arbitrary<infer One> ? One : never;
  type Question = typeof question extends fc.Arbitrary<infer One> ? One : never;
  let rounds = 0;

  /** Takes the steps on new outlooks, and returns everything that was recorded, by outlook. */
  async function record(steps: readonly Step[]): Promise<Item[][]> {
    rounds += 1;
    const slugs = new Set<string>();
    for (const { which, bear, title, wait } of steps) {
      ledger.clock.now = new Date(ledger.clock.now.getTime() + wait);
      const slug = `round-${rounds}-${which}`;
      if (slugs.has(slug)) await revise(slug, bear / 10_000, title);
      else await publish(slug, bear / 10_000, title);
      slugs.add(slug);
    }
    const histories = [...slugs].map(async (slug) => {
      const url = `/v1/outlooks/${slug}`;
      const { version: newest } = (await ledger.call({ url })).json<Item>();
      const versions = Array.from({ length: newest }, (_, index) => `${url}/versions/${index + 1}`);
      return Promise.all(versions.map(async (at) => (await ledger.call({ url: at })).json<Item>()));
    });
    return Promise.all(histories);
  }

  /** The expected list, computed from the histories alone. */
  function expected(histories: readonly Item[][], then: string, asked: Question): Item[] {
    const { scenario, min, q, sort } = asked;
    const seen = histories.flatMap((versions, id) => {
      const stood = versions.findLast(({ publishedAt }) => publishedAt <= then);
      return stood ? [{ stood, place: sort === 'slug' ? stood.slug : stood.publishedAt + id }] : [];
    });
    const kept = seen.filter(
      ({ stood }) =>
        (scenario === null || stood.probabilities[scenario] >= min / 10_000) &&
        (q === null || stood.title.toLowerCase().includes(q)),
    );
    const ordered = kept.toSorted((a, b) => (a.place < b.place ? -1 : 1));
    if (sort.startsWith('-')) ordered.reverse();
    return ordered.map(({ stood }) => stood);
  }

  test('shows what the versions recorded until then say', async () => {
    const questions = fc.array(question, { minLength: 8, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 12 }),
        questions,
        async (steps, asked) => {
          const begun = ledger.clock.now.getTime() + 1;
          ledger.clock.now = new Date(begun);
          const histories = await record(steps);
          const span = ledger.clock.now.getTime() - begun;
          for (const one of asked) {
            const { place, limit, sort, scenario, min, q } = one;
            const after = place < 0 ? place : Math.ceil((span * place) / 1000);
            const then = new Date(begun + after).toISOString();
            // Since the steps began: without the outlooks of other rounds.
            const since = new Date(begun).toISOString();
            const query = new URLSearchParams({
              asOf: then,
              updatedSince: since,
              sort,
              limit: `${limit}`,
            });
            if (q !== null) query.set('q', q);
            if (scenario !== null) query.set('scenario', scenario);
            if (scenario !== null) query.set('minProbability', `${min / 10_000}`);
            const found = await list(query.toString());
            const said = (items: readonly Item[]) =>
              items.map(({ slug, version, title }) => [slug, version, title]);
            expect(said(found)).toEqual(said(expected(histories, then, one)));
          }
        },
      ),
      { numRuns: 25 },
    );
  });
});
