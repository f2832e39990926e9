import type { FastifyInstance } from 'fastify';
import { type Logger, pino } from 'pino';
import { buildApp } from './app.ts';
import { type Config, readConfig } from './config.ts';
import { ChangeFeed } from './postgres/change-feed.ts';
import type pg from 'pg';
import { openDatabase } from './postgres/database.ts';
import { expireConditions } from './ledger/expire-conditions.ts';
import { forgetAnswers } from './access/idempotency-store.ts';
import { traceStatements } from './postgres/tracing.ts';
import { forgetDeliveries } from './webhooks/delivery-log.ts';
import { forgetSecrets } from './webhooks/webhooks.ts';
import { issueFirstKey, loadSamples } from './first-start.ts';
import { loadEnvFile } from './env-file.ts';
import { LOG_SERIALIZERS } from './http/logging.ts';
import { startTracing } from './tracing.ts';
import { inOneLine } from './one-line.ts';

const now = () => new Date();

/** How long a stop may take, in milliseconds, before what still runs is left behind. */
const STOP_WITHIN = 20_000;
/** Within this time a second signal is the first one again: under npm, Ctrl-C arrives twice. */
const SAME_SIGNAL_WITHIN = 1_500;

async function start(): Promise<void> {
  loadEnvFile();
  const config = readConfig(process.env);
  const stopTracing = await startTracing(process.env);
  // Deferred, because a write to a file waits for what the database flushes to the same disk; what is
  // left is written when the process exits.
  const output = pino.destination({ dest: 1, sync: false });
  const log = pino({ level: config.logLevel, serializers: LOG_SERIALIZERS }, output);
  const database = await openDatabase(config, {
    onConnectionError: (error) => log.warn({ err: error }, 'a database connection broke'),
    onEmbeddedLog: (line) => log.debug({ postgres: line }),
    onEmbeddedExit: (message) => log.error(`${message}; it is started again`),
  });
  if (stopTracing) traceStatements(database.pool);
  const feed = new ChangeFeed(database.pool, (error) =>
    log.warn({ err: error }, 'the connection that listens broke'),
  );
  const close = async () => {
    await feed.close();
    await database.close();
    await stopTracing?.().catch((error: unknown) => log.warn({ err: error }, 'traces were lost'));
  };
  try {
    if (config.databaseUrl === null) {
      await issueFirstKey(database.pool, now(), (key) => showFirstKey(key, config));
    }
    if (config.loadSamples) await loadSamples(database.pool, now());
    await feed.start();
    const isTraced = stopTracing !== null;
    const app = await buildApp({ config, pool: database.pool, feed, now, logger: log, isTraced });
    const stopExpiring = expireRegularly(database.pool, feed, config, log);
    app.addHook('preClose', stopExpiring);
    stopOnSignal(app, close, log);
    await app.listen({ host: config.host, port: config.port });
    log.info(`Swagger UI is at ${app.listeningOrigin}/docs`);
  } catch (error) {
    await close();
    throw error;
  }
}

/** How often is looked for what is over or old, in milliseconds. */
const EXPIRE_EVERY = 60_000;
/** For how long it can be read what webhooks were sent, in milliseconds. */
const DELIVERIES_KEPT_FOR = 30 * 24 * 3_600_000;

/**
 * Lets conditions expire at the end of their horizons, and forgets answers to writes that nobody can send again and what
 * webhooks were sent long ago; each instance does, and they share the work.
 */
function expireRegularly(
  pool: pg.Pool,
  feed: ChangeFeed,
  { idempotencyHours }: Config,
  log: Logger,
): () => Promise<void> {
  let running = Promise.resolve();
  const expire = async () => {
    try {
      if ((await expireConditions(pool, now())).length > 0) feed.announce();
      await forgetAnswers(pool, new Date(now().getTime() - idempotencyHours * 3_600_000));
      await forgetDeliveries(pool, new Date(now().getTime() - DELIVERIES_KEPT_FOR));
      await forgetSecrets(pool, now());
    } catch (error) {
      log.warn({ err: error }, 'what expires could not be let expire; it is tried again');
    }
  };
  const start = () => void (running = running.then(expire));
  start();
  const timer = setInterval(start, EXPIRE_EVERY).unref();
  return async () => {
    clearInterval(timer);
    await running;
  };
}

// Straight to standard output: the log must never hold a key.
function showFirstKey(key: string, config: Config): void {
  const origin = originOf(config);
  const bearer = `-H 'Authorization: Bearer ${key}'`;
  const revision = JSON.stringify({
    probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
    rationale: 'Long-term yields jumped; financing pressure on small caps rises with them.',
  });
  const example = config.loadSamples
    ? `curl -i ${origin}/v1/outlooks/russell-2000-downside/revisions ${bearer} -H 'Content-Type: application/json' -d '${revision}'`
    : `curl -i ${origin}/v1/keys ${bearer}`;
  process.stdout.write(
    `\nAdmin key, shown this once; keep it:\n${key}\n\nOnce the service listens, try it:\n${example}\n\n`,
  );
}

function stopOnSignal(app: FastifyInstance, close: () => Promise<void>, log: Logger): void {
  let firstAt: number | null = null;
  const stop = async (signal: string) => {
    if (firstAt !== null) {
      if (Date.now() - firstAt > SAME_SIGNAL_WITHIN) process.exit(1);
      return;
    }
    firstAt = Date.now();
    log.info(`stopping on ${signal}`);
    setTimeout(() => {
      log.error('requests or the database did not end in time');
      process.exit(1);
    }, STOP_WITHIN).unref();
    await app.close();
    await close();
    log.info('stopped');
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      stop(signal).catch((error: unknown) => {
        log.fatal({ err: error }, 'the service could not be stopped');
        process.exit(1);
      });
    });
  }
}

/** How a client on this machine reaches the service. */
function originOf({ host, port }: Config): string {
  if (['0.0.0.0', '::'].includes(host)) return `http://localhost:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

try {
  await start();
} catch (error) {
  const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
  const mend = isTaken ? '; set PORT to a port that is free' : '';
  process.stderr.write(`Outlook Ledger can't start: ${inOneLine(error)}${mend}\n`);
  process.exitCode = 1;
}
