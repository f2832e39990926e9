import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DomainError } from '../../src/domain/errors.ts';
import {
  decideRevision,
  firstVersion,
  type NewVersion,
  OUTLOOK_STATUSES,
  type Proposal,
  type Head,
} from '../../src/domain/outlook.ts';
import { probabilitiesOf, sameProbabilities } from '../../src/domain/probabilities.ts';
import { probabilities } from '../support/arbitraries.ts';

const hash = (digit: string) => `sha256:${digit.repeat(64)}`;
const now = new Date('2026-11-20T16:31:00.000Z');
const current: Head = {
  slug: 'russell-2000-downside',
  status: 'open',
  horizon: { from: '2026-03-31', to: '2027-03-31' },
  version: 7,
  publishedAt: new Date('2026-11-01T09:00:00.000Z'),
  hash: hash('7'),
  probabilities: probabilitiesOf({ bear: 3000, base: 4500, bull: 2500 }),
  frameworkHash: hash('f'),
  openTriggers: [],
};
const moved = probabilitiesOf({ bear: 3500, base: 4000, bull: 2500 });
const proposal: Proposal = { authorId: 'analyst-1', rationale: 'Yields jumped.' };

/** The hash of a version by the contract's words, not by the code under test. */
function recomputed(slug: string, version: NewVersion): string {
  const { publishedAt, hash: _, ...rest } = version;
  const document = canonicalize({ slug, publishedAt: publishedAt.toISOString(), ...rest });
  return `sha256:${createHash('sha256').update(String(document)).digest('hex')}`;
}

