import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { FastifyInstance } from 'fastify';
import { withoutSecrets } from './logging.ts';
import { pathOf } from './problems.ts';
import { whenFinished } from './when-finished.ts';

/**
 * Makes a span for each request, as a child of the client's span if it sends one (traceparent). Written here because the
 * published packages patch modules while they load, which needs a flag when Node starts, or make a span for each hook
 * (`@fastify/otel`).
 */
export function traceRequests(app: FastifyInstance): void {
  const tracer = trace.getTracer('outlook-ledger');
  app.addHook('onRequest', (request, reply, done) => {
    const { method } = request;
    const { url: route, config } = request.routeOptions;
    if (config.isUnlimited || config.isUncounted) return done(); // machines request these every few seconds
    const parent = propagation.extract(context.active(), request.headers);
    const span = tracer.startSpan(
      route === undefined ? method : `${method} ${route}`,
      {
        kind: SpanKind.SERVER,
        attributes: {
          'http.request.method': method,
          'url.path': withoutSecrets(pathOf(request)),
          'url.scheme': request.protocol,
          'client.address': withoutSecrets(request.ip ?? ''), // the connection may be closed
          'outlook_ledger.request_id': request.id,
          ...(route !== undefined && { 'http.route': route }),
        },
      },
      parent,
    );
    whenFinished(request, reply, () => {
      const { statusCode, headersSent } = reply.raw;
      if (headersSent) span.setAttribute('http.response.status_code', statusCode);
      else span.setAttribute('error.type', 'connection-closed');
      if (request.problem !== null) span.setAttribute('error.type', request.problem);
      if (statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    });
    context.with(trace.setSpan(parent, span), done);
  });
}
