import { expect, test } from 'vitest';
import { changesOf } from '../../src/browser/inbox-changes.ts';

const CURRENT = {
  title: 'A case',
  disclaimer: null,
  probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
  scenarios: { bear: { title: 'Down', outcome: 'Lower.' } },
  evidence: [],
};

test('a proposal is compared with the current version as deeply as it goes', () => {
  const proposed = {
    title: 'A case',
    probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
    scenarios: { bear: { outcome: 'Much lower.' } },
    rationale: 'Yields jumped.',
    evidence: [],
  };
  expect(changesOf(CURRENT, proposed)).toEqual([
    { member: 'probabilities › bear', now: '0.3', proposed: '0.35' },
    { member: 'probabilities › base', now: '0.45', proposed: '0.4' },
    { member: 'scenarios › bear › outcome', now: 'Lower.', proposed: 'Much lower.' },
    { member: 'rationale', now: '–', proposed: 'Yields jumped.' },
  ]);
});

test('null removes a member, and changes nothing where there is none', () => {
  expect(changesOf(CURRENT, { title: null, disclaimer: null, unknown: null })).toEqual([
    { member: 'title', now: 'A case', proposed: 'removed' },
  ]);
});

test('a new outlook is compared with nothing', () => {
  expect(changesOf(null, { slug: 'new', headwinds: [{ key: 'a' }] })).toEqual([
    { member: 'slug', now: '–', proposed: 'new' },
    { member: 'headwinds', now: '–', proposed: '[\n {\n  "key": "a"\n }\n]' },
  ]);
});

test('names of members that objects have anyway are those of the proposal', () => {
  const body = JSON.parse('{"constructor": "x", "toString": "y"}') as object;
  expect(changesOf({}, body).map(({ now }) => now)).toEqual(['–', '–']);
});
