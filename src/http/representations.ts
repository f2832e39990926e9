import type { z } from 'zod';
import type { OutlookSummary } from '../db/outlooks.ts';
import type { VersionEntry } from '../db/versions.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import { deltasOf, fractionsOf, type ScenarioName } from '../domain/probabilities.ts';
import { directionsOf } from '../domain/scenarios.ts';
import type { outlook, outlookSummary, versionEntry } from './schemas/outlooks.ts';

type Json<Schema extends z.ZodType> = z.output<Schema>;

/** One version of an outlook as the API answers it, whether as the current view or by number. */
export function representOutlook(version: OutlookVersion): Json<typeof outlook> {
  const { framework, probabilities } = version;
  const { scenarios } = framework;
  const weighted = (name: ScenarioName) => {
    const { title, outcome, conditions, direction, directionComment, returnBand } = scenarios[name];
    const probability = fractionsOf(probabilities)[name];
    return { title, probability, outcome, conditions, direction, directionComment, returnBand };
  };
  const { slug, instrument, horizon, status, author, rationale } = version;
  const { hash, previousHash, frameworkHash } = version;
  return {
    slug,
    title: framework.title,
    instrument,
    horizon,
    status,
    review: NO_REVIEW,
    version: version.version,
    publishedAt: version.publishedAt.toISOString(),
    author,
    rationale,
    hash,
    previousHash,
    frameworkHash,
    change: changeOf(version),
    probabilities: fractionsOf(probabilities),
    directions: directionsOf(probabilities, {
      bear: scenarios.bear.direction,
      base: scenarios.base.direction,
      bull: scenarios.bull.direction,
    }),
    scenarios: { bear: weighted('bear'), base: weighted('base'), bull: weighted('bull') },
    headwinds: framework.headwinds.toSorted((a, b) => a.rank - b.rank),
    drawdownLabels: framework.drawdownLabels,
    invalidationConditions: framework.invalidationConditions.map((condition) => ({
      ...condition,
      rule: null,
      state: 'untriggered',
    })),
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

// No condition can be triggered yet, and nothing else asks for a review.
const NO_REVIEW = { due: false, reasons: [] };

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
    review: NO_REVIEW,
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
