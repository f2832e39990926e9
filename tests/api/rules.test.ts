import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, patchFramework, send } from '../support/requests.ts';

let ledger: TestLedger;
beforeEach(async () => {
  ledger = await startLedger();
  ledger.clock.now = new Date('2026-10-05T12:00:00.000Z');
});
afterEach(() => ledger.close());

type Observed = [date: string, value: number | null];

async function createSeries(key: string, period: object = { frequency: 'daily' }): Promise<void> {
  const body = { key, name: 'N', unit: 'percent', source: 'S', ...period };
  const created = await send(ledger, 'POST', '/v1/series', body, { as: 'feed' });
  expect(created.statusCode, created.body).toBe(201);
}

async function observe(series: string, ...observed: Observed[]): Promise<void> {
  ledger.clock.now = new Date(ledger.clock.now.getTime() + 1000);
  const observations = observed.map(([date, value]) => ({ date, value }));
  const url = `/v1/series/${series}/observations`;
  const answer = await send(ledger, 'POST', url, { observations }, { as: 'feed' });
  expect(answer.statusCode, answer.body).toBe(200);
}

/** An outlook with one condition with a rule, against its bear scenario. */
async function watch(
  rule: object,
  horizon = { from: '2026-10-01', to: '2027-10-01' },
): Promise<void> {
  const condition = { key: 'met', invalidates: 'bear', statement: 'It is met.', rule };
  const body = { slug: 'ruled', horizon, invalidationConditions: [condition] };
  const created = await createOutlook(ledger, body);
  expect(created.statusCode, created.body).toBe(201);
}

async function answer(): Promise<void> {
  ledger.clock.now = new Date(ledger.clock.now.getTime() + 1000);
  const body = {
    rationale: 'R',
    probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
    acknowledges: [{ condition: 'met', reason: 'It will pass.' }],
  };
  const answered = await send(ledger, 'POST', '/v1/outlooks/ruled/revisions', body);
  expect(answered.statusCode, answered.body).toBe(201);
}

type Change = { state: string; day: string; reason: string; observations: unknown[] };
/** Its changes, oldest first, and whether a review is due. */
async function changes(): Promise<{
  days: string[];
  reasons: string[];
  isDue: boolean;
  all: Change[];
}> {
  const history = await ledger.call({ url: '/v1/outlooks/ruled/conditions/met' });
  const all = history.json<{ changes: Change[] }>().changes.toReversed();
  const outlook = await ledger.call({ url: '/v1/outlooks/ruled' });
  return {
    all,
    days: all.map(({ state, day }) => `${state} ${day}`),
    reasons: all.map(({ reason }) => reason),
    isDue: outlook.json<{ review: { due: boolean } }>().review.due,
  };
}

describe('backfill', () => {
  test('before the horizon, with which the rule holds as before, changes nothing', async () => {
    await createSeries('s');
    await watch({ series: 's', operator: 'lt', threshold: 5, forObservations: 4 });
    const low = (...days: string[]) => days.map((day): Observed => [`2026-${day}`, 4]);
    await observe('s', ...low('09-21', '09-22', '09-23', '09-24', '10-01', '10-02'));
    expect(await changes()).toMatchObject({ days: ['triggered 2026-10-01'], isDue: true });
    await answer();
    await observe('s', ...low('09-25', '09-28', '09-29', '09-30'));
    expect(await changes()).toMatchObject({ days: ['triggered 2026-10-01'], isDue: false });
  });

  test('before the horizon, with which the rule no longer holds, clears its trigger', async () => {
    await createSeries('s');
    await watch({ series: 's', operator: 'lt', threshold: 5, forObservations: 4 });
    const low = (...days: string[]) => days.map((day): Observed => [`2026-${day}`, 4]);
    await observe('s', ...low('09-21', '09-22', '09-23', '09-24', '10-01'));
    await observe('s', ...low('09-28', '09-29'), ['2026-09-30', 6]);
    expect((await changes()).days).toEqual(['triggered 2026-10-01', 'untriggered 2026-10-01']);
  });

  test('at or before the day that was answered changes nothing', async () => {
    await createSeries('s');
    await watch({ series: 's', operator: 'lt', threshold: 5 });
    await observe('s', ['2026-10-02', 4]);
    await answer();
    await observe('s', ['2026-10-01', 4]);
    await observe('s', ['2026-10-01', 6], ['2026-10-02', 4.5]);
    expect(await changes()).toMatchObject({ days: ['triggered 2026-10-02'], isDue: false });
  });

  test('of a day between, on which the rule does not hold, triggers an answered condition anew', async () => {
    await createSeries('s');
    await watch({ series: 's', operator: 'lt', threshold: 5 });
    await observe('s', ['2026-10-01', 4], ['2026-10-05', 4]);
    await answer();
    await observe('s', ['2026-10-02', 6]);
    expect((await changes()).days).toEqual([
      'triggered 2026-10-01',
      'untriggered 2026-10-02',
      'triggered 2026-10-05',
    ]);
  });
});

