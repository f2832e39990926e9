import { z } from 'zod';
import { EVENT_KINDS } from '../domain/events.ts';
import { slug, timestamp } from './fields.ts';

const counted = (items: string) =>
  z.int().meta({ description: `How many ${items}. The newest 100 are listed.` });

const openedVersion = z
  .object({ version: z.int(), publishedAt: timestamp, rationale: z.string() })
  .meta({ id: 'OpenedVersion', description: 'A version that a disclosure would open.' });

const openedEvidence = z
  .object({ id: z.uuid(), headline: z.string(), addedAt: timestamp })
  .meta({ id: 'OpenedEvidence', description: 'An item of evidence that a disclosure would open.' });

const openedEvent = z
  .object({ kind: z.enum(EVENT_KINDS), version: z.int(), recordedAt: timestamp })
  .meta({ id: 'OpenedEvent', description: 'An event that a disclosure would open.' });

const openedOutlook = z
  .object({
    slug,
    title: z.string(),
    versions: counted('versions it has'),
    evidence: counted('items of evidence it has'),
    events: counted('events it has, without those of views'),
    views: z.int().meta({
      description: 'How many versions of views it has. They stay for callers with a key.',
    }),
    newestVersions: z.array(openedVersion),
    newestEvidence: z.array(openedEvidence),
    newestEvents: z.array(openedEvent),
  })
  .meta({ id: 'OpenedOutlook', description: 'An outlook that a disclosure would open.' });

const openedSeries = z
  .object({
    key: slug,
    name: z.string(),
    observations: z.int().meta({ description: 'How many vintages it has.' }),
  })
  .meta({ id: 'OpenedSeries', description: 'A series that a disclosure would open, or needs.' });

/** What a disclosure would open, as the API returns it. */
export const disclosure = z
  .object({
    confirm: z.string().meta({
      description: 'A digest of all that would open. POST sends it back.',
    }),
    outlooks: z.array(openedOutlook).meta({
      description: 'The outlook and those that it continues, or that continue it: oldest first.',
    }),
    series: z.array(openedSeries).meta({ description: 'The series that would open.' }),
    needs: z.array(openedSeries).meta({
      description: 'The internal series that its rules watch: disclose these first.',
    }),
  })
  .meta({ id: 'Disclosure', description: 'What a disclosure would open, for good.' });
