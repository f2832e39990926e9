import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { comparisonsOf, type Rule } from '../../src/domain/condition-rules.ts';
import { ruleFaults } from '../../src/domain/rule-faults.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { type State, step, type Vintage, type World } from '../support/naive-rules.ts';
import { type Batch, LAST_DAY, worlds } from '../support/rule-worlds.ts';
import { createOutlook, send } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

let seconds = 0;
let runs = 0;

/** Sets the clock to a day, later than any call before on that day. */
function goTo(day: string): void {
  seconds += 1;
  ledger.clock.now = new Date(Date.parse(`${day}T06:00:00Z`) + seconds * 1_000);
}

async function post(path: string, body: object, as: 'feed' | 'analyst', status: number) {
  const answer = await send(ledger, 'POST', path, body, { as });
  expect(answer.statusCode, answer.body).toBe(status);
}

function renamed(rule: Rule, name: (key: string) => string): Rule {
  const comparisons = comparisonsOf(rule).map((one) => ({ ...one, series: name(one.series) }));
  if ('all' in rule) return { all: comparisons };
  return 'any' in rule ? { any: comparisons } : (comparisons[0] ?? rule);
}

/** Publishes the outlook of a world, whose horizon becomes long enough for its rule. */
async function publish(world: World, slug: string, rule: Rule): Promise<World> {
  const condition = { key: 'met', invalidates: 'bear', statement: 'S', rule };
  const ends = [world.to > LAST_DAY ? world.to : LAST_DAY, '2031-01-01'];
  for (const to of ends) {
    const horizon = { from: world.from, to };
    const created = await createOutlook(ledger, {
      slug,
      horizon,
      invalidationConditions: [condition],
    });
    if (created.statusCode === 201) return { ...world, to };
    expect(created.json()).toMatchObject({ detail: 'A rule does not fit its series.' });
  }
  throw new Error('the rule fits no horizon');
}

async function answer(slug: string): Promise<void> {
  const body = {
    rationale: 'R',
    probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
    acknowledges: [{ condition: 'met', reason: 'R' }],
  };
  await post(`/v1/outlooks/${slug}/revisions`, body, 'analyst', 201);
}

async function changesOf(slug: string): Promise<string[][]> {
  const { rows } = await ledger.pool.query<{ state: string; day: string }>(
    `select c.state, c.day from condition_changes c join outlooks o on o.id = c.outlook_id
      where o.slug = $1 order by c.id`,
    [slug],
  );
  return rows.map(({ state, day }) => [state, day]);
}

/** A value that triggers, is answered, is retracted and comes again, on a day of its own each. */
const RETRACTED: { world: World; batches: Batch[] } = {
  world: {
    rule: {
      series: 'b',
      operator: 'gt',
      threshold: 2,
      forObservations: 1,
      judgedOn: 'recorded',
    },
    series: { b: { frequency: 'daily', dated: 'start' } },
    from: '2026-06-01',
    to: '2026-06-04',
  },
  batches: [
    { value: 3, recordedOn: '2026-08-01' },
    { value: null, recordedOn: '2026-08-02' },
    { value: 3, recordedOn: '2026-08-03' },
  ].map((vintage) => ({
    vintages: [{ series: 'b', date: '2026-05-28', ...vintage }],
    isAnswered: vintage.recordedOn === '2026-08-01',
  })),
};

test('rules in the ledger agree with the naive simulation', async () => {
  await fc.assert(
    fc.asyncProperty(
      worlds.filter(
        ({ world, batches }) => batches.length > 2 && ruleFaults(world.rule).length === 0,
      ),
      async ({ world: drawn, batches }) => {
        const name = (key: string) => `${key}-${runs}`;
        const slug = `run-${(runs += 1)}`;
        goTo('2026-07-31');
        for (const [key, made] of Object.entries(drawn.series)) {
          const series = { key: name(key), name: 'N', unit: 'U', source: 'S', ...made };
          await post('/v1/series', series, 'feed', 201);
        }
        const world = await publish(drawn, slug, renamed(drawn.rule, name));
        let now: State = { state: 'untriggered', day: null, isAnswered: false, answeredDay: null };
        let before: Vintage[] = [];
        const expected: string[][] = [];
        for (const { vintages, isAnswered } of batches) {
          const [first] = vintages;
          if (!first) continue;
          const { series, recordedOn } = first;
          goTo(recordedOn);
          const observations = vintages.map(({ date, value }) => ({ date, value }));
          await post(`/v1/series/${name(series)}/observations`, { observations }, 'feed', 200);
          const after = [...before, ...vintages];
          for (const [state, day] of step(world, before, after, now)) {
            expected.push([state, day]);
            now = { ...now, state: state as State['state'], day, isAnswered: false };
          }
          expect(await changesOf(slug)).toEqual(expected);
          if (isAnswered && now.state === 'triggered' && !now.isAnswered) {
            goTo(recordedOn);
            await answer(slug);
            now = { ...now, isAnswered: true, answeredDay: now.day };
          }
          before = after;
        }
      },
    ),
    { numRuns: 80, examples: [[RETRACTED]] },
  );
});
