import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { endHorizons } from '../../src/ledger/end-horizons.ts';
import type { Rule } from '../../src/domain/condition-rules.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, outlookBody, patchFramework, send } from '../support/requests.ts';
import { changeState } from '../support/plain-sql.ts';

const YIELD = 'us-30y-yield';
const SPREAD = 'us-high-yield-spread';
const STANDS = { bear: 0.3, base: 0.45, bull: 0.25 };
const REASON =
  '"rate-relief" is triggered: us-30y-yield was 4.1 on 2026-11-18, below 4.25 for 3 observations in a row.';

let ledger: TestLedger;
beforeEach(async () => {
  ledger = await startLedger();
});
afterEach(() => ledger.close());

type Observed = [date: string, value: number];

async function observe(series: string, ...observed: Observed[]): Promise<void> {
  ledger.clock.now = new Date(ledger.clock.now.getTime() + 1000);
  const observations = observed.map(([date, value]) => ({ date, value }));
  const url = `/v1/series/${series}/observations`;
  const answer = await send(ledger, 'POST', url, { observations }, { as: 'feed' });
  expect(answer.statusCode, answer.body).toBe(200);
}

/** Three days below the threshold of "rate-relief", which speaks against the bear scenario. */
const trigger = () =>
  observe(YIELD, ['2026-11-16', 4.2], ['2026-11-17', 4.24], ['2026-11-18', 4.1]);

const revise = (probabilities: object, more: object = {}) =>
  ledger.revise({ probabilities, rationale: 'Why.', ...more });

type Condition = {
  key: string;
  state: string;
  lastChange: Record<string, unknown> | null;
  changes: Record<string, unknown>[];
  nextCursor: string | null;
};

async function conditionOf(key: string, slug = SLUG): Promise<Condition> {
  const answer = await ledger.call({ url: `/v1/outlooks/${slug}/conditions/${key}` });
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json<Condition>();
}

type View = {
  version: number;
  review: { due: boolean; reasons: string[] };
  invalidationConditions: { key: string; state: string }[];
  answers: unknown[];
};
async function view(query = '', slug = SLUG) {
  const answer = await ledger.call({ url: `/v1/outlooks/${slug}${query}` });
  expect(answer.statusCode, answer.body).toBe(200);
  const { version, review, invalidationConditions, answers } = answer.json<View>();
  const states = invalidationConditions
    .filter(({ state }) => state !== 'untriggered')
    .map(({ key, state }) => `${key} ${state}`);
  return { version, review, states, answers };
}

const NOT_DUE = { due: false, reasons: [] };

/** An outlook with one condition with a rule, against its bear scenario. */
async function withRule(rule: Rule, slug = 'ruled'): Promise<void> {
  const condition = { key: 'met', invalidates: 'bear', statement: 'It is met.', rule };
  const created = await createOutlook(ledger, { slug, invalidationConditions: [condition] });
  expect(created.statusCode, created.body).toBe(201);
}

