import type { InjectOptions } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';

let ledger: TestLedger;
/** Analysts of the main desk: an author, two who approve, and one of another desk. */
const keys: Record<'ana' | 'ben' | 'cyd' | 'dee', string> = { ana: '', ben: '', cyd: '', dee: '' };
type Person = keyof typeof keys;

beforeAll(async () => {
  ledger = await startLedger();
  await ledger.call({
    method: 'POST',
    url: '/v1/desks',
    as: 'admin',
    payload: { slug: 'credit', name: 'Credit desk' },
  });
  for (const name of Object.keys(keys) as Person[]) {
    const desks = [name === 'dee' ? 'credit' : 'main'];
    const request = { name, role: 'analyst', expiresAt: null, desks } as const;
    keys[name] = (await issueKey(ledger.pool, request, ledger.clock.now)).key;
  }
});
afterAll(() => ledger.close());

const send = async (
  by: Person,
  method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH',
  url: string,
  payload?: object,
  headers: Record<string, string> = {},
) => {
  const options: InjectOptions = {
    method,
    url,
    headers: { authorization: `Bearer ${keys[by]}`, ...headers },
    ...(payload && { payload }),
  };
  return ledger.call(options);
};

const setPolicy = (approvals: object = {}, authorMayResolve = true) =>
  ledger.call({
    method: 'PUT',
    url: '/v1/desks/main/policy',
    as: 'admin',
    payload: {
      approvals: {
        outlook: 0,
        revision: 0,
        framework: 0,
        resolution: 0,
        withdrawal: 0,
        consensus: 0,
        ...approvals,
      },
      authorMayResolve,
    },
  });

const revision = (bear: number) => ({
  probabilities: { bear, base: 0.9 - bear, bull: 0.1 },
  rationale: 'Breadth is narrowing.',
});
const open = async (change: object = {}, by: Person = 'ana') => {
  const body = { kind: 'revision', outlook: SLUG, body: revision(0.31), ...change };
  return send(by, 'POST', '/v1/proposals', body);
};
const submitted = async (body: object, change: object = {}) => {
  const opened = await open({ body, submit: true, ...change });
  expect(opened.statusCode, opened.body).toBe(201);
  return opened.json<{ id: string }>().id;
};
const current = async () =>
  (await ledger.call({ method: 'GET', url: `/v1/outlooks/${SLUG}` })).json<{
    version: number;
    author: { name: string };
    approvedBy: { name: string }[];
    probabilities: { bear: number };
  }>();

test('a proposal is drafted, returned, submitted again, approved and published', async () => {
  expect((await setPolicy({ revision: 1 })).statusCode).toBe(200);
  const opened = await open({ body: { ...revision(0.31), rationale: '' } });
  expect(opened.statusCode, opened.body).toBe(201);
  const { id, state, warnings } = opened.json();
  expect(state).toBe('draft');
  expect(warnings).toEqual([
    { code: 'invalid-request', pointer: '/body/rationale', detail: 'must not be blank' },
  ]);
  const url = `/v1/proposals/${id}`;
  const faulty = await send('ana', 'POST', `${url}/submission`, {});
  expect(faulty.statusCode).toBe(422);
  expect(faulty.json().errors).toEqual([
    { pointer: '/body/rationale', detail: 'must not be blank' },
  ]);
  const edited = await send('ana', 'PUT', `${url}/draft`, {
    body: revision(0.31),
    note: 'Please.',
  });
  expect(edited.statusCode, edited.body).toBe(200);
  expect(edited.json()).toMatchObject({ draft: 2, warnings: [], note: 'Please.' });
  const sent = await send('ana', 'POST', `${url}/submission`, {});
  expect(sent.statusCode, sent.body).toBe(200);
  expect(sent.json()).toMatchObject({
    state: 'submitted',
    baseVersion: 1,
    approvals: { needed: 1, given: [] },
  });
  const returned = await send('ben', 'POST', `${url}/return`, { draft: 2, reason: 'Say why.' });
  expect(returned.json()).toMatchObject({ state: 'returned' });
  expect((await send('ana', 'POST', `${url}/submission`, {})).statusCode).toBe(200);
  const approved = await send('ben', 'POST', `${url}/approvals`, { draft: 2, comment: 'Fine.' });
  expect(approved.statusCode, approved.body).toBe(200);
  expect(approved.json()).toMatchObject({
    state: 'published',
    approvals: { given: [{ name: 'ben' }] },
  });
  expect(await current()).toMatchObject({
    version: 2,
    author: { name: 'ana' },
    approvedBy: [{ name: 'ben' }],
    probabilities: { bear: 0.31 },
  });
  expect(approved.json().steps.map(({ kind }: { kind: string }) => kind)).toEqual([
    'submitted',
    'returned',
    'submitted',
    'approved',
    'published',
  ]);
});

