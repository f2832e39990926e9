import { type EventRef, eventIdOf } from '../domain/events.ts';
import type { LedgerEvent } from '../postgres/outbox.ts';
import type { OutlookStatus, OutlookVersion } from '../domain/outlook.ts';
import type { VersionKind } from '../domain/hash-chain.ts';
import { type BasisPoints, type Fractions, fractionsOf } from '../domain/probabilities.ts';
import type { EventData, ProposalEventData } from './schemas/events.ts';

type VersionRow = { kind: VersionKind; probabilities: Fractions; deltas: Fractions | null };
type ViewRow = {
  analyst: OutlookVersion['author'];
  version: number;
  probabilities: BasisPoints;
};
/** Events of releases before 0.2 lack `knownAt`. */
type ResolutionRow = Omit<EventData<'outlook.resolved'>['resolution'], 'knownAt'> & {
  knownAt?: string | null;
};
type EvidenceFields = EventData<'evidence.added'>['evidence'];
type ConditionFields = EventData<'condition.triggered'>['condition'];
type StateRow = {
  status: OutlookStatus;
  reviewReasons: string[];
  /** The slug of an outlook that now continues this one; only if that is what changed. */
  continuedBy?: string;
};

/**
 * An event as a stream writes it (HTML Living Standard, 9.2). JSON text has no line breaks. The id comes last, because some
 * clients resume after an id as soon as they have read its line, and would lose an event that is cut off behind it.
 */
export function eventText(event: string, data: object, id: string): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\nid: ${id}\n\n`;
}

/** A stored event as a stream writes it. */
export function renderEvent(event: LedgerEvent): string {
  return eventText(event.kind, eventData(event), eventIdOf(event));
}

/** Where a stream starts. */
export type StreamStart = {
  /** The last event that the client has, or that there is, whether or not the client may see it. */
  last: EventRef;
  /** The last one that the client may see. It has no digest if the client named an event that it may not see. */
  shown: EventRef;
  /** Whether the client sent the id of that event. */
  isResumed: boolean;
  /** The id that the client sent, if the ledger has no such event; null otherwise. */
  lostId: string | null;
  /** The feed's number of resets before `last` was read. */
  resets: number;
};

/** A comment without an empty line after it: some clients take every empty line for the end of a message. */
export const HEARTBEAT = ': heartbeat\n';

/** The wait before a client resumes, in milliseconds: usually, and after the ledger went back. */
export const RETRY_AFTER = { usually: 1_000, reset: 100 };

/**
 * The first events of a stream. Each has data, because some clients drop an id without data, and others take a block without
 * data for a message. The id lets a client that is cut off before its next event resume from here. A client that sent the
 * id of an event that the ledger lacks gets `stream.reset` first: what it read since may be void.
 */
export function firstEvents({ shown, isResumed, lostId }: StreamStart): string {
  const id = eventIdOf(shown);
  const reset = lostId === null ? '' : eventText('stream.reset', { lastEventId: lostId }, id);
  const opened = { position: shown.position, resumed: isResumed };
  return `retry: ${RETRY_AFTER.usually}\n${reset}${eventText('stream.opened', opened, id)}`;
}

/** What an event says, without its position. */
export type EventContent = Pick<LedgerEvent, 'kind' | 'slug' | 'version' | 'data' | 'recordedAt'>;

/** The data of an event, as streams and webhooks send it. */
export function eventData({ kind, slug, version, recordedAt, data }: EventContent): EventData {
  switch (kind) {
    case 'outlook.created':
    case 'outlook.version.published': {
      const { kind: change, probabilities, deltas } = data as VersionRow;
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
      const { status, reviewReasons, continuedBy } = data as StateRow;
      const review = { due: reviewReasons.length > 0, reasons: reviewReasons };
      const state = { slug, version, changedAt: recordedAt.toISOString(), status, review };
      return continuedBy === undefined ? state : { ...state, continuedBy };
    }
    case 'outlook.review.due': {
      const { reasons } = data as Pick<EventData<'outlook.review.due'>, 'reasons'>;
      return { slug, version, dueAt: recordedAt.toISOString(), reasons };
    }
    case 'outlook.resolved': {
      const { number, outcome, realisedReturn, knownAt = null, reason } = data as ResolutionRow;
      const resolution = { number, outcome, realisedReturn, knownAt, reason };
      return { slug, version, resolvedAt: recordedAt.toISOString(), resolution };
    }
    case 'outlook.horizon.ended': {
      const { horizon } = data as Pick<EventData<'outlook.horizon.ended'>, 'horizon'>;
      return { slug, version, endedAt: recordedAt.toISOString(), horizon };
    }
    case 'outlook.resolution.contradicted': {
      const { number, outcome, closes } =
        data as EventData<'outlook.resolution.contradicted'>['contradiction'];
      const contradiction = { number, outcome, closes };
      return { slug, version, changedAt: recordedAt.toISOString(), contradiction };
    }
    case 'outlook.reopened': {
      const { number, reason } = data as ResolutionRow;
      return {
        slug,
        version,
        reopenedAt: recordedAt.toISOString(),
        resolution: { number, reason },
      };
    }
    case 'outlook.disclosed':
      return { slug, version, disclosedAt: recordedAt.toISOString() };
    case 'view.withdrawn': {
      const { analyst, version: viewVersion } = data as ViewRow;
      const { id, name } = analyst;
      const view = { analyst: { id, name }, version: viewVersion };
      return { slug, version, recordedAt: recordedAt.toISOString(), view };
    }
    case 'view.published': {
      const { analyst, version: viewVersion, probabilities } = data as ViewRow;
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
      const { label, previous, depth, day } =
        data as EventData<'drawdown.label.changed'>['drawdown'];
      const changedAt = recordedAt.toISOString();
      return { slug, version, changedAt, drawdown: { label, previous, depth, day } };
    }
    default:
      return kind satisfies never;
  }
}

/** The data of an event of a proposal, as webhooks send it; jsonb has an order of its own. */
export function proposalEventData({
  data,
  recordedAt,
}: Pick<LedgerEvent, 'data' | 'recordedAt'>): ProposalEventData {
  const known = data as Omit<ProposalEventData, 'recordedAt'>;
  const {
    subject,
    proposal,
    desk,
    kind,
    outlook,
    title,
    state,
    draft,
    publishAt,
    version,
    by,
    text,
  } = known;
  return {
    subject,
    proposal,
    desk,
    kind,
    outlook,
    title,
    state,
    draft,
    publishAt,
    version,
    by: by && { id: by.id, name: by.name },
    text,
    recordedAt: recordedAt.toISOString(),
  };
}

function evidenceOf(data: unknown): EvidenceFields {
  const { id, headline, publisher, corrects } = data as EvidenceFields;
  return { id, headline, publisher, corrects };
}

function conditionOf(data: unknown): ConditionFields {
  const { key, invalidates, cause, reason, day, observations } = data as ConditionFields;
  const values = observations.map(({ series, date, value }) => ({ series, date, value }));
  return { key, invalidates, cause, reason, day, observations: values };
}

/** In the order of every response; jsonb has an order of its own. */
function ordered({ bear, base, bull }: Fractions): Fractions {
  return { bear, base, bull };
}
