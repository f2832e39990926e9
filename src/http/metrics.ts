import type { BlockList } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type pg from 'pg';
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { forbidStoring } from './conditional-requests.ts';
import type { DroppedRequests } from './connections.ts';
import { comesFrom, networkList } from './networks.ts';
import type { ProblemCode } from './problem-catalogue.ts';
import { Problem } from './problems.ts';
import type { ChangeFeed } from '../postgres/change-feed.ts';
import type { Api } from './routing.ts';
import type { RequestLimiter } from './rate-limits.ts';
import type { ResponseCache } from './response-cache/response-cache.ts';

// Prometheus requests the second one.
const TYPES = ['text/plain', 'text/plain; version=0.0.4'];

/** Scheduled backups: the milliseconds between two, and when the newest was taken. */
export type BackupAge = { every: number; takenAt: () => Date | null };

/** The parts that are measured besides requests. */
export type Measured = {
  pool: pg.Pool;
  feed: ChangeFeed;
  cache: ResponseCache;
  limiter: RequestLimiter;
  streams: { size: number };
  dropped: DroppedRequests;
  backups: BackupAge | null;
  /** What signs the transparency log; null if this instance has no key. */
  signer: { fault: unknown; signed: { size: number } | null } | null;
  /** Why witnesses did not cosign, by their names. */
  witnessFaults: ReadonlyMap<string, string>;
  webhooks: {
    outcomes: Readonly<Record<string, number>>;
    backlog: { waiting: number; oldestSeconds: number; disabled: number };
  };
  puller: {
    outcomes: Readonly<Record<string, number>>;
    counts: { sources: number; failing: number; oldestSuccessSeconds: number };
  };
};

/** The metrics of the process: registered once, however many services run in it. */
let ofProcess: Registry | null = null;
function processMetrics(): Registry {
  if (ofProcess) return ofProcess;
  ofProcess = new Registry();
  collectDefaultMetrics({ register: ofProcess });
  return ofProcess;
}

/** Requests by method, route and status. Counted by hand, because a cached response takes microseconds. */
type Counts = Map<string, { method: string; route: string; status: number; count: number }>;

/**
 * Counts requests and times those that are not answered from memory.
 * @param addresses the networks that may read the metrics
 * @returns a function that registers `GET /metrics`, in the format of Prometheus
 */
export function measure(
  app: FastifyInstance,
  measured: Measured,
  addresses: readonly string[],
): (api: Api) => void {
  const counts: Counts = new Map();
  const problems = new Map<ProblemCode, number>();
  const registry = new Registry();
  const durations = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Duration of requests that were not served from the response cache.',
    labelNames: ['method', 'route'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers: [registry],
  });
  app.addHook('onResponse', (request, reply, done) => {
    const { method } = request;
    const route = request.routeOptions.url ?? 'none';
    const key = `${method} ${reply.statusCode} ${route}`;
    const entry = counts.get(key) ?? { method, route, status: reply.statusCode, count: 0 };
    if (entry.count === 0) counts.set(key, entry);
    entry.count += 1;
    if (request.problem !== null) {
      problems.set(request.problem, (problems.get(request.problem) ?? 0) + 1);
    }
    if (!request.isCached) durations.observe({ method, route }, reply.elapsedTime / 1000);
    done();
  });
  const requests = new Counter({
    name: 'http_requests_total',
    help: 'Requests by method, route and status.',
    labelNames: ['method', 'route', 'status'],
    registers: [],
    collect() {
      this.reset();
      for (const { count, ...labels } of counts.values()) this.inc(labels, count);
    },
  });
  const refused = new Counter({
    name: 'outlook_ledger_problems_total',
    help: 'Requests that failed, by kind of problem.',
    labelNames: ['problem'],
    registers: [],
    collect() {
      this.reset();
      for (const [problem, count] of problems) this.inc({ problem }, count);
    },
  });
  registry.registerMetric(requests);
  registry.registerMetric(refused);
  for (const metric of stateOf(measured)) registry.registerMetric(metric);
  return (api) => metricsRoute(api, registry, networkList(addresses));
}

