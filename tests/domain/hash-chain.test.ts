import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ChainedVersion, hashDocument, hashVersion } from '../../src/domain/hash-chain.ts';
import { probabilitiesOf } from '../../src/domain/probabilities.ts';

const version: ChainedVersion = {
  slug: 'russell-2000-downside',
  version: 2,
  publishedAt: new Date('2026-11-20T16:31:00.000Z'),
  authorId: '0197f1f2-0000-7000-8000-000000000001',
  rationale: 'Yields jumped – “again”.',
  kind: 'probabilities',
  probabilities: probabilitiesOf({ bear: 3500, base: 4000, bull: 2500 }),
  frameworkHash: `sha256:${'a'.repeat(64)}`,
  previousHash: `sha256:${'b'.repeat(64)}`,
};

test('a document has the SHA-256 of its canonical JSON in UTF-8', () => {
  const canonical = '{"a":"é","b":[1,0.1,null]}';
  expect(hashDocument({ b: [1.0, 0.1, null], a: 'é' })).toBe(
    `sha256:${createHash('sha256').update(canonical, 'utf8').digest('hex')}`,
  );
});

test('the order of members does not affect a hash', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (document) => {
      const reversed = Object.fromEntries(Object.entries(document).toReversed());
      expect(hashDocument(reversed)).toBe(hashDocument(document));
    }),
  );
});

test('a value that is not JSON has no hash', () => {
  expect(() => hashDocument(undefined)).toThrow(new TypeError('only a JSON document has a hash'));
});

test('the hash of a version covers the document that the contract describes', () => {
  const described = canonicalize({
    slug: 'russell-2000-downside',
    version: 2,
    publishedAt: '2026-11-20T16:31:00.000Z',
    authorId: '0197f1f2-0000-7000-8000-000000000001',
    rationale: 'Yields jumped – “again”.',
    kind: 'probabilities',
    probabilities: { bear: 3500, base: 4000, bull: 2500 },
    frameworkHash: `sha256:${'a'.repeat(64)}`,
    previousHash: `sha256:${'b'.repeat(64)}`,
  });
  expect(hashVersion(version)).toBe(
    `sha256:${createHash('sha256').update(String(described), 'utf8').digest('hex')}`,
  );
});

test.for<Partial<ChainedVersion>>([
  { slug: 'another' },
  { version: 3 },
  { publishedAt: new Date('2026-11-20T16:31:00.001Z') },
  { authorId: '0197f1f2-0000-7000-8000-000000000002' },
  { rationale: 'Yields jumped – "again".' },
  { kind: 'framework' },
  { probabilities: probabilitiesOf({ bear: 3500, base: 3999, bull: 2501 }) },
  { frameworkHash: `sha256:${'c'.repeat(64)}` },
  { previousHash: `sha256:${'c'.repeat(64)}` },
  { previousHash: null },
])('a version with %o has another hash', (change) => {
  expect(hashVersion({ ...version, ...change })).not.toBe(hashVersion(version));
});

test('other members of a version are not hashed', () => {
  const longer = { ...version, hash: 'sha256:0', status: 'open' };
  expect(hashVersion(longer)).toBe(hashVersion(version));
});