describe('a rule', () => {
  test('that new observations fulfil triggers its condition and makes a review due', async () => {
    expect(await view()).toMatchObject({ review: NOT_DUE, states: [] });
    await trigger();
    expect(await view()).toEqual({
      version: 1,
      review: { due: true, reasons: [REASON] },
      states: ['rate-relief triggered'],
      answers: [],
    });
    expect(await conditionOf('rate-relief')).toMatchObject({
      state: 'triggered',
      lastChange: {
        state: 'triggered',
        cause: 'observations',
        reason: REASON,
        day: '2026-11-18',
        observations: [{ series: YIELD, date: '2026-11-18', value: 4.1 }],
        version: 1,
        recordedAt: '2026-11-20T16:00:01.000Z',
        assessment: null,
        answer: null,
      },
    });
    const { items } = (await ledger.call({ url: '/v1/outlooks?reviewDue=true' })).json<{
      items: { slug: string; review: unknown }[];
    }>();
    expect(items).toMatchObject([{ slug: SLUG, review: { due: true, reasons: [REASON] } }]);
  });

  test('does not hold with too few observations, or if one is not beyond the threshold', async () => {
    await observe(YIELD, ['2026-11-16', 4.2], ['2026-11-17', 4.2]);
    expect(await view()).toMatchObject({ review: NOT_DUE, states: [] });
    await observe(YIELD, ['2026-11-18', 4.25], ['2026-11-19', 4.2], ['2026-11-20', 4.2]);
    expect(await view()).toMatchObject({ review: NOT_DUE, states: [] });
  });

  test('considers an observation that arrives late, between existing ones', async () => {
    await observe(YIELD, ['2026-11-16', 4.2], ['2026-11-18', 4.2], ['2026-11-19', 4.9]);
    expect(await view()).toMatchObject({ states: [] });
    await observe(YIELD, ['2026-11-17', 4.2]);
    expect((await conditionOf('rate-relief')).lastChange).toMatchObject({ day: '2026-11-18' });
  });

  test('looks at no day before the horizon', async () => {
    await observe(YIELD, ['2026-03-27', 4], ['2026-03-28', 4], ['2026-03-30', 4]);
    expect(await view()).toMatchObject({ states: [] });
    // A window may begin before it.
    await observe(YIELD, ['2026-03-31', 4]);
    expect((await conditionOf('rate-relief')).lastChange).toMatchObject({ day: '2026-03-31' });
  });

  test('looks at no day after the horizon', async () => {
    ledger.clock.now = new Date('2027-04-05T12:00:00.000Z');
    await observe(
      YIELD,
      ['2027-03-29', 4],
      ['2027-03-30', 4.9],
      ['2027-03-31', 4],
      ['2027-04-01', 4],
    );
    await observe(YIELD, ['2027-03-30', 4]);
    expect(await view()).toMatchObject({ states: [] });
    await observe(YIELD, ['2027-03-28', 4]);
    expect((await conditionOf('rate-relief')).lastChange).toMatchObject({ day: '2027-03-30' });
  });

  test('over two series triggers with the later of them', async () => {
    const [first, ...rest] = ['16', '17', '18', '19', '20'].map((day) => `2026-11-${day}`);
    await observe(SPREAD, ...[first ?? '', ...rest].map((date): Observed => [date, 2.9]));
    expect(await view()).toMatchObject({ states: [] });
    await observe(YIELD, ['2026-11-20', 4.5]);
    expect(await view()).toMatchObject({ states: ['financing-access triggered'] });
    expect((await conditionOf('financing-access')).lastChange).toMatchObject({
      reason:
        '"financing-access" is triggered: us-high-yield-spread was 2.9 on 2026-11-20, below 3 for 5 observations in a row; us-30y-yield was 4.5 on 2026-11-20, below 4.75.',
    });
  });

  test('is evaluated when it is published, against the existing observations', async () => {
    await observe(YIELD, ['2026-11-17', 4.9], ['2026-11-18', 5.2]);
    const rule: Rule = {
      series: YIELD,
      operator: 'crossesAbove',
      threshold: 5,
      forObservations: 1,
      judgedOn: null,
    };
    await withRule(rule);
    expect(await view('', 'ruled')).toMatchObject({
      version: 1,
      review: { due: true },
      states: ['met triggered'],
    });
    expect((await conditionOf('met', 'ruled')).lastChange).toMatchObject({
      cause: 'framework',
      reason: '"met" is triggered: us-30y-yield was 5.2 on 2026-11-18, crossing above 5.',
    });
    const eased = {
      key: 'met',
      invalidates: 'bear',
      statement: 'It is met.',
      rule: { ...rule, threshold: 6 },
    };
    const body = { rationale: 'Was too low.', invalidationConditions: [eased] };
    const unanswered = await patchFramework(ledger, body, { slug: 'ruled' });
    expect(unanswered.json()).toMatchObject({ type: '/problems/condition-unanswered' });
    const acknowledges = [{ condition: 'met', reason: 'The threshold was wrong.' }];
    const patched = await patchFramework(ledger, { ...body, acknowledges }, { slug: 'ruled' });
    expect(patched.statusCode, patched.body).toBe(201);
    expect(patched.body).toBe((await ledger.call({ url: '/v1/outlooks/ruled' })).body);
    expect(await view('', 'ruled')).toMatchObject({ version: 2, review: NOT_DUE, states: [] });
    expect((await conditionOf('met', 'ruled')).changes).toMatchObject([
      { state: 'untriggered', cause: 'framework', version: 2 },
      { state: 'triggered', cause: 'framework', version: 1, answer: { version: 2 } },
    ]);
  });
});

