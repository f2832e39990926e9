import { context, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type pg from 'pg';

type Query = (...args: unknown[]) => unknown;
type Config = string | { text?: string; name?: string; submit?: unknown };

/**
 * Adds a span for each statement, as a child of its request's span; a statement that serves several requests belongs to
 * the first. The span holds the statement without its parameters, which clients sent. http/tracing.ts says why no
 * package does this.
 */
export function traceStatements(pool: pg.Pool): void {
  const tracer = trace.getTracer('outlook-ledger');
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as Query;
    const traced: Query = (...args) => {
      const [config] = args as [Config];
      if (typeof config === 'object' && config.submit) return query(...args); // a copy
      const text = typeof config === 'string' ? config : (config.text ?? '');
      const name = (typeof config === 'object' && config.name) || text.trim().split(/\s/, 1)[0];
      const span = tracer.startSpan(`postgres ${name}`, {
        kind: SpanKind.CLIENT,
        attributes: { 'db.system.name': 'postgresql', 'db.query.text': text },
      });
      const callback = args.at(-1);
      if (typeof callback === 'function') {
        const caller = context.active();
        args[args.length - 1] = (error: unknown, result: unknown) => {
          end(span, error);
          context.with(caller, () => (callback as Query)(error, result));
        };
        return query(...args);
      }
      const answer = query(...args) as Promise<unknown>;
      answer.then(
        () => end(span, null),
        (error: unknown) => end(span, error),
      );
      return answer;
    };
    client.query = traced as typeof client.query;
  });
}

function end(span: Span, error: unknown): void {
  if (error) {
    span.setStatus({ code: SpanStatusCode.ERROR });
    // The message may quote what a client sent.
    span.setAttribute('error.type', (error as { code?: string }).code ?? 'unknown');
  }
  span.end();
}
