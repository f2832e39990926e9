import type { EventStreams } from './event-streams.ts';
import type { StreamStart } from './event-text.ts';
import type { ChangeFeed } from '../postgres/change-feed.ts';
import type pg from 'pg';
import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Audience } from '../domain/desks.ts';
import { type EventRef, parseEventId, START } from '../domain/events.ts';
import { readEventRef, readNewestShown, sequenceEvents } from '../postgres/outbox.ts';
import { requireOutlook } from '../ledger/find-outlook.ts';
import { type Authenticators, isStillAllowed } from '../access/authentication.ts';
import { addressOf } from '../http/clients.ts';
import { EVENT_STREAM_TYPE } from '../http/negotiation.ts';
import { Problem } from '../http/problems.ts';
import { EVENT_DATA, STREAM_DATA } from './schemas/events.ts';
import { whenFinished } from '../http/when-finished.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { slug } from '../http/fields.ts';

export type EventDeps = Authenticators & {
  pool: pg.Pool;
  feed: ChangeFeed;
  streams: EventStreams;
};

export const streamQuery = z.strictObject({
  lastEventId: z.string().optional().meta({
    description:
      'Same as the Last-Event-ID header, for pages, which cannot set that header. The header takes precedence. 0 starts with the first event. The ids of earlier releases, which are positions such as 138, are accepted, too.',
  }),
});

const DESCRIPTION = `Each event has a kind, JSON data and an id. The \`webhooks\` section of this document has the schemas:

- \`outlook.created\` and \`outlook.version.published\`: \`{slug, version, publishedAt, change, probabilities}\`, with \`change\` as in an outlook
- \`outlook.state.changed\`: \`{slug, version, changedAt, status, review}\`, with \`continuedBy\` if another outlook now
  continues it
- \`outlook.review.due\`: \`{slug, version, dueAt, reasons}\`; the next version must answer a condition, the outcome is to be recorded, or closes contradict it
- \`outlook.horizon.ended\`: \`{slug, version, endedAt, horizon}\`; the outcome is to be recorded
- \`condition.triggered\`, \`condition.cleared\`, \`condition.expired\`: \`{slug, version, changedAt, condition: {key, invalidates, cause, reason, day, observations}}\`
- \`outlook.resolved\`: \`{slug, version, resolvedAt, resolution: {number, outcome, realisedReturn, knownAt, reason}}\`
- \`outlook.resolution.contradicted\`: \`{slug, version, changedAt, contradiction: {number, outcome, closes: {start, end}}}\`; \`outcome\` is what the closes imply instead, or null once they no longer contradict the resolution
- \`outlook.reopened\`: \`{slug, version, reopenedAt, resolution: {number, reason}}\`; the resolution before it is taken back
- \`view.published\`: \`{slug, version, recordedAt, view: {analyst, version, probabilities}}\`
- \`view.withdrawn\`: \`{slug, version, recordedAt, view: {analyst, version}}\`
- \`evidence.added\`: \`{slug, version, addedAt, evidence: {id, headline, publisher, corrects}}\`
- \`outlook.disclosed\`: \`{slug, version, disclosedAt}\`; an internal outlook became public, with all its events
- \`drawdown.label.changed\`: \`{slug, version, changedAt, drawdown: {label, previous, depth, day}}\`, with the keys of drawdown labels, or null

Later releases may add kinds. A stream has the events that its caller may see. Without a key it leaves out the events of internal outlooks, and \`view.published\` and \`view.withdrawn\`; with a key, those of other desks' internal outlooks. The ids of what is left out are missing: a gap between two ids is no loss. Every client sees the events in the same order, and the events of an outlook follow the order of its versions. Without \`Last-Event-ID\`, a stream starts with the next event. With it, the stream resumes right after that event on any instance, without missing or repeating one. Events are never deleted.

A stream begins with \`stream.opened\`, \`{position, resumed}\`: \`position\` is that of the last event before the stream that its caller may see, and \`resumed\` says whether the stream continues after the id that was sent. Comments keep a silent stream open, one every 15 seconds.

If the ledger has no event with the id in \`Last-Event-ID\`, or none that the caller may see, it usually went back to an earlier state: a backup was restored, or a failover lost the last commits. Then \`stream.reset\` comes first, with the data \`{lastEventId}\`, the id that was sent. Read what you show again, and drop what you keep; the stream goes on with the next event.`;

const response = {
  200: {
    content: {
      [EVENT_STREAM_TYPE]: {
        schema: z.string().meta({
          description:
            'Server-Sent Events (HTML Living Standard). `$defs` has the schema of the data of each.',
          $defs: Object.fromEntries(
            Object.entries({ ...EVENT_DATA, ...STREAM_DATA }).map(([event, data]) => [
              event,
              { $ref: `#/components/schemas/${data.meta()?.id}` },
            ]),
          ),
          examples: [
            'event: outlook.version.published\ndata: {"slug":"russell-2000-downside","version":2,"publishedAt":"2026-11-20T16:31:00.000Z","change":{"kind":"probabilities","previousVersion":1,"deltas":{"bear":0.05,"base":-0.05,"bull":0}},"probabilities":{"bear":0.35,"base":0.4,"bull":0.25}}\nid: 2-5f0c91ab\n\n',
          ],
        }),
      },
    },
  },
};

export function eventRoutes(api: Api, ledger: EventDeps): void {
  allRoute(api, ledger);
  oneRoute(api, ledger);
}

function allRoute(api: Api, ledger: EventDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/events',
    config: { access: 'read', serves: [EVENT_STREAM_TYPE] },
    schema: {
      operationId: 'streamEvents',
      tags: ['Events'],
      summary: 'Follow all outlooks',
      description: `Streams every change in the ledger as it happens. ${DESCRIPTION}`,
      querystring: streamQuery,
      response: { ...response, ...problemResponses(422, 429) },
    },
    handler: (request, reply) => stream(request, reply, ledger, null, request.query.lastEventId),
  });
}

