import type { z } from 'zod';
import type { OutlookSummary } from '../ledger/outlook-list.ts';
import type { VersionEntry } from '../ledger/version-entries.ts';
import type { BriefResolution, OutlookVersion, Resolution } from '../domain/outlook.ts';
import type { Audience } from '../domain/desks.ts';
import type { Framework, PublishedFramework } from '../domain/framework.ts';
import { byScenario, deltasOf, fractionsOf, type ScenarioName } from '../domain/probabilities.ts';
import { type Direction, directionsOf, type Scenario } from '../domain/scenarios.ts';
import { digestOf } from '../http/conditional-requests.ts';
import type { outlook, outlookSummary } from './schemas/outlooks.ts';
import type { versionEntry } from './schemas/versions.ts';

type Json<Schema extends z.ZodType> = z.output<Schema>;

/** Whether the views that a version pooled show. */
type Reader = Pick<Audience, 'hasKey'>;

/** One version of an outlook as the API returns it: the object whose JSON {@link renderOutlook} gives. */
export function representOutlook(version: OutlookVersion, reader: Reader): Json<typeof outlook> {
  const framework = version.framework.read();
  const head = representHead(version, titleAndDirectionsOf(framework), reader);
  return {
    ...head,
    scenarios: byScenario((name) => {
      const { title, ...rest } = scenarioText(framework.scenarios[name]);
      return { title, probability: head.probabilities[name], ...rest };
    }),
    invalidationConditions: representConditions(framework, version.conditionStates),
    ...representTail(framework),
  };
}

/**
 * The JSON of {@link representOutlook} as bytes, with the digest for its ETag. A framework's part is rendered once for all
 * its versions; only the rest is rendered for each version. The digest is made of the parts' digests, so that the shared
 * part is not digested again.
 */
export function renderOutlook(version: OutlookVersion, reader: Reader): RenderedOutlook {
  const { titleAndDirections, pieces, digest, conditionsOf } = renderFramework(version.framework);
  const head = representHead(version, titleAndDirections, reader);
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

/** The digests of a version for readers with a key and without one; they differ if it is a consensus. */
export function digestsOf(version: OutlookVersion): string[] {
  const readers = version.consensus ? [{ hasKey: true }, { hasKey: false }] : [{ hasKey: true }];
  return readers.map((reader) => renderOutlook(version, reader).digest);
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

/** The members of a framework that the head of a version contains. */
type TitleAndDirections = {
  title: string;
  directions: Record<ScenarioName, Direction>;
};

/** The JSON of a framework, split where the probabilities and the conditions of a version go. */
type RenderedFramework = {
  titleAndDirections: TitleAndDirections;
  pieces: readonly [Buffer, Buffer, Buffer, Buffer, Buffer];
  /** The digest of the pieces. */
  digest: string;
  /** The JSON of the conditions in their states. */
  conditionsOf: (states: OutlookVersion['conditionStates']) => { bytes: Buffer; digest: string };
};

// Frameworks are cached by their hashes (ledger/frameworks.ts); their JSON is cached as long.
const renderedFrameworks = new WeakMap<PublishedFramework, RenderedFramework>();

function renderFramework(published: PublishedFramework): RenderedFramework {
  const cached = renderedFrameworks.get(published);
  if (cached) return cached;
  const framework = published.read();
  const { bear, base, bull } = framework.scenarios;
  const pieces: RenderedFramework['pieces'] = [
    Buffer.from(`,"scenarios":{"bear":${untilProbability(bear)}`),
    Buffer.from(`${afterProbability(bear)},"base":${untilProbability(base)}`),
    Buffer.from(`${afterProbability(base)},"bull":${untilProbability(bull)}`),
    Buffer.from(`${afterProbability(bull)}},"invalidationConditions":`),
    Buffer.from(`,${JSON.stringify(representTail(framework)).slice(1)}`),
  ];
  const untriggered = renderConditions(framework, {});
  const rendered: RenderedFramework = {
    titleAndDirections: titleAndDirectionsOf(framework),
    pieces,
    digest: digestOf(Buffer.concat(pieces)),
    conditionsOf: (states) =>
      Object.keys(states).length === 0 ? untriggered : renderConditions(framework, states),
  };
  renderedFrameworks.set(published, rendered);
  return rendered;
}

function titleAndDirectionsOf({ title, scenarios }: Framework): TitleAndDirections {
  return { title, directions: byScenario((name) => scenarios[name].direction) };
}

function representHead(
  version: OutlookVersion,
  { title, directions }: TitleAndDirections,
  { hasKey }: Reader,
): Head {
  const { slug, instrument, horizon, status, author, rationale, framework } = version;
  const { hash, previousHash, probabilities } = version;
  return {
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
      views: hasKey ? [...version.consensus.views] : [],
    },
    approvedBy: [...version.approvedBy],
    resolution: version.resolution && representResolved(version.resolution),
    continues: version.continues,
    continuedBy: version.continuedBy,
    desk: version.desk,
    visibility: version.visibility,
    probabilities: fractionsOf(probabilities),
    directions: directionsOf(probabilities, directions),
  };
}

function representConditions(
  { invalidationConditions }: Framework,
  states: OutlookVersion['conditionStates'],
): Conditions {
  return invalidationConditions.map((condition) => ({
    ...condition,
    state: states[condition.key] ?? 'untriggered',
  }));
}

function renderConditions(
  framework: Framework,
  states: OutlookVersion['conditionStates'],
): { bytes: Buffer; digest: string } {
  const bytes = Buffer.from(JSON.stringify(representConditions(framework, states)));
  return { bytes, digest: digestOf(bytes) };
}

/** The text of a scenario, without its probability. */
function scenarioText(scenario: Scenario) {
  const { title, outcome, conditions, direction, directionComment, ...returns } = scenario;
  const { returnBand, centralReturn } = returns;
  return { title, outcome, conditions, direction, directionComment, returnBand, centralReturn };
}

function untilProbability({ title }: Scenario): string {
  return `{"title":${JSON.stringify(title)},"probability":`;
}

function afterProbability(scenario: Scenario): string {
  const { title: _, ...rest } = scenarioText(scenario);
  return `,${JSON.stringify(rest).slice(1)}`;
}

function representTail(framework: Framework): Tail {
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

function representResolved({ reason, ...brief }: Resolution) {
  const { resolvedAt, ...resolution } = representBrief(brief);
  return { ...resolution, reason, resolvedAt };
}

function representBrief({ number, outcome, realisedReturn, knownAt, resolvedAt }: BriefResolution) {
  return {
    number,
    outcome,
    realisedReturn,
    knownAt: knownAt && knownAt.toISOString(),
    resolvedAt: resolvedAt.toISOString(),
  };
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
    resolution: summary.resolution && representBrief(summary.resolution),
    desk: summary.desk,
    visibility: summary.visibility,
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
