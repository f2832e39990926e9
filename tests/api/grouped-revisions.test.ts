import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { LRUCache } from 'lru-cache';
import type { FastifyRequest } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { attemptOf } from '../../src/access/idempotency-key.ts';
import { CurrentDigests } from '../../src/api/current-digests.ts';
import { groupRevisions } from '../../src/api/revisions.ts';
import { DomainError } from '../../src/domain/errors.ts';
import { Problem } from '../../src/http/problems.ts';
import type { StoredFramework } from '../../src/ledger/frameworks.ts';
import { reviser } from '../../src/ledger/revisions.ts';
import { type Outlook, chainFault } from '../support/chain.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { historyOf } from '../support/outlooks.ts';
import { changeState } from '../support/plain-sql.ts';
import { createOutlook, send, stored } from '../support/requests.ts';

// Revisions that join in one turn of the event loop are one group, so the tests decide what arrives together, and not
// the duration of requests.

let ledger: TestLedger;
let author: { id: string; name: string };
beforeEach(async () => {
  ledger = await startLedger({ cacheMaxBytes: 0 }); // reads see at once what these instances write
  for (const slug of ['a', 'b', 'c', 'd', 'closed'])
    await createOutlook(ledger, {
      slug,
      invalidationConditions: [{ key: 'watched', invalidates: 'bear', statement: 'S' }],
    });
  await changeState(ledger.pool, `status = 'void'`, `slug = 'closed'`);
  const { rows } = await ledger.pool.query<{ id: string; name: string }>(
    `select id, name from analysts where name = 'analyst desk'`,
  );
  author = rows[0] ?? expect.fail('the analyst is missing');
});
afterEach(() => ledger.close());

/** A revision of an outlook to a bear of so many percent, with a bull of 25. */
type Sent = { slug: string; bear: number; key?: string | undefined; ifMatch?: string | undefined };
/** A response, a refusal, or null for a revision that needs a transaction of its own. */
type Outcome =
  | { status: number; body: string; etag: string; isNew: boolean }
  | { refused: string; etag: string | undefined }
  | 'alone';

/** The part of an instance that groups revisions. */
function instance(): (sent: Sent) => Promise<Outcome> {
  const now = () => ledger.clock.now;
  const frameworks = new LRUCache<string, StoredFramework>({ max: 100 });
  const join = groupRevisions({
    pool: ledger.servicePool,
    now,
    idempotencyHours: 24,
    reviser: reviser(frameworks, now),
    digests: new CurrentDigests(frameworks, ledger.feed),
  });
  return async ({ slug, bear, key, ifMatch }) => {
    const headers = {
      ...(key !== undefined && { 'idempotency-key': key }),
      ...(ifMatch !== undefined && { 'if-match': ifMatch }),
    };
    const probabilities = { bear: bear * 100, base: 7_500 - bear * 100, bull: 2_500 };
    const body = { probabilities, rationale: 'R', evidence: [], acknowledges: [] };
    const request = {
      method: 'POST',
      url: `/v1/outlooks/${slug}/revisions`,
      headers,
      body,
      caller: { analyst: author, role: 'analyst', id: 'a key', hint: 'a' },
      audience: { hasKey: true, desks: 'all' },
      ip: '192.0.2.1',
      id: randomUUID(),
    } as unknown as FastifyRequest;
    const sent = { request, attempt: attemptOf(request) };
    const actor = { analyst: author, desks: 'all' };
    try {
      const committed = await join(sent, { slug, actor, ifMatch, revision: body } as never);
      if (!committed) return 'alone';
      const { status, headers: fields, body: bytes } = committed.response;
      const etag = fields['etag'] ?? '';
      return { status, body: bytes.toString(), etag, isNew: 'result' in committed };
    } catch (error) {
      if (error instanceof DomainError) return { refused: error.code, etag: undefined };
      if (!(error instanceof Problem)) throw error;
      const [, etag] = Object.entries(error.headers).find(([name]) => name === 'etag') ?? [];
      return { refused: error.code, etag: etag as string | undefined };
    }
  };
}