function refusalOf(decide: () => unknown): DomainError {
  try {
    decide();
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('a first version', () => {
  test('is version 1 of the kind "created", chained to nothing', () => {
    const proposed = { ...proposal, probabilities: moved, frameworkHash: hash('f') };
    const first = firstVersion('rut', proposed, now);
    expect(first).toEqual({
      ...proposed,
      version: 1,
      kind: 'created',
      publishedAt: now,
      previousHash: null,
      hash: recomputed('rut', first),
    });
  });
});

describe('a revision', () => {
  test('of the probabilities keeps the framework', () => {
    const { next } = decideRevision(current, { ...proposal, probabilities: moved }, now);
    expect(next).toEqual({
      ...proposal,
      version: 8,
      kind: 'probabilities',
      publishedAt: now,
      probabilities: moved,
      frameworkHash: current.frameworkHash,
      previousHash: current.hash,
      hash: recomputed(current.slug, next),
    });
  });

  test('of the framework keeps the probabilities', () => {
    const { next } = decideRevision(current, { ...proposal, frameworkHash: hash('9') }, now);
    expect(next).toEqual({
      ...proposal,
      version: 8,
      kind: 'framework',
      publishedAt: now,
      probabilities: current.probabilities,
      frameworkHash: hash('9'),
      previousHash: current.hash,
      hash: recomputed(current.slug, next),
    });
  });

  test.for<[string, Partial<Proposal>, NewVersion['kind']]>([
    ['both', { probabilities: moved, frameworkHash: hash('9') }, 'framework'],
    [
      'probabilities beside the framework that stands',
      { probabilities: moved, frameworkHash: current.frameworkHash },
      'probabilities',
    ],
    [
      'a framework beside the probabilities that stand',
      { probabilities: current.probabilities, frameworkHash: hash('9') },
      'framework',
    ],
  ])('of %s is of the kind %3$s', ([, change, kind]) => {
    expect(decideRevision(current, { ...proposal, ...change }, now).next.kind).toBe(kind);
  });

  const offer = ', or send "reaffirm": true to stand by it';
  test.for<[string, Partial<Proposal>, (string | number)[]]>([
    ['nothing at all', {}, ['probabilities']],
    ['the probabilities that stand', { probabilities: current.probabilities }, ['probabilities']],
    ['the framework that stands', { frameworkHash: current.frameworkHash }, []],
    [
      'both as they stand',
      { probabilities: current.probabilities, frameworkHash: current.frameworkHash },
      [],
    ],
  ])('to %s is refused as no change', ([, change, path]) => {
    const refusal = refusalOf(() => decideRevision(current, { ...proposal, ...change }, now));
    expect(refusal).toMatchObject({
      code: 'no-change',
      message: 'The request equals version 7.',
      faults: [
        { path, detail: `equals version 7; change something${path.length > 0 ? offer : ''}` },
      ],
    });
  });

  test('may reaffirm the probabilities that stand, stated or not', () => {
    for (const change of [{}, { probabilities: current.probabilities }]) {
      const { next } = decideRevision(current, { ...proposal, ...change, reaffirms: true }, now);
      const { probabilities: kept, frameworkHash } = current;
      expect(next).toMatchObject({ version: 8, kind: 'reaffirmed', probabilities: kept });
      expect(next).toMatchObject({ frameworkHash, hash: recomputed(current.slug, next) });
    }
  });

  test('may not reaffirm other probabilities', () => {
    const change = { probabilities: moved, reaffirms: true };
    const refusal = refusalOf(() => decideRevision(current, { ...proposal, ...change }, now));
    expect(refusal).toMatchObject({
      code: 'reaffirmation-refused',
      faults: [
        { path: ['probabilities'], detail: expect.stringContaining('(bear 0.3, base 0.45') },
      ],
    });
  });

  test.for(OUTLOOK_STATUSES.filter((status) => status !== 'open'))(
    'of an outlook that is %s is refused',
    (status) => {
      const closed = { ...current, status };
      const refusal = refusalOf(() =>
        decideRevision(closed, { ...proposal, probabilities: moved }, now),
      );
      expect(refusal).toMatchObject({
        code: 'outlook-closed',
        message: `"russell-2000-downside" is ${status} and accepts no further versions.`,
      });
    },
  );

  test('is published at the time of the previous version if the clock has gone back', () => {
    const early = new Date(current.publishedAt.getTime() - 1);
    const { next } = decideRevision(current, { ...proposal, probabilities: moved }, early);
    expect(next.publishedAt).toEqual(current.publishedAt);
    expect(next.hash).toBe(recomputed(current.slug, next));
  });

  test('may have the same time as the previous version', () => {
    const { next } = decideRevision(
      current,
      { ...proposal, probabilities: moved },
      current.publishedAt,
    );
    expect(next.publishedAt).toEqual(current.publishedAt);
  });

  test('leaves the previous version as it was', () => {
    const frozen = Object.freeze({ ...current });
    decideRevision(frozen, { ...proposal, probabilities: moved }, now);
    expect(frozen).toEqual(current);
  });
});

test('any run of revisions is gapless, chained, in the order of its times, and changes each time', () => {
  const moment = fc.date({
    min: new Date('2026-01-01T00:00:00.000Z'),
    max: new Date('2027-01-01T00:00:00.000Z'),
    noInvalidDate: true,
  });
  const step = fc.record({
    probabilities: fc.option(probabilities, { nil: undefined }),
    frameworkHash: fc.constantFrom(undefined, hash('f'), hash('9')),
    at: moment,
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const slug = current.slug;
      const first = firstVersion(
        slug,
        { ...proposal, probabilities: moved, frameworkHash: hash('f') },
        now,
      );
      const versions = [first];
      const refusals: string[] = [];
      for (const { at, ...change } of steps) {
        const last = versions.at(-1) ?? first;
        const horizon = { from: '0001-01-01', to: '9999-12-31' };
        const standing: Head = { ...last, slug, status: 'open', horizon, openTriggers: [] };
        const asked = { ...proposal, ...change };
        const isNews =
          !sameProbabilities(asked.probabilities ?? last.probabilities, last.probabilities) ||
          (asked.frameworkHash ?? last.frameworkHash) !== last.frameworkHash;
        if (isNews) versions.push(decideRevision(standing, asked, at).next);
        else refusals.push(refusalOf(() => decideRevision(standing, asked, at)).code);
      }
      expect(new Set([...refusals, 'no-change'])).toEqual(new Set(['no-change']));
      for (const [index, version] of versions.entries()) {
        const before = versions[index - 1];
        expect(version.version).toBe(index + 1);
        expect(version.hash).toBe(recomputed(slug, version));
        expect(version.previousHash).toBe(before?.hash ?? null);
        if (!before) continue;
        expect(version.publishedAt >= before.publishedAt).toBe(true);
        const same = sameProbabilities(version.probabilities, before.probabilities);
        expect(same && version.frameworkHash === before.frameworkHash).toBe(false);
      }
    }),
  );
});