test('a correction triggers anew a condition that a typo armed again', async () => {
  await createSeries('s');
  await watch({ series: 's', operator: 'lt', threshold: 5 });
  await observe('s', ['2026-10-01', 4]);
  await answer();
  await observe('s', ['2026-10-02', 44]);
  await observe('s', ['2026-10-02', 4.4]);
  expect((await changes()).days).toEqual([
    'triggered 2026-10-01',
    'untriggered 2026-10-02',
    'triggered 2026-10-02',
  ]);
});

test('a condition that is cleared triggers on a later day that its trigger had covered', async () => {
  await createSeries('s');
  await watch({ series: 's', operator: 'lt', threshold: 5 });
  await observe('s', ['2026-10-01', 4], ['2026-10-02', 6], ['2026-10-05', 4]);
  await observe('s', ['2026-10-01', 6]);
  expect((await changes()).days).toEqual([
    'triggered 2026-10-01',
    'untriggered 2026-10-01',
    'triggered 2026-10-05',
  ]);
});

describe('a reason', () => {
  test('names only the comparisons that are met', async () => {
    await createSeries('s');
    const above = { series: 's', operator: 'gt', threshold: 5 };
    const least = { series: 's', operator: 'gte', threshold: 4, forObservations: 3 };
    await watch({ any: [above, least] });
    await observe('s', ['2026-10-01', 0.3], ['2026-10-02', 5], ['2026-10-05', 7]);
    expect(await changes()).toMatchObject({
      reasons: ['"met" is triggered: s was 7 on 2026-10-05, above 5.'],
      all: [{ observations: [{ series: 's', date: '2026-10-05', value: 7 }] }],
    });
  });

  test('of a new framework names them, too', async () => {
    await createSeries('s');
    await observe('s', ['2026-10-01', 0.3], ['2026-10-02', 5], ['2026-10-05', 7]);
    const above = { series: 's', operator: 'gt', threshold: 5 };
    const least = { series: 's', operator: 'gte', threshold: 4, forObservations: 3 };
    await watch({ any: [above, least] });
    expect((await changes()).reasons).toEqual([
      '"met" is triggered: s was 7 on 2026-10-05, above 5.',
    ]);
  });
});

describe('a retraction', () => {
  test('of the value that triggered a condition clears it', async () => {
    await createSeries('s');
    await watch({ series: 's', operator: 'lt', threshold: 5, forObservations: 2 });
    // The holiday on 5 October was filled forward.
    await observe('s', ['2026-10-01', 6], ['2026-10-02', 4], ['2026-10-05', 4]);
    expect(await changes()).toMatchObject({ days: ['triggered 2026-10-05'], isDue: true });
    await observe('s', ['2026-10-05', null]);
    expect(await changes()).toMatchObject({
      days: ['triggered 2026-10-05', 'untriggered 2026-10-05'],
      isDue: false,
    });
  });

  test('of a value in between can trigger one', async () => {
    await createSeries('s');
    await watch({ series: 's', operator: 'lt', threshold: 5, forObservations: 2 });
    await observe('s', ['2026-10-01', 4], ['2026-10-02', 6], ['2026-10-05', 4]);
    expect((await changes()).days).toEqual([]);
    await observe('s', ['2026-10-02', null]);
    expect((await changes()).days).toEqual(['triggered 2026-10-05']);
  });
});

describe('a series that is dated by the start of its periods', () => {
  const horizon = { from: '2026-03-31', to: '2026-10-01' };

  test('is judged on the last day of each period', async () => {
    await createSeries('cpi', { frequency: 'monthly', dated: 'start' });
    await watch({ series: 'cpi', operator: 'gt', threshold: 3 }, horizon);
    await observe('cpi', ['2026-02-01', 3.4]);
    expect((await changes()).days).toEqual([]);
    // March ends on the first day of the horizon, although its figure is dated 1 March and came in April.
    await observe('cpi', ['2026-03-01', 3.5]);
    expect(await changes()).toMatchObject({
      days: ['triggered 2026-03-31'],
      reasons: ['"met" is triggered: cpi was 3.5 on 2026-03-01, above 3.'],
    });
  });

  test('is judged on no period that ends after the horizon', async () => {
    await createSeries('cpi', { frequency: 'monthly', dated: 'start' });
    await watch({ series: 'cpi', operator: 'gt', threshold: 3 }, { ...horizon, to: '2026-09-30' });
    await observe('cpi', ['2026-09-01', 3.5]);
    expect((await changes()).days).toEqual([]);
  });

  test('shows how it is dated; other series are dated by the end', async () => {
    await createSeries('cpi', { frequency: 'monthly', dated: 'start' });
    await createSeries('vix');
    const read = async (key: string) =>
      (await ledger.call({ url: `/v1/series/${key}` })).json<object>();
    expect(await read('cpi')).toMatchObject({ dated: 'start' });
    expect(await read('vix')).toMatchObject({ dated: 'end' });
    const odd = {
      key: 'x',
      name: 'N',
      unit: 'U',
      frequency: 'daily',
      source: 'S',
      dated: 'middle',
    };
    const refused = await send(ledger, 'POST', '/v1/series', odd, { as: 'feed' });
    expect(Object.keys(faultsOf(refused.json()))).toEqual(['/dated']);
  });
});

