import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addAnalyst, analystNamed, storeMissingSkeletons } from '../../src/access/analysts.ts';
import { identityFinder } from '../../src/access/identities.ts';
import { nameFault } from '../../src/domain/names.ts';
import { inTransaction } from '../../src/postgres/pool.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { openSession, refusal } from '../support/plain-sql.ts';
import { faultsOf, send, stored } from '../support/requests.ts';

let ledger: TestLedger;
beforeEach(async () => {
  ledger = await startLedger();
});
afterEach(() => ledger.close());

const now = new Date('2026-11-20T16:00:00Z');
const issue = (name: string) =>
  send(ledger, 'POST', '/v1/keys', { name, role: 'analyst' }, { as: 'admin' });
const identify = (name: string, subject: string, issuer = 'https://id.example') =>
  identityFinder(ledger.pool)({ issuer, subject, name }, now);
/** Adds an analyst as an earlier release did. */
const addEarlier = (name: string, at = now) =>
  ledger.pool.query('insert into analysts (name, created_at) values ($1, $2)', [name, at]);

describe('a key to a new name', () => {
  test.for(['Analyst desk', '\u0430nalyst desk', 'analyst  desk', 'anaIyst desk'])(
    'that looks like another analyst (%s) is refused, and says whose it is',
    async (name) => {
      const before = await stored(ledger);
      const answer = await issue(name);
      expect([answer.statusCode, answer.json()]).toMatchObject([
        409,
        {
          type: '/problems/name-taken',
          detail: expect.stringMatching(
            /^The name ".+" looks like that of the analyst "analyst desk" \([0-9a-f-]{36}\)\. Send exactly that name for another key of this analyst, or a name that looks different\.$/,
          ) as string,
        },
      ]);
      expect(await stored(ledger)).toEqual(before);
    },
  );

  test.for([
    '\u00ad',
    '\u034f',
    '\u061c',
    '\u200e',
    '\u2062',
    '\u3164',
    '\ufe0f',
    '\u2800',
    '\u{e0041}',
  ])('with %j, which readers can not see, is refused', async (hidden) => {
    const answer = await issue(`Night${hidden}desk`);
    expect(answer.statusCode).toBe(422);
    expect(faultsOf(answer.json())).toEqual({
      '/name': expect.stringMatching(
        /^must not contain the character U\+[0-9A-F]{4,5}, which readers can't see$/,
      ) as string,
    });
  });

  test('is stored in the form NFKC, and found by any form of it', async () => {
    const first = await issue('\uff3ao\u0065\u0308');
    expect([first.statusCode, first.json()]).toMatchObject([201, { name: 'Zo\u00eb' }]);
    const { analystId } = first.json<{ analystId: string }>();
    for (const name of ['Zo\u00eb', 'Zoe\u0308']) {
      expect((await issue(name)).json()).toMatchObject({ analystId });
    }
  });

  test('keeps the joiners that its spelling needs', async () => {
    const name = '\u0646\u0627\u0645\u0647\u200c\u0627\u06cc';
    expect((await issue(name)).json()).toMatchObject({ name });
    expect((await issue(name.replace('\u200c', ''))).statusCode).toBe(409);
  });

  test('of two that look alike, sent at once, one gets it', async () => {
    const names = ['Rush desk', 'rush desk', 'Rush \u0501esk', 'RUSH DESK'];
    const statuses = (await Promise.all(names.map(issue))).map(({ statusCode }) => statusCode);
    expect(statuses.toSorted((a, b) => a - b)).toEqual([201, 409, 409, 409]);
  });
});

