import type { FastifyInstance } from 'fastify';
import { LRUCache } from 'lru-cache';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type FrameworkRef,
  readFramework,
  type StoredFramework,
} from '../../src/ledger/frameworks.ts';
import { Busy, inTransaction } from '../../src/postgres/pool.ts';
import { reviser } from '../../src/ledger/revisions.ts';
import { listVersions } from '../../src/ledger/version-list.ts';
import { readVersion } from '../../src/ledger/versions.ts';
import { DomainError } from '../../src/domain/errors.ts';
import { SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';
import { buildSilentApp, SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { chainFault, type Outlook, recomputedHashes } from '../support/chain.ts';
import { distinctRevision, historyOf, publish } from '../support/outlooks.ts';

let ledger: TestLedger;
let other: FastifyInstance;
beforeAll(async () => {
  ledger = await startLedger();
  other = await buildSilentApp(ledger.servicePool);
});
afterAll(async () => {
  await other.close();
  await ledger.close();
});

const emptyCache = () => new LRUCache<string, StoredFramework>({ max: 100 });
const read = async (url: string) => (await ledger.call({ url })).json<Outlook>();
const create = async (body: object) => {
  const response = await ledger.call({
    method: 'POST',
    url: '/v1/outlooks',
    as: 'analyst',
    payload: { ...SAMPLE_OUTLOOK, ...body },
  });
  expect(response.statusCode, response.body).toBe(201);
  return response.json<Outlook>();
};

/** What another instance reads, which has nothing in memory. */
const stored = async (slug: string) => (await other.inject(`/v1/outlooks/${slug}`)).json<Outlook>();

test.each([
  ['the smallest float', 5e-324],
  ['the smallest normal float', 2.2250738585072014e-308],
  ['a large one', 1e15 + 0.125],
  ['the largest', Number.MAX_SAFE_INTEGER],
  ['the most negative', Number.MIN_SAFE_INTEGER],
  ['negative zero', -0],
  ['a sum of tenths', 0.1 + 0.2],
  ['a third', 1 / 3],
  ['a float next to 1', 1 + Number.EPSILON],
])('%s as a metric comes back as it was, and the hashes hold', async (name, value) => {
  const slug = name.toLowerCase().replaceAll(' ', '-');
  const metric = { name, value, unit: null, display: null, provenance: 'editorial' };
  const answered = await create({ slug, metrics: [metric] });
  const back = await stored(slug);
  expect(back).toEqual(answered);
  expect(back.metrics[0]?.value).toBe(value + 0);
  expect(recomputedHashes(back)).toEqual({ frameworkHash: back.frameworkHash, hash: back.hash });
});

test.each([
  ['close-to-zero', -5e-324, 5e-324, 5e-324],
  ['from-zero', -0, 0.1, 0.1 + 0.2],
  ['far-apart', -1 / 3, 1000 - 1e-13, 1],
])('bands and depths of odd floats (%s) come back as they were', async (slug, low, high, depth) => {
  const { scenarios, drawdownLabels } = SAMPLE_OUTLOOK as unknown as Outlook;
  const answered = await create({
    slug,
    scenarios: {
      bear: { ...scenarios.bear, returnBand: { max: low } },
      base: { ...scenarios.base, returnBand: { min: low, max: high } },
      bull: { ...scenarios.bull, returnBand: { min: high } },
    },
    drawdownLabels: [{ ...drawdownLabels[0], minDepth: depth }],
  });
  const back = await stored(slug);
  expect(back).toEqual(answered);
  expect(back.scenarios.base.returnBand).toEqual({ min: low + 0, max: high });
  expect(back.drawdownLabels[0]?.minDepth).toBe(depth);
  expect(recomputedHashes(back)).toEqual({ frameworkHash: back.frameworkHash, hash: back.hash });
});

test.each([
  ['astral', '𝔘𝔫𝔦𝔠𝔬𝔡𝔢 🐻📉'],
  ['two-forms-of-one-letter', 'é é'],
  ['right-to-left', 'דוב \u202e שוק'],
  ['quotes', `' " \\ $1 $$ ; -- /* {"a": [1]} \\u0041`],
  ['control-characters', 'a\u0001\u0008\t\r\n\u001f\u007f\u0085\u2028\u2029z'],
  ['at-the-edge', '\ufffd\uffff\u{10ffff}\ufeff!'],
])('text with %s comes back as it was, and the hashes hold', async (slug, text) => {
  const answered = await create({
    slug,
    summary: text,
    rationale: text,
    methodology: text,
    risks: [{ area: 'Area', whyItMatters: text, currentRead: text }],
    faqs: [{ question: text, answer: text }],
    headwinds: [{ key: 'a', rank: 1, title: 'Title', description: text }],
    invalidationConditions: [{ key: 'a', invalidates: 'bear', statement: text }],
  });
  const back = await stored(slug);
  expect(back).toEqual(answered);
  expect([back.summary, back.rationale, back.risks[0]?.currentRead]).toEqual([text, text, text]);
  expect(recomputedHashes(back)).toEqual({ frameworkHash: back.frameworkHash, hash: back.hash });
});

test('a framework with every list empty comes back as it was', async () => {
  const { title, summary, scenarios } = SAMPLE_OUTLOOK;
  const bare = { headwinds: [], drawdownLabels: [], invalidationConditions: [], risks: [] };
  const lists = { ...bare, positioning: [], metrics: [], faqs: [], references: [] };
  const wordless = { methodology: null, disclaimer: null };
  const answered = await create({ slug: 'bare', title, summary, scenarios, ...lists, ...wordless });
  const back = await stored('bare');
  expect(back).toEqual(answered);
  expect(back).toMatchObject({ ...lists, ...wordless });
  expect(recomputedHashes(back).frameworkHash).toBe(back.frameworkHash);
});

describe('frameworks', () => {
  const frameworkRefs = async () => {
    const { rows } = await ledger.pool.query<FrameworkRef>(
      `select id as framework_id, 'sha256:' || encode(hash, 'hex') as framework_hash
         from frameworks where hash in (select hash from frameworks group by 1 having count(*) = 1)`,
    );
    return rows;
  };

  test('are read the same from memory and from the database', async () => {
    const rows = await frameworkRefs();
    expect(rows.length).toBeGreaterThan(5);
    const cache = emptyCache();
    for (const ref of rows) {
      const read = await readFramework(ledger.pool, cache, ref);
      expect((await readFramework(ledger.pool, emptyCache(), ref)).read()).toEqual(read.read());
      expect(await readFramework(ledger.pool, cache, ref)).toBe(read);
    }
  });

  test('of a transaction that is rolled back are not cached', async () => {
    const cache = emptyCache();
    await publish(ledger, 'undone');
    const actor = { analyst: { id: '', name: '' }, desks: 'all' } as const;
    const request = { rationale: 'Why.', evidence: [], acknowledges: [] };
    const { revise } = reviser(cache, () => new Date());
    const undo = inTransaction(ledger.pool, (session) =>
      revise(
        session,
        'undone',
        actor,
        (_, current) => {
          const framework = { ...current.framework.read(), summary: 'Never published.' };
          return { ...request, framework };
        },
        { mayChangeRules: true },
      ),
    );
    await expect(undo).rejects.toThrow('invalid input syntax for type uuid');
    const known = [...cache.values()].map((stored) => stored.read().summary);
    expect(known).not.toContain('Never published.');
    expect((await read('/v1/outlooks/undone')).version).toBe(1);
  });

  test('that are missing are an error, and not an empty outlook', async () => {
    const [ref] = await frameworkRefs();
    if (!ref) throw new Error('there is no framework');
    const gone = { ...ref, framework_id: -1 };
    await expect(readFramework(ledger.pool, emptyCache(), gone)).rejects.toThrow('framework -1');
  });

  test('whose ids were given to others meanwhile are asked for again, and never mixed up', async () => {
    const [ref, other] = await frameworkRefs();
    if (!ref || !other) throw new Error('there are too few frameworks');
    const cache = emptyCache();
    const mixed = { ...ref, framework_id: other.framework_id };
    await expect(readFramework(ledger.pool, cache, mixed)).rejects.toThrow(Busy);
    const right = await readFramework(ledger.pool, cache, ref);
    expect(right.hash).toBe(ref.framework_hash);
    expect(await readFramework(ledger.pool, cache, mixed)).toBe(right);
  });
});

describe('a history', () => {
  const SLUG_OF_FIVE = 'of-five';
  beforeAll(async () => {
    await publish(ledger, SLUG_OF_FIVE);
    const url = `/v1/outlooks/${SLUG_OF_FIVE}/revisions`;
    for (let index = 1; index <= 4; index += 1) {
      const payload = distinctRevision(index);
      await ledger.call({ method: 'POST', url, as: 'analyst', payload });
    }
  });

  test('is complete and chained, and each version has the previous probabilities', async () => {
    const history = await historyOf(SLUG_OF_FIVE, read);
    expect(history).toHaveLength(5);
    expect(chainFault(history)).toBeNull();
    const before = history.map(({ change }) => change.previousVersion);
    expect(before).toEqual([null, 1, 2, 3, 4]);
  });

  test.each([
    [null, 2, [5, 4]],
    [4, 2, [3, 2]],
    [2, 2, [1]],
    [1, 2, []],
    [null, 100, [5, 4, 3, 2, 1]],
    [2_147_483_647, 1, [5]],
  ])('before %s lists at most %i', async (before, limit, versions) => {
    const entries = await listVersions(ledger.pool, SLUG_OF_FIVE, { before, limit });
    expect(entries.map(({ version }) => version)).toEqual(versions);
  });

  test.each([
    ['nothing-here', null, 'outlook-not-found'],
    ['nothing-here', 1, 'outlook-not-found'],
    [SLUG, 0, 'version-not-found'],
    [SLUG, 2, 'version-not-found'],
  ])('of %s has no version %s', async (slug, version, code) => {
    const selector = version === null ? 'newest' : { version };
    const reading = readVersion(ledger.pool, emptyCache(), slug, selector);
    await expect(reading).rejects.toThrow(DomainError);
    await expect(reading).rejects.toMatchObject({ code });
  });
});

test('a clock that goes back leaves the times in the order of the versions', async () => {
  await publish(ledger, 'clock');
  const url = '/v1/outlooks/clock/revisions';
  const started = ledger.clock.now;
  for (const [index, hours] of [1, -5, 0, 2].entries()) {
    ledger.clock.now = new Date(started.getTime() + hours * 3_600_000);
    const payload = distinctRevision(index);
    const revised = await ledger.call({ method: 'POST', url, as: 'analyst', payload });
    expect(revised.statusCode).toBe(201);
  }
  ledger.clock.now = started;
  const history = await historyOf('clock', read);
  expect(chainFault(history)).toBeNull();
  const hours = history.map(
    ({ publishedAt }) => (Date.parse(publishedAt) - started.getTime()) / 3_600_000,
  );
  expect(hours).toEqual([0, 1, 1, 1, 2]);
});

test('the chain reveals what the owner rewrites with the guards off', async () => {
  await publish(ledger, 'tampered');
  const payload = distinctRevision(1);
  const url = '/v1/outlooks/tampered/revisions';
  await ledger.call({ method: 'POST', url, as: 'analyst', payload });
  expect(chainFault(await historyOf('tampered', read))).toBeNull();
  await ledger.pool.query(`begin; set local session_replication_role = replica;
    update outlook_versions set rationale = 'Never said.' where version = 1
       and outlook_id = (select id from outlooks where slug = 'tampered'); commit`);
  const stored = async (url: string) => (await other.inject(url)).json<Outlook>();
  expect(chainFault(await historyOf('tampered', stored))).toBe(
    'version 1 has another hash than its content',
  );
});
