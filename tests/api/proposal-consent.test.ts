import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NO_APPROVALS } from '../../src/domain/proposals.ts';
import { addDesk, disclose, keyFor, publishFor, sendWith } from '../support/desks.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { outlookBody } from '../support/requests.ts';

let ledger: TestLedger;
let author: string;
let approver: string;
beforeAll(async () => {
  ledger = await startLedger();
  await addDesk(ledger, 'credit');
  author = await keyFor(ledger, ['main'], { name: 'ana' });
  approver = await keyFor(ledger, ['main'], { name: 'ben' });
});
afterAll(() => ledger.close());

async function setPolicy(change: object, authorMayResolve = true): Promise<void> {
  const body = { approvals: { ...NO_APPROVALS, ...change }, authorMayResolve };
  const url = '/v1/desks/main/policy';
  await sendWith(ledger, ledger.keys.admin, { method: 'PUT', url, body, status: 200 });
}

type Read = { id: string; state: string; steps: { text: string | null }[] };

async function submit(proposal: object, key = author): Promise<string> {
  const body = { ...proposal, submit: true };
  const request = { method: 'POST', url: '/v1/proposals', body, status: 201 } as const;
  return (await sendWith(ledger, key, request)).json<Read>().id;
}

async function act(key: string, id: string, act: string, body: object) {
  return sendWith(ledger, key, { method: 'POST', url: `/v1/proposals/${id}/${act}`, body });
}

const approve = async (id: string): Promise<Read> =>
  (await act(approver, id, 'approvals', { draft: 1 })).json<Read>();

/** Three days below the threshold of the condition "rate-relief" of the sample. */
async function triggerCondition(): Promise<void> {
  const observations = [
    ['2026-11-16', 4.2],
    ['2026-11-17', 4.24],
    ['2026-11-18', 4.1],
  ].map(([date, value]) => ({ date, value }));
  const url = '/v1/series/us-30y-yield/observations';
  const request = { method: 'POST', url, body: { observations }, status: 200 } as const;
  await sendWith(ledger, ledger.keys.feed, request);
}

async function waitingForLocks(): Promise<number | null> {
  const waits = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  return (await ledger.pool.query(waits)).rowCount;
}

const CHANGED = 'It would no longer publish what was approved';

describe('what was approved is returned', () => {
  test('if it answers a condition that was triggered since', async () => {
    await setPolicy({ revision: 1 });
    const body = { reaffirm: true, rationale: 'Nothing has changed.' };
    const publishAt = new Date(ledger.clock.now.getTime() + 60_000).toISOString();
    const timed = await submit({ kind: 'revision', outlook: SLUG, body, publishAt });
    expect(await approve(timed)).toMatchObject({ state: 'approved' });
    const lower = {
      probabilities: { bear: 0.2, base: 0.5, bull: 0.3 },
      rationale: 'Less of a fall.',
    };
    const revised = await submit({ kind: 'revision', outlook: SLUG, body: lower });
    await triggerCondition();
    const returned = await approve(revised);
    expect(returned.state).toBe('returned');
    expect(returned.steps.at(-1)?.text).toContain(CHANGED);
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 120_000);
    const other = await keyFor(ledger, ['main'], { name: 'cyd' });
    const late = (await act(other, timed, 'approvals', { draft: 1 })).json<Read>();
    expect(late.state).toBe('returned');
    expect(late.steps.at(-1)?.text).toContain('"way":"reaffirmed"');
    expect((await act(author, revised, 'submission', {})).statusCode).toBe(200);
    expect(await approve(revised)).toMatchObject({ state: 'published' });
  });

  test('if it would be public by now', async () => {
    await publishFor(ledger, author, { slug: 'inner', desk: 'main', visibility: 'internal' });
    await setPolicy({ outlook: 1 });
    const body = { from: { slug: 'inner', version: 1 }, slug: 'clone', rationale: 'Once more.' };
    const cloned = await submit({ kind: 'outlook', body });
    await disclose(ledger, author, '/v1/outlooks/inner');
    const returned = await approve(cloned);
    expect(returned.state).toBe('returned');
    expect(returned.steps.at(-1)?.text).toContain('"visibility":"public"');
    expect((await sendWith(ledger, null, { url: '/v1/outlooks/clone' })).statusCode).toBe(404);
  });
});

test('a new framework that answers a condition needs the approvals of a revision', async () => {
  await setPolicy({});
  await publishFor(ledger, author, { slug: 'words', desk: 'main', visibility: 'public' });
  await setPolicy({ revision: 1 });
  const body = {
    summary: 'Much the same.',
    rationale: 'Words.',
    acknowledges: [{ condition: 'rate-relief', reason: 'Yields fell with growth.' }],
  };
  const url = '/v1/outlooks/words/framework';
  const proposed = await sendWith(ledger, author, { method: 'PATCH', url, body, status: 202 });
  expect(await approve(proposed.json<Read>().id)).toMatchObject({ state: 'published' });
  const words = { summary: 'Much the same as before.', rationale: 'Words.' };
  await sendWith(ledger, author, { method: 'PATCH', url, body: words, status: 201 });
});

test('an outlook that continues another becomes a proposal of its desk', async () => {
  await setPolicy({ outlook: 1 });
  const ofAll = await keyFor(ledger, '*', { name: 'all desks' });
  const horizon = { from: '2027-03-31', to: '2028-03-31' };
  const body = outlookBody({ slug: 'next-year', continues: SLUG, horizon });
  const url = '/v1/outlooks';
  const proposed = await sendWith(ledger, ofAll, { method: 'POST', url, body, status: 202 });
  expect(proposed.json()).toMatchObject({ desk: { slug: 'main' }, state: 'submitted' });
});

