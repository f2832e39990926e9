import { beforeEach, describe, expect, test } from 'vitest';
import { FairQueue, type TurnRefused } from '../../src/http/fair-queue.ts';

type Client = { name: string; mayStart: boolean };
const BOUNDS = {
  atOnce: 1,
  mostWaiting: 10,
  mostWaitingPerClient: 6,
  longestWait: 60_000,
  longestTurn: 60_000,
};
const [a, b, c] = ['a', 'b', 'c'].map((name) => ({ name, mayStart: false })) as [
  Client,
  Client,
  Client,
];
let queue: FairQueue<Client>;
let started: string[];
let refused: string[];
let releases: Map<string, (rest: number) => void>;

const open = (bounds: Partial<typeof BOUNDS> = {}) => {
  queue = new FairQueue<Client>({ ...BOUNDS, ...bounds }, ({ mayStart }) => mayStart);
};
const join = (client: Client, name: string) =>
  queue.join(client, {
    start: (release) => {
      started.push(name);
      releases.set(name, release);
    },
    refuse: ({ isLate }: TurnRefused) => void refused.push(isLate ? `${name} late` : name),
  });
/** Ends the turn of what started last. */
const finish = (name = started.at(-1) ?? '') => {
  releases.get(name)?.(0);
  queue.startNext();
};

beforeEach(() => {
  [started, refused, releases] = [[], [], new Map()];
  for (const client of [a, b, c]) client.mayStart = false;
  open();
});

test('clients take turns, whoever sent first and most', () => {
  for (const name of ['a1', 'a2', 'a3', 'a4']) join(a, name);
  join(b, 'b1');
  join(b, 'b2');
  join(c, 'c1');
  for (let turn = 0; turn < 7; turn += 1) finish();
  expect(started).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4']);
  expect([queue.size, refused]).toEqual([0, []]);
});

test('one request of a client runs at a time, and as many in all as the bound says', () => {
  open({ atOnce: 2 });
  join(a, 'a1');
  join(a, 'a2');
  expect(started).toEqual(['a1']);
  join(b, 'b1');
  join(c, 'c1');
  expect(started).toEqual(['a1', 'b1']);
  finish('b1');
  expect(started).toEqual(['a1', 'b1', 'c1']);
  finish('a1');
  expect(started).toEqual(['a1', 'b1', 'c1', 'a2']);
});

test('a client that is within its budget again stops waiting', () => {
  join(a, 'a1');
  join(b, 'b1');
  join(b, 'b2');
  b.mayStart = true;
  queue.startNext();
  expect(started).toEqual(['a1', 'b1', 'b2']);
});

describe('a request', () => {
  test('is refused if too many of its client wait', () => {
    for (let turn = 0; turn < 8; turn += 1) join(a, `a${turn}`);
    expect(refused).toEqual(['a7']);
    expect(queue.size).toBe(6);
  });

  test('is refused if too many wait in all: the newest of the client that has the most', () => {
    for (let turn = 0; turn < 7; turn += 1) join(a, `a${turn}`);
    for (let turn = 0; turn < 4; turn += 1) join(b, `b${turn}`);
    join(c, 'c0');
    expect(refused).toEqual(['a6']);
    join(c, 'c1');
    expect(refused).toEqual(['a6', 'a5']);
    expect(queue.size).toBe(10);
  });

  test('is refused if it waits too long', async () => {
    open({ longestWait: 1 });
    join(a, 'a1');
    join(a, 'a2');
    await expect.poll(() => refused).toEqual(['a2 late']);
    finish('a1');
    expect(started).toEqual(['a1']);
    expect(queue.size).toBe(0);
  });
});

test('a request that left the queue gets no turn', () => {
  join(a, 'a1');
  const leave = join(a, 'a2');
  join(a, 'a3');
  leave();
  leave();
  finish('a1');
  expect(started).toEqual(['a1', 'a3']);
});

test('a client rests before its next turn, while others take theirs', async () => {
  open({ atOnce: 2 });
  join(a, 'a1');
  join(a, 'a2');
  releases.get('a1')?.(1);
  expect(started).toEqual(['a1']);
  join(b, 'b1');
  expect(started).toEqual(['a1', 'b1']);
  await expect.poll(() => started).toEqual(['a1', 'b1', 'a2']);
});

test('a turn that does not end keeps its own client waiting, not the others', async () => {
  open({ longestTurn: 1 });
  join(a, 'a1');
  join(a, 'a2');
  join(b, 'b1');
  await expect.poll(() => started).toEqual(['a1', 'b1']);
  finish('a1');
  finish('a1'); // ends once
  expect(started).toEqual(['a1', 'b1', 'a2']);
  join(b, 'b2');
  join(c, 'c1');
  expect(started).not.toContain('b2');
});
