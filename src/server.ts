import type { FastifyInstance } from 'fastify';
import type pg from 'pg';
import { type Logger, pino } from 'pino';
import { storeMissingSkeletons } from './access/analysts.ts';
import { buildApp } from './app.ts';
import { type Config, localOrigin, readConfig } from './config.ts';
import { eventIdOf } from './domain/events.ts';
import { ChangeFeed } from './postgres/change-feed.ts';
import { openDatabase } from './postgres/database.ts';
import { inTransaction } from './postgres/pool.ts';
import { traceStatements } from './postgres/tracing.ts';
import { issueFirstKey, loadSamples } from './first-start.ts';
import { loadEnvFile } from './env-file.ts';
import { openSigningKeys } from './log/signing-key.ts';
import { LOG_SERIALIZERS, withoutSecrets } from './http/logging.ts';
import { type Backups, startBackups } from './backups.ts';
import { startMaintenance } from './maintenance.ts';
import { startTracing } from './tracing.ts';
import { errorLine } from './error-line.ts';

const now = () => new Date();

const WENT_BACK =
  'the ledger went back to an earlier state and lost its newest events; run `npm run verify` with `--against`, and purge the CDN';

/** Time for a graceful stop before the process exits anyway, in milliseconds. */
const STOP_TIMEOUT = 20_000;
/** A second signal within this time, in milliseconds, is ignored: under npm, Ctrl-C arrives twice. */
const REPEATED_SIGNAL = 1_500;

async function start(): Promise<void> {
  loadEnvFile();
  const config = readConfig(process.env);
  const stopTracing = await startTracing(process.env);
  // Not synchronous, because a write to a log file can wait for the database to flush to the same disk. The rest of the
  // log is written when the process exits.
  const output = pino.destination({ dest: 1, sync: false });
  const log = pino({ level: config.logLevel, serializers: LOG_SERIALIZERS }, output);
  const database = await openDatabase(config, {
    onPrivilegedRole: (warning) => log.warn(warning),
    onNotice: (line) => log.info(line),
    onMigration: (line) => log.info(withoutSecrets(line)),
    onConnectionError: (error) => log.warn({ err: error }, 'a database connection was lost'),
    onEmbeddedLog: (line) => log.debug({ postgres: withoutSecrets(line) }),
    onEmbeddedExit: (message) => log.error(`${message}; restarting it`),
  });
  if (stopTracing) traceStatements(database.pool);
  const feed = new ChangeFeed(database.direct, (error) =>
    log.warn({ err: error }, 'the connection that listens for events was lost'),
  );
  let backups: Backups | null = null;
  const close = async () => {
    await backups?.stop();
    await feed.close();
    await database.close();
    await stopTracing?.().catch((error: unknown) =>
      log.warn({ err: error }, 'the last traces could not be sent'),
    );
  };
  try {
    await reportLookAlikes(database.pool, log);
    if (config.databaseUrl === null) {
      await issueFirstKey(database.pool, now(), (key) => showFirstKey(key, config));
    }
    if (config.loadSamples) await loadSamples(database.pool, now());
    feed.follow({ onReset: (lost) => log.warn({ lost: eventIdOf(lost) }, WENT_BACK) });
    await feed.start();
    const signingKeys = await openSigningKeys(config.transparencyLog);
    const isTraced = stopTracing !== null;
    if (config.backups) {
      backups = await startBackups({ pool: database.pool, schedule: config.backups, now, log });
    }
    const { pool } = database;
    const app = await buildApp({
      config,
      pool,
      feed,
      now,
      logger: log,
      isTraced,
      backups,
      signingKeys,
    });
    const { idempotencyHours, auditRefusalsDays } = config;
    const onEvents = () => feed.announce();
    const stopMaintenance = startMaintenance({
      pool,
      now,
      log,
      idempotencyHours,
      auditRefusalsDays,
      onEvents,
    });
    app.addHook('preClose', stopMaintenance);
    stopOnSignal(app, close, log);
    await app.listen({ host: config.host, port: config.port });
    log.info(`Swagger UI is at ${app.listeningOrigin}/docs`);
  } catch (error) {
    await close();
    throw error;
  }
}

/** Logs which names of an earlier release look like another analyst's, which this release would refuse. */
async function reportLookAlikes(pool: pg.Pool, log: Logger): Promise<void> {
  for (const { analyst, looksLike } of await inTransaction(pool, storeMissingSkeletons)) {
    log.warn({ analyst, looksLike }, 'two analysts have names that look alike');
  }
}

// Written to standard output itself, because the log must never hold a key.
function showFirstKey(key: string, config: Config): void {
  const origin = localOrigin(config);
  const bearer = `-H 'Authorization: Bearer ${key}'`;
  const revision = JSON.stringify({
    probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
    rationale: 'Long-term yields jumped; financing pressure on small caps rises with them.',
  });
  const example = config.loadSamples
    ? `curl -i ${origin}/v1/outlooks/russell-2000-downside/revisions ${bearer} -H 'Content-Type: application/json' -d '${revision}'`
    : `curl -i ${origin}/v1/keys ${bearer}`;
  process.stdout.write(
    `\nAdmin key, shown only once; keep it:\n${key}\n\nOnce the service is listening, try:\n${example}\n\n`,
  );
}

function stopOnSignal(app: FastifyInstance, close: () => Promise<void>, log: Logger): void {
  let firstAt: number | null = null;
  const stop = async (signal: string) => {
    if (firstAt !== null) {
      if (Date.now() - firstAt > REPEATED_SIGNAL) process.exit(1);
      return;
    }
    firstAt = Date.now();
    log.info(`stopping on ${signal}`);
    setTimeout(() => {
      log.error('open requests or the database took too long; exiting');
      process.exit(1);
    }, STOP_TIMEOUT).unref();
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

try {
  await start();
} catch (error) {
  const isPortTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
  const remedy = isPortTaken ? '; set PORT to a free port' : '';
  process.stderr.write(`Outlook Ledger can't start: ${errorLine(error)}${remedy}\n`);
  process.exitCode = 1;
}
