import type pg from 'pg';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { findByHash, verifyLedger } from '../../src/ledger/verification.ts';
import { createDatabase, openDatabase } from '../support/database.ts';
import { SLUG, startLedger } from '../support/ledger.ts';
import { patchFramework } from '../support/requests.ts';
import { distinctRevision, fillLedger, publish } from '../support/outlooks.ts';
import { openSession } from '../support/plain-sql.ts';

/** The database that each test alters a copy of, and the hash of a version in it. */
let intact = '';
let noted = '';
let pool: pg.Pool;
let owner: pg.Client;
beforeAll(async () => {
  const ledger = await startLedger();
  await fillLedger(ledger);
  await publish(ledger, 'another');
  for (let index = 0; index < 5; index += 1) {
    const url = '/v1/outlooks/another/revisions';
    const payload = distinctRevision(index);
    await ledger.call({ method: 'POST', url, as: 'analyst', payload });
  }
  await patchFramework(ledger, { rationale: 'R', title: 'Reworded' }, { slug: 'another' });
  const third = await ledger.call({ url: '/v1/outlooks/another/versions/3' });
  noted = third.json<{ hash: string }>().hash;
  intact = ledger.url;
  await ledger.close();
});
beforeEach(async () => {
  const url = await createDatabase({ from: intact });
  pool = openDatabase(url);
  owner = await openSession(url);
});
afterEach(async () => {
  await owner.end();
  await pool.end();
});

/** As a superuser: no trigger runs, and no constraint is checked. */
async function tamper(statement: string): Promise<void> {
  await owner.query('set session_replication_role = replica');
  await owner.query(
    'alter table outlook_versions drop constraint if exists outlook_versions_probabilities_sum_to_1',
  );
  await owner.query(statement);
  await owner.query('set session_replication_role = origin');
}
const another = `(select id from outlooks where slug = 'another')`;
const ofVersion = (version: number) => `outlook_id = ${another} and version = ${version}`;

test('an unaltered ledger is intact', async () => {
  expect(await verifyLedger(pool)).toEqual({ versions: 11, faults: [] });
});

test.each<[what: string, statement: string, version: number, fault: RegExp]>([
  [
    'a rationale',
    `update outlook_versions set rationale = 'Never said' where ${ofVersion(3)}`,
    3,
    /^has the hash sha256:\w+, but its content has sha256:\w+$/,
  ],
  [
    'probabilities',
    `update outlook_versions set bear_bps = bear_bps + 1, base_bps = base_bps - 1 where ${ofVersion(2)}`,
    2,
    /^has the hash /,
  ],
  [
    'a sum',
    `update outlook_versions set bear_bps = bear_bps + 1 where ${ofVersion(4)}`,
    4,
    /^has probabilities that do not sum to 1: .* which is 0\.0001 too much\.$/,
  ],
  [
    'an author',
    `update outlook_versions set author_id = (select id from analysts where name = 'Another desk') where ${ofVersion(1)}`,
    1,
    /^has the hash /,
  ],
  [
    'a time',
    `update outlook_versions set recorded_at = recorded_at - interval '1 day' where ${ofVersion(5)}`,
    5,
    /^was published at .*, before the previous version$/,
  ],
  [
    'a version, which is gone',
    `delete from outlook_versions where ${ofVersion(3)}`,
    4,
    /^is out of sequence: version 3 is missing$/,
  ],
  [
    'the newest version, which is gone',
    `delete from outlook_versions where ${ofVersion(7)}`,
    7,
    /^does not match the current state of the outlook$/,
  ],
  [
    'a version and its hash',
    `update outlook_versions set rationale = 'Never said', hash = sha256('other') where ${ofVersion(3)}`,
    3,
    /^has the hash /,
  ],
  [
    'a link of the chain',
    `update outlook_versions set previous_hash = sha256('other') where ${ofVersion(3)}`,
    3,
    /^has the previousHash sha256:\w+, but the previous hash is sha256:\w+$/,
  ],
  [
    'a headwind',
    `update headwinds set title = 'Never said' where framework_id = (
       select framework_id from outlook_versions where ${ofVersion(1)})`,
    1,
    /^has a framework with the stored hash sha256:\w+, but its content has sha256:\w+$/,
  ],
  [
    'the horizon',
    `update outlooks set horizon_to = horizon_to + 1 where slug = 'another'`,
    1,
    /^has a framework with the stored hash /,
  ],
  [
    'what stands',
    `update outlooks set bear_bps = bear_bps + 1 where slug = 'another'`,
    7,
    /^does not match the current state of the outlook$/,
  ],
  [
    'an event, which is gone',
    `delete from events where ${ofVersion(2)}`,
    2,
    /^has 0 events instead of 1$/,
  ],
  [
    'a status',
    `update outlooks set status = 'resolved' where slug = 'another'`,
    7,
    /^belongs to an outlook with a gap in its resolutions or a status that contradicts them$/,
  ],
])('%s that was altered is found, at its version', async (_, statement, version, fault) => {
  await tamper(statement);
  const { faults } = await verifyLedger(pool);
  expect(faults).toEqual([{ slug: 'another', version, fault: expect.stringMatching(fault) }]);
});

test('a view whose versions have a gap is found', async () => {
  await tamper(
    `update views set version = 2 where outlook_id = (select id from outlooks where slug = '${SLUG}')`,
  );
  const { faults } = await verifyLedger(pool);
  expect(faults).toMatchObject([{ slug: SLUG, fault: expect.stringContaining('a view') }]);
});

test('each outlook is reported, with its first fault', async () => {
  await tamper(`update outlook_versions set rationale = 'Never said'`);
  const { faults } = await verifyLedger(pool);
  expect(faults.map(({ slug, version }) => [slug, version])).toEqual([
    [SLUG, 1],
    ['resolved-case', 1],
    ['another', 1],
  ]);
});

test('a noted hash is found in its version', async () => {
  expect(await findByHash(pool, noted)).toEqual({ slug: 'another', version: 3 });
  await tamper(`update outlook_versions set hash = sha256('other') where ${ofVersion(3)}`);
  expect(await findByHash(pool, noted)).toBeNull();
});