describe('while a condition is triggered', () => {
  beforeEach(trigger);

  test('a revision that does not answer it is refused, and says both ways to answer', async () => {
    const refused = await revise({ bear: 0.3, base: 0.4, bull: 0.3 });
    expect(refused.statusCode).toBe(422);
    expect(refused.json()).toEqual({
      type: '/problems/condition-unanswered',
      title: 'A triggered condition needs an answer',
      status: 422,
      detail: `${REASON} Lower the probability of the invalidated scenario, or give a reason in acknowledges.`,
      instance: `/v1/outlooks/${SLUG}/revisions`,
      conditions: [
        {
          key: 'rate-relief',
          invalidates: 'bear',
          statement: expect.stringContaining('Relief on interest rates'),
          reason: REASON,
          triggeredAt: '2026-11-20T16:00:01.000Z',
        },
      ],
      errors: [
        {
          pointer: '/probabilities/bear',
          detail: `${REASON} It invalidates the bear scenario: go below 0.3, or add {"condition": "rate-relief", "reason": "…"} to acknowledges`,
        },
      ],
    });
    expect(await view()).toMatchObject({ version: 1, review: { due: true } });
  });

  test('a lower probability of its scenario answers it, and the review is over', async () => {
    const revised = await revise({ bear: 0.2999, base: 0.45, bull: 0.2501 });
    expect(revised.statusCode, revised.body).toBe(201);
    const answers = [{ condition: 'rate-relief', way: 'weight', reason: null }];
    expect(revised.json()).toMatchObject({ version: 2, review: NOT_DUE, answers });
    expect(revised.body).toBe((await ledger.call({ url: `/v1/outlooks/${SLUG}` })).body);
    expect(await view()).toEqual({
      version: 2,
      review: NOT_DUE,
      states: ['rate-relief triggered'],
      answers,
    });
    expect((await conditionOf('rate-relief')).lastChange).toMatchObject({
      answer: { version: 2, way: 'weight', reason: null },
    });
    // Once answered, the next version need not answer it.
    expect((await revise({ bear: 0.5, base: 0.25, bull: 0.25 })).statusCode).toBe(201);
  });

  test('a reason answers it, whatever the probability, even if nothing else changes', async () => {
    const acknowledges = [
      { condition: 'rate-relief', reason: 'One auction does not make a trend.' },
    ];
    const revised = await revise(STANDS, { acknowledges });
    expect(revised.statusCode, revised.body).toBe(201);
    expect(revised.json()).toMatchObject({
      version: 2,
      change: { kind: 'probabilities', deltas: { bear: 0, base: 0, bull: 0 } },
      answers: [
        {
          condition: 'rate-relief',
          way: 'acknowledged',
          reason: 'One auction does not make a trend.',
        },
      ],
      review: NOT_DUE,
    });
    expect((await revise(STANDS, { acknowledges })).json()).toMatchObject({
      errors: [
        {
          pointer: '/acknowledges/0/condition',
          detail: '"rate-relief" needs no answer; leave acknowledges out',
        },
      ],
    });
  });

  test('only a condition that waits for an answer may be acknowledged', async () => {
    const refused = await revise(STANDS, {
      acknowledges: [
        { condition: 'refinancing-stress', reason: 'R' },
        { condition: 'nonsense', reason: 'R' },
      ],
    });
    expect(refused.statusCode).toBe(422);
    const detail = (key: string) => `"${key}" needs no answer; these do: rate-relief`;
    expect(faultsOf(refused.json())).toEqual({
      '/acknowledges/0/condition': detail('refinancing-stress'),
      '/acknowledges/1/condition': detail('nonsense'),
    });
    const twice = { condition: 'rate-relief', reason: 'R' };
    expect(faultsOf((await revise(STANDS, { acknowledges: [twice, twice] })).json())).toEqual({
      '/acknowledges/1/condition': '"rate-relief" is already used by entry 0',
    });
  });

  test('it stays triggered until it is answered; then it is armed again', async () => {
    await observe(YIELD, ['2026-11-19', 4.6]);
    expect(await view()).toMatchObject({
      review: { due: true },
      states: ['rate-relief triggered'],
    });
    expect((await revise({ bear: 0.2, base: 0.5, bull: 0.3 })).statusCode).toBe(201);
    await observe(YIELD, ['2026-11-20', 4.1]);
    expect(await view()).toMatchObject({ review: NOT_DUE, states: [] });
    await observe(YIELD, ['2026-11-21', 4.1]);
    expect(await view()).toMatchObject({ states: [] });
    await observe(YIELD, ['2026-11-17', 4.3]); // a revision of what triggered it changes nothing now
    expect((await conditionOf('rate-relief')).changes).toMatchObject([
      {
        state: 'untriggered',
        day: '2026-11-20',
        reason: '"rate-relief": the rule does not hold as of 2026-11-20.',
      },
      { state: 'triggered', day: '2026-11-18' },
    ]);
  });

  test('a batch with days on which it does not hold and days on which it does triggers it again', async () => {
    ledger.clock.now = new Date('2026-11-23T12:00:00.000Z');
    expect((await revise({ bear: 0.2, base: 0.5, bull: 0.3 })).statusCode).toBe(201);
    await observe(
      YIELD,
      ['2026-11-19', 4.6],
      ['2026-11-20', 4.1],
      ['2026-11-21', 4.1],
      ['2026-11-22', 4.1],
    );
    expect(await view()).toMatchObject({
      review: { due: true },
      states: ['rate-relief triggered'],
    });
    expect((await conditionOf('rate-relief')).changes).toMatchObject([
      { state: 'triggered', day: '2026-11-22' },
      { state: 'untriggered', day: '2026-11-19' },
      { state: 'triggered', day: '2026-11-18' },
    ]);
  });

  test('a revised value with which it would not have triggered clears it; earlier vintages stay', async () => {
    const triggeredAt = ledger.clock.now;
    await observe(YIELD, ['2026-11-17', 4.3]);
    expect(await view()).toMatchObject({ review: NOT_DUE, states: [], answers: [] });
    expect((await conditionOf('rate-relief')).changes).toMatchObject([
      {
        state: 'untriggered',
        cause: 'observations',
        day: '2026-11-18',
        recordedAt: '2026-11-20T16:00:02.000Z',
        answer: null,
      },
      { state: 'triggered', recordedAt: '2026-11-20T16:00:01.000Z', answer: null },
    ]);
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 1000);
    const asOf = (at: number) => view(`?asOf=${new Date(at).toISOString()}`);
    expect(await asOf(triggeredAt.getTime() - 1)).toMatchObject({ review: NOT_DUE, states: [] });
    expect(await asOf(triggeredAt.getTime())).toMatchObject({
      review: { due: true, reasons: [REASON] },
      states: ['rate-relief triggered'],
    });
    expect(await asOf(triggeredAt.getTime() + 1000)).toMatchObject({ review: NOT_DUE, states: [] });
    expect((await revise({ bear: 0.4, base: 0.35, bull: 0.25 })).statusCode).toBe(201);
  });

  test('as of a given time, the review is due until the version that answers it', async () => {
    const triggeredAt = ledger.clock.now.toISOString();
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 60_000);
    await revise({ bear: 0.2, base: 0.5, bull: 0.3 });
    expect(await view(`?asOf=${triggeredAt}`)).toMatchObject({ version: 1, review: { due: true } });
    const listed = async (asOf: string) => {
      const answer = await ledger.call({ url: `/v1/outlooks?asOf=${asOf}` });
      return answer.json<{ items: { review: unknown }[] }>().items.map(({ review }) => review);
    };
    expect(await listed(triggeredAt)).toEqual([{ due: true, reasons: [REASON] }]);
    expect(await listed(ledger.clock.now.toISOString())).toEqual([NOT_DUE]);
    expect(await view(`?asOf=${ledger.clock.now.toISOString()}`)).toMatchObject({
      version: 2,
      review: NOT_DUE,
      states: ['rate-relief triggered'],
    });
    // A numbered version always shows the state in which it was published.
    expect(await view('/versions/1')).toMatchObject({ review: NOT_DUE, states: [] });
    expect(await view('/versions/2')).toMatchObject({
      review: NOT_DUE,
      states: ['rate-relief triggered'],
      answers: [{ condition: 'rate-relief', way: 'weight' }],
    });
  });

  test('a stream reports all of it, in order', async () => {
    await revise({ bear: 0.2, base: 0.5, bull: 0.3 });
    await observe(YIELD, ['2026-11-19', 4.6]);
    const { rows } = await ledger.pool.query<{ kind: string; version: number }>(
      'select kind, version from events where outlook_id is not null order by id',
    );
    expect(rows.map(({ kind, version }) => `${kind} ${version}`)).toEqual([
      'outlook.created 1',
      'condition.triggered 1',
      'outlook.state.changed 1',
      'outlook.review.due 1',
      'outlook.state.changed 1',
      'outlook.version.published 2',
      'condition.cleared 2',
    ]);
  });

  test('a change of the framework must answer it, too', async () => {
    const refused = await patchFramework(ledger, { rationale: 'R', title: 'T' });
    expect(refused.json()).toMatchObject({ type: '/problems/condition-unanswered' });
    const without = (outlookBody()['invalidationConditions'] as { key: string }[]).filter(
      ({ key }) => key !== 'rate-relief',
    );
    const dropped = { rationale: 'R', invalidationConditions: without };
    expect((await patchFramework(ledger, dropped)).statusCode).toBe(422);
    const acknowledges = [{ condition: 'rate-relief', reason: 'It told us nothing.' }];
    const answered = await patchFramework(ledger, { ...dropped, acknowledges });
    expect(answered.statusCode, answered.body).toBe(201);
    expect(answered.json()).toMatchObject({ version: 2, review: NOT_DUE });
  });

  test('each of several simultaneous revisions is decided on the state that the previous one left', async () => {
    const bears = [0.29, 0.31, 0.28, 0.32];
    const answers = await Promise.all(
      bears.map((bear) => revise({ bear, base: 0.4, bull: Number((0.6 - bear).toFixed(2)) })),
    );
    expect(answers.map(({ statusCode }) => statusCode)).toContain(201);
    const { rows } = await ledger.pool.query(
      `select v.bear_bps from condition_answers a
         join outlook_versions v on v.outlook_id = a.outlook_id and v.version = a.version`,
    );
    expect(rows).toHaveLength(1);
    expect(Number(rows[0]?.bear_bps)).toBeLessThan(3000);
  });
});

