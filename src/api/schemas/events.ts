import { z } from 'zod';
import {
  type DeliveredKind,
  EVENT_KINDS,
  type EventKind,
  PROPOSAL_EVENT_KINDS,
} from '../../domain/events.ts';
import { OUTLOOK_STATUSES } from '../../domain/outlook.ts';
import { PROPOSAL_KINDS, PROPOSAL_STATES } from '../../domain/proposals.ts';
import { SCENARIO_NAMES } from '../../domain/probabilities.ts';
import { CHANGE_CAUSES } from '../../domain/review.ts';
import { close } from '../../http/closes-schema.ts';
import { day, slug, timestamp } from '../../http/fields.ts';
import { newHorizon } from './horizon.ts';
import { outcome } from './outcomes.ts';
import { author, change, review } from './outlooks.ts';
import { seriesValue } from './conditions.ts';
import { probabilities } from './probabilities.ts';

const version = z.int().min(1).meta({ description: "The outlook's version at that time." });
const number = z.int().min(1).meta({ description: 'The number of the resolution, from 1.' });

const published = z
  .object({
    slug,
    version: z.int().min(1),
    publishedAt: timestamp,
    change,
    probabilities,
  })
  .meta({ id: 'VersionEventData', description: 'A version that was published.' });

const stateChanged = z
  .object({
    slug,
    version,
    changedAt: timestamp,
    status: z.enum(OUTLOOK_STATUSES),
    review,
    continuedBy: slug.optional().meta({
      description:
        'The slug of an outlook that now continues this one. Absent if that is not what changed.',
    }),
  })
  .meta({ id: 'StateEventData', description: 'The new status and review of an outlook.' });

const reviewDue = z
  .object({ slug, version, dueAt: timestamp, reasons: z.array(z.string()) })
  .meta({ id: 'ReviewEventData', description: 'Why a review of an outlook is due.' });

const horizonEnded = z
  .object({ slug, version, endedAt: timestamp, horizon: newHorizon })
  .meta({ id: 'HorizonEventData', description: 'A horizon that is over.' });

const resolved = z
  .object({
    slug,
    version,
    resolvedAt: timestamp,
    resolution: z
      .object({
        number,
        outcome,
        realisedReturn: z.number().nullable(),
        knownAt: timestamp.nullable().meta({
          description: 'When the outcome became known. Null if the outlook is void.',
        }),
        reason: z.string().nullable(),
      })
      .meta({ id: 'RecordedOutcome', description: 'The outcome that was recorded.' }),
  })
  .meta({ id: 'ResolutionEventData', description: 'A resolution of an outlook.' });

const contradicted = z
  .object({
    slug,
    version,
    changedAt: timestamp,
    contradiction: z
      .object({
        number,
        outcome: z.enum(SCENARIO_NAMES).nullable().meta({
          description:
            'What the closes imply instead. Null once they no longer contradict the resolution.',
        }),
        closes: z
          .object({ start: close, end: close })
          .meta({ id: 'ContradictingCloses', description: 'The closes that imply the outcome.' })
          .nullable(),
      })
      .meta({ id: 'ContradictedOutcome', description: 'What closes say about a resolution.' }),
  })
  .meta({ id: 'ContradictionEventData', description: 'Closes that contradict a resolution.' });

const reopened = z
  .object({
    slug,
    version,
    reopenedAt: timestamp,
    resolution: z
      .object({ number, reason: z.string().nullable() })
      .meta({ id: 'Reopening', description: 'Takes the resolution before it back.' }),
  })
  .meta({ id: 'ReopeningEventData', description: 'An outlook that is open again.' });

const disclosed = z
  .object({ slug, version, disclosedAt: timestamp })
  .meta({ id: 'DisclosureEventData', description: 'An internal outlook that became public.' });

const conditionChanged = z
  .object({
    slug,
    version,
    changedAt: timestamp,
    condition: z
      .object({
        key: slug,
        invalidates: z.enum(SCENARIO_NAMES),
        cause: z.enum(CHANGE_CAUSES),
        reason: z.string().meta({ description: 'The change as a sentence.' }),
        day: day.nullable().meta({
          description: 'The day as of which the rule was evaluated. Null without a rule.',
        }),
        observations: z.array(seriesValue),
      })
      .meta({ id: 'ChangedCondition', description: 'A condition, and why its state changed.' }),
  })
  .meta({ id: 'ConditionEventData', description: "A change of a condition's state." });

const viewVersion = z.int().min(1).meta({ description: "The version of the analyst's view." });
const viewPublished = z
  .object({
    slug,
    version,
    recordedAt: timestamp,
    view: z
      .object({ analyst: author, version: viewVersion, probabilities })
      .meta({ id: 'PublishedView', description: "A version of an analyst's view." }),
  })
  .meta({ id: 'ViewEventData', description: 'A view that an analyst recorded.' });

const viewWithdrawn = z
  .object({
    slug,
    version,
    recordedAt: timestamp,
    view: z
      .object({ analyst: author, version: viewVersion })
      .meta({ id: 'WithdrawnView', description: 'The end of a view.' }),
  })
  .meta({ id: 'ViewWithdrawalEventData', description: 'A view that an analyst withdrew.' });

