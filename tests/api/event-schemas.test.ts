import { afterAll, beforeAll, expect, test } from 'vitest';
import { EVENT_KINDS } from '../../src/domain/events.ts';
import { endHorizons } from '../../src/ledger/end-horizons.ts';
import { BandedOutlook } from '../support/banded.ts';
import { disclose } from '../support/desks.ts';
import { connect } from '../support/event-client.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { describedKinds } from '../support/openapi.ts';
import { fillLedger } from '../support/outlooks.ts';
import { Receiver, subscribe } from '../support/receiver.ts';
import { createOutlook } from '../support/requests.ts';

const INTERNAL = 'internal-case';

let ledger: TestLedger;
let origin: string;
let receiver: Receiver;
beforeAll(async () => {
  receiver = await new Receiver().open();
  ledger = await startLedger({ webhookPrivateAddresses: true });
  origin = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  await ledger.close();
  await receiver.kill();
});

/** An outlook that is internal at first. */
async function discloseAnother(): Promise<void> {
  const created = await createOutlook(ledger, { slug: INTERNAL, visibility: 'internal' });
  expect(created.statusCode, created.body).toBe(201);
  await disclose(ledger, ledger.keys.analyst, `/v1/outlooks/${INTERNAL}`);
}

/** An outlook that a view is held on, that is resolved, contradicted by closes, and reopened. */
async function liveThrough(): Promise<void> {
  const outlook = await BandedOutlook.create(ledger);
  const view = { probabilities: { bear: 0.4, base: 0.4, bull: 0.2 }, rationale: 'R' };
  const url = `/v1/outlooks/${outlook.slug}/views/me`;
  await ledger.call({ method: 'PUT', url, as: 'analyst', payload: view });
  await ledger.call({ method: 'DELETE', url, as: 'analyst' });
  ledger.clock.now = new Date('2027-04-01T12:00:00.000Z');
  await endHorizons(ledger.servicePool, ledger.clock.now);
  await outlook.observe({ '2026-03-30': 100, '2027-03-30': 110 });
  await outlook.resolve();
  await outlook.observe({ '2027-03-30': 120 });
  await outlook.observe({ '2027-03-30': 110 });
  await outlook.resolve({ outcome: 'reopened', supersedes: 1, reason: 'Oops.' });
  await outlook.resolve({ outcome: 'void', reason: 'The index was discontinued.' });
}

const slugOf = (data: unknown): string => (data as { slug: string }).slug;

// The reader of the stream and the receiver compare each event with the document.
test('the document describes every kind of event, as streams and webhooks send it', async () => {
  await subscribe(ledger, receiver.url);
  // Views, and what is internal, show only to those with a key.
  const headers = { authorization: `Bearer ${ledger.keys.admin}` };
  const stream = await connect(`${origin}/v1/events`, { lastEventId: '0', headers });
  await fillLedger(ledger);
  await discloseAnother();
  await liveThrough();
  const { rows } = await ledger.pool.query<{ count: number }>(
    'select count(*)::int as count from events where outlook_id is not null',
  );
  const events = await stream.received(rows[0]?.count ?? 0);
  await stream.leave();
  expect(new Set(events.map(({ event }) => event))).toEqual(new Set(EVENT_KINDS));
  // The outlook of the sample was created before the webhook, which has no desk.
  const disclosed = events.findIndex(({ event }) => event === 'outlook.disclosed');
  const hidden = events.slice(0, disclosed).filter(({ data }) => slugOf(data) === INTERNAL);
  const delivered = events.length - 1 - hidden.length;
  await expect.poll(() => receiver.accepted.length).toBe(delivered);
  expect(new Set(receiver.accepted.map(({ payload }) => payload.type))).toEqual(
    new Set(EVENT_KINDS),
  );
  expect(describedKinds).toContain('stream.opened');
});
