import { readFileSync } from 'node:fs';
import cors from '@fastify/cors';
import fastify, { type FastifyInstance, type FastifyBaseLogger, LogController } from 'fastify';
import type pg from 'pg';
import type { Config } from './config.ts';
import { keyFinder } from './access/api-keys.ts';
import { deskFinder } from './access/desks.ts';
import type { ChangeFeed } from './postgres/change-feed.ts';
import type { FrameworkCache, StoredFramework } from './ledger/frameworks.ts';
import { identityFinder } from './access/identities.ts';
import { KnownVisibilities } from './ledger/known-visibilities.ts';
import { reviser } from './ledger/revisions.ts';
import { versionReader } from './ledger/versions.ts';
import { analystRoutes } from './api/analysts.ts';
import { auditRoutes } from './access/audit-routes.ts';
import { RefusalTrail } from './access/audit-trail.ts';
import { authorize, decorateRequests } from './access/authentication.ts';
import { completeRepresentations } from './http/representations.ts';
import { chartRoutes } from './api/charts.ts';
import { createHttpServer, type DroppedRequests, trackReplies } from './http/connections.ts';
import { CurrentDigests } from './api/current-digests.ts';
import { corsOf } from './http/cors.ts';
import { sendsCredentials } from './http/credentials.ts';
import { climatologyRoutes } from './api/climatology.ts';
import { consensusRoutes } from './api/consensus.ts';
import { conditionRoutes } from './api/conditions.ts';
import { deskRoutes } from './api/desks.ts';
import { disclosureRoutes } from './api/disclosure.ts';
import { diffRoutes } from './api/diffs.ts';
import { drawdownRoutes } from './api/drawdown.ts';
import { handleClientError, answerError, handleErrors, refuseTunnels } from './http/errors.ts';
import { evidenceRoutes } from './api/evidence.ts';
import { exportRoutes } from './api/export.ts';
import { expectedOutcomeRoutes } from './api/expected-outcome.ts';
import { EventStreams } from './api/event-streams.ts';
import { eventRoutes } from './api/events.ts';
import { feedRoutes } from './api/feeds.ts';
import { healthRoutes } from './api/health.ts';
import { historyRoutes } from './api/history.ts';
import { inboxEventRoutes } from './api/inbox-events.ts';
import { inboxRoutes } from './api/inbox.ts';
import { instrumentRoutes } from './api/instruments.ts';
import { decodeBodies } from './http/content-codings.ts';
import { readJsonBodies } from './http/json-body.ts';
import { keyRoutes } from './access/key-routes.ts';
import { meRoutes } from './access/me-routes.ts';
import { RequestLimiter } from './http/rate-limits.ts';
import { logRequests, requestId } from './http/logging.ts';
import { observationRoutes } from './api/observations.ts';
import { describeRoutes, documentRoute, serveSwaggerUi } from './http/openapi/openapi.ts';
import { type BackupAge, measure } from './http/metrics.ts';
import { outlookBatchRoutes } from './api/outlook-batch.ts';
import { outlookListRoutes } from './api/outlook-list.ts';
import { outlookRoutes } from './api/outlooks.ts';
import { policyRoutes } from './api/policies.ts';
import { problemRoutes } from './api/problem-routes.ts';
import { ProposalScheduler } from './api/proposal-scheduler.ts';
import { proposalRoutes } from './api/proposals.ts';
import { ResponseCache } from './http/response-cache/response-cache.ts';
import { SegmentedLru } from './http/response-cache/segmented-lru.ts';
import { resolutionRoutes } from './api/resolutions.ts';
import { revisionRoutes } from './api/revisions.ts';
import {
  type Api,
  pathOfTarget,
  refuseOtherMediaTypes,
  refuseUnknownQueries,
  refuseUnrouted,
} from './http/routing.ts';
import { refuseInvalidHeaders } from './http/request-headers.ts';
import { scoreRoutes } from './api/scores.ts';
import { setResponseHeaders } from './http/response-headers.ts';
import { seriesRoutes } from './api/series.ts';
import { endConnectionsOnClose } from './http/shutdown.ts';
import { tokenVerifier } from './access/tokens.ts';
import { traceRequests } from './http/tracing.ts';
import { trackRecordRoutes } from './api/track-records.ts';
import { validatorCompiler } from './http/validation.ts';
import { versionRoutes } from './api/versions.ts';
import { viewRoutes } from './api/views.ts';
import { hideInvisible } from './api/visibility.ts';
import { type Resolve, resolveName } from './outbound/addresses.ts';
import { SeriesPuller } from './pulls/puller.ts';
import { sourceRoutes } from './pulls/routes.ts';
import { checkpointRoute } from './log/checkpoint-route.ts';
import { logRoute } from './log/log-route.ts';
import { tileRoutes } from './log/tile-routes.ts';
import { Signer, signingState } from './log/signer.ts';
import type { SigningKey } from './log/signing-key.ts';
import { TreeBuilder } from './log/tree-builder.ts';
import { Witnesses } from './log/witnesses.ts';
import { WebhookDispatcher } from './webhooks/dispatcher.ts';
import { WEBHOOKS } from './webhooks/document.ts';
import { webhookRoutes } from './webhooks/routes.ts';
import { receiptRoutes } from './log/receipt-routes.ts';
import { pageRoutes } from './pages/routes.tsx';