test('a proposal with too many steps can be discarded, and a body that is too long is refused', async () => {
  await setPolicy({ revision: 1 });
  const body = { reaffirm: true, rationale: 'Nothing has changed.' };
  const id = await submit({ kind: 'revision', outlook: SLUG, body });
  await ledger.pool.query(
    `insert into proposal_steps (proposal_id, number, kind, draft, analyst_id, text, recorded_at)
     select $1, number, 'commented', 1, (select id from analysts where name = 'ben'), 'Well.', now()
       from generate_series(2, 995) as number`,
    [id],
  );
  const reason = { draft: 1, reason: 'No.' };
  expect((await act(approver, id, 'return', reason)).json()).toMatchObject({ state: 'returned' });
  const full = await act(author, id, 'submission', {});
  expect([full.statusCode, full.json<{ type: string }>().type]).toEqual([
    409,
    '/problems/proposal-full',
  ]);
  const url = `/v1/proposals/${id}`;
  await sendWith(ledger, author, { method: 'DELETE', url, status: 200 });

  const long = { kind: 'outlook', body: { a: Array.from({ length: 160_000 }, () => 1e15) } };
  const payload = JSON.stringify(long).replaceAll('1000000000000000', '1e15');
  const headers = { authorization: `Bearer ${author}`, 'content-type': 'application/json' };
  const sent = { method: 'POST', url: '/v1/proposals', payload, headers } as const;
  const refused = await ledger.app.inject(sent);
  expect(refused.statusCode).toBe(422);
  expect(refused.json<{ errors: object[] }>().errors).toEqual([
    { pointer: '/body', detail: expect.stringContaining('at most 1200000 bytes') },
  ]);
});

test('after the policy was lowered, who approved already reads how to go on', async () => {
  await keyFor(ledger, ['main'], { name: 'dan' });
  await setPolicy({ revision: 2 });
  const body = { reaffirm: true, rationale: 'Nothing has changed.' };
  const id = await submit({ kind: 'revision', outlook: SLUG, body });
  expect(await approve(id)).toMatchObject({ state: 'submitted' });
  await setPolicy({ revision: 1 });
  const again = await act(approver, id, 'approvals', { draft: 1 });
  expect([again.statusCode, again.json<{ detail: string }>().detail]).toEqual([
    409,
    'You approved draft 1 already. The policy now asks for no more: return it, so that its author submits it again.',
  ]);
  await act(approver, id, 'return', { draft: 1, reason: 'Submit it again.' });
  await act(author, id, 'submission', {});
  expect(await approve(id)).toMatchObject({ state: 'published' });
});

test('a key that was revoked while its approval waited approves nothing', async () => {
  await setPolicy({ revision: 1 });
  const body = { reaffirm: true, rationale: 'Nothing has changed.' };
  const id = await submit({ kind: 'revision', outlook: SLUG, body });
  const session = await ledger.pool.connect();
  await session.query('begin');
  await session.query('select from proposals where id = $1 for no key update', [id]);
  const waiting = act(approver, id, 'approvals', { draft: 1 });
  await expect.poll(waitingForLocks).toBe(1);
  await ledger.pool.query(
    `update api_keys set revoked_at = $1 from analysts where analysts.id = analyst_id and analysts.name = 'ben'`,
    [ledger.clock.now.toISOString()],
  );
  await session.query('commit');
  session.release();
  const refused = await waiting;
  expect([refused.statusCode, refused.json<{ type: string }>().type]).toEqual([
    403,
    '/problems/wrong-desk',
  ]);
});

test('the title of a new outlook is on one line, also in lists', async () => {
  const body = { title: ' Rates:\n\ta fall ' };
  const request = {
    method: 'POST',
    url: '/v1/proposals',
    body: { kind: 'outlook', body },
  } as const;
  const opened = await sendWith(ledger, author, { ...request, status: 201 });
  const list = await sendWith(ledger, author, { url: '/v1/proposals', status: 200 });
  const { id } = opened.json<Read>();
  const listed = list.json<{ items: Read[] }>().items.find((item) => item.id === id);
  expect(listed).toMatchObject({ title: 'Rates: a fall' });
  const drafts = 'select title from proposal_drafts where proposal_id = $1';
  expect((await ledger.pool.query(drafts, [id])).rows).toEqual([{ title: 'Rates: a fall' }]);
});

describe('a policy that is set while a request runs', () => {
  const reaffirmed = { reaffirm: true, rationale: 'Nothing has changed.' };
  test.each([
    ['revisions', reaffirmed, 'outlook_versions', { revision: 1 }],
    ['resolution', { outcome: 'void', reason: 'The index ended.' }, 'resolution_evidence', {}],
  ])('has its author send it again: %s', async (path, body, written, approvals) => {
    await setPolicy({});
    const url = `/v1/outlooks/${SLUG}`;
    const revision = { method: 'POST', url: `${url}/revisions`, body: reaffirmed } as const;
    await sendWith(ledger, author, { ...revision, status: 201 });
    const session = await ledger.pool.connect();
    await session.query('begin');
    await session.query(`lock table ${written} in share mode`);
    const waiting = sendWith(ledger, author, { method: 'POST', url: `${url}/${path}`, body });
    await expect.poll(waitingForLocks).toBe(1);
    await setPolicy(approvals, false);
    await session.query('commit');
    session.release();
    const refused = await waiting;
    expect(refused.statusCode).toBe(503);
    expect(refused.json()).toMatchObject({ detail: expect.stringContaining('has just changed') });
  });
});

test('a filter by author takes an id, and says so', async () => {
  const refused = await sendWith(ledger, author, { url: '/v1/proposals?author=ana', status: 422 });
  expect(refused.json()).toMatchObject({
    errors: [{ pointer: '/author', detail: 'must be the id of an analyst, a UUID' }],
  });
});