const together = (sent: readonly Sent[], by = instance()) => Promise.all(sent.map(by));
const read = async (url: string) => (await ledger.call({ url })).json<Outlook>();
const etagOf = async (slug: string) =>
  String((await ledger.call({ url: `/v1/outlooks/${slug}` })).headers.etag);
const versionOf = (outcome: Outcome | undefined) =>
  typeof outcome === 'object' && 'body' in outcome ? (JSON.parse(outcome.body) as Outlook) : null;
const refusals = (outcomes: Outcome[]) =>
  outcomes.map((outcome) =>
    outcome === 'alone' ? outcome : 'refused' in outcome ? outcome.refused : outcome.status,
  );

/** How many transactions wrote versions since the outlooks were created. */
async function transactions(): Promise<number> {
  const { rows } = await ledger.pool.query<{ count: number }>(
    'select count(distinct transaction_id)::int as count from outlook_versions where version > 1',
  );
  return rows[0]?.count ?? 0;
}

/** Locks an idempotency key of the analyst in a transaction, like another instance that runs its request. */
async function holdKey(key: string): Promise<() => Promise<void>> {
  const holder = await ledger.pool.connect();
  await holder.query('begin');
  await holder.query(
    `select pg_advisory_xact_lock(hashtextextended('outlook-ledger attempt ' || $1 || ' ' || $2, 0))`,
    [author.id, key],
  );
  return async () => {
    await holder.query('rollback');
    holder.release();
  };
}