describe('an assessment', () => {
  const assess = (key: string, body: object, slug = SLUG) =>
    send(ledger, 'POST', `/v1/outlooks/${slug}/conditions/${key}/assessments`, body);
  const MET = { state: 'triggered', rationale: 'Two strong months.' };

  test('triggers a condition without a rule, cites evidence, and must be answered', async () => {
    const evidence = await send(ledger, 'POST', `/v1/outlooks/${SLUG}/evidence`, {
      headline: 'Orders up',
      summary: 'Twice in a row.',
      publisher: 'A newspaper',
      publishedAt: '2026-11-20T13:30:00Z',
    });
    const { id } = evidence.json<{ id: string }>();
    const assessed = await assess('orders-and-spending', { ...MET, evidence: [id] });
    expect(assessed.statusCode, assessed.body).toBe(201);
    expect(assessed.headers.location).toBe(`/v1/outlooks/${SLUG}/conditions/orders-and-spending`);
    expect(assessed.json()).toMatchObject({
      key: 'orders-and-spending',
      state: 'triggered',
      lastChange: {
        cause: 'assessment',
        reason: 'analyst desk assessed "orders-and-spending" as triggered.',
        day: null,
        observations: [],
        assessment: { author: { name: 'analyst desk' }, rationale: MET.rationale, evidence: [id] },
      },
    });
    expect(await view()).toMatchObject({ review: { due: true } });
    expect((await revise({ bear: 0.3, base: 0.4, bull: 0.3 })).statusCode).toBe(422);
    const cleared = await assess('orders-and-spending', { ...MET, state: 'untriggered' });
    expect(cleared.statusCode).toBe(201);
    expect(await view()).toMatchObject({ review: NOT_DUE, states: [] });
    const page = `/v1/outlooks/${SLUG}/conditions/orders-and-spending?limit=1`;
    const first = (await ledger.call({ url: page })).json<Condition>();
    expect(first.changes).toMatchObject([{ state: 'untriggered' }]);
    const next = await ledger.call({ url: `${page}&cursor=${first.nextCursor}` });
    expect(next.json<Condition>()).toMatchObject({
      changes: [{ state: 'triggered' }],
      nextCursor: null,
    });
  });

  test('of a condition with a rule needs a reason to override it', async () => {
    const refused = await assess('rate-relief', MET);
    expect(faultsOf(refused.json())).toEqual({
      '/overrideReason': 'is required: this condition has a rule; say why you override it',
    });
    const forced = await assess('rate-relief', { ...MET, overrideReason: 'Announced today.' });
    expect(forced.statusCode, forced.body).toBe(201);
    expect(forced.json()).toMatchObject({
      lastChange: { assessment: { overrideReason: 'Announced today.' } },
    });
    // Observations did not trigger it, so none clears it.
    await observe(YIELD, ['2026-11-18', 5]);
    expect(await view()).toMatchObject({ states: ['rate-relief triggered'] });
    await revise({ bear: 0.2, base: 0.5, bull: 0.3 });
    await observe(YIELD, ['2026-11-19', 5]);
    expect(await view()).toMatchObject({ states: [] });
  });

  test.for([
    [
      'that changes nothing',
      { state: 'untriggered' },
      { '/state': 'the condition is already untriggered' },
    ],
    [
      'that goes before a rule that is not there',
      { overrideReason: 'R' },
      { '/overrideReason': 'must be left out, because this condition has no rule to override' },
    ],
    [
      'that cites what is no evidence of the outlook',
      { evidence: ['00000000-0000-4000-8000-000000000000'] },
      {
        '/evidence/0':
          '"00000000-0000-4000-8000-000000000000" is not evidence of this outlook; GET …/evidence lists the ids',
      },
    ],
    [
      'of an unknown state',
      { state: 'maybe' },
      { '/state': 'must be one of untriggered, triggered, expired' },
    ],
  ] as const)('%s is refused', async ([, change, faults]) => {
    const refused = await assess('earnings-revisions', { ...MET, ...change });
    expect(refused.statusCode).toBe(422);
    expect(faultsOf(refused.json())).toEqual(faults);
    expect(await conditionOf('earnings-revisions')).toMatchObject({ lastChange: null });
  });

  test('of a missing condition is a 404', async () => {
    expect((await assess('nonsense', MET)).statusCode).toBe(404);
    expect((await assess('rate-relief', MET, 'nowhere')).statusCode).toBe(404);
    expect((await ledger.call({ url: '/v1/outlooks/nowhere/conditions' })).statusCode).toBe(404);
    const url = `/v1/outlooks/${SLUG}/conditions/nonsense`;
    expect((await ledger.call({ url })).statusCode).toBe(404);
  });

  test('of an outlook that is closed is refused', async () => {
    await changeState(ledger.pool, `status = 'void'`, `slug = '${SLUG}'`);
    expect((await assess('earnings-revisions', MET)).json()).toMatchObject({
      status: 409,
      type: '/problems/outlook-closed',
    });
  });
});