/** The metrics that are read when they are asked for. */
function stateOf(measured: Measured): (Counter | Gauge)[] {
  const { pool, cache, limiter, streams, dropped, feed, backups } = measured;
  const { webhooks, puller, signer, witnessFaults } = measured;
  // Null is no sample.
  const gauge = (name: string, help: string, value: () => number | null) =>
    new Gauge({
      name: `outlook_ledger_${name}`,
      help,
      registers: [],
      collect() {
        const now = value();
        if (now === null) this.remove();
        else this.set(now);
      },
    });
  const connections = new Gauge({
    name: 'outlook_ledger_database_connections',
    help: 'Connections in the pool: open, idle, and callers waiting for one.',
    labelNames: ['state'],
    registers: [],
    collect() {
      this.set({ state: 'open' }, pool.totalCount);
      this.set({ state: 'idle' }, pool.idleCount);
      this.set({ state: 'waiting' }, pool.waitingCount);
    },
  });
  const byOutcome = (name: string, help: string, outcomes: Readonly<Record<string, number>>) =>
    new Counter({
      name: `outlook_ledger_${name}_total`,
      help,
      labelNames: ['outcome'],
      registers: [],
      collect() {
        this.reset();
        for (const [outcome, count] of Object.entries(outcomes)) this.inc({ outcome }, count);
      },
    });
  const droppedRequests = new Counter({
    name: 'outlook_ledger_dropped_requests_total',
    help: 'Requests that were dropped, because their connection closed or had too many unanswered requests.',
    labelNames: ['reason'],
    registers: [],
    collect() {
      this.reset();
      for (const [reason, count] of Object.entries(dropped)) this.inc({ reason }, count);
    },
  });
  const counter = (name: string, help: string, value: () => number) =>
    new Counter({
      name: `outlook_ledger_${name}_total`,
      help,
      registers: [],
      collect() {
        this.reset();
        this.inc(value());
      },
    });
  return [
    connections,
    droppedRequests,
    counter('kept_replies_served', 'Reads served from the response cache.', () => cache.served),
    counter(
      'stale_replies_served',
      'Reads served stale from the response cache while the database was unreachable.',
      () => cache.servedStale,
    ),
    gauge('kept_replies', 'Entries in the response cache.', () => cache.size.count),
    gauge('kept_replies_bytes', 'Size of the response cache in bytes.', () => cache.size.bytes),
    counter(
      'work_seconds',
      "What requests cost: the time that they hold the event loop, and their share of the pool's connections.",
      () => limiter.workSeconds,
    ),
    gauge(
      'requests_waiting',
      'Requests that wait for their turn, because their clients are beyond their budgets.',
      () => limiter.waiting,
    ),
    gauge('event_streams', 'Open event streams.', () => streams.size),
    gauge(
      'change_feed_current',
      '1 while the change feed is up to date with the ledger, else 0.',
      () => (feed.isCurrent ? 1 : 0),
    ),
    gauge(
      'change_feed_age_seconds',
      'Seconds since the change feed last heard from the ledger: how late events may be.',
      () => (feed.heardAt === 0 ? 0 : (performance.now() - feed.heardAt) / 1000),
    ),
    byOutcome(
      'webhook_attempts',
      'Attempts to deliver an event to a webhook, by outcome.',
      webhooks.outcomes,
    ),
    gauge(
      'webhook_deliveries_waiting',
      'Deliveries that have not succeeded yet, except those of disabled webhooks.',
      () => webhooks.backlog.waiting,
    ),
    gauge(
      'webhook_oldest_waiting_seconds',
      'Age of the oldest delivery that has not succeeded yet.',
      () => webhooks.backlog.oldestSeconds,
    ),
    gauge(
      'webhooks_disabled',
      'Webhooks that the service disabled by itself.',
      () => webhooks.backlog.disabled,
    ),
    byOutcome('pulls', 'Pulls of series from their sources, by outcome.', puller.outcomes),
    gauge('pull_sources', 'Series that have a source.', () => puller.counts.sources),
    gauge('pull_sources_failing', 'Series whose last pull failed.', () => puller.counts.failing),
    gauge(
      'pull_oldest_success_seconds',
      'Time since the last success of the source whose last success is the oldest, in seconds.',
      () => puller.counts.oldestSuccessSeconds,
    ),
    gauge(
      'log_signing',
      '1 while the key of this instance signs the transparency log, 0 while it does not. Missing without a key.',
      () => signer && Number(signer.fault === null),
    ),
    gauge(
      'log_signed_size',
      'Leaves of the transparency log at the newest checkpoint that this instance signed.',
      () => signer && (signer.signed?.size ?? 0),
    ),
    gauge(
      'log_witnesses_failing',
      'Witnesses that did not cosign the last checkpoint that this instance sent them. Missing without a key.',
      () => signer && witnessFaults.size,
    ),
    gauge('last_event', 'Position of the last event received.', () => feed.position ?? 0),
    counter('resets', 'How often the ledger went back to an earlier state.', () => feed.resets),
    gauge(
      'last_backup_timestamp_seconds',
      'Time of the newest scheduled backup, in seconds since 1970; 0 if there is none.',
      () => backups && (backups.takenAt()?.getTime() ?? 0) / 1000,
    ),
    gauge(
      'backup_interval_seconds',
      'Time between two scheduled backups.',
      () => backups && backups.every / 1000,
    ),
  ];
}

/** How long a rendering of the metrics is shared, in milliseconds. */
const SHARED_FOR = 1_000;

function metricsRoute(api: Api, registry: Registry, readers: BlockList): void {
  let shared: { text: Promise<string>; renderedAt: number } | null = null;
  const render = async () => {
    const both = [processMetrics(), registry];
    return (await Promise.all(both.map((one) => one.metrics()))).join('\n');
  };
  api.route({
    method: 'GET',
    url: '/metrics',
    config: { access: 'public', serves: TYPES, isUncounted: true },
    // For operators, not for clients.
    schema: { hide: true },
    handler: async (request, reply) => {
      // 404, because the route exists for operators only, whom the detail helps.
      if (!comesFrom(readers, request)) {
        throw new Problem(
          'not-found',
          'Only the addresses in METRICS_ADDRESSES may read the metrics; behind a proxy, only if TRUSTED_PROXIES names it.',
        );
      }
      const now = Date.now();
      // The clock may be set back.
      if (shared === null || Math.abs(now - shared.renderedAt) >= SHARED_FOR) {
        shared = { text: render(), renderedAt: now };
      }
      const text = await shared.text;
      forbidStoring(reply);
      return reply.type(Registry.PROMETHEUS_CONTENT_TYPE).send(text);
    },
  });
}
