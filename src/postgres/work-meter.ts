import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import type pg from 'pg';

/**
 * Adds up the work of one client, in milliseconds: the time that its requests hold the event loop, and their share of the
 * connections to the database.
 */
export type WorkMeter = { add: (milliseconds: number) => void };

const meters = new AsyncLocalStorage<WorkMeter>();

/** Whose work the event loop does, and since when. */
let holder: WorkMeter | null = null;
let since = 0;
let turnEnd: NodeJS.Immediate | null = null;

/** Runs `work`, and whatever it waits for, as the work that `meter` adds up. */
export function meterWork<Result>(meter: WorkMeter, work: () => Result): Result {
  return meters.run(meter, () => {
    holdLoop(meter);
    return work();
  });
}

/** The meter of the work that asks; undefined for what no request caused. */
export function currentMeter(): WorkMeter | undefined {
  return meters.getStore();
}

/**
 * Adds the time of the event loop to `meter` from now on: until the loop turns to other work, of which its next turn is the
 * latest. Call it where work of a request goes on after a wait.
 */
export function holdLoop(meter: WorkMeter): void {
  leaveLoop();
  holder = meter;
  since = performance.now();
  turnEnd ??= setImmediate(() => {
    turnEnd = null;
    leaveLoop();
  });
}

/** Says that the event loop turns to work that nobody is charged for. */
export function leaveLoop(): void {
  if (holder === null) return;
  holder.add(performance.now() - since);
  holder = null;
}

/** A meter that divides work among others equally, for a batch that serves all of them. */
export function sharedMeter(sharers: readonly (WorkMeter | undefined)[]): WorkMeter {
  return {
    add: (milliseconds) => {
      for (const meter of sharers) meter?.add(milliseconds / sharers.length);
    },
  };
}

/** Who uses a connection, and since when. */
type Use = { meter: WorkMeter | undefined; since: number };

/**
 * Meters the use of a pool: the time that a client's rows take to be read, and the time that it holds connections, as a
 * share of all that the pool may open.
 */
export function meterPool(pool: pg.Pool): void {
  const uses = new WeakMap<pg.PoolClient, Use>();
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    const metered = (...args: unknown[]) => {
      const use = uses.get(client);
      if (use) use.meter = meters.getStore();
      return query(...args);
    };
    client.query = metered as typeof client.query;
    // Before pg parses what arrived.
    client.connection.stream.prependListener('data', () => {
      const meter = uses.get(client)?.meter;
      if (meter) holdLoop(meter);
    });
  });
  pool.on('acquire', (client) => {
    uses.set(client, { meter: undefined, since: performance.now() });
  });
  pool.on('release', (_error, client) => {
    const use = uses.get(client);
    use?.meter?.add((performance.now() - use.since) / pool.options.max);
    uses.delete(client);
  });
  bindCallbacks(pool);
}

/**
 * Whoever waits for a connection gets it in the context of its own request, not in that of the one that releases it. Not by
 * `AsyncResource.bind`, which also deprecates a property at each call in Node.js 20 and so takes much longer.
 */
function bindCallbacks(pool: pg.Pool): void {
  const connect = pool.connect.bind(pool) as (callback?: Callback) => unknown;
  const bound = (callback?: Callback) => connect(callback && inOwnContext(callback));
  pool.connect = bound as typeof pool.connect;
}

type Callback = (...args: unknown[]) => unknown;

function inOwnContext(callback: Callback): Callback {
  const context = new AsyncResource('outlook-ledger-connection');
  return (...args) => context.runInAsyncScope(callback, null, ...args);
}