const evidenceAdded = z
  .object({
    slug,
    version,
    addedAt: timestamp,
    evidence: z
      .object({
        id: z.uuid(),
        headline: z.string(),
        publisher: z.string(),
        corrects: z.uuid().nullable().meta({ description: 'The id of the item that it corrects.' }),
      })
      .meta({ id: 'AddedEvidence', description: 'An item of evidence in brief.' }),
  })
  .meta({ id: 'EvidenceEventData', description: 'Evidence that was added to an outlook.' });

const labelKey = slug.nullable();
const drawdownChanged = z
  .object({
    slug,
    version,
    changedAt: timestamp,
    drawdown: z
      .object({
        label: labelKey.meta({ description: 'The key of the label that now applies.' }),
        previous: labelKey.meta({ description: 'The key of the label that applied before.' }),
        depth: z.number().meta({ description: 'The fall below the peak, as a fraction.' }),
        day: day.meta({ description: 'The day of the close that changed the label.' }),
      })
      .meta({ id: 'DrawdownChange', description: 'The new drawdown label of an instrument.' }),
  })
  .meta({ id: 'DrawdownEventData', description: 'A change of the drawdown label.' });

/** The data of every event of a proposal. */
export const proposalEvent = z
  .object({
    subject: z.string().meta({ description: 'The path of the proposal in this API.' }),
    proposal: z.uuid(),
    desk: slug,
    kind: z.enum(PROPOSAL_KINDS).meta({ description: 'What it asks for.' }),
    outlook: slug
      .nullable()
      .meta({ description: 'Null for a new outlook, until it is published.' }),
    title: z.string().meta({ description: 'The title of the outlook.' }),
    state: z.enum(PROPOSAL_STATES).meta({ description: 'The state after the event.' }),
    draft: z.int().min(1).meta({ description: 'The number of the draft.' }),
    publishAt: timestamp.nullable(),
    version: z.int().min(1).nullable().meta({ description: 'The version that it became.' }),
    by: author.nullable().meta({ description: 'Who did it. Null for the service.' }),
    text: z.string().nullable().meta({ description: 'Their words, at most 1,000 characters.' }),
    recordedAt: timestamp,
  })
  .meta({ id: 'ProposalEventData', description: 'What happened to a proposal.' });

/** The data of an event of a proposal. */
export type ProposalEventData = z.output<typeof proposalEvent>;

/** The schema of the data of each kind of event, as streams and webhooks send it. */
export const EVENT_DATA = {
  'outlook.created': published,
  'outlook.version.published': published,
  'outlook.state.changed': stateChanged,
  'outlook.review.due': reviewDue,
  'outlook.horizon.ended': horizonEnded,
  'outlook.resolved': resolved,
  'outlook.resolution.contradicted': contradicted,
  'outlook.reopened': reopened,
  'outlook.disclosed': disclosed,
  'evidence.added': evidenceAdded,
  'condition.triggered': conditionChanged,
  'condition.cleared': conditionChanged,
  'condition.expired': conditionChanged,
  'drawdown.label.changed': drawdownChanged,
  'view.published': viewPublished,
  'view.withdrawn': viewWithdrawn,
} as const satisfies Record<EventKind, z.ZodObject>;

/** The data of an event of one of the kinds. */
export type EventData<Kind extends EventKind = EventKind> = z.output<(typeof EVENT_DATA)[Kind]>;

/** The data of the events about a stream itself, which have no webhook. */
export const STREAM_DATA = {
  'stream.opened': z
    .object({
      position: z.int().min(0).meta({
        format: 'int64',
        description:
          'The position of the last event before the stream that its caller may see. 0 if there is none.',
      }),
      resumed: z.boolean().meta({
        description: 'Whether the stream continues after the id that the client sent.',
      }),
    })
    .meta({ id: 'StreamOpenedData', description: 'The first event of a stream.' }),
  'stream.reset': z
    .object({
      lastEventId: z
        .string()
        .meta({ description: 'The id that the client sent. The ledger has no such event.' }),
    })
    .meta({
      id: 'StreamResetData',
      description: 'The ledger went back to an earlier state. It precedes `stream.opened`.',
    }),
} as const;

/** The schema of a delivery to a webhook. */
export const deliveryOf = <Data extends z.ZodType>(type: string, data: Data) =>
  z
    .object({
      type: z.enum([type]).meta({ description: 'The kind of the event.' }),
      timestamp: timestamp.meta({ description: 'When the event was recorded.' }),
      data,
    })
    .meta({ id: `${pascalCase(type)}Event`, description: `The delivery of \`${type}\`.` });

const pascalCase = (kind: string) =>
  kind.replace(/(?:^|\.)([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** The schemas of the deliveries of all kinds of events, by kind. */
export const EVENT_DELIVERIES: ReadonlyMap<DeliveredKind, z.ZodType> = new Map<
  DeliveredKind,
  z.ZodType
>([
  ...EVENT_KINDS.map((kind) => [kind, deliveryOf(kind, EVENT_DATA[kind])] as const),
  ...PROPOSAL_EVENT_KINDS.map((kind) => [kind, deliveryOf(kind, proposalEvent)] as const),
]);
