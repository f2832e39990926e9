import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { endHorizons } from '../../src/ledger/end-horizons.ts';
import { BandedOutlook } from '../support/banded.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, send, stored } from '../support/requests.ts';

let ledger: TestLedger;
let outlook: BandedOutlook;
beforeAll(async () => {
  ledger = await startLedger({ cacheMaxBytes: 0 });
});
afterAll(() => ledger.close());
beforeEach(async () => {
  outlook = await BandedOutlook.create(ledger);
});

const END = '2027-03-31T00:00:00.000Z';
const at = (time: string) => void (ledger.clock.now = new Date(time));
const maintain = () => endHorizons(ledger.servicePool, ledger.clock.now);
const AWAITING = 'The horizon ended on 2027-03-30; record the outcome.';
const odds = { probabilities: { bear: 0.4, base: 0.35, bull: 0.25 }, rationale: 'R' };
const review = async (query = '') =>
  (await outlook.read<{ review: { due: boolean; reasons: string[] } }>(query)).review;

describe('an outlook whose horizon is over', () => {
  test('awaits its resolution: an event, a review and a filter say so', async () => {
    at('2027-03-30T23:59:59.999Z');
    await maintain();
    expect(await review()).toEqual({ due: false, reasons: [] });
    expect(await outlook.isListed('awaitingResolution=true')).toBe(false);
    expect(await outlook.isListed('awaitingResolution=false')).toBe(true);
    at(END);
    const ended = await Promise.all(Array.from({ length: 4 }, maintain));
    expect(ended.flat().filter((slug) => slug === outlook.slug)).toEqual([outlook.slug]);
    expect(await review()).toEqual({ due: true, reasons: [AWAITING] });
    expect(await outlook.isListed('awaitingResolution=true')).toBe(true);
    expect(await outlook.isListed('awaitingResolution=false')).toBe(false);
    expect(await outlook.isListed('reviewDue=true')).toBe(true);
    expect(
      await outlook.events('outlook.horizon.ended', 'outlook.state.changed', 'outlook.review.due'),
    ).toEqual([
      {
        kind: 'outlook.horizon.ended',
        data: { horizon: { from: '2026-03-31', to: '2027-03-31' } },
      },
      { kind: 'outlook.state.changed', data: { status: 'open', reviewReasons: [AWAITING] } },
      { kind: 'outlook.review.due', data: { reasons: [AWAITING] } },
    ]);
    expect(await maintain()).not.toContain(outlook.slug);
    expect(await review(`?asOf=${END}`)).toEqual({ due: true, reasons: [AWAITING] });
    expect(await review('?asOf=2027-03-30T12:00:00Z')).toEqual({ due: false, reasons: [] });
    at('2027-04-02T00:00:00.000Z');
    await outlook.resolve({ outcome: 'bear' });
    expect(await review()).toEqual({ due: false, reasons: [] });
    expect(await outlook.isListed('awaitingResolution=true')).toBe(false);
  });

  // Otherwise whoever withdraws a forecast that goes wrong would never be scored for it.
  test('awaits its resolution although it was withdrawn, also when it is reopened', async () => {
    at('2027-01-01T00:00:00.000Z');
    await outlook.post('/withdrawal', { rationale: 'R' });
    expect(await review()).toEqual({ due: false, reasons: [] });
    expect(await outlook.isListed('awaitingResolution=true')).toBe(false);
    at(END);
    await maintain();
    expect(await review()).toEqual({ due: true, reasons: [AWAITING] });
    expect(await review(`?asOf=${END}`)).toEqual({ due: true, reasons: [AWAITING] });
    expect(await review('?asOf=2027-02-01T00:00:00Z')).toEqual({ due: false, reasons: [] });
    expect(await outlook.isListed('awaitingResolution=true')).toBe(true);
    at('2027-04-02T00:00:00.000Z');
    await outlook.resolve({ outcome: 'bear' });
    expect(await review()).toEqual({ due: false, reasons: [] });
    expect(await outlook.isListed('awaitingResolution=true')).toBe(false);
    await outlook.resolve({ outcome: 'reopened', supersedes: 1, reason: 'R' });
    expect(await review()).toEqual({ due: true, reasons: [AWAITING] });
    expect(await outlook.isListed('awaitingResolution=true')).toBe(true);
  });

  test('no longer has to answer a triggered condition', async () => {
    const assessed = { state: 'triggered', rationale: 'R' };
    await outlook.post('/conditions/watched/assessments', assessed);
    expect((await review()).reasons).toHaveLength(1);
    at(END);
    await maintain();
    expect(await review()).toEqual({ due: true, reasons: [AWAITING] });
    expect(await outlook.read('/conditions/watched')).toMatchObject({ state: 'triggered' });
    expect((await review('?asOf=2027-03-30T12:00:00Z')).reasons).toEqual([
      'analyst desk assessed "watched" as triggered.',
    ]);
  });

  test.each([
    ['before the ledger has noted it', async () => {}],
    ['afterwards', maintain],
  ])('takes no forecast %s', async (_, note) => {
    at('2027-03-30T12:00:00.000Z');
    const view = { probabilities: odds.probabilities, rationale: 'R' };
    const url = `/v1/outlooks/${outlook.slug}`;
    expect((await send(ledger, 'PUT', `${url}/views/me`, view)).statusCode).toBe(201);
    at(END);
    await note();
    const before = await stored(ledger);
    const answers = [
      await outlook.post('/revisions', odds),
      await outlook.post('/revisions', {
        ...odds,
        acknowledges: [{ condition: 'watched', reason: 'R' }],
      }),
      await send(ledger, 'PATCH', `${url}/framework`, { rationale: 'R', title: 'T' }),
      await send(ledger, 'PUT', `${url}/views/me`, { ...view, rationale: 'Anew.' }),
      await outlook.post('/consensus', { rationale: 'R' }),
    ];
    expect(answers.map((answer) => answer.json<object>())).toEqual(
      answers.map(() =>
        expect.objectContaining({
          type: '/problems/horizon-ended',
          status: 409,
          detail: `The horizon of "${outlook.slug}" ended on 2027-03-30, so it accepts no further versions or views.`,
        }),
      ),
    );
    expect(await stored(ledger)).toEqual(before);
  });

  test('still takes evidence, a withdrawal and a resolution', async () => {
    at(END);
    await maintain();
    const item = {
      headline: 'H',
      summary: 'S',
      publisher: 'P',
      publishedAt: '2027-03-30T15:00:00Z',
    };
    expect((await outlook.post('/evidence', item)).statusCode).toBe(201);
    expect((await outlook.post('/withdrawal', { rationale: 'R' })).json()).toMatchObject({
      status: 'withdrawn',
      review: { due: true, reasons: [AWAITING] },
    });
    expect((await outlook.resolve({ outcome: 'bear' })).statusCode).toBe(201);
    expect(await review()).toEqual({ due: false, reasons: [] });
  });

  test('is not created', async () => {
    at('2027-04-01T12:00:00.000Z');
    const before = await stored(ledger);
    const horizon = { from: '2026-03-31', to: '2027-04-01' };
    const refused = await createOutlook(ledger, { slug: 'late', instrument: 'NONE', horizon });
    expect(refused.json()).toMatchObject({ type: '/problems/invalid-request', status: 422 });
    expect(faultsOf(refused.json<never>())).toEqual({
      '/instrument': '"NONE" is unknown; create it with POST /v1/instruments',
      '/horizon/to': 'must be after 2027-04-01: the last day of this horizon, 2027-03-31, is over',
    });
    const alone = await createOutlook(ledger, { slug: 'late', horizon });
    expect(Object.keys(faultsOf(alone.json<never>()))).toEqual(['/horizon/to']);
    expect(await stored(ledger)).toEqual(before);
    const running = await createOutlook(ledger, {
      slug: `late-${outlook.slug}`,
      horizon: { from: '2026-03-31', to: '2027-04-02' },
      invalidationConditions: [],
    });
    expect(running.statusCode, running.body).toBe(201);
  });
});

