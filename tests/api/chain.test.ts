import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, patchFramework, send } from '../support/requests.ts';

// A client of its own: it knows the representations and the OpenAPI description, nothing else.

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type Members = Record<string, Json>;
type Representation = Members & {
  version: number;
  author: { id: string };
  change: { kind: string };
  probabilities: { bear: number; base: number; bull: number };
  instrument: { symbol: string };
  scenarios: Record<string, Members>;
  invalidationConditions: Members[];
};

const sha256 = (document: Json) =>
  `sha256:${createHash('sha256')
    .update(String(canonicalize(document)), 'utf8')
    .digest('hex')}`;

function without(members: Members, name: string): Members {
  return Object.fromEntries(Object.entries(members).filter(([key]) => key !== name));
}

function sparse(value: Json): Json {
  if (Array.isArray(value)) return value.map(sparse);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(
    ([, child]) => child !== null && !(Array.isArray(child) && child.length === 0),
  );
  return Object.fromEntries(kept.map(([name, child]) => [name, sparse(child)]));
}

function frameworkHashOf(answer: Representation): string {
  const named = ['title', 'summary', 'methodology', 'disclaimer', 'headwinds', 'drawdownLabels']
    .concat(['risks', 'positioning', 'metrics', 'faqs', 'references', 'horizon'])
    .map((name) => [name, answer[name] ?? null] as const);
  const scenarios = Object.entries(answer.scenarios).map(
    ([name, scenario]) => [name, without(scenario, 'probability')] as const,
  );
  return sha256(
    sparse({
      ...Object.fromEntries(named),
      scenarios: Object.fromEntries(scenarios),
      // `rule` is null, so it is left out in any case.
      invalidationConditions: answer.invalidationConditions.map((one) => without(one, 'state')),
      instrument: answer.instrument.symbol,
    }),
  );
}

function hashOf(answer: Representation): string {
  const { bear, base, bull } = answer.probabilities;
  const points = (fraction: number) => Math.round(fraction * 10_000);
  return sha256({
    slug: answer['slug'] ?? null,
    version: answer.version,
    publishedAt: answer['publishedAt'] ?? null,
    authorId: answer.author.id,
    rationale: answer['rationale'] ?? null,
    kind: answer.change.kind,
    probabilities: { bear: points(bear), base: points(base), bull: points(bull) },
    frameworkHash: answer['frameworkHash'] ?? null,
    previousHash: answer['previousHash'] ?? null,
  });
}

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

async function versionsOf(slug: string): Promise<Representation[]> {
  const current = (await ledger.call({ url: `/v1/outlooks/${slug}` })).json<Representation>();
  const numbers = Array.from({ length: current.version }, (_, index) => index + 1);
  return Promise.all(
    numbers.map(async (version) =>
      (await ledger.call({ url: `/v1/outlooks/${slug}/versions/${version}` })).json(),
    ),
  );
}

const HASHES = ['frameworkHash', 'hash', 'previousHash'] as const;
const toldBy = (versions: readonly Representation[]) =>
  versions.map((version) => HASHES.map((name) => version[name]));
const recomputedFrom = (versions: readonly Representation[]) =>
  versions.map((version, index) => {
    const before = versions[index - 1];
    return [frameworkHashOf(version), hashOf(version), before ? hashOf(before) : null];
  });

const headwind = (key: string, rank: number) => ({ key, rank, title: 'T', description: 'D' });
const scenario = { title: 'T', outcome: 'O', conditions: 'C' };
const bands = {
  bear: { ...scenario, returnBand: { max: -0.1 } },
  base: { ...scenario, returnBand: { min: -0.1, max: 0.1 } },
  bull: { ...scenario, returnBand: { min: 0.1 } },
};
const point = (step: number) => ({ bear: step / 10_000, base: 0.5, bull: (5000 - step) / 10_000 });

