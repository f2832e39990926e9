import { expect, test } from 'vitest';
import { metricFaults, PROVENANCES, type Metric } from '../../src/domain/framework.ts';

const metric: Metric = {
  name: 'One-year total return',
  value: 25.72,
  unit: '%',
  display: null,
  source: 'FTSE Russell',
  asOf: '2026-03-31',
  provenance: 'sourced',
};
const NAMED = 'is required for a sourced metric';

test.for<[string, Partial<Metric>, Record<string, string>]>([
  ['a figure with source and date', {}, {}],
  ['words in place of a figure', { value: null, display: 'Sideways' }, {}],
  ['a figure of zero', { value: 0 }, {}],
  ['neither figure nor words', { value: null }, { display: 'is required if value is null' }],
  ['a sourced figure without its source', { source: null }, { source: NAMED }],
  ['a sourced figure without its date', { asOf: null }, { asOf: NAMED }],
  [
    'a sourced nothing of nowhere',
    { value: null, source: null, asOf: null },
    { display: 'is required if value is null', source: NAMED, asOf: NAMED },
  ],
])('a metric of %s', ([, change, faults]) => {
  const found = metricFaults({ ...metric, ...change });
  expect(Object.fromEntries(found.map(({ path, detail }) => [path.join('/'), detail]))).toEqual(
    faults,
  );
});

test.for(PROVENANCES.filter((provenance) => provenance !== 'sourced'))(
  'an %s metric needs neither source nor date',
  (provenance) => {
    expect(metricFaults({ ...metric, provenance, source: null, asOf: null })).toEqual([]);
  },
);
