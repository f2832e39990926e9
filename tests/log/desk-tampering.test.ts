import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { verifyLog } from '../../src/log/verification/verify-log.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { outlookBody } from '../support/requests.ts';
import { growLog } from '../support/sign-log.ts';

let ledger: TestLedger;
let session: pg.PoolClient;
beforeAll(async () => {
  ledger = await startLedger();
  await publish();
  await growLog(ledger.pool);
  session = await ledger.pool.connect();
});
afterAll(async () => {
  session.release();
  await ledger.close();
});

/** Publishes an internal outlook, another one that is disclosed, a policy, and a revision that it has approved. */
async function publish(): Promise<void> {
  const ask = async (
    as: 'analyst' | 'admin',
    method: 'POST' | 'PUT',
    url: string,
    payload: object,
  ) => {
    const headers = { authorization: `Bearer ${ledger.keys[as]}` };
    const response = await ledger.app.inject({ method, url, headers, payload });
    expect(response.statusCode, `${url} ${response.body}`).toBeLessThan(300);
    return response.json<{ id: string }>();
  };
  for (const slug of ['internal-case', 'disclosed-case'])
    await ask('analyst', 'POST', '/v1/outlooks', {
      ...outlookBody({ slug }),
      visibility: 'internal',
    });
  await ledger.pool.query(`
    insert into disclosures (outlook_id, author_id, recorded_at)
    select o.id, a.id, now() from outlooks o, analysts a where o.slug = 'disclosed-case' and a.name = 'admin desk'`);
  const approvals = {
    outlook: 0,
    revision: 1,
    framework: 1,
    resolution: 1,
    withdrawal: 1,
    consensus: 1,
  };
  await ask('admin', 'PUT', '/v1/desks/main/policy', { approvals, authorMayResolve: true });
  ledger.clock.now = new Date(ledger.clock.now.getTime() + 3_600_000);
  const { id } = await ask('analyst', 'POST', '/v1/proposals', {
    kind: 'revision',
    outlook: SLUG,
    body: { probabilities: { bear: 0.4, base: 0.35, bull: 0.25 }, rationale: 'Yields jumped.' },
    submit: true,
  });
  await ask('admin', 'POST', `/v1/proposals/${id}/approvals`, { draft: 1 });
}

/** What the verification finds after statements of the database's owner, with all triggers and foreign keys off. */
async function faultsAfter(statements: string): Promise<string[]> {
  await session.query('begin');
  try {
    await session.query(`set local session_replication_role = replica; ${statements}`);
    const { faults } = await verifyLog(session, null);
    return faults.map(({ relation, fault }) => `${relation} ${fault}`).toSorted();
  } finally {
    await session.query('rollback');
  }
}

const REWRITTEN = 'is not as it was written';
const SHOWN = 'is shown to others than its desk and disclosures say';
const LACKS = 'was published without the approval that the policy of its desk asked for';
const UNNAMED =
  'proposals is not what published the version or resolution that names it, or names none';
const STATE = 'proposals has a state, a draft or a time that its drafts and steps do not lead to';

test('a ledger with desks, disclosures, policies and proposals is intact', async () => {
  const { rows } = await session.query(
    `select count(*) as n from outlook_versions where proposal_id is not null`,
  );
  expect(rows).toEqual([{ n: 1 }]);
  expect(await faultsAfter('')).toEqual([]);
});

/** Another policy that asks for no approvals, set a while after the newest version. */
const MILDER = (later: string) => `
  insert into desk_policies select desk_id, version + 1, 0, 0, 0, 0, 0, 0, true, author_id,
    (select max(recorded_at) from outlook_versions) + interval '${later}' from desk_policies`;

test.each([
  [
    'an internal outlook that is shown to all',
    `update outlooks set internal_to = null where slug = 'internal-case'`,
    [`outlooks ${SHOWN}`],
  ],
  [
    'a disclosed outlook that is hidden again',
    `update outlooks set internal_to = 1 where slug = 'disclosed-case'`,
    [`outlooks ${SHOWN}`],
  ],
  [
    'a disclosure that is gone',
    `delete from disclosures`,
    ['disclosures is missing', `outlooks ${SHOWN}`],
  ],
  ['a series that is hidden', `update series set internal_to = 1`, [`series ${SHOWN}`]],
  [
    'another desk of an outlook',
    `update outlooks set desk_id = 2 where slug = 'internal-case'`,
    [`outlooks ${REWRITTEN}`, `outlooks ${SHOWN}`],
  ],
  ['another name of a desk', `update desks set name = 'Other'`, [`desks ${REWRITTEN}`]],
  [
    'other desks of keys',
    `update api_keys set desk_ids = '{1}' where role <> 'admin'`,
    [`api_keys ${REWRITTEN}`],
  ],
  [
    'another approver',
    `update proposal_steps set analyst_id = gen_random_uuid() where kind = 'approved'`,
    [`proposal_steps ${REWRITTEN}`],
  ],
  [
    'an approval that is gone',
    `delete from proposal_steps where kind = 'approved'`,
    [`outlook_versions ${LACKS}`, 'proposal_steps is missing'],
  ],
  [
    'a version that no longer names its proposal',
    `update outlook_versions set proposal_id = null`,
    [`outlook_versions ${REWRITTEN}`, `outlook_versions ${LACKS}`, UNNAMED],
  ],
  [
    'another text of a proposal',
    `update proposal_drafts set body = '{"reaffirm": true}'`,
    [`proposal_drafts ${REWRITTEN}`],
  ],
  ['a proposal that is open again', `update proposals set state = 'submitted'`, [STATE]],
  ['a proposal with another time', `update proposals set publish_at = '2026-12-01'`, [STATE]],
  ['a milder policy', `update desk_policies set revision = 0`, [`desk_policies ${REWRITTEN}`]],
  ['a policy that is gone', `delete from desk_policies`, ['desk_policies is missing']],
  [
    'a version of long before a milder policy',
    `update outlook_versions set proposal_id = null; ${MILDER('2 minutes')}`,
    [
      'desk_policies was written without an event',
      `outlook_versions ${LACKS}`,
      `outlook_versions ${REWRITTEN}`,
      UNNAMED,
    ],
  ],
])('%s is found', async (_, statements, faults) => {
  expect(await faultsAfter(statements)).toEqual(faults.toSorted());
});

test('a version is no fault if a milder policy is of the same time, by the clock of another instance', async () => {
  const without = `update outlook_versions set proposal_id = null; ${MILDER('5 seconds')}`;
  const faults = await faultsAfter(without);
  expect(faults).not.toContain(`outlook_versions ${LACKS}`);
});