describe('at the end of the horizon', () => {
  test('untriggered conditions expire, once, on whichever instance', async () => {
    await trigger();
    const day = (text: string) => new Date(`${text}T00:00:00Z`);
    expect(await endHorizons(ledger.servicePool, day('2027-03-30'))).toEqual([]);
    const all = await Promise.all(
      Array.from({ length: 8 }, () => endHorizons(ledger.servicePool, day('2027-03-31'))),
    );
    expect(all.flat()).toEqual([SLUG]);
    const { states, review } = await view();
    expect(states.filter((state) => state.endsWith(' expired'))).toHaveLength(9);
    expect(states).toContain('rate-relief triggered');
    expect(review).toEqual({
      due: true,
      reasons: ['The horizon ended on 2027-03-30; record the outcome.'],
    });
    expect((await conditionOf('refinancing-stress')).changes).toMatchObject([
      {
        state: 'expired',
        cause: 'horizon',
        reason:
          '"refinancing-stress" was not triggered by 2027-03-30, the last day of the horizon.',
      },
    ]);
    expect(await endHorizons(ledger.servicePool, day('2027-04-01'))).toEqual([]);
    // No observation triggers an expired condition.
    ledger.clock.now = day('2027-04-02');
    await observe(
      YIELD,
      ...Array.from({ length: 20 }, (_, n): Observed => [`2027-03-${11 + n}`, 5.5]),
    );
    expect((await view()).states).toContain('persistently-high-rates expired');
  });
});

