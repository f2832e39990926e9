import type { z } from 'zod';
import type { OutlookSummary } from '../ledger/outlook-list.ts';
import type { VersionEntry } from '../ledger/version-entries.ts';
import type { OutlookVersion, Resolution } from '../domain/outlook.ts';
import type { Framework, PublishedFramework } from '../domain/framework.ts';
import { deltasOf, fractionsOf, type ScenarioName } from '../domain/probabilities.ts';
import { type Direction, directionsOf, type Scenario } from '../domain/scenarios.ts';
import { digestOf } from '../http/conditional-requests.ts';
import type { outlook, outlookSummary, versionEntry } from './schemas/outlooks.ts';

type Json<Schema extends z.ZodType> = z.output<Schema>;

/**
 * One version of an outlook as the API answers it, as the bytes of its JSON: whether as the current view,
 * by number or as of a moment, read or just written. What the framework says is rendered once and kept
 * with it; only what changes with each version is rendered here.
 *
 * The digest is of what the bytes are made of, so that what is shared need not be digested again.
 */
export function renderOutlook(version: OutlookVersion): RenderedOutlook {
  const { slug, instrument, horizon, status, author, rationale, framework } = version;
  const { hash, previousHash, probabilities } = version;
  const { title, scenarioDirections, pieces, digest, conditionsOf } = framed(framework);
  const head: Head = {
    slug,
    title,
    instrument,
    horizon,
    status,
    review: reviewOf(version),
    version: version.version,
    publishedAt: version.publishedAt.toISOString(),
    author,
    rationale,
    hash,
    previousHash,
    frameworkHash: framework.hash,
    change: changeOf(version),
    evidence: [...version.evidence],
    answers: [...version.answers],
    consensus: version.consensus && {
      ...version.consensus,
      views: [...version.consensus.views],
    },
    resolution: version.resolution && representResolved(version.resolution),
    probabilities: fractionsOf(probabilities),
    directions: directionsOf(probabilities, scenarioDirections),
  };
  const conditions = conditionsOf(version.conditionStates);
  const { bear, base, bull } = head.probabilities;
  const [beforeBear, beforeBase, beforeBull, beforeConditions, tail] = pieces;
  const headText = JSON.stringify(head).slice(0, -1);
  const bytes = Buffer.concat([
    Buffer.from(headText),
    beforeBear,
    Buffer.from(String(bear)),
    beforeBase,
    Buffer.from(String(base)),
    beforeBull,
    Buffer.from(String(bull)),
    beforeConditions,
    conditions.bytes,
    tail,
  ]);
  return { bytes, digest: digestOf(headText + conditions.digest + digest) };
}

export type RenderedOutlook = { bytes: Buffer; digest: string };

type Head = Omit<Json<typeof outlook>, keyof Tail | 'scenarios' | 'invalidationConditions'>;
type Conditions = Json<typeof outlook>['invalidationConditions'];
type Tail = Pick<
  Json<typeof outlook>,
  | 'headwinds'
  | 'drawdownLabels'
  | 'risks'
  | 'positioning'
  | 'metrics'
  | 'faqs'
  | 'references'
  | 'summary'
  | 'methodology'
  | 'disclaimer'
>;

/** What every version of a framework says of it; its JSON is cut where the probabilities and the conditions go. */
type Framed = {
  title: string;
  scenarioDirections: Record<ScenarioName, Direction>;
  pieces: readonly [Buffer, Buffer, Buffer, Buffer, Buffer];
  /** Of the pieces. */
  digest: string;
  /** The JSON of the conditions in their states. */
  conditionsOf: (states: OutlookVersion['conditionStates']) => { bytes: Buffer; digest: string };
};

// Frameworks are kept by id and never change (db/frameworks.ts); what is rendered of one lives as long.
const known = new WeakMap<PublishedFramework, Framed>();