describe('a token', () => {
  test('never gets the name of another analyst, nor one that looks like it', async () => {
    const names = [];
    for (const [index, hidden] of [
      '',
      '\u00ad',
      '\u200b',
      '\ufe0f',
      '\u2800',
      '\u{e0041}',
    ].entries()) {
      names.push((await identify(`an${hidden}alyst desk`, `s${index}`)).name);
    }
    expect(names).toEqual([0, 1, 2, 3, 4, 5].map((index) => `analyst desk (s${index})`));
    expect((await identify('\u0410nalyst Desk', 'cyrillic')).name).toBe(
      '\u0410nalyst Desk (cyrillic)',
    );
  });

  test('whose holder takes the names that a colleague could get does not lock the colleague out', async () => {
    await addEarlier('Admin');
    const taken = ['Admin (i14)', ...[2, 3, 4, 5, 6, 7, 8, 9].map((n) => `Admin (i14, ${n})`)];
    for (const [index, name] of taken.entries()) await identify(name, `mallory-${index}`);
    const { name } = await identify('Admin', 'i14');
    expect(name).toMatch(/^Admin \([0-9a-f-]{36}\)$/);
  });

  test('gets an analyst of its own, whatever it claims', async () => {
    const hostile = fc.oneof(
      fc.constantFrom(
        'Admin',
        'Admin (i14)',
        '\u0410dmin',
        'ADMlN',
        'i14',
        '\u00ad',
        '\u3164\u2800',
      ),
      fc.constantFrom(
        '',
        ' ',
        '\u0000',
        '\ud800',
        '\u202eadmin',
        '\ufdfa'.repeat(300),
        'x'.repeat(300),
      ),
      fc.string({ unit: 'binary', maxLength: 300 }),
    );
    // A subject may be anything that the table takes.
    const subjects = fc
      .oneof(hostile, fc.constant('y'.repeat(255)))
      .map((text) => text.toWellFormed().replaceAll('\0', '').slice(0, 120) || 'i14');
    const identities = fc.uniqueArray(
      fc.record({
        name: hostile,
        subject: subjects,
        issuer: fc.constantFrom('https://a', 'https://b'),
      }),
      { minLength: 30, maxLength: 30, selector: ({ subject, issuer }) => `${issuer} ${subject}` },
    );
    await fc.assert(
      fc.asyncProperty(identities, async (all) => {
        const find = identityFinder(ledger.pool);
        for (const identity of all) {
          const { name } = await find(identity, now);
          expect(nameFault(name)).toBeNull();
        }
      }),
      { numRuns: 5 },
    );
    expect(await inTransaction(ledger.pool, storeMissingSkeletons)).toEqual([]);
  });
});

describe('the analysts of an earlier release', () => {
  test('keep names that look alike, and each later one is listed with the oldest', async () => {
    await addEarlier('Night desk', new Date('2020-01-02'));
    await addEarlier('night desk', new Date('2020-01-01'));
    await addEarlier('N\u00adight desk', new Date('2020-01-03'));
    await addEarlier('Other desk', new Date('2020-01-04'));
    const list = () => inTransaction(ledger.pool, storeMissingSkeletons);
    const [first, second] = await Promise.all([list(), list()]);
    expect(second).toEqual(first);
    expect(first.map(({ analyst, looksLike }) => [analyst.name, looksLike.name])).toEqual([
      ['Night desk', 'night desk'],
      ['N\u00adight desk', 'night desk'],
    ]);
    expect(await list()).toEqual(first);
    // A second key to each acts for the analyst of that very name.
    for (const name of ['Night desk', 'night desk', 'N\u00adight desk', 'Other desk']) {
      const answer = await issue(name);
      expect([answer.statusCode, answer.json()]).toMatchObject([201, { name }]);
    }
    expect((await issue('NIGHT DESK')).statusCode).toBe(409);
  });

  test('have no new look-alike, not even those that share only a part of what they look like', async () => {
    await addEarlier('lan', new Date('2020-01-01'));
    await addEarlier('Ian', new Date('2020-01-02')); // in lower case, it does not look like lan
    const answer = await issue('ian');
    expect([answer.statusCode, answer.json()]).toMatchObject([
      409,
      { type: '/problems/name-taken' },
    ]);
  });

  test('count as soon as an older instance has added them', async () => {
    await addEarlier('Late desk'); // by an instance of the earlier release that still runs
    expect((await issue('late desk')).statusCode).toBe(409);
    const answer = await issue('Late desk');
    expect([answer.statusCode, answer.json()]).toMatchObject([201, { name: 'Late desk' }]);
  });
});

test('Postgres refuses a second analyst with the same skeleton, and the deletion of a skeleton', async () => {
  const owner = await openSession(ledger.url);
  const { rows } = await owner.query<{ hash: Buffer }>(
    'select hash from analyst_skeletons limit 1',
  );
  const hash = `'\\x${rows[0]?.hash.toString('hex')}'`;
  const steal = `insert into analyst_skeletons select ${hash}, id from analysts order by id desc limit 1`;
  expect(await refusal(owner, steal)).toBe('analyst_skeletons_pkey');
  const short = `insert into analyst_skeletons select '\\x00', id from analysts limit 1`;
  expect(await refusal(owner, short)).toBe('analyst_skeletons_hash');
  expect(await refusal(owner, 'delete from analyst_skeletons')).toBe(
    'analyst_skeletons_append_only',
  );
  await owner.end();
});

test('an analyst is added with skeletons, or not at all', async () => {
  await expect(
    inTransaction(ledger.pool, async (session) => {
      await addAnalyst(session, 'Half desk', now);
      throw new Error('stop');
    }),
  ).rejects.toThrow('stop');
  const { id } = await inTransaction(ledger.pool, (session) =>
    analystNamed(session, 'half desk', now),
  );
  const { rowCount } = await ledger.pool.query(
    'select from analyst_skeletons where analyst_id = $1',
    [id],
  );
  expect(rowCount).toBeGreaterThan(0);
});
