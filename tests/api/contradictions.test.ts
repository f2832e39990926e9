import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { bandedScenarios, BandedOutlook } from '../support/banded.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, send } from '../support/requests.ts';

// The base band is [−10 %, 15 %).

let ledger: TestLedger;
let outlook: BandedOutlook;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());
beforeEach(async () => {
  outlook = await BandedOutlook.create(ledger);
  at('2027-04-01T12:00:00.000Z');
});

const at = (time: string) => void (ledger.clock.now = new Date(time));
const REASON =
  'Closes now imply bull; resolution 1 says base: correct it, or confirm it with a reason.';
type Answer = { contradiction: object | null };
const contradiction = async () => (await outlook.read<Answer>('/resolution')).contradiction;
const review = async (query = '') =>
  (await outlook.read<{ review: { due: boolean; reasons: string[] } }>(query)).review;
const BULL = {
  outcome: 'bull',
  closes: {
    start: { date: '2026-03-30', value: 100 },
    end: { date: '2027-03-30', value: 120 },
    value: 0.2,
  },
};

describe('closes that came or changed after a resolution', () => {
  const resolveBase = async () => {
    await outlook.observe({ '2026-03-30': 100, '2027-03-30': 110 });
    expect((await outlook.resolve()).json()).toMatchObject({ resolution: { outcome: 'base' } });
  };

  test('contradict it: a mark, an event, a review and a filter say so', async () => {
    await resolveBase();
    expect(await contradiction()).toBeNull();
    expect(await outlook.isListed('contradicted=true')).toBe(false);
    at('2027-04-02T12:00:00.000Z');
    await outlook.observe({ '2027-03-30': 120 });
    expect(await contradiction()).toEqual({ ...BULL, since: '2027-04-02T12:00:00.000Z' });
    expect(await outlook.read()).toMatchObject({
      status: 'resolved',
      review: { due: true, reasons: [REASON] },
      resolution: { outcome: 'base' },
    });
    expect(await outlook.isListed('contradicted=true')).toBe(true);
    expect(await outlook.isListed('contradicted=false')).toBe(false);
    expect(await outlook.isListed('reviewDue=true')).toBe(true);
    expect(await review('?asOf=2027-04-01T12:00:00Z')).toEqual({ due: false, reasons: [] });
    expect(await review('?asOf=2027-04-02T12:00:00Z')).toEqual({ due: true, reasons: [REASON] });
    const { start, end } = BULL.closes;
    expect(await outlook.events('outlook.resolution.contradicted', 'outlook.review.due')).toEqual([
      { kind: 'outlook.review.due', data: { reasons: [REASON] } },
      {
        kind: 'outlook.resolution.contradicted',
        data: { number: 1, outcome: 'bull', closes: { start, end } },
      },
    ]);
  });

  test('that imply the same again change nothing, and may agree again', async () => {
    await resolveBase();
    await outlook.observe({ '2027-03-30': 120 });
    await outlook.observe({ '2027-03-30': 121 });
    await outlook.observe({ '2026-03-30': 101 });
    const events = () => outlook.events('outlook.resolution.contradicted');
    expect(await events()).toHaveLength(1);
    await outlook.observe({ '2027-03-30': 105 });
    expect(await events()).toMatchObject([
      {},
      { data: { number: 1, outcome: null, closes: null } },
    ]);
    expect(await contradiction()).toBeNull();
    expect(await review()).toEqual({ due: false, reasons: [] });
    await outlook.observe({ '2027-03-30': 85 });
    expect(await contradiction()).toMatchObject({ outcome: 'bear' });
    expect(await events()).toHaveLength(3);
  });

  test('are noted when the close before the horizon changes, too', async () => {
    await resolveBase();
    await outlook.observe({ '2026-03-30': 90 });
    expect(await contradiction()).toMatchObject({ outcome: 'bull' });
  });

  test('are noted when a later day of the horizon gets a close', async () => {
    await outlook.observe({ '2026-03-30': 100, '2027-03-26': 110 });
    await outlook.resolve({ reason: 'The exchange is closed until further notice.' });
    await outlook.observe({ '2027-03-29': 120 });
    // The last day of the horizon may still get one.
    expect(await contradiction()).toBeNull();
    await outlook.observe({ '2027-03-31': 1 });
    expect(await contradiction()).toMatchObject({
      outcome: 'bull',
      closes: { end: { date: '2027-03-29', value: 120 } },
    });
  });

  test('are noted when a backfill brings them all at once', async () => {
    await outlook.resolve({ outcome: 'base', realisedReturn: 0.1 });
    await outlook.observe({
      '2026-03-30': 100,
      '2026-10-01': 90,
      '2027-03-30': 120,
      '2027-04-01': 1,
    });
    expect(await contradiction()).toMatchObject(BULL);
  });

  test('contradict an outcome that was stated early, once the horizon is over', async () => {
    at('2026-12-01T12:00:00.000Z');
    await outlook.observe({ '2026-03-30': 100 });
    await outlook.resolve({ outcome: 'base', reason: 'Surely.' });
    at('2027-03-30T21:00:00.000Z');
    await outlook.observe({ '2027-03-29': 130 });
    expect(await contradiction()).toBeNull();
    await outlook.observe({ '2027-03-30': 120 });
    expect(await contradiction()).toMatchObject(BULL);
  });

  test('do not contradict what already stands against them with a reason', async () => {
    await outlook.observe({ '2026-03-30': 100, '2027-03-30': 120 });
    await outlook.resolve({ outcome: 'base', reason: 'A special dividend.' });
    await outlook.observe({ '2027-03-30': 125 });
    expect(await contradiction()).toBeNull();
    // Another outcome than the one that the reason is about.
    await outlook.observe({ '2027-03-30': 80 });
    expect(await contradiction()).toMatchObject({ outcome: 'bear' });
  });

  test('are settled by a correction, or a confirmation with a reason', async () => {
    await resolveBase();
    await outlook.observe({ '2027-03-30': 120 });
    const confirmed = await outlook.resolve({ outcome: 'base', reason: 'R', supersedes: 1 });
    expect(confirmed.json()).toMatchObject({ contradiction: null, status: 'resolved' });
    expect(await outlook.isListed('contradicted=true')).toBe(false);
    expect(await review()).toEqual({ due: false, reasons: [] });
    await outlook.observe({ '2027-03-30': 121 });
    expect(await contradiction()).toBeNull();
    await outlook.observe({ '2027-03-30': 80 });
    expect(await contradiction()).toMatchObject({ outcome: 'bear' });
    const corrected = await outlook.resolve({ reason: 'R', supersedes: 2 });
    expect(corrected.json()).toMatchObject({
      resolution: { outcome: 'bear', decidedBy: 'closes' },
      contradiction: null,
    });
  });

  test('contradict it also if the instrument names its series of closes later', async () => {
    const symbol = `${outlook.symbol}-LATE`;
    await send(ledger, 'POST', '/v1/instruments', { symbol, name: 'N', kind: 'index' });
    at('2026-11-20T16:00:00.000Z');
    const slug = `${outlook.slug}-late`;
    const scenarios = bandedScenarios({ low: -0.1, high: 0.15 });
    const created = await createOutlook(ledger, { slug, instrument: symbol, scenarios });
    expect(created.statusCode, created.body).toBe(201);
    at('2027-04-01T12:00:00.000Z');
    const url = `/v1/outlooks/${slug}/resolution`;
    await send(ledger, 'POST', url, { outcome: 'base' });
    await outlook.observe({ '2026-03-30': 100, '2027-03-30': 120 });
    await send(ledger, 'PATCH', `/v1/instruments/${symbol}`, { closes: outlook.series });
    const found = await ledger.call({ url });
    expect(found.json()).toMatchObject({ contradiction: BULL });
  });

  test('leave void and open outlooks alone, and mark withdrawn ones', async () => {
    await outlook.observe({ '2026-03-30': 100, '2027-03-30': 110 });
    await outlook.post('/withdrawal', { rationale: 'R' });
    await outlook.resolve();
    await outlook.observe({ '2027-03-30': 120 });
    expect(await outlook.read()).toMatchObject({ status: 'withdrawn', review: { due: true } });
    await outlook.resolve({ outcome: 'void', reason: 'R', supersedes: 1 });
    await outlook.observe({ '2027-03-30': 80 });
    expect(await contradiction()).toBeNull();
  });
});