describe('in one group', () => {
  test('each is refused, answered again or done by itself, on the state that the previous one left', async () => {
    const [earlier] = await together([{ slug: 'b', bear: 10, key: 'earlier' }]);
    const [atFirst, ofB] = [await etagOf('a'), await etagOf('b')];
    const release = await holdKey('held');
    const outcomes = await together([
      { slug: 'a', bear: 31, ifMatch: atFirst },
      { slug: 'a', bear: 32, ifMatch: atFirst },
      { slug: 'a', bear: 33, ifMatch: '*', key: 'one' },
      { slug: 'a', bear: 33, ifMatch: '*', key: 'one' },
      { slug: 'a', bear: 34, ifMatch: '*', key: 'one' },
      { slug: 'b', bear: 35, key: 'held' },
      { slug: 'b', bear: 10, key: 'earlier' },
      { slug: 'b', bear: 36, ifMatch: `"other", ${ofB}`, key: 'guarded' },
      { slug: 'c', bear: 30, key: 'same' },
      { slug: 'c', bear: 37, key: 'same' },
      { slug: 'closed', bear: 38 },
      { slug: 'nowhere', bear: 39 },
    ]);
    await release();
    expect(refusals(outcomes)).toEqual([
      201,
      'precondition-failed',
      201,
      201,
      'idempotency-key-reused',
      'idempotency-key-in-flight',
      201,
      201,
      'no-change',
      201,
      'outlook-closed',
      'alone',
    ]);
    const [first, stale, second, replayed, , , again, guarded] = outcomes;
    expect(stale).toMatchObject({ etag: (first as { etag: string }).etag });
    expect(replayed).toEqual({ ...(second as object), isNew: false });
    expect(again).toEqual({ ...(earlier as object), isNew: false });
    expect([first, second, guarded].map((one) => versionOf(one)?.version)).toEqual([2, 3, 3]);
    expect(await transactions()).toBe(2);
    for (const [slug, last] of [
      ['a', second],
      ['b', guarded],
    ] as const) {
      const current = await ledger.call({ url: `/v1/outlooks/${slug}` });
      expect(last).toMatchObject({ body: current.body, etag: current.headers.etag });
      expect(chainFault(await historyOf(slug, read))).toBeNull();
    }
    const { rows } = await ledger.pool.query(
      `select (select count(*)::int from audit_entries where path like '%/revisions') as audited,
         (select array_agg(key order by key) from idempotency_keys) as keys`,
    );
    expect(rows).toEqual([{ audited: 5, keys: ['earlier', 'guarded', 'one', 'same'] }]);
  });

  test('one whose key is old is done again', async () => {
    const [first] = await together([{ slug: 'a', bear: 31, key: 'k' }]);
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 24 * 3_600_000 + 1);
    const [other, again] = await together([
      { slug: 'b', bear: 31, key: 'k' },
      { slug: 'b', bear: 31, key: 'k' },
    ]);
    expect([first, other].map((one) => versionOf(one)?.slug)).toEqual(['a', 'b']);
    expect(again).toEqual({ ...(other as object), isNew: false });
  });

  test('a lock that one revision waits for in vain leaves each to a transaction of its own', async () => {
    await together([{ slug: 'a', bear: 20, key: 'old' }]);
    ledger.clock.now = new Date(ledger.clock.now.getTime() + 25 * 3_600_000);
    const holder = await ledger.pool.connect();
    try {
      await holder.query('begin');
      await holder.query(`select from idempotency_keys where key = 'old' for update`);
      const outcomes = await together([
        { slug: 'a', bear: 31, key: 'old' },
        { slug: 'b', bear: 32 },
        { slug: 'c', bear: 33, key: 'new' },
      ]);
      expect(outcomes).toEqual(['alone', 'alone', 'alone']);
    } finally {
      await holder.query('rollback');
      holder.release();
    }
    expect((await read('/v1/outlooks/b')).version).toBe(1);
  });

  test('one whose outlook is locked elsewhere or owes a review gets a transaction of its own', async () => {
    const assess = { state: 'triggered', rationale: 'R' };
    await send(ledger, 'POST', '/v1/outlooks/d/conditions/watched/assessments', assess);
    const holder = await ledger.pool.connect();
    await holder.query(`begin; select from outlooks where slug = 'b' for update`);
    const ifMatch = '"other"';
    const outcomes = await together([
      { slug: 'a', bear: 31, key: 'a' },
      { slug: 'b', bear: 31, key: 'b', ifMatch },
      { slug: 'd', bear: 31, key: 'd', ifMatch },
      { slug: 'c', bear: 31, ifMatch },
    ]);
    await holder.query('rollback');
    holder.release();
    expect(refusals(outcomes)).toEqual([201, 'alone', 'alone', 'precondition-failed']);
    const { rows } = await ledger.pool.query('select key from idempotency_keys');
    expect(rows).toEqual([{ key: 'a' }]);
  });

  test.each(['outlook_versions', 'events', 'idempotency_keys', 'audit_entries'])(
    'a failure to write %s leaves nothing of any',
    async (table) => {
      await ledger.pool.query(
        `create function fail() returns trigger language plpgsql as
           $$ begin raise exception 'no' using errcode = '23514'; end $$;
         create trigger zz_fail after insert on ${table} for each row execute function fail()`,
      );
      const before = await stored(ledger);
      const etag = await etagOf('a');
      const sent = [
        { slug: 'a', bear: 31, key: 'a', ifMatch: etag },
        { slug: 'b', bear: 31, key: 'b' },
        { slug: 'c', bear: 31 },
      ];
      const service = instance();
      expect(await together(sent, service)).toEqual(['alone', 'alone', 'alone']);
      expect(await stored(ledger)).toEqual(before);
      await ledger.pool.query(`drop trigger zz_fail on ${table}`);
      expect(refusals(await together(sent, service))).toEqual([201, 201, 201]);
      expect(await transactions()).toBe(1);
    },
  );
});