test('the next read shows what was written here, whatever was cached', async () => {
  const item = { headline: 'H', summary: 'S', publisher: 'P', publishedAt: '2026-11-20T13:30:00Z' };
  const assess = (state: string) =>
    send(ledger, 'POST', `/v1/outlooks/${SLUG}/conditions/earnings-revisions/assessments`, {
      state,
      rationale: 'R',
    });
  const paths = ['', '/conditions', '/conditions/earnings-revisions', '/evidence'];
  const read = async () => {
    const answers = paths.map(
      async (path) => (await ledger.call({ url: `/v1/outlooks/${SLUG}${path}` })).body,
    );
    return Promise.all(answers);
  };
  for (let turn = 0; turn < 10; turn += 1) {
    const before = await read();
    await assess(turn % 2 === 0 ? 'triggered' : 'untriggered');
    const [current, conditions, condition, evidence] = await read();
    expect(current).not.toBe(before[0]);
    expect(conditions).not.toBe(before[1]);
    expect(condition).not.toBe(before[2]);
    await send(ledger, 'POST', `/v1/outlooks/${SLUG}/evidence`, { ...item, headline: `H ${turn}` });
    expect((await read())[3]).not.toBe(evidence);
  }
});

describe('rules and observations that arrive at the same time', () => {
  const rule: Rule = {
    series: YIELD,
    operator: 'lt',
    threshold: 5,
    forObservations: 1,
    judgedOn: null,
  };

  test('take turns: neither misses the other', async () => {
    for (let turn = 0; turn < 8; turn += 1) {
      const slug = `turn-${turn}`;
      await Promise.all([
        observe(YIELD, ['2026-11-20', 6 + turn]).then(() => observe(YIELD, ['2026-11-20', 4])),
        withRule(rule, slug),
      ]);
      expect((await view('', slug)).states).toEqual(['met triggered']);
    }
  });

  const holding = async (mode: '' | '_shared', blocked: () => Promise<unknown>) => {
    const session = await ledger.pool.connect();
    try {
      await session.query('begin');
      await session.query(
        `select pg_advisory_xact_lock${mode}(hashtextextended('outlook-ledger rules', 0))`,
      );
      let isDone = false;
      const done = blocked().then(() => void (isDone = true));
      await expect
        .poll(async () => {
          const { rows } = await ledger.pool.query<{ waiting: number }>(
            `select count(*)::int as waiting from pg_locks
              where locktype = 'advisory' and not granted
                and database = (select oid from pg_database where datname = current_database())`,
          );
          return rows[0]?.waiting;
        })
        .toBe(1);
      expect(isDone).toBe(false);
      await session.query('commit');
      await done;
    } finally {
      session.release();
    }
  };

  test('a new rule waits for observations that are on their way', async () => {
    await holding('_shared', () => withRule(rule));
    await holding('_shared', () => patchFramework(ledger, { rationale: 'R', title: 'T' }));
    expect((await view()).version).toBe(2);
  });

  test('observations wait for a new rule, but not for each other', async () => {
    await holding('', () => observe(YIELD, ['2026-11-20', 4]));
    const session = await ledger.pool.connect();
    await session.query('begin');
    await session.query(
      `select pg_advisory_xact_lock_shared(hashtextextended('outlook-ledger rules', 0))`,
    );
    await observe(YIELD, ['2026-11-19', 4]);
    const { items } = (await ledger.call({ url: `/v1/series/${YIELD}/observations` })).json<{
      items: unknown[];
    }>();
    expect(items).toHaveLength(2);
    await session.query('rollback');
    session.release();
  });
});

