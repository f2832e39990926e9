import { expect } from 'vitest';
import { endHorizons } from '../../src/ledger/end-horizons.ts';
import { BandedOutlook } from './banded.ts';
import type { TestLedger } from './ledger.ts';
import { distinctRevision, fillLedger } from './outlooks.ts';
import { createOutlook, send } from './requests.ts';

const DAY = 86_400_000;

/**
 * Writes to a ledger whatever can be written: besides the rows of {@link fillLedger}, resolutions that are corrected and taken
 * back, closes that contradict one, a horizon that ended, a continuation, a withdrawal, keys, webhooks and sources that change.
 */
export async function keepBusy(ledger: TestLedger): Promise<void> {
  await fillLedger(ledger);
  await continueOutlook(ledger);
  await administer(ledger);
  await resolveTwice(ledger);
  await ledger.pool.query('select sequence_events()');
}

async function administer(ledger: TestLedger): Promise<void> {
  const { call } = ledger;
  const as = 'admin';
  const change = async (method: 'POST' | 'PUT' | 'PATCH', url: string, payload: object) => {
    const type = method === 'PATCH' ? { 'content-type': 'application/merge-patch+json' } : {};
    const answer = await call({ method, url, as, payload, headers: type });
    expect(answer.statusCode, answer.body).toBeLessThan(300);
    return answer.json<{ id: string }>();
  };
  const { id: key } = await change('POST', '/v1/keys', {
    name: 'Rates, "desk"',
    role: 'feed',
    expiresAt: null,
  });
  await call({ method: 'DELETE', url: `/v1/keys/${key}`, as });
  await change('PUT', '/v1/series/us-30y-yield/source', {
    kind: 'fred',
    id: 'DGS10',
    everyMinutes: 720,
  });
  await change('PUT', '/v1/series/us-30y-yield/source', {
    kind: 'fred',
    id: 'DGS10',
    everyMinutes: 1440,
  });
  await call({ method: 'DELETE', url: '/v1/series/us-30y-yield/source', as });
  const { id } = await change('POST', '/v1/webhooks', { url: 'https://hooks.desk.example/other' });
  await change('PATCH', `/v1/webhooks/${id}`, { description: 'Desk' });
  await call({ method: 'DELETE', url: `/v1/webhooks/${id}`, as });
  await call({ url: '/v1/keys', as: 'feed' }); // a refusal
  await call({ url: '/v1/audit', as }); // which records it
}

async function continueOutlook(ledger: TestLedger): Promise<void> {
  const outlook = await BandedOutlook.create(ledger);
  const longer = { from: '2026-03-31', to: '2027-06-30' };
  const [slug, continues] = ['continuing', outlook.slug];
  const created = await createOutlook(ledger, {
    slug,
    continues,
    instrument: outlook.symbol,
    horizon: longer,
  });
  expect(created.statusCode, created.body).toBe(201);
  for (const index of [0, 1]) {
    const revised = await outlook.post('/revisions', distinctRevision(index));
    expect(revised.statusCode, revised.body).toBe(201);
  }
  const withdrawn = await outlook.post('/withdrawal', { rationale: 'Continued elsewhere.' });
  expect(withdrawn.statusCode, withdrawn.body).toBe(201);
}

async function resolveTwice(ledger: TestLedger): Promise<void> {
  const { clock } = ledger;
  const start = clock.now;
  const outlook = await BandedOutlook.create(ledger);
  await send(ledger, 'PUT', `/v1/outlooks/${outlook.slug}/views/me`, {
    probabilities: { bear: 0.2, base: 0.5, bull: 0.3 },
    rationale: 'Less so.',
  });
  const views = await ledger.call({
    method: 'PUT',
    url: `/v1/outlooks/${outlook.slug}/views/me`,
    as: 'admin',
    payload: { probabilities: { bear: 0.3, base: 0.5, bull: 0.2 }, rationale: 'More so.' },
  });
  expect(views.statusCode, views.body).toBe(201);
  clock.now = new Date(clock.now.getTime() + 20 * DAY);
  const pooled = await outlook.post('/consensus', { rationale: 'R', weights: 'recency' });
  expect(pooled.statusCode, pooled.body).toBe(201);
  clock.now = new Date('2026-12-31T12:00:00.000Z');
  await outlook.resolve({ outcome: 'bear', reason: 'Oops.' });
  clock.now = new Date('2026-12-31T12:05:00.000Z');
  await outlook.resolve({ outcome: 'reopened', supersedes: 1, reason: 'A mistaken click.' });
  clock.now = new Date('2027-04-01T12:00:00.000Z');
  await endHorizons(ledger.pool, clock.now);
  await outlook.observe({ '2026-03-30': 100, '2027-03-30': 110 });
  const resolved = await outlook.resolve();
  expect(resolved.statusCode, resolved.body).toBe(201);
  clock.now = new Date('2027-04-02T12:00:00.000Z');
  await outlook.observe({ '2027-03-30': 120 });
  clock.now = start;
}
