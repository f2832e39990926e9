import fc from 'fast-check';
import { expect, test } from 'vitest';
import { renderOutlook, representOutlook } from '../../src/api/outlook-json.ts';
import { CONDITION_STATES } from '../../src/domain/condition-rules.ts';
import type { OutlookVersion } from '../../src/domain/outlook.ts';
import { probabilities } from '../support/arbitraries.ts';
import { version as comparable } from '../support/any-version.ts';

// The API sends the bytes; pages and Markdown read the object.

const author = { id: '016d28b9-0db9-42d9-ba83-9f320b0c00e5', name: 'Ada' };
const hash = `sha256:${'a'.repeat(64)}`;

const versions: fc.Arbitrary<OutlookVersion> = fc
  .record({
    comparable,
    previousProbabilities: fc.option(probabilities),
    version: fc.integer({ min: 1, max: 3 }),
    state: fc.constantFrom(...CONDITION_STATES),
    reviewReasons: fc.array(fc.string(), { maxLength: 2 }),
    rationale: fc.string({ unit: 'binary' }),
    isResolved: fc.boolean(),
    isPooled: fc.boolean(),
  })
  .map(({ comparable: { framework, probabilities: now }, ...given }) => ({
    slug: 'russell-2000-downside',
    instrument: { symbol: 'RUT', name: 'Russell 2000 Index' },
    horizon: { from: '2026-03-31', to: '2027-03-31' },
    desk: { slug: 'main', name: 'Main desk' },
    visibility: 'public' as const,
    status: given.isResolved ? 'resolved' : 'open',
    reviewReasons: given.reviewReasons,
    conditionStates: Object.fromEntries(
      framework.invalidationConditions.slice(0, 2).map(({ key }) => [key, given.state]),
    ),
    evidence: [{ id: author.id, headline: '"probability":0' }],
    answers: [{ condition: 'a', way: 'acknowledged', reason: 'R' }],
    approvedBy: given.isPooled ? [author] : [],
    consensus: given.isPooled
      ? {
          method: 'linear',
          weights: 'equal',
          maxAge: 30,
          views: [{ analyst: author, version: 1, weight: 1 }],
        }
      : null,
    continues: given.isPooled ? 'an-older-one' : null,
    continuedBy: given.isResolved ? 'a-later-one' : null,
    resolution: given.isResolved
      ? {
          number: 1,
          outcome: 'bear',
          realisedReturn: -0.2,
          knownAt: new Date(0),
          reason: null,
          resolvedAt: new Date(0),
        }
      : null,
    latestVersion: 3,
    version: given.version,
    publishedAt: new Date('2026-11-20T16:00:00.000Z'),
    author,
    rationale: given.rationale,
    kind: 'probabilities',
    hash,
    previousHash: given.version > 1 ? hash : null,
    probabilities: now,
    previousProbabilities: given.previousProbabilities,
    framework: { hash, read: () => framework },
  }));

test('the bytes of an outlook are the JSON of the object, to the order of its members', () => {
  fc.assert(
    fc.property(versions, fc.boolean(), (version, hasKey) => {
      const { bytes } = renderOutlook(version, { hasKey });
      const represented = representOutlook(version, { hasKey });
      expect(JSON.parse(bytes.toString())).toEqual(represented);
      expect(bytes.toString()).toBe(JSON.stringify(represented));
    }),
  );
});