describe('a rule is refused', () => {
  const comparison = { series: YIELD, operator: 'lt', threshold: 4 };
  const at = '/invalidationConditions/0/rule';
  test.for<[string, unknown, Record<string, string>]>([
    [
      'over an unknown series',
      { ...comparison, series: 'nonsense' },
      { [`${at}/series`]: '"nonsense" is unknown; create it with POST /v1/series' },
    ],
    [
      'that wants more observations than the horizon can have',
      { ...comparison, forObservations: 366 },
      {
        [`${at}/forObservations`]:
          'us-30y-yield is daily and can have at most 365 observations within the horizon',
      },
    ],
    [
      'that wants none',
      { ...comparison, forObservations: 0 },
      { [`${at}/forObservations`]: 'must be at least 1' },
    ],
    [
      'that contradicts itself',
      { all: [comparison, { ...comparison, operator: 'gte' }] },
      { [`${at}/all/1`]: 'contradicts entry 0; remove one of them, or use any' },
    ],
    [
      'that says the same twice',
      { any: [comparison, { ...comparison, forObservations: 1 }] },
      { [`${at}/any/1`]: 'repeats entry 0' },
    ],
    [
      'of one among several',
      { all: [comparison] },
      { [`${at}/all`]: 'must have at least 2 entries' },
    ],
    [
      'with an unknown operator and no threshold',
      { series: YIELD, operator: 'below' },
      {
        [`${at}/operator`]: 'must be one of lt, lte, gt, gte, crossesAbove, crossesBelow',
        [`${at}/threshold`]: 'is required',
      },
    ],
    ['that is a word', 'lt', { [at]: 'must be an object, not text' }],
  ])('%s', async ([, rule, faults]) => {
    const condition = { key: 'met', invalidates: 'bear', statement: 'S', rule };
    const refused = await createOutlook(ledger, {
      slug: 'refused',
      invalidationConditions: [condition],
    });
    expect(refused.statusCode, refused.body).toBe(422);
    expect(faultsOf(refused.json())).toEqual(faults);
  });
});
