import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { z } from 'zod';
import type { Desks } from '../domain/desks.ts';
import { type EventRef, eventIdOf, PROPOSAL_EVENT_KINDS, START } from '../domain/events.ts';
import { hasInboxEvents, newestPlace, readInboxEvents, readPlace } from '../ledger/inbox-events.ts';
import { type Authenticators, callerOf, isStillAllowed } from '../access/authentication.ts';
import { EVENT_STREAM_TYPE } from '../http/negotiation.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { sequenceEvents } from '../postgres/outbox.ts';
import type { ChangeFeed } from '../postgres/change-feed.ts';
import { eventText, type StreamStart } from './event-text.ts';
import type { EventReader, EventStreams } from './event-streams.ts';
import { openStream, sentEventId, streamQuery } from './events.ts';
import { ownerOf } from './inbox.ts';

/** How often to look for new events while somebody follows an inbox, in milliseconds. */
const LOOK_EVERY = 500;

export type InboxEventDeps = Authenticators & {
  pool: pg.Pool;
  feed: ChangeFeed;
  streams: EventStreams;
};

/**
 * Looks for events of proposals while inboxes are followed, once for all of them: events without an outlook reach no
 * follower of the change feed.
 */
class InboxWatch {
  readonly #pool: pg.Pool;
  readonly #streams: EventStreams;
  #followers = 0;
  #isLooking = false;
  /** The newest place at the last look; null before the first one since somebody follows. */
  #looked: number | null = null;
  /** There may be events up to this place that streams have not written yet. */
  #upTo = 0;

  constructor({ pool, feed, streams }: Pick<InboxEventDeps, 'pool' | 'feed' | 'streams'>) {
    this.#pool = pool;
    this.#streams = streams;
    feed.follow({
      onReset: () => {
        this.#looked = null;
        this.#upTo = 0;
      },
    });
  }

  /** Looks for events while `follow` runs. */
  async during(follow: () => Promise<void>): Promise<void> {
    this.#followers += 1;
    if (!this.#isLooking) void this.#lookWhileFollowed();
    try {
      await follow();
    } finally {
      this.#followers -= 1;
    }
  }

  /** The events of the desks of a caller. */
  sourceFor(desks: Desks): EventReader {
    return async ({ position }) => {
      const upTo = this.#upTo;
      if (position >= upTo) return null;
      const { events, readTo } = await readInboxEvents(this.#pool, {
        after: position,
        upTo,
        desks,
      });
      const text = events.map(({ kind, data, recordedAt, ...event }) =>
        eventText(kind, { ...data, recordedAt: recordedAt.toISOString() }, eventIdOf(event)),
      );
      return { text: text.join(''), last: { position: readTo, digest: '' } };
    };
  }

  async #lookWhileFollowed(): Promise<void> {
    this.#isLooking = true;
    this.#looked = null; // others may have been written since the last follower left
    while (this.#followers > 0) {
      // The next look may find the database again. Streams end by themselves if it stays away.
      await this.#look().catch(() => {});
      await delay(LOOK_EVERY, undefined, { ref: false });
    }
    this.#isLooking = false;
  }

  async #look(): Promise<void> {
    const last = await newestPlace(this.#pool);
    const isNew =
      this.#looked === null ||
      (await hasInboxEvents(this.#pool, { after: this.#looked, upTo: last }));
    this.#looked = last;
    if (!isNew) return;
    this.#upTo = last;
    this.#streams.wake();
  }
}

const DESCRIPTION = `Streams the events of the proposals of your desks, so that you know when to read your inbox again: ${PROPOSAL_EVENT_KINDS.map((kind) => `\`${kind}\``).join(', ')}. Later releases may add kinds.

Each has \`{proposal, desk, kind, outlook, title, state, draft, by, text, subject, recordedAt}\`: \`by\` is the analyst who acted, or null for the service, and \`text\` their words. Ids, \`Last-Event-ID\`, \`stream.opened\`, \`stream.reset\` and comments are those of \`GET /v1/events\`, but \`position\` is the place in the transparency log. Places between those of your events belong to other writes. Keys of feeds get no events, as they read no proposals. The stream ends when the key or token does.`;

export function inboxEventRoutes(api: Api, deps: InboxEventDeps): void {
  const { streams } = deps;
  const watch = new InboxWatch(deps);
  api.route({
    method: 'GET',
    url: '/v1/inbox/events',
    config: { access: 'key', serves: [EVENT_STREAM_TYPE] },
    schema: {
      operationId: 'streamInboxEvents',
      tags: ['Inbox'],
      summary: 'Follow your inbox',
      description: DESCRIPTION,
      security: [{ key: [] }],
      querystring: streamQuery,
      response: {
        200: {
          content: {
            [EVENT_STREAM_TYPE]: {
              schema: z.string().meta({
                description: 'Server-Sent Events (HTML Living Standard).',
              }),
            },
          },
        },
        ...problemResponses(401, 403, 422, 429),
      },
    },
    handler: async (request, reply) => {
      const { mayApprove, desks } = ownerOf(callerOf(request));
      const { audience } = request;
      const start = await startOf(deps, sentEventId(request, request.query.lastEventId));
      const isAllowed = () => isStillAllowed(request, deps);
      // A feed reads no proposals.
      const source = watch.sourceFor(mayApprove ? desks : []);
      await watch.during(() =>
        openStream(request, reply, streams, { slug: null, audience, start, isAllowed, source }),
      );
    },
  });
}

/** Where a stream starts: after the event whose id the client sent, or after the newest one. */
async function startOf(
  { pool, feed }: InboxEventDeps,
  sent: { id: string; event: EventRef } | null,
): Promise<StreamStart> {
  const { resets } = feed;
  await sequenceEvents(pool); // for events that have no place yet
  const newest = (await readPlace(pool, await newestPlace(pool))) ?? START;
  const startAt = (event: EventRef) => ({ last: event, shown: event, resets });
  if (sent === null) return { ...startAt(newest), isResumed: false, lostId: null };
  const event = await readPlace(pool, sent.event.position);
  return event?.digest.startsWith(sent.event.digest)
    ? { ...startAt(event), isResumed: true, lostId: null }
    : { ...startAt(newest), isResumed: false, lostId: sent.id };
}
