import type pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { chainFault, type Outlook } from '../support/chain.ts';
import { distinctRevision, historyOf, publish } from '../support/outlooks.ts';
import { changeState, openSession } from '../support/plain-sql.ts';

// Revisions that arrive together share a transaction, and nothing else.

let ledger: TestLedger;
let owner: pg.Client;
beforeEach(async () => {
  ledger = await startLedger();
  owner = await openSession(ledger.url);
  await publish(ledger, 'a', 'b', 'c', 'closed', 'same', 'held');
});
afterEach(async () => {
  await owner.end();
  await ledger.close();
});

const revise = async (slug: string, body: object) => {
  const url = `/v1/outlooks/${slug}/revisions`;
  return (await ledger.call({ method: 'POST', url, as: 'analyst', payload: body })).statusCode;
};
const history = (slug: string) =>
  historyOf(slug, async (url) => (await ledger.call({ url })).json<Outlook>());

/** How many transactions wrote versions. */
async function transactions(): Promise<number> {
  const { rows } = await owner.query(
    'select count(distinct transaction_id)::int as count from outlook_versions where version > 1',
  );
  return rows[0].count;
}

test('each is decided by itself, on the state that the previous one left', async () => {
  await changeState(ledger.pool, `status = 'void'`, `slug = 'closed'`);
  const { probabilities } = (await ledger.call({ url: '/v1/outlooks/same' })).json<Outlook>();
  const statuses = await Promise.all([
    ...Array.from({ length: 12 }, (_, index) =>
      revise('abc'[index % 3] ?? '', distinctRevision(index)),
    ),
    revise('closed', distinctRevision(1)),
    revise('same', { probabilities, rationale: 'No change.' }),
    revise('nowhere', distinctRevision(1)),
    revise('a', { probabilities: { bear: 1, base: 1, bull: 1 }, rationale: 'Too much.' }),
  ]);
  expect(statuses).toEqual([...Array<number>(12).fill(201), 409, 422, 404, 422]);
  for (const slug of 'abc') {
    const versions = await history(slug);
    expect(versions).toHaveLength(5);
    expect(chainFault(versions)).toBeNull();
  }
  expect(await transactions()).toBeLessThan(12);
});

test('one whose outlook is locked waits by itself', async () => {
  await owner.query(`begin; select from outlooks where slug = 'held' for update`);
  const held = revise('held', distinctRevision(1));
  const others = await Promise.all(
    ['a', 'b', 'c'].map((slug) => revise(slug, distinctRevision(2))),
  );
  expect(others).toEqual([201, 201, 201]);
  await owner.query('rollback');
  expect(await held).toBe(201);
});

test('one that Postgres refuses affects no other', async () => {
  await owner.query(
    `create function refuse_some() returns trigger language plpgsql as
       $$ begin perform refuse('some', 'this one'); return null; end $$;
     create trigger zz_refuse_some before insert on outlook_versions for each row
       when (new.rationale = 'Revision 7.') execute function refuse_some()`,
  );
  const statuses = await Promise.all(
    Array.from({ length: 9 }, (_, index) =>
      revise('abc'[index % 3] ?? '', distinctRevision(index)),
    ),
  );
  expect(statuses).toEqual([201, 201, 201, 201, 201, 201, 201, 500, 201]);
  const lengths = await Promise.all(
    ['a', 'b', 'c'].map(async (slug) => (await history(slug)).length),
  );
  expect(lengths).toEqual([4, 3, 4]);
  for (const slug of 'abc') expect(chainFault(await history(slug))).toBeNull();
});