test('a direct request that needs approval becomes a proposal, once', async () => {
  const headers = { 'idempotency-key': 'one' };
  const url = `/v1/outlooks/${SLUG}/revisions`;
  const direct = await send('ana', 'POST', url, revision(0.32), headers);
  expect(direct.statusCode, direct.body).toBe(202);
  const again = await send('ana', 'POST', url, revision(0.32), headers);
  expect(again.body).toBe(direct.body);
  const { id } = direct.json<{ id: string }>();
  expect(direct.headers.location).toBe(`/v1/proposals/${id}`);
  expect(direct.json()).toMatchObject({ state: 'submitted', body: revision(0.32) });
  const approved = await send('cyd', 'POST', `/v1/proposals/${id}/approvals`, { draft: 1 });
  expect(approved.json()).toMatchObject({ state: 'published' });
  expect(await current()).toMatchObject({ version: 3, approvedBy: [{ name: 'cyd' }] });
});

test('of two proposals for one version, the second goes back for another look', async () => {
  const [first, second] = [await submitted(revision(0.33)), await submitted(revision(0.34))];
  const approve = (id: string) =>
    send('ben', 'POST', `/v1/proposals/${id}/approvals`, { draft: 1 });
  expect((await approve(first)).json()).toMatchObject({ state: 'published' });
  const moved = (await approve(second)).json();
  expect(moved.state).toBe('returned');
  expect(moved.steps.at(-1)).toMatchObject({ kind: 'returned', by: null });
  expect(moved.steps.at(-1).text).toContain('Version 4 has been published since');
  expect((await current()).version).toBe(4);
});

describe('what is refused', () => {
  test('approval by the author, by a stranger, twice, and of a changed draft', async () => {
    await setPolicy({ revision: 2 });
    const id = await submitted(revision(0.35));
    const approve = (by: Person, draft = 1) =>
      send(by, 'POST', `/v1/proposals/${id}/approvals`, { draft });
    const own = await approve('ana');
    expect([own.statusCode, own.json().type]).toEqual([403, '/problems/own-proposal']);
    expect((await approve('dee')).statusCode).toBe(404);
    expect((await approve('ben')).json()).toMatchObject({ state: 'submitted' });
    const twice = await approve('ben');
    expect([twice.statusCode, twice.json().type]).toEqual([409, '/problems/already-approved']);
    await send('ana', 'PUT', `/v1/proposals/${id}/draft`, { body: revision(0.36) });
    await send('ana', 'POST', `/v1/proposals/${id}/submission`, {});
    const changed = await approve('cyd');
    expect(changed.statusCode).toBe(409);
    expect(changed.json()).toMatchObject({
      type: '/problems/proposal-changed',
      draft: 2,
      changes: ['/body/probabilities/bear', '/body/probabilities/base'],
    });
    expect((await approve('ben', 2)).json()).toMatchObject({ state: 'submitted' });
    expect((await approve('cyd', 2)).json()).toMatchObject({ state: 'published' });
    const settled = await send('ben', 'POST', `/v1/proposals/${id}/comments`, { text: 'Late.' });
    expect([settled.statusCode, settled.json().type]).toEqual([409, '/problems/proposal-settled']);
  });

  test('a time in the past or years ahead, and a policy that nobody could satisfy', async () => {
    const past = await open({ publishAt: '2026-11-19T00:00:00Z' });
    expect([past.statusCode, past.json().errors[0].pointer]).toEqual([422, '/publishAt']);
    const far = await open({ publishAt: '2036-11-19T00:00:00Z' });
    expect([far.statusCode, far.json().errors[0].pointer]).toEqual([422, '/publishAt']);
    const policy = await setPolicy({ outlook: 5, revision: 5 });
    expect([policy.statusCode, policy.json().type]).toEqual([
      409,
      '/problems/policy-unsatisfiable',
    ]);
    expect(policy.json().errors).toHaveLength(2);
  });

  test("another desk's outlook, and what the caller may not see", async () => {
    const wrong = await open({}, 'dee');
    expect([wrong.statusCode, wrong.json().type]).toEqual([403, '/problems/wrong-desk']);
    expect(wrong.json().detail).toContain('"main"');
    const unknown = await open({ outlook: 'no-such-outlook' });
    expect(unknown.json().errors).toEqual([{ pointer: '/outlook', detail: 'names no outlook' }]);
    const id = await submitted(revision(0.37));
    for (const [method, url] of [
      ['GET', ''],
      ['DELETE', ''],
      ['POST', '/submission'],
    ] as const) {
      const payload = method === 'POST' ? {} : undefined;
      const { statusCode } = await send('dee', method, `/v1/proposals/${id}${url}`, payload);
      expect(statusCode).toBe(404);
    }
    expect((await send('dee', 'GET', '/v1/desks/main/policy')).statusCode).toBe(404);
    const list = await send('dee', 'GET', '/v1/proposals');
    expect(list.json().items).toEqual([]);
  });
});