const { version } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string };

export type AppOptions = {
  config: Config;
  pool: pg.Pool;
  /** The events that caches and streams follow. The caller starts and closes it. */
  feed: ChangeFeed;
  /** The clock. Every time that the ledger records or decides by comes from it. */
  now: () => Date;
  logger: FastifyBaseLogger;
  /** Whether requests are traced. OpenTelemetry's own settings say where to. */
  isTraced?: boolean;
  /** The scheduled backups, whose age is measured; null if there are none. */
  backups?: BackupAge | null;
  /** The keys that sign the transparency log, the current one first; none unless given. */
  signingKeys?: readonly SigningKey[];
  /** Resolves the host names of webhooks and sources; by the machine's resolver unless given. */
  resolve?: Resolve;
};

/** The service, ready to listen or to be injected into. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const { config, logger } = options;
  const dropped: DroppedRequests = { closed: 0, pipelined: 0 };
  const app = fastify({
    serverFactory: (handle, server) => createHttpServer(handle, server, dropped),
    loggerInstance: logger,
    // http/logging.ts logs requests with their ids. A logger for each request would cost more than a cached response.
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (parent) => parent,
    genReqId: requestId,
    trustProxy: config.trustedProxies.length > 0 && [...config.trustedProxies],
    bodyLimit: 1_048_576,
    requestTimeout: 30_000,
    http: {
      connectionsCheckingInterval: 5_000, // the precision of these timeouts
      requireHostHeader: false, // http/request-headers.ts answers with a problem
    },
    rewriteUrl: pathOfTarget,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 200 },
    frameworkErrors: (error, request, reply) => void answerError(error, request, reply),
    clientErrorHandler: handleClientError,
  });
  app.setValidatorCompiler(validatorCompiler as never);
  app.setSerializerCompiler(() => JSON.stringify);
  decorateRequests(app);
  app.decorateRequest('sentBody', null);
  readJsonBodies(app, 'application/json');
  handleErrors(app);
  logRequests(app);
  trackReplies(app);
  endConnectionsOnClose(app);
  refuseTunnels(app);
  if (options.isTraced) traceRequests(app);
  const services = servicesOf(app, options, dropped);
  new ProposalScheduler(app, services);
  const { cache, streams } = services;
  const limiter = new RequestLimiter(config);
  const { backups = null } = options;
  const serveMetrics = measure(app, { ...services, limiter, backups }, config.metricsAddresses);
  app.addHook('preClose', async () => streams.close());
  const acceptsTokens = config.oidc !== null;
  cache.serve(app, (authorization) => sendsCredentials(authorization, { acceptsTokens }));
  limiter.meter(app);
  setResponseHeaders(app);
  completeRepresentations(app);
  await app.register(cors, { delegator: corsOf(config) });
  limiter.limit(app);
  refuseInvalidHeaders(app);
  refuseUnrouted(app);
  await describeRoutes(app, { version, publicUrl: config.publicUrl, webhooks: WEBHOOKS });
  await app.register(async (scope) => serveSwaggerUi(scope));
  await app.register(async (scope) => {
    authorize(scope, services, limiter);
    cache.serveKeyed(scope);
    await mountRoutes(scope, services, serveMetrics);
  });
  return app;
}

/** What the route modules share; each names the parts that it needs. */
function servicesOf(app: FastifyInstance, options: AppOptions, dropped: DroppedRequests) {
  const { config, pool, feed, now, resolve = resolveName, signingKeys = [] } = options;
  const { requireKeyForReads, cacheMaxBytes, oidc } = config;
  const frameworks: FrameworkCache = new SegmentedLru<string, StoredFramework>({
    maxSize: 0.5 * cacheMaxBytes,
    // The text, its rendered JSON and the objects around both, times two, because a dropped framework stays in memory
    // until it is collected as garbage.
    sizeOf: (stored) => 4 * stored.size + 4_000,
  });
  const addressPolicy = { resolve, allowsPrivate: config.webhookPrivateAddresses };
  const cache = new ResponseCache({
    maxBytes: 0.5 * cacheMaxBytes,
    servesStale: config.serveStale,
    requireKeyForReads,
    feed,
  });
  const userAgent = `OutlookLedger/${version}`;
  const puller = new SeriesPuller(app.log, {
    pool,
    now,
    feed,
    cache,
    resolve,
    userAgent,
    settings: config.pulls,
  });
  puller.runWith(app);
  const { host } = config.transparencyLog;
  const treeBuilder = new TreeBuilder({ pool, feed, now, log: app.log, host });
  const signer =
    signingKeys.length > 0 ? new Signer({ pool, keys: signingKeys, now, log: app.log }) : null;
  if (signer !== null) treeBuilder.onHead((head) => signer.sign(head));
  treeBuilder.runWith(app);
  const { witnesses } = config.transparencyLog;
  const cosigning = new Witnesses({ pool, witnesses, now, log: app.log, resolve, userAgent });
  if (signer !== null) cosigning.runWith(app);
  return {
    pool,
    now,
    feed,
    puller,
    dropped,
    requestsAtOnce: config.requestsAtOnce,
    signer,
    isSigning: signer !== null,
    witnesses,
    witnessFaults: cosigning.faults,
    signingState: () => signingState(pool, signer),
    webhooks: new WebhookDispatcher(app, {
      pool,
      feed,
      now,
      addressPolicy,
      publicUrl: config.publicUrl,
      version,
    }),
    requireKeyForReads,
    publicUrl: config.publicUrl,
    idempotencyHours: config.idempotencyHours,
    cache,
    streams: new EventStreams({ pool, feed, maxPerAddress: config.streamsPerAddress }),
    findKey: keyFinder(pool),
    hasAdminTokens: oidc !== null && Object.values(oidc.roles).includes('admin'),
    tokens: oidc && { issuer: oidc.issuer, verify: tokenVerifier(oidc) },
    findIdentity: identityFinder(pool),
    countsIdentities: oidc !== null,
    findDesks: deskFinder(pool),
    keyDays: config.keyDays,
    refusalTrail: new RefusalTrail(app, pool, now),
    versions: versionReader(pool, frameworks),
    reviser: reviser(frameworks, now),
    digests: new CurrentDigests(frameworks, feed),
    visibilities: new KnownVisibilities(pool, feed),
  };
}

