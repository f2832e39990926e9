import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import type pg from 'pg';

/**
 * Adds up the work of one client, in milliseconds: the time that its requests hold the event loop, and their share of the
 * connections to the database.
 */
export type WorkMeter = { add: (milliseconds: number) => void };

const meters = new AsyncLocalStorage<WorkMeter>();

/** The meter that is charged for the time of the event loop, and since when. */
let charged: WorkMeter | null = null;
let since = 0;
let turnEnd: NodeJS.Immediate | null = null;

/** Runs `work`, and charges `meter` for it and for whatever it awaits. */
export function meterWork<Result>(meter: WorkMeter, work: () => Result): Result {
  return meters.run(meter, () => {
    chargeLoopTo(meter);
    return work();
  });
}

/** The meter of the current work; undefined if no request caused it. */
export function currentMeter(): WorkMeter | undefined {
  return meters.getStore();
}

/**
 * Charges the time of the event loop to `meter` from now on, until the loop does other work or its turn ends. Call it where
 * the work of a request goes on after a wait.
 */
export function chargeLoopTo(meter: WorkMeter): void {
  stopCharging();
  charged = meter;
  since = performance.now();
  turnEnd ??= setImmediate(() => {
    turnEnd = null;
    stopCharging();
  });
}

/** Stops charging anyone for the time of the event loop. */
export function stopCharging(): void {
  if (charged === null) return;
  charged.add(performance.now() - since);
  charged = null;
}

/** A meter that divides the work of a batch equally among the requests that it serves. */
export function sharedMeter(meters: readonly (WorkMeter | undefined)[]): WorkMeter {
  return {
    add: (milliseconds) => {
      for (const meter of meters) meter?.add(milliseconds / meters.length);
    },
  };
}

/** The use of a connection: the meter of its last query, and since when the connection is held. */
type Use = { meter: WorkMeter | undefined; since: number };

/**
 * Meters the use of a pool: the time that it takes to parse rows, and the time that a request holds a connection, divided by
 * the number of connections that the pool may open.
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
      if (meter) chargeLoopTo(meter);
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
 * Makes `connect` call back in the context of the request that waits, not of the one that releases the connection. It does
 * not use `AsyncResource.bind`, which also deprecates a property at each call in Node.js 20 and so takes much longer.
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
