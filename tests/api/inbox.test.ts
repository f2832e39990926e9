import { afterAll, beforeAll, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

type Inbox = {
  items: {
    kind: string;
    desk: { slug: string };
    outlook: string | null;
    series: string | null;
    proposal: string | null;
    title: string;
    detail: string | null;
    since: string;
    url: string;
  }[];
  nextCursor: string | null;
  counts: Record<string, number>;
};

async function inbox(query = '', as: 'analyst' | 'feed' | 'admin' = 'analyst'): Promise<Inbox> {
  const response = await ledger.call({ url: `/v1/inbox${query}`, as });
  expect([response.statusCode, response.headers['cache-control']]).toEqual([200, 'no-store']);
  return response.json<Inbox>();
}

test('smoke', async () => {
  console.log(JSON.stringify(await inbox(), null, 1));
  ledger.clock.now = new Date('2027-05-01T00:00:00Z');
  console.log(JSON.stringify(await inbox('?limit=2'), null, 1));
  console.log(SLUG);
});