describe('Postgres', () => {
  const note = async (values: string) => {
    try {
      await ledger.pool.query(
        `insert into resolution_contradictions (outlook_id, number, recorded_at, outcome, start_date, start_value,
           end_date, end_value)
         select id, ${values} from outlooks where slug = $1`,
        [outlook.slug],
      );
      return null;
    } catch (error) {
      return (error as { constraint?: string }).constraint;
    }
  };
  const closes = (end: number) => `'2026-03-30'::date, 100, '2027-03-30'::date, ${end}`;
  const NONE = 'null::text, null::date, null, null::date, null';

  beforeEach(async () => {
    await outlook.observe({ '2026-03-30': 100, '2027-03-30': 110 });
    await outlook.resolve();
  });

  test.each([
    [
      'of another resolution',
      `2, now(), 'bull', ${closes(120)}`,
      'resolution_contradictions_current',
    ],
    [
      'that is none',
      `1, now(), 'base', ${closes(110)}`,
      'resolution_contradictions_outcome_differs',
    ],
    [
      'that the closes do not imply',
      `1, now(), 'bull', ${closes(114)}`,
      'resolution_contradictions_implied',
    ],
    ['that changes nothing', `1, now(), ${NONE}`, 'resolution_contradictions_change'],
    [
      'without closes',
      `1, now(), 'bull', null::date, null, null::date, null`,
      'resolution_contradictions_implied',
    ],
  ])('refuses a contradiction %s', async (_, values, rule) => {
    const refused = await note(values);
    expect([rule, 'resolution_contradictions_closes']).toContain(refused);
  });

  test('takes one that holds, and notes them in order whatever the clock says', async () => {
    expect(await note(`1, '2027-04-03', 'bull', ${closes(120)}`)).toBeNull();
    expect(await note(`1, '2027-04-02', ${NONE}`)).toBeNull();
    const { rows } = await ledger.pool.query<{ at: Date }>(
      `select c.recorded_at as at from resolution_contradictions c join outlooks o on o.id = c.outlook_id
        where o.slug = $1 order by 1`,
      [outlook.slug],
    );
    expect(rows.map(({ at: time }) => time.toISOString())).toEqual([
      '2027-04-03T00:00:00.000Z',
      '2027-04-03T00:00:00.001Z',
    ]);
  });
});