describe('Postgres', () => {
  const attempt = async (text: string, ...values: unknown[]) => {
    try {
      await ledger.pool.query(text, values);
      return null;
    } catch (error) {
      return (error as { constraint?: string }).constraint;
    }
  };
  const version = (recordedAt: string, kind: string) =>
    attempt(
      `insert into outlook_versions (outlook_id, version, kind, framework_id, bear_bps, base_bps,
         bull_bps, author_id, rationale, recorded_at, hash, previous_hash)
       select o.id, 2, $3, o.framework_id, case $3 when 'withdrawn' then o.bear_bps else 0 end,
         case $3 when 'withdrawn' then o.base_bps else 5000 end,
         case $3 when 'withdrawn' then o.bull_bps else 5000 end, v.author_id, 'R', $2, sha256('x'), o.hash
         from outlooks o join outlook_versions v on v.outlook_id = o.id where o.slug = $1`,
      outlook.slug,
      recordedAt,
      kind,
    );
  const mark = (set: string) => attempt(`update outlooks set ${set} where slug = $1`, outlook.slug);

  test('refuses a version after the end, except a withdrawal', async () => {
    expect(await version(END, 'probabilities')).toBe('outlook_versions_horizon');
    expect(await version(END, 'withdrawn')).toBeNull();
  });

  test('takes one until then', async () => {
    expect(await version('2027-03-30T23:59:59.999Z', 'probabilities')).toBeNull();
  });

  test('notes the end once, and not early', async () => {
    expect(await mark(`horizon_ended_at = '2027-03-30T23:59:59Z'`)).toBe(
      'outlooks_horizon_ended_at',
    );
    expect(await mark(`horizon_ended_at = '2027-03-31T00:00:00Z'`)).toBeNull();
    expect(await mark(`horizon_ended_at = '2027-04-01T00:00:00Z'`)).toBe('outlooks_horizon_ended');
    expect(await mark('horizon_ended_at = null')).toBe('outlooks_horizon_ended');
    expect(await mark('is_contradicted = true')).toBe('outlooks_contradicted');
  });
});
