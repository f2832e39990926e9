import cors from '@fastify/cors';
import fastify, { type FastifyInstance, LogController } from 'fastify';
import { analystRoutes } from './api/analysts.ts';
import { auditRoutes } from './access/audit-routes.ts';
import { authorize, decorateRequests } from './access/authentication.ts';
import { completeRepresentations } from './http/representations.ts';
import { chartRoutes } from './api/charts.ts';
import { createHttpServer, type DroppedRequests, trackReplies } from './http/connections.ts';
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
import { measure } from './http/metrics.ts';
import { outlookBatchRoutes } from './api/outlook-batch.ts';
import { outlookListRoutes } from './api/outlook-list.ts';
import { outlookRoutes } from './api/outlooks.ts';
import { policyRoutes } from './api/policies.ts';
import { problemRoutes } from './api/problem-routes.ts';
import { ProposalScheduler } from './api/proposal-scheduler.ts';
import { proposalRoutes } from './api/proposals.ts';
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
import { traceRequests } from './http/tracing.ts';
import { trackRecordRoutes } from './api/track-records.ts';
import { validatorCompiler } from './http/validation.ts';
import { versionRoutes } from './api/versions.ts';
import { viewRoutes } from './api/views.ts';
import { hideInvisible } from './api/visibility.ts';
import { sourceRoutes } from './pulls/routes.ts';
import { checkpointRoute } from './log/checkpoint-route.ts';
import { logRoute } from './log/log-route.ts';
import { tileRoutes } from './log/tile-routes.ts';
import { WEBHOOKS } from './webhooks/document.ts';
import { webhookRoutes } from './webhooks/routes.ts';
import { receiptRoutes } from './log/receipt-routes.ts';
import { pageRoutes } from './pages/routes.tsx';
import { type AppOptions, servicesOf, version } from './services.ts';

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
  new ProposalScheduler(app.log, services).runWith(app);
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
