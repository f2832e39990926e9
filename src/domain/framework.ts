import type { DrawdownLabel } from './drawdown.ts';
import type { Fault } from './errors.ts';
import { hashDocument } from './hash-chain.ts';
import type { Headwind } from './headwinds.ts';
import type { InvalidationCondition } from './condition-rules.ts';
import type { Scenarios } from './scenarios.ts';

export type Risk = { area: string; whyItMatters: string; currentRead: string };
export type Positioning = { investorType: string; approach: string; watchpoints: string[] };
export type Faq = { question: string; answer: string };
export type Reference = {
  title: string;
  publisher: string | null;
  url: string | null;
  publishedOn: string | null;
};

export const PROVENANCES = ['sourced', 'editorial', 'illustrative', 'computed'] as const;

export type Provenance = (typeof PROVENANCES)[number];

/** A figure that the outlook rests on. A qualitative metric has no `value` and shows its `display`. */
export type Metric = {
  name: string;
  value: number | null;
  unit: string | null;
  display: string | null;
  source: string | null;
  asOf: string | null;
  provenance: Provenance;
};

/** The qualitative part of an outlook. It is replaced as a whole, never edited in place. */
export type Framework = {
  title: string;
  summary: string;
  methodology: string | null;
  disclaimer: string | null;
  scenarios: Scenarios;
  headwinds: Headwind[];
  drawdownLabels: DrawdownLabel[];
  invalidationConditions: InvalidationCondition[];
  risks: Risk[];
  positioning: Positioning[];
  metrics: Metric[];
  faqs: Faq[];
  references: Reference[];
};

/** A published framework. Its content is read on demand. */
export type PublishedFramework = { readonly hash: string; readonly read: () => Framework };

/** Calendar days, `YYYY-MM-DD`, half-open: [from, to). */
export type Horizon = { from: string; to: string };

/** What an outlook is about; fixed when it is created. */
export type Subject = { instrument: string; horizon: Horizon };

/** A metric without a value requires `display`; a sourced metric requires its source and date. */
export function metricFaults(metric: Partial<Metric>): Fault[] {
  const faults: Fault[] = [];
  if (metric.value === null && metric.display === null) {
    faults.push({ path: ['display'], detail: 'is required if value is null' });
  }
  for (const member of ['source', 'asOf'] as const) {
    if (metric.provenance === 'sourced' && metric[member] === null) {
      faults.push({ path: [member], detail: 'is required for a sourced metric' });
    }
  }
  return faults;
}

/**
 * The document whose hash is a framework's: the framework together with the outlook's subject, so that the hash chain also
 * covers the horizon and the instrument, which versions do not repeat.
 */
export function hashedFramework(framework: Framework, subject: Subject): unknown {
  // By rank, as responses list them, so that clients can recompute the hash whatever order was sent.
  const headwinds = framework.headwinds.toSorted((a, b) => a.rank - b.rank);
  return withoutEmpty({ ...framework, headwinds, ...subject });
}

/** The hash of {@link hashedFramework}: `sha256:` and 64 hexadecimal digits. */
export function hashFramework(framework: Framework, subject: Subject): string {
  return hashDocument(hashedFramework(framework, subject));
}

// A member that a later release adds is null or empty in all older frameworks. Leaving it out keeps
// their hashes unchanged.
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== null && !(Array.isArray(member) && member.length === 0))
      .map(([name, member]) => [name, withoutEmpty(member)]),
  );
}