function framed(published: PublishedFramework): Framed {
  const rendered = known.get(published);
  if (rendered) return rendered;
  const framework = published.read();
  const { bear, base, bull } = framework.scenarios;
  const pieces: Framed['pieces'] = [
    Buffer.from(`,"scenarios":{"bear":${untilProbability(bear)}`),
    Buffer.from(`${afterProbability(bear)},"base":${untilProbability(base)}`),
    Buffer.from(`${afterProbability(base)},"bull":${untilProbability(bull)}`),
    Buffer.from(`${afterProbability(bull)}},"invalidationConditions":`),
    Buffer.from(`,${JSON.stringify(tailOf(framework)).slice(1)}`),
  ];
  const untriggered = renderConditions(framework, {});
  const made: Framed = {
    title: framework.title,
    scenarioDirections: {
      bear: bear.direction,
      base: base.direction,
      bull: bull.direction,
    },
    pieces,
    digest: digestOf(Buffer.concat(pieces)),
    conditionsOf: (states) =>
      Object.keys(states).length === 0 ? untriggered : renderConditions(framework, states),
  };
  known.set(published, made);
  return made;
}

function renderConditions(
  { invalidationConditions }: Framework,
  states: OutlookVersion['conditionStates'],
): { bytes: Buffer; digest: string } {
  const conditions: Conditions = invalidationConditions.map((condition) => ({
    ...condition,
    state: states[condition.key] ?? 'untriggered',
  }));
  const bytes = Buffer.from(JSON.stringify(conditions));
  return { bytes, digest: digestOf(bytes) };
}

function untilProbability({ title }: Scenario): string {
  return `{"title":${JSON.stringify(title)},"probability":`;
}

function afterProbability(scenario: Scenario): string {
  const { outcome, conditions, direction, directionComment, returnBand } = scenario;
  const rest = { outcome, conditions, direction, directionComment, returnBand };
  return `,${JSON.stringify(rest).slice(1)}`;
}

function tailOf(framework: Framework): Tail {
  return {
    headwinds: framework.headwinds.toSorted((a, b) => a.rank - b.rank),
    drawdownLabels: framework.drawdownLabels,
    risks: framework.risks,
    positioning: framework.positioning,
    metrics: framework.metrics,
    faqs: framework.faqs,
    references: framework.references,
    summary: framework.summary,
    methodology: framework.methodology,
    disclaimer: framework.disclaimer,
  };
}

function representResolved({ number, outcome, realisedReturn, reason, resolvedAt }: Resolution) {
  return { number, outcome, realisedReturn, reason, resolvedAt: resolvedAt.toISOString() };
}

function reviewOf({ reviewReasons }: { reviewReasons: readonly string[] }) {
  return { due: reviewReasons.length > 0, reasons: [...reviewReasons] };
}

function changeOf(
  version: Pick<OutlookVersion, 'kind' | 'version' | 'probabilities' | 'previousProbabilities'>,
): Json<typeof outlook>['change'] {
  const { kind, probabilities, previousProbabilities: before } = version;
  return {
    kind,
    previousVersion: version.version > 1 ? version.version - 1 : null,
    deltas: before && deltasOf(before, probabilities),
  };
}

export function representSummary(summary: OutlookSummary): Json<typeof outlookSummary> {
  const { slug, title, instrument, horizon, status, version, author, probabilities } = summary;
  return {
    slug,
    title,
    instrument,
    horizon,
    status,
    review: reviewOf(summary),
    version,
    publishedAt: summary.publishedAt.toISOString(),
    author,
    change: changeOf(summary),
    probabilities: fractionsOf(probabilities),
    directions: directionsOf(probabilities, summary.scenarioDirections),
  };
}

export function representVersionEntry(entry: VersionEntry): Json<typeof versionEntry> {
  const { version, author, rationale, probabilities } = entry;
  return {
    version,
    publishedAt: entry.publishedAt.toISOString(),
    author,
    rationale,
    change: changeOf(entry),
    probabilities: fractionsOf(probabilities),
  };
}
