import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import v8 from 'node:v8';
import vm from 'node:vm';
import type pg from 'pg';
import { expect, test } from 'vitest';
import { EventStreams } from '../../src/api/event-streams.ts';
import { PUBLIC_AUDIENCE } from '../../src/domain/desks.ts';
import { START } from '../../src/domain/events.ts';
import type { ChangeFeed } from '../../src/postgres/change-feed.ts';
import type { Follower } from '../../src/postgres/follower.ts';
import { type LedgerEvent, newestEvent } from '../../src/postgres/outbox.ts';
import { startLedger } from '../support/ledger.ts';
import { publish } from '../support/outlooks.ts';

/** So many that V8 optimizes the code, after which it keeps only the references that it still uses. */
const BATCHES = 3_000;

const eventAt = (position: number): LedgerEvent => ({
  position,
  digest: '0'.repeat(64),
  kind: 'outlook.created',
  slug: 'any',
  version: 1,
  data: { kind: 'created', probabilities: { bear: 0.3, base: 0.45, bull: 0.25 }, deltas: null },
  recordedAt: new Date('2026-11-20T16:00:00.000Z'),
  internalTo: null,
});

/** What a stream that resumes after an event begins with. */
const openedAt = (position: number) =>
  `retry: 1000\nevent: stream.opened\ndata: {"position":${position},"resumed":true}\nid: ${position}-aaaaaaaa\n\n`;

test('a stream that starts while the ledger goes back ends at once', async () => {
  const feed = { isCurrent: true, last: null, resets: 1, follow: () => {} };
  const streams = new EventStreams({
    pool: {} as pg.Pool,
    feed: feed as unknown as ChangeFeed,
    maxPerAddress: 1,
  });
  const written: string[] = [];
  const response = Object.assign(new EventEmitter(), {
    writableEnded: false,
    write: (text: string) => written.push(text),
    end: () => void (response.writableEnded = true),
    destroy: () => {},
  });
  await streams.follow(response as unknown as ServerResponse, {
    slug: null,
    audience: PUBLIC_AUDIENCE,
    start: {
      last: { position: 9, digest: 'a'.repeat(64) },
      shown: { position: 9, digest: 'a'.repeat(64) },
      isResumed: true,
      lostId: null,
      resets: 0,
    },
    isAllowed: async () => true,
  });
  expect(response.writableEnded).toBe(true);
  expect(written).toEqual([openedAt(9), 'retry: 100\n']);
  streams.close();
});

test('a stream ends, instead of going on with the events of a ledger that went back', async () => {
  const ledger = await startLedger({ followsEvents: false });
  try {
    await publish(ledger, 'one', 'two');
    const newest = await newestEvent(ledger.pool);
    // A feed that has not noticed yet, and a client that has read an event that is gone.
    const feed = { isCurrent: true, last: newest, resets: 0, follow: () => {} };
    const streams = new EventStreams({
      pool: ledger.pool,
      feed: feed as unknown as ChangeFeed,
      maxPerAddress: 1,
    });
    const written: string[] = [];
    const response = Object.assign(new EventEmitter(), {
      writableEnded: false,
      write: (text: string) => written.push(text),
      end: () => void (response.writableEnded = true),
      destroy: () => {},
    });
    for (const slug of [null, 'two']) {
      written.length = 0;
      response.writableEnded = false;
      await streams.follow(response as unknown as ServerResponse, {
        slug,
        audience: PUBLIC_AUDIENCE,
        start: {
          last: { position: 1, digest: 'a'.repeat(64) },
          shown: { position: 1, digest: 'a'.repeat(64) },
          isResumed: true,
          lostId: null,
          resets: 0,
        },
        isAllowed: async () => {
          response.writableEnded = true; // or else the test would wait for ever
          return true;
        },
      });
      expect(written).toEqual([openedAt(1), 'retry: 100\n']);
    }
    streams.close();
  } finally {
    await ledger.close();
  }
});

test('a client that stops reading is cut off, also after a garbage collection', async () => {
  v8.setFlagsFromString('--expose-gc');
  const gc = vm.runInNewContext('gc') as () => void;

  let follower: Follower | undefined;
  const feed = {
    isCurrent: true,
    last: { position: 0, digest: '' },
    resets: 0,
    follow: (one: Follower) => void (follower = one),
  };
  const streams = new EventStreams({
    pool: {} as pg.Pool,
    feed: feed as unknown as ChangeFeed,
    maxPerAddress: 1,
    drainWithin: 200,
  });

  let isReading = true;
  const response = Object.assign(new EventEmitter(), {
    writableEnded: false,
    write: () => {
      if (isReading) queueMicrotask(() => response.emit('drain'));
      return false;
    },
    destroy: () => {},
  });
  const publish = async () => {
    const event = eventAt(feed.last.position + 1);
    feed.last = event;
    follower?.onEvents([event]);
    await turn();
  };
  const stream = streams.follow(response as unknown as ServerResponse, {
    slug: null,
    audience: PUBLIC_AUDIENCE,
    start: { last: START, shown: START, isResumed: true, lostId: null, resets: 0 },
    isAllowed: async () => true,
  });
  const outcome = stream.catch((error: unknown) => error);
  for (let batch = 0; batch < BATCHES; batch += 1) await publish();
  isReading = false;
  await publish();
  for (let round = 0; round < 5; round += 1) {
    gc();
    await turn();
  }
  expect(await outcome).toMatchObject({ name: 'AbortError' });
  expect(streams.size).toBe(0);
  streams.close();
});