async function mountRoutes(
  api: Api,
  services: ReturnType<typeof servicesOf>,
  serveMetrics: (api: Api) => void,
): Promise<void> {
  refuseOtherMediaTypes(api);
  refuseUnknownQueries(api);
  decodeBodies(api);
  hideInvisible(api, services);
  outlookRoutes(api, services);
  outlookListRoutes(api, services);
  outlookBatchRoutes(api, services);
  await revisionRoutes(api, services);
  versionRoutes(api, services);
  diffRoutes(api, services);
  historyRoutes(api, services);
  chartRoutes(api, services);
  evidenceRoutes(api, services);
  viewRoutes(api, services);
  await analystRoutes(api, services);
  consensusRoutes(api, services);
  conditionRoutes(api, services);
  drawdownRoutes(api, services);
  climatologyRoutes(api, services);
  resolutionRoutes(api, services);
  receiptRoutes(api, services);
  expectedOutcomeRoutes(api, services);
  scoreRoutes(api, services);
  trackRecordRoutes(api, services);
  inboxRoutes(api, services);
  inboxEventRoutes(api, services);
  eventRoutes(api, services);
  feedRoutes(api, services);
  await deskRoutes(api, services);
  policyRoutes(api, services);
  proposalRoutes(api, services);
  await instrumentRoutes(api, services);
  seriesRoutes(api, services);
  disclosureRoutes(api, services);
  await observationRoutes(api, services);
  exportRoutes(api, services);
  sourceRoutes(api, services);
  keyRoutes(api, services);
  meRoutes(api, services);
  await webhookRoutes(api, services);
  auditRoutes(api, services);
  problemRoutes(api);
  logRoute(api, services);
  checkpointRoute(api, services);
  tileRoutes(api, services);
  healthRoutes(api, services);
  serveMetrics(api);
  documentRoute(api);
  await api.register(async (scope) => pageRoutes(scope, services));
}
