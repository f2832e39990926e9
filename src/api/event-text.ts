import { eventIdOf } from '../domain/events.ts';
import type { LedgerEvent } from '../postgres/outbox.ts';
import type { OutlookStatus, OutlookVersion, Resolution } from '../domain/outlook.ts';
import type { VersionKind } from '../domain/hash-chain.ts';
import {
  type BasisPoints,
  type Fractions,
  fractionsOf,
  type ScenarioName,
} from '../domain/probabilities.ts';
import type { ChangeCause, SeriesValue } from '../domain/review.ts';
import type { Observation } from '../domain/series.ts';

type VersionData = { kind: VersionKind; probabilities: Fractions; deltas: Fractions | null };
type EvidenceData = { id: string; headline: string; publisher: string; corrects: string | null };
type ConditionData = {
  key: string;
  invalidates: ScenarioName;
  cause: ChangeCause;
  reason: string;
  day: string | null;
  observations: readonly SeriesValue[];
};
type DrawdownData = { label: string | null; previous: string | null; depth: number; day: string };
/** Events of releases before 0.2 lack `knownAt`. */
type ResolutionData = Omit<Resolution, 'resolvedAt' | 'knownAt'> & { knownAt?: string | null };
type ViewData = { analyst: OutlookVersion['author']; version: number; probabilities: BasisPoints };
type ContradictionData = {
  number: number;
  /** What the closes imply; null if they no longer contradict the resolution. */
  outcome: ScenarioName | null;
  closes: { start: Observation; end: Observation } | null;
};
type StateData = {
  status: OutlookStatus;
  reviewReasons: string[];
  /** The slug of an outlook that now continues this one; only if that is what changed. */
  continuedBy?: string;
};

/** An event as a stream writes it (HTML Living Standard, 9.2). JSON text has no line breaks. */
export function renderEvent(event: LedgerEvent): string {
  return `id: ${eventIdOf(event)}\nevent: ${event.kind}\ndata: ${JSON.stringify(eventData(event))}\n\n`;
}

/** What an event says, without its position. */
export type EventContent = Omit<LedgerEvent, 'position' | 'digest'>;

/** The data of an event, as streams and webhooks send it. */
export function eventData({ kind, slug, version, recordedAt, data }: EventContent): object {
  switch (kind) {
    case 'outlook.created':
    case 'outlook.version.published': {
      const { kind: change, probabilities, deltas } = data as VersionData;
      const previousVersion = version > 1 ? version - 1 : null;
      return {
        slug,
        version,
        publishedAt: recordedAt.toISOString(),
        change: { kind: change, previousVersion, deltas: deltas && ordered(deltas) },
        probabilities: ordered(probabilities),
      };
    }
    case 'outlook.state.changed': {
      const { status, reviewReasons, continuedBy } = data as StateData;
      const review = { due: reviewReasons.length > 0, reasons: reviewReasons };
      const state = { slug, version, changedAt: recordedAt.toISOString(), status, review };
      return continuedBy === undefined ? state : { ...state, continuedBy };
    }
    case 'outlook.review.due':
      return { slug, version, dueAt: recordedAt.toISOString(), ...(data as object) };
    case 'outlook.resolved': {
      const { number, outcome, realisedReturn, knownAt = null, reason } = data as ResolutionData;
      const resolution = { number, outcome, realisedReturn, knownAt, reason };
      return { slug, version, resolvedAt: recordedAt.toISOString(), resolution };
    }
    case 'outlook.horizon.ended':
      return { slug, version, endedAt: recordedAt.toISOString(), ...(data as object) };
    case 'outlook.resolution.contradicted': {
      const { number, outcome, closes } = data as ContradictionData;
      const contradiction = { number, outcome, closes };
      return { slug, version, changedAt: recordedAt.toISOString(), contradiction };
    }
    case 'outlook.reopened': {
      const { number, reason } = data as ResolutionData;
      return {
        slug,
        version,
        reopenedAt: recordedAt.toISOString(),
        resolution: { number, reason },
      };
    }
    case 'view.withdrawn': {
      const { analyst, version: viewVersion } = data as ViewData;
      const { id, name } = analyst;
      const view = { analyst: { id, name }, version: viewVersion };
      return { slug, version, recordedAt: recordedAt.toISOString(), view };
    }
    case 'view.published': {
      const { analyst, version: viewVersion, probabilities } = data as ViewData;
      const { id, name } = analyst;
      const view = {
        analyst: { id, name },
        version: viewVersion,
        probabilities: fractionsOf(probabilities),
      };
      return { slug, version, recordedAt: recordedAt.toISOString(), view };
    }
    case 'evidence.added':
      return { slug, version, addedAt: recordedAt.toISOString(), evidence: evidenceOf(data) };
    case 'condition.triggered':
    case 'condition.cleared':
    case 'condition.expired':
      return { slug, version, changedAt: recordedAt.toISOString(), condition: conditionOf(data) };
    case 'drawdown.label.changed': {
      const { label, previous, depth, day } = data as DrawdownData;
      const changedAt = recordedAt.toISOString();
      return { slug, version, changedAt, drawdown: { label, previous, depth, day } };
    }
    default:
      return kind satisfies never;
  }
}

function evidenceOf(data: unknown): EvidenceData {
  const { id, headline, publisher, corrects } = data as EvidenceData;
  return { id, headline, publisher, corrects };
}

function conditionOf(data: unknown): ConditionData {
  const { key, invalidates, cause, reason, day, observations } = data as ConditionData;
  const values = observations.map(({ series, date, value }) => ({ series, date, value }));
  return { key, invalidates, cause, reason, day, observations: values };
}

/** In the order of every response; jsonb has an order of its own. */
function ordered({ bear, base, bull }: Fractions): Fractions {
  return { bear, base, bull };
}
