import { setTimeout as delay } from 'node:timers/promises';
import { load } from 'cheerio';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BandedOutlook } from '../support/banded.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { send } from '../support/requests.ts';

// The time axes of charts reach now, or end at the resolution or the withdrawal.

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

const PLOT = { left: 56, right: 720 - 124 };
const at = (moment: string) => void (ledger.clock.now = new Date(moment));
const read = (outlook: BandedOutlook, query: string) =>
  ledger.call({ url: `/v1/outlooks/${outlook.slug}/chart.svg?${query}` });

/** Where the area of the last step ends, and where the time axis begins and ends, in pixels. */
async function drawn(outlook: BandedOutlook, query = 'kind=history') {
  const { body } = await read(outlook, query);
  const [, x = '', end = ''] = /d="M([\d.]+),[\d.]+H([\d.]+)V/.exec(body) ?? [];
  return { last: Number(x), end: Number(end) };
}

/** The pixel of a time on an axis. */
const pixel = (moment: string, from: string, to: string) => {
  const [a, b, c] = [moment, from, to].map((one) => Date.parse(one)) as [number, number, number];
  return Math.round((PLOT.left + ((a - b) / (c - b)) * (PLOT.right - PLOT.left)) * 10) / 10;
};
const CREATED = '2026-11-20T16:00:00.000Z';
const REVISED = '2026-11-25T10:00:00.000Z';

async function revised(): Promise<BandedOutlook> {
  const outlook = await BandedOutlook.create(ledger);
  at(REVISED);
  const probabilities = { bear: 0.35, base: 0.4, bull: 0.25 };
  expect((await outlook.post('/revisions', { probabilities, rationale: 'R' })).statusCode).toBe(
    201,
  );
  return outlook;
}

test('the axis of an open outlook reaches the end of the day in UTC, when its cached chart expires', async () => {
  const outlook = await revised();
  at('2026-12-05T23:59:59.800Z');
  const evening = await read(outlook, 'kind=history');
  const to = '2026-12-06T00:00:00Z';
  expect(await drawn(outlook)).toEqual({ last: pixel(REVISED, CREATED, to), end: PLOT.right });
  at('2026-12-06T00:00:00.001Z');
  await delay(250); // the entry lives by the clock of the process
  const morning = await read(outlook, 'kind=history');
  expect(morning.headers.etag).not.toBe(evening.headers.etag);
  expect((await drawn(outlook)).last).toBe(pixel(REVISED, CREATED, '2026-12-07T00:00:00Z'));
  // Later that day it is the same.
  at('2026-12-06T18:00:00Z');
  expect((await read(outlook, 'kind=history&v=anew')).body).toBe(morning.body);
});

test('the axis as of a time reaches that time; that of a numbered version never changes', async () => {
  const outlook = await revised();
  const numbered = (await read(outlook, 'kind=history&version=2')).body;
  at('2027-02-01T00:00:00.000Z');
  const to = '2027-01-01T00:00:00.000Z';
  expect(await drawn(outlook, `kind=history&asOf=${to}`)).toEqual({
    last: pixel(REVISED, CREATED, to),
    end: PLOT.right,
  });
  expect((await read(outlook, 'kind=history&version=2&v=anew')).body).toBe(numbered);
});

test('the axis of an outlook whose horizon is over reaches now, but no forecast goes beyond it', async () => {
  const outlook = await revised();
  at('2027-05-01T12:00:00.000Z');
  const to = '2027-05-02T00:00:00Z';
  expect(await drawn(outlook)).toEqual({
    last: pixel(REVISED, CREATED, to),
    end: pixel('2027-03-31T00:00:00Z', CREATED, to),
  });
});

test('the axis of a resolved outlook ends at the resolution', async () => {
  const outlook = await revised();
  at('2026-12-20T00:00:00.000Z');
  const resolved = await outlook.resolve({ outcome: 'bull', reason: 'It was merged.' });
  expect(resolved.statusCode, resolved.body).toBe(201);
  at('2027-02-01T00:00:00.000Z');
  expect(await drawn(outlook)).toEqual({
    last: pixel(REVISED, CREATED, '2026-12-20T00:00:00.000Z'),
    end: PLOT.right,
  });
});

test('the axis of a withdrawn outlook ends at the withdrawal', async () => {
  const outlook = await revised();
  at('2026-12-20T00:00:00.000Z');
  expect((await outlook.post('/withdrawal', { rationale: 'R' })).statusCode).toBe(201);
  at('2027-02-01T00:00:00.000Z');
  const { last } = await drawn(outlook);
  expect(last).toBe(PLOT.right);
});

test('the axis of the drawdown reaches now, also if the closes do not', async () => {
  const outlook = await BandedOutlook.create(ledger);
  await outlook.observe({ '2026-03-30': 100, '2026-11-18': 90 });
  at('2026-11-27T12:00:00.000Z');
  const circle = async (query: string) => {
    const { body } = await read(outlook, query);
    return Number(load(body, { xml: true })('circle').attr('cx'));
  };
  const right = 720 - 128;
  expect(await circle('kind=drawdown')).toBeLessThan(right - 10);
  // Resolved before the last close, it shows them all.
  await send(ledger, 'POST', `/v1/outlooks/${outlook.slug}/resolution`, {
    outcome: 'bear',
    reason: 'R',
  });
  at('2026-12-19T12:00:00.000Z');
  await outlook.observe({ '2026-12-18': 85 });
  expect(await circle('kind=drawdown&v=2')).toBe(right);
});