describe('the ETag that If-Match is compared with', () => {
  const ETAG = { slug: 'a', ifMatch: '"other"' };

  test('is that of the current version, whoever changed it', async () => {
    const [here, there] = [instance(), instance()];
    const refused = async (bear: number) => {
      const [outcome] = await together([{ ...ETAG, bear }], here);
      return (outcome as { etag?: string }).etag;
    };
    expect(await refused(40)).toBe(await etagOf('a'));
    await together([{ slug: 'a', bear: 41 }], here);
    expect(await refused(42)).toBe(await etagOf('a'));
    await together([{ slug: 'a', bear: 43 }], there);
    expect(await refused(44)).toBe(await etagOf('a'));
    const url = '/v1/outlooks/a/conditions/watched/assessments';
    const before = await etagOf('a');
    await send(ledger, 'POST', url, { state: 'expired', rationale: 'R' });
    const after = await etagOf('a');
    expect([await refused(45), after === before]).toEqual([after, false]);
    const [written] = await together([{ slug: 'a', bear: 45, ifMatch: after }], here);
    expect((written as { etag: string }).etag).toBe(await etagOf('a'));
  });

  test('is that of an outlook that is closed, too, whose resolution may be corrected', async () => {
    const service = instance();
    const resolutions = [{ outcome: 'bear' }, { outcome: 'bull', supersedes: 1 }];
    for (const resolution of resolutions.map((one) => ({ ...one, reason: 'R' }))) {
      const resolved = await send(ledger, 'POST', '/v1/outlooks/a/resolution', resolution);
      expect(resolved.statusCode).toBe(201);
      const [refused] = await together([{ slug: 'a', bear: 40, ifMatch: '"other"' }], service);
      expect(refused).toEqual({ refused: 'precondition-failed', etag: await etagOf('a') });
    }
  });
});

test('any group gets the same responses as its requests one after the other', async () => {
  type Asked = { outlook: number; bear: number; key: string | undefined; ifMatch: string };
  const request: fc.Arbitrary<Asked> = fc.record({
    outlook: fc.constantFrom(0, 1),
    bear: fc.integer({ min: 28, max: 33 }),
    key: fc.option(fc.constantFrom('k', 'l', 'm'), { nil: undefined }),
    ifMatch: fc.constantFrom('none', 'none', 'current', '"stale"', '*'),
  });
  const sentTo = async (slugs: string[], asked: Asked[], run: string): Promise<Sent[]> => {
    const current = await Promise.all(slugs.map(etagOf));
    return asked.map(({ outlook, bear, key, ifMatch }) => ({
      slug: slugs[outlook] ?? '',
      bear,
      key: key && `${run} ${key}`.replace(' ', '-'),
      ifMatch: ifMatch === 'none' ? undefined : ifMatch === 'current' ? current[outlook] : ifMatch,
    }));
  };
  /** The members that are equal in two pairs of outlooks with the same history. */
  const seen = (outcomes: Outcome[]) => {
    const bodies = outcomes.map((outcome) => versionOf(outcome) && JSON.stringify(outcome));
    return outcomes.map((outcome, index) => {
      const version = versionOf(outcome);
      if (!version) return refusals([outcome])[0];
      const { isNew } = outcome as { isNew: boolean };
      const { probabilities, change } = version;
      const original = bodies.indexOf(
        (bodies[index] ?? '').replace('"isNew":false', '"isNew":true'),
      );
      return { version: version.version, probabilities, change, isNew, original };
    });
  };
  const service = instance();
  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 12 }), async (asked) => {
      const run = randomUUID();
      const grouped = await together(await sentTo(['a', 'b'], asked, `grouped-${run}`), service);
      const single: Outcome[] = [];
      for (const sent of await sentTo(['c', 'd'], asked, `single-${run}`)) {
        single.push(await service(sent));
      }
      expect(seen(grouped)).toEqual(seen(single));
    }),
    { numRuns: 40, endOnFailure: true },
  );
  const histories = await Promise.all(
    ['a', 'b', 'c', 'd'].map(async (slug) => {
      const history = await historyOf(slug, read);
      expect(chainFault(history)).toBeNull();
      return history.map(({ version, probabilities }) => ({ version, probabilities }));
    }),
  );
  expect(histories.slice(0, 2)).toEqual(histories.slice(2));
  expect(histories[0]?.length).toBeGreaterThan(10);
});