describe('when it is published', () => {
  const approve = (id: string, by: Person = 'ben', draft = 1) =>
    send(by, 'POST', `/v1/proposals/${id}/approvals`, { draft });
  const wordsOf = (body: { steps: { text: string }[] }) => body.steps.at(-1)?.text;

  test('a policy that was raised meanwhile asks for more approvals', async () => {
    await setPolicy({ revision: 1 });
    const publishAt = new Date(ledger.clock.now.getTime() + 60_000).toISOString();
    const id = await submitted(revision(0.41), { publishAt });
    expect((await approve(id)).json()).toMatchObject({ state: 'approved', publishAt });
    await setPolicy({ revision: 2 });
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 120_000);
    expect((await approve(id, 'cyd')).json()).toMatchObject({
      state: 'published',
      approvals: { needed: 2, given: [{ name: 'ben' }, { name: 'cyd' }] },
    });
  });

  test('a consensus that has changed by then is returned', async () => {
    await setPolicy({ consensus: 1 });
    const view = (by: Person, bear: number) =>
      send(by, 'PUT', `/v1/outlooks/${SLUG}/views/me`, {
        probabilities: { bear, base: 0.9 - bear, bull: 0.1 },
        rationale: 'Mine.',
      });
    await view('ana', 0.5);
    const proposal = { kind: 'consensus', publishAt: null };
    const id = await submitted({ rationale: 'The pool.' }, proposal);
    await view('ben', 0.6);
    const returned = (await approve(id)).json();
    expect(returned.state).toBe('returned');
    expect(wordsOf(returned)).toContain('would no longer publish what was approved');
    await send('ana', 'POST', `/v1/proposals/${id}/submission`, {});
    expect((await approve(id)).json()).toMatchObject({ state: 'published' });
  });

  test('an author who no longer acts for the desk publishes nothing', async () => {
    await setPolicy({ revision: 1 });
    const request = { name: 'eve', role: 'analyst', expiresAt: null, desks: ['main'] } as const;
    const { key, issued } = await issueKey(ledger.pool, request, ledger.clock.now);
    const kept = keys.dee;
    keys.dee = key;
    const id = await submitted(revision(0.44));
    const own = await open({ body: revision(0.45), submit: true }, 'dee');
    keys.dee = kept;
    expect(own.statusCode, own.body).toBe(201);
    await ledger.call({ method: 'DELETE', url: `/v1/keys/${issued.id}`, as: 'admin' });
    const returned = (await approve(own.json().id)).json();
    expect(returned.state).toBe('returned');
    expect(wordsOf(returned)).toContain('no longer acts for the desk');
    expect((await approve(id)).json()).toMatchObject({ state: 'published' });
  });

  test('a new outlook is created, and an outcome recorded, by an analyst whom the policy allows', async () => {
    await setPolicy({ outlook: 1, resolution: 1 }, false);
    const body = { from: { slug: SLUG, version: 1 }, slug: 'another', rationale: 'Again.' };
    const direct = await send('ana', 'POST', '/v1/outlooks', body);
    expect(direct.statusCode, direct.body).toBe(202);
    const made = (await approve(direct.json().id)).json();
    expect(made).toMatchObject({ state: 'published', outlook: 'another' });
    const outcome = { outcome: 'void', reason: 'A test.' };
    const own = await send('ana', 'POST', '/v1/outlooks/another/resolution', outcome);
    expect([own.statusCode, own.json().type]).toEqual([403, '/problems/own-forecast']);
    const other = await send('cyd', 'POST', '/v1/outlooks/another/resolution', outcome);
    expect(other.statusCode, other.body).toBe(202);
    const resolved = (await approve(other.json().id)).json();
    expect(resolved).toMatchObject({ state: 'published' });
    const read = await ledger.call({ method: 'GET', url: '/v1/outlooks/another/resolution' });
    expect(read.json().resolution).toMatchObject({
      outcome: 'void',
      resolvedBy: { name: 'cyd' },
      approvedBy: [{ name: 'ben' }],
    });
  });

  test('what is timed waits for its time, once, whichever instance runs', async () => {
    await setPolicy({ revision: 1 });
    const publishAt = new Date(ledger.clock.now.getTime() + 60_000).toISOString();
    const id = await submitted(revision(0.47), { publishAt });
    expect((await approve(id)).json()).toMatchObject({ state: 'approved' });
    const raised = await submitted({ rationale: 'It ends.' }, { kind: 'withdrawal', publishAt });
    expect((await approve(raised)).json()).toMatchObject({ state: 'approved' });
    await setPolicy({ revision: 1, withdrawal: 2 });
    const { version } = await current();
    await ledger.app.listen({ port: 0, host: '127.0.0.1' });
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 300_000);
    const read = async (one: string) => (await send('ana', 'GET', `/v1/proposals/${one}`)).json();
    await expect.poll(async () => (await read(raised)).state).toBe('returned');
    await expect.poll(async () => (await read(id)).state).toBe('published');
    expect(wordsOf(await read(raised))).toMatch(/^Not published\. /);
    expect(wordsOf(await read(id))).toBe('Published 4 minutes after its time.');
    expect((await current()).version).toBe(version + 1);
  });
});
