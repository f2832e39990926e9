import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { keepReading, LastingStream, type Reads } from './failover-clients.ts';
import { type Cluster, type Member, withClient } from './patroni.ts';
import { isAlive, until } from './service.ts';
import { type Acknowledged, keepWriting, type Target, type Written } from './writers.ts';

const WRITERS = 20;
const STREAMS = 4;
const READERS = 4;

/** What a kill ends: PostgreSQL, both it and Patroni, as when the machine is gone, or Patroni alone. */
export const KINDS = ['postgres', 'machine', 'patroni'] as const;
export type Kind = (typeof KINDS)[number];

/** When the primary was killed, and when another one took writes through the proxy, by `performance.now()`. */
export type Failover = { kind: Kind; at: number; promotedAt: number };

/** Ends the primary, and waits until the other member takes writes and the former one follows it. */
export async function failOver(cluster: Cluster, kind: Kind): Promise<Failover> {
  const former = await cluster.primary();
  const at = performance.now();
  if (kind !== 'postgres') await former.patroni().end();
  if (kind !== 'patroni') await endServer(former);
  const promotedAt = await promotion(cluster, former);
  await join(cluster);
  if (kind !== 'postgres') former.start();
  await until(async () => (await cluster.primary()) !== former);
  await cluster.standby();
  return { kind, at, promotedAt };
}

async function endServer(member: Member): Promise<void> {
  const server = member.postmaster();
  if (server === null) throw new Error(`${member.name} does not run`);
  process.kill(server, 'SIGKILL');
  await until(() => !isAlive(server));
}

async function promotion(cluster: Cluster, former: Member): Promise<number> {
  const { port } = new URL(former.url);
  await until(() =>
    withClient(cluster.ownerUrl, async (client) => {
      const { rows } = await client.query<{ isNew: boolean }>(
        `select not pg_is_in_recovery() and current_setting('port') <> $1 as "isNew"`,
        [port],
      );
      return rows[0]?.isNew ?? false;
    }).catch(() => false),
  );
  return performance.now();
}

/** Ends replication, so that what is committed from now on is lost if the primary is. */
export async function cutReplication(cluster: Cluster): Promise<void> {
  const { url } = await cluster.primary();
  await withClient(url, async (client) => {
    await client.query('alter role standby nologin');
    await client.query('select pg_terminate_backend(pid) from pg_stat_replication');
  });
}

/** Lets standbys join the primary again. */
async function join(cluster: Cluster): Promise<void> {
  await until(async () => {
    const { url } = await cluster.primary();
    return withClient(url, (client) => client.query('alter role standby login')).then(
      () => true,
      () => false,
    );
  });
}

/** What clients met while something went on. */
export type Load<Result> = {
  result: Result;
  acknowledged: readonly Acknowledged[];
  written: readonly Written[];
  reads: readonly Reads[];
  streams: readonly LastingStream[];
  /** The position of the last event in the end. */
  last: number;
};

/**
 * Runs writers, readers and streams through the proxy while `work` goes on, and a second longer. Resolves once each stream
 * has the last event.
 */
export async function underLoad<Result>(
  { target, slugs, pool }: { target: Target; slugs: readonly string[]; pool: pg.Pool },
  work: (streams: readonly LastingStream[]) => Promise<Result>,
): Promise<Load<Result>> {
  let isOver = false;
  const over = () => isOver;
  const streams = Array.from({ length: STREAMS }, () => new LastingStream(target.origin));
  await until(() => streams.every((stream) => stream.isOpen));
  const writing = Array.from({ length: WRITERS }, () => keepWriting(target, slugs, over));
  const reading = Array.from({ length: READERS }, () => keepReading(target.origin, slugs, over));
  const clients = Promise.all([Promise.all(writing), Promise.all(reading)]);
  const failed = clients.then(
    () => new Promise<never>(() => {}),
    (error: unknown) => Promise.reject(error as Error),
  );
  try {
    const result = await Promise.race([work(streams), failed]);
    await delay(1_000);
    isOver = true;
    const [written, reads] = await clients;
    const last = await lastPosition(pool);
    await until(() => streams.every(({ received }) => received.at(-1) === last));
    const acknowledged = written.flatMap((one) => one.acknowledged).toSorted((a, b) => a.at - b.at);
    return { result, acknowledged, written, reads, streams, last };
  } finally {
    isOver = true;
    await Promise.allSettled(streams.map((stream) => stream.close()));
  }
}

/** The position of the last event; waits until each event has one. */
export async function lastPosition(pool: pg.Pool): Promise<number> {
  let last = 0;
  await until(async () => {
    const { rows } = await pool.query<{ last: number | null; open: number }>(
      `select max(position) as last, count(*) filter (where position is null) as open from events`,
    );
    last = rows[0]?.last ?? 0;
    return rows[0]?.open === 0;
  });
  return last;
}

/** The revisions of outlooks in the ledger, by their rationales, with how often each is there. */
export async function storedRevisions(pool: pg.Pool, slugs: readonly string[]) {
  const { rows } = await pool.query<
    Pick<Acknowledged, 'slug' | 'version' | 'id' | 'hash'> & { count: number }
  >(
    `select o.slug, max(v.version) as version, v.rationale as id,
         max('sha256:' || encode(v.hash, 'hex')) as hash, count(*) as count
       from outlook_versions v join outlooks o on o.id = v.outlook_id
      where o.slug = any($1) and v.version > 1 group by o.slug, v.rationale`,
    [slugs],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

/** The longest time without an acknowledged write between two times, in milliseconds. */
export function longestGap(
  acknowledged: readonly Acknowledged[],
  from: number,
  to: number,
): number {
  const times = [from, ...acknowledged.map(({ at }) => at).filter((at) => at >= from && at <= to)];
  return Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? at)), 0);
}