test('both hashes follow from the representations, over revisions of every kind', async () => {
  const revise = (step: number) =>
    ledger.revise({ probabilities: point(step), rationale: `Step ${step}: “why” \u{1F4C9}` });
  const patches = [
    { summary: 'New\u0001 é \u{1F4C8} summary' },
    { methodology: null, disclaimer: null },
    { headwinds: [headwind('b', 2), headwind('a', 1)] },
    { headwinds: [], faqs: null, references: [] },
    { scenarios: bands },
    { scenarios: { bear: { centralReturn: -0.2, returnBand: { min: -0.5 } } } },
    { scenarios: { bear: { directionComment: null }, bull: { direction: 'sideways' } } },
    { positioning: [{ investorType: 'T', approach: 'A' }], probabilities: point(1) },
    {
      metrics: [2 ** 53 - 1, 1e-7, 0.1 + 0.2].map((value) => ({
        name: 'N',
        value,
        provenance: 'editorial',
      })),
    },
  ];
  expect((await revise(3333)).statusCode).toBe(201);
  for (const [index, patch] of patches.entries()) {
    const patched = await patchFramework(ledger, { rationale: `Patch ${index}`, ...patch });
    expect(patched.statusCode).toBe(201);
    expect((await revise(4000 + index)).statusCode).toBe(201);
  }
  const versions = await versionsOf(SLUG);
  expect(versions).toHaveLength(2 + 2 * patches.length);
  expect(toldBy(versions)).toEqual(recomputedFrom(versions));
});

test.for([
  ['in ranks out of order', { headwinds: [headwind('b', 7), headwind('c', 9), headwind('a', 2)] }],
  ['with nothing optional', { methodology: null, disclaimer: null, headwinds: [], faqs: [] }],
  ['with return bands and default directions', { scenarios: bands }],
] as const)('an outlook published %s can be recomputed from the start', async ([name, change]) => {
  const slug = name.replaceAll(' ', '-');
  const created = await createOutlook(ledger, { ...change, slug });
  const versions = await versionsOf(slug);
  expect(versions).toEqual([created.json()]);
  expect(toldBy(versions)).toEqual(recomputedFrom(versions));
});

test('a framework that is restored has its earlier hash', async () => {
  await createOutlook(ledger, { slug: 'there-and-back' });
  for (const title of ['Another title', 'Russell 2000: the case for more downside']) {
    const body = { rationale: 'Retitled.', title };
    await patchFramework(ledger, body, { slug: 'there-and-back' });
  }
  const [first, second, third] = await versionsOf('there-and-back');
  expect(third?.['frameworkHash']).toBe(first?.['frameworkHash']);
  expect(second?.['frameworkHash']).not.toBe(first?.['frameworkHash']);
  expect(third?.['hash']).not.toBe(first?.['hash']);
});

test('the same framework on another instrument or horizon has another hash', async () => {
  await send(ledger, 'POST', '/v1/instruments', { symbol: 'SPX', name: 'S', kind: 'index' });
  const changes = [
    {},
    { instrument: 'SPX' },
    { horizon: { from: '2026-03-31', to: '2027-04-01' } },
  ];
  const created = await Promise.all(
    changes.map((change, index) => createOutlook(ledger, { ...change, slug: `twin-${index}` })),
  );
  const hashes = created.map((answer) => answer.json<Members>()['frameworkHash']);
  expect(new Set(hashes).size).toBe(changes.length);
});

test('a rewritten version is noticed: its hash no longer follows from its content', async () => {
  await createOutlook(ledger, { slug: 'tampered' });
  await ledger.pool.query(`
    alter table outlook_versions disable trigger append_only_update;
    update outlook_versions set rationale = 'We always said so.'
     where outlook_id = (select id from outlooks where slug = 'tampered');
    alter table outlook_versions enable trigger append_only_update`);
  const [version] = await versionsOf('tampered');
  expect(version?.['rationale']).toBe('We always said so.');
  expect(version && hashOf(version)).not.toBe(version?.['hash']);
});