function oneRoute(api: Api, ledger: EventDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/events',
    config: { access: 'read', serves: [EVENT_STREAM_TYPE] },
    schema: {
      operationId: 'streamOutlookEvents',
      tags: ['Events'],
      summary: 'Follow one outlook',
      description: `Streams every change of one outlook as it happens. ${DESCRIPTION}`,
      params: z.strictObject({ slug }),
      querystring: streamQuery,
      response: { ...response, ...problemResponses(404, 422, 429) },
    },
    handler: async (request, reply) => {
      const { slug: name } = request.params;
      await requireOutlook(ledger.pool, name);
      return stream(request, reply, ledger, name, request.query.lastEventId);
    },
  });
}

async function stream(
  request: FastifyRequest,
  reply: FastifyReply,
  ledger: EventDeps,
  slugOrAll: string | null,
  queried: string | undefined,
): Promise<void> {
  const start = await startOf(request, ledger, queried);
  const { audience } = request;
  const isAllowed = () => isStillAllowed(request, ledger);
  await openStream(request, reply, ledger.streams, { slug: slugOrAll, audience, start, isAllowed });
}

/**
 * Sends events until the client or the service ends it.
 * @throws Problem `too-many-streams`
 */
export async function openStream(
  request: FastifyRequest,
  reply: FastifyReply,
  streams: EventStreams,
  options: Parameters<EventStreams['follow']>[1],
): Promise<void> {
  const address = addressOf(request);
  if (!streams.admit(address)) {
    throw new Problem('too-many-streams', 'Your address has too many open streams; close one.', {
      headers: { 'retry-after': '30' },
    });
  }
  whenFinished(request, reply, () => streams.leave(address));
  request.work?.endTurn();
  try {
    reply.hijack();
    reply.raw.writeHead(200, headersOf(reply));
    if (request.method === 'HEAD') reply.raw.end();
    else await streams.follow(reply.raw, options);
  } catch (error) {
    // The response can no longer change; the client resumes from the last id it has.
    reply.raw.destroy();
    request.log.debug({ reqId: request.id, err: error }, 'an event stream broke off');
  }
}

function headersOf(reply: FastifyReply): OutgoingHttpHeaders {
  return {
    ...(reply.getHeaders() as OutgoingHttpHeaders),
    'content-type': EVENT_STREAM_TYPE,
    // A proxy that compresses would hold events up.
    'cache-control': 'no-store, no-transform',
    connection: 'close', // when the stream ends; nothing else uses the connection
    'x-accel-buffering': 'no', // otherwise nginx buffers events
  };
}

/**
 * Where a stream starts: after the event whose id the client sent, or after the newest one. An id is looked up in Postgres,
 * because another instance may have seen more of the ledger, or have seen earlier that it went back.
 * @throws Problem `unknown-event` for a text that can't be the id of an event
 */
async function startOf(
  request: FastifyRequest,
  { pool, feed, streams }: EventDeps,
  queried: string | undefined,
): Promise<StreamStart> {
  const sent = sentEventId(request, queried);
  const { audience } = request;
  const { resets } = feed;
  if (sent === null) {
    return { ...(await streams.newest(audience)), isResumed: false, lostId: null, resets };
  }
  const found = await findEvent(pool, sent.event, audience);
  if (found) return { ...found, isResumed: true, lostId: null, resets };
  await feed.refresh(); // so that this instance sees, too, that the ledger went back
  const after = feed.resets;
  const newest = await streams.newest(audience);
  return { ...newest, isResumed: false, lostId: sent.id, resets: after };
}

/**
 * The id of the last event that a client has; null if it sent none.
 * @throws Problem `unknown-event` for a text that can't be the id of an event
 */
export function sentEventId(
  request: FastifyRequest,
  queried: string | undefined,
): { id: string; event: EventRef } | null {
  const header = request.headers['last-event-id'];
  const id = typeof header === 'string' && header !== '' ? header : queried;
  return id === undefined ? null : { id, event: idOf(id, header === id) };
}

/** @throws Problem `unknown-event` */
function idOf(sent: string, isHeader: boolean): EventRef {
  const id = parseEventId(sent);
  if (id) return id;
  const detail =
    'must be the id of an event, such as 138-5f0c91ab, as streams send it. Leave it out to start with the next event';
  throw new Problem('unknown-event', `No event has the id ${sent.slice(0, 100)}.`, {
    errors: [
      isHeader
        ? { pointer: '/Last-Event-ID', detail, in: 'header' }
        : { pointer: '/lastEventId', detail, in: 'query' },
    ],
  });
}

/**
 * The event that an id names; null if the ledger has no such event, or none that the audience may see, whatever the digest: the
 * answer would prove a guess at what the event says. An id without a digest proves nothing.
 */
async function findEvent(
  pool: pg.Pool,
  { position, digest }: EventRef,
  audience: Audience,
): Promise<Pick<StreamStart, 'last' | 'shown'> | null> {
  if (position === 0) return digest === START.digest ? { last: START, shown: START } : null;
  const read = async () => {
    const shown = await readNewestShown(pool, { after: position - 1, upTo: position }, audience);
    if (shown) return shown.digest.startsWith(digest) ? { last: shown, shown } : null;
    const last = digest === '' ? await readEventRef(pool, position) : null;
    return last && { last, shown: { position, digest } };
  };
  const event = await read();
  if (event) return event;
  await sequenceEvents(pool); // for an event that has no position yet
  return read();
}