describe('a rule that judges on the day of recording', () => {
  const rule = { series: 'cpi', operator: 'gt', threshold: 3, judgedOn: 'recorded' };

  test('sees a figure from the day on which it was recorded', async () => {
    await createSeries('cpi', { frequency: 'monthly', dated: 'start' });
    await watch(rule);
    await observe('cpi', ['2026-08-01', 3.5]);
    expect(await changes()).toMatchObject({
      days: ['triggered 2026-10-05'],
      reasons: ['"met" is triggered: cpi was 3.5 on 2026-08-01, above 3.'],
    });
  });

  test('does not judge the past anew: a revision counts from its own day on', async () => {
    await createSeries('cpi', { frequency: 'monthly', dated: 'start' });
    await watch(rule);
    await observe('cpi', ['2026-08-01', 3.5]);
    ledger.clock.now = new Date('2026-10-12T12:00:00.000Z');
    await observe('cpi', ['2026-08-01', 2.9]);
    expect(await changes()).toMatchObject({ days: ['triggered 2026-10-05'], isDue: true });
    await answer();
    ledger.clock.now = new Date('2026-10-14T12:00:00.000Z');
    await observe('cpi', ['2026-09-01', 2.8]);
    expect((await changes()).days.slice(1)).toEqual(['untriggered 2026-10-14']);
    ledger.clock.now = new Date('2026-10-15T12:00:00.000Z');
    await observe('cpi', ['2026-09-01', null], ['2026-08-01', 3.6]);
    expect((await changes()).days.slice(2)).toEqual(['triggered 2026-10-15']);
  });

  test('is shown, diffed and patched as any other, and null means the end of the period', async () => {
    await createSeries('cpi', { frequency: 'monthly', dated: 'start' });
    await observe('cpi', ['2026-08-01', 3.5]);
    await watch({ ...rule, judgedOn: null });
    const read = async () =>
      (await ledger.call({ url: '/v1/outlooks/ruled' })).json<{
        frameworkHash: string;
        invalidationConditions: { rule: object }[];
      }>();
    const before = await read();
    expect(before.invalidationConditions[0]?.rule).toEqual({
      series: 'cpi',
      operator: 'gt',
      threshold: 3,
      forObservations: 1,
      judgedOn: null,
    });
    expect((await changes()).days).toEqual([]); // August ended before the horizon
    const condition = { key: 'met', invalidates: 'bear', statement: 'It is met.', rule };
    const body = { rationale: 'R', invalidationConditions: [condition] };
    const patched = await patchFramework(ledger, body, { slug: 'ruled' });
    expect(patched.statusCode, patched.body).toBe(201);
    const after = await read();
    expect(after.frameworkHash).not.toBe(before.frameworkHash);
    expect(after.invalidationConditions[0]?.rule).toMatchObject({ judgedOn: 'recorded' });
    expect(await changes()).toMatchObject({ days: ['triggered 2026-10-05'], isDue: true });
    const diff = await ledger.call({ url: '/v1/outlooks/ruled/versions/2/diff' });
    expect(diff.body).toContain('"judgedOn":"recorded"');
  });

  test('may be used beside the end of the period on one series, and contradicts nothing there', async () => {
    await createSeries('cpi', { frequency: 'monthly', dated: 'start' });
    const low = { series: 'cpi', operator: 'lt', threshold: 2 };
    await watch({ all: [rule, low] });
    const twice = { all: [low, { ...low, judgedOn: 'periodEnd' }] };
    const condition = { key: 'met', invalidates: 'bear', statement: 'S', rule: twice };
    const body = { slug: 'twice', invalidationConditions: [condition] };
    expect(faultsOf((await createOutlook(ledger, body)).json())).toEqual({
      '/invalidationConditions/0/rule/all/1': 'repeats entry 0',
    });
  });
});
