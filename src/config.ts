import { z } from 'zod';
import { type BackupSchedule, scheduleOf, BACKUP_INTERVAL } from './backup-schedule.ts';
import { urlFault } from './postgres/connection-url.ts';
import type { DatabaseSettings } from './postgres/database.ts';
import type { Issuer } from './access/tokens.ts';
import { isNetwork } from './http/networks.ts';
import type { PullSettings } from './pulls/puller.ts';
import { issuerOf, OIDC_ENVIRONMENT } from './oidc-settings.ts';
import { LOG_ENVIRONMENT, type LogSettings, logSettingsOf } from './log-settings.ts';
import { PROVIDER_ENVIRONMENT, pullSettingsOf } from './pull-settings.ts';

const flag = z.enum(['true', 'false'], { error: 'must be true or false' });
const wholeNumber = z
  .string()
  .regex(/^\d{1,15}$/, { error: 'must be a whole number' })
  .transform(Number);

const list = z
  .string()
  .default('')
  .transform((text) => text.split(',').map((entry) => entry.trim()))
  .transform((entries) => entries.filter((entry) => entry !== ''));

// A setting that is present but empty counts as unset, as in `PORT= npm start`.
const postgresUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\//, {
    error: 'must start with postgres:// or postgresql://',
    abort: true,
  })
  .superRefine((url, context) => {
    const fault = urlFault(url);
    if (fault !== null) context.addIssue(fault);
  });

const environment = z.object({
  HOST: z.string().default('127.0.0.1'),
  PORT: wholeNumber
    .refine((port) => port <= 65_535, { error: 'must be at most 65535' })
    .default(3000),
  PUBLIC_URL: z
    .string()
    .refine(isOrigin, {
      error: 'must be an origin such as https://outlooks.example, without a path',
    })
    .optional(),
  DATABASE_URL: postgresUrl.optional(),
  DIRECT_DATABASE_URL: postgresUrl.optional(),
  DATABASE_MIGRATION_URL: postgresUrl.optional(),
  DATA_DIR: z.string().default('.data'),
  DATABASE_POOL_MAX: wholeNumber
    .refine((size) => size >= 1 && size <= 1000, { error: 'must be from 1 to 1000' })
    .default(10),
  LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
      error: 'must be one of fatal, error, warn, info, debug, trace, silent',
    })
    .default('info'),
  LOAD_SAMPLES: flag.optional(),
  REQUIRE_KEY_FOR_READS: flag.default('false'),
  CORS_ORIGINS: list.refine((origins) => origins.every(isOrigin), {
    error: 'must be origins such as https://desk.example, separated by commas',
  }),
  CACHE_MAX_BYTES: wholeNumber
    .refine((bytes) => bytes === 0 || bytes >= 1_048_576, {
      error: 'must be 0 or at least 1048576 (1 MiB)',
    })
    .default(67_108_864),
  SERVE_STALE: flag.default('true'),
  STREAMS_PER_ADDRESS: wholeNumber
    .refine((streams) => streams >= 1, { error: 'must be at least 1' })
    .default(100),
  RATE_LIMIT_PER_ADDRESS: wholeNumber.default(60_000),
  RATE_LIMIT_PER_KEY: wholeNumber.default(60_000),
  WORK_PER_ADDRESS: wholeNumber.default(250),
  WORK_PER_KEY: wholeNumber.default(250),
  REQUESTS_AT_ONCE: wholeNumber
    .refine((requests) => requests >= 2, { error: 'must be at least 2' })
    .default(500),
  TRUSTED_PROXIES: list.refine((proxies) => proxies.every(isNetwork), {
    error: 'must be addresses, networks such as 10.0.0.0/8, or loopback, linklocal, uniquelocal',
  }),
  METRICS_ADDRESSES: list
    .transform((networks) =>
      networks.length === 0 ? ['loopback', 'linklocal', 'uniquelocal'] : networks,
    )
    .transform((networks) => (networks.join() === 'none' ? [] : networks))
    .refine((networks) => networks.every(isNetwork), {
      error:
        'must be none, or addresses, networks such as 10.0.0.0/8, or loopback, linklocal, uniquelocal',
    }),
  ...OIDC_ENVIRONMENT,
  KEY_DAYS: wholeNumber
    .refine((days) => days >= 1 && days <= 36_500, { error: 'must be from 1 to 36500' })
    .default(365),
  IDEMPOTENCY_HOURS: wholeNumber
    .refine((hours) => hours >= 1 && hours <= 8760, { error: 'must be from 1 to 8760' })
    .default(24),
  // At least 7: a trigger refuses to delete younger refusals (migrations/0014_access.sql).
  AUDIT_REFUSALS_DAYS: wholeNumber
    .refine((days) => days >= 7 && days <= 3650, { error: 'must be from 7 to 3650' })
    .default(90),
  WEBHOOK_PRIVATE_ADDRESSES: flag.default('false'),
  PULL_SERIES: flag.default('true'),
  PULL_PRIVATE_ORIGINS: list.refine((origins) => origins.every(isOrigin), {
    error: 'must be origins such as http://data.internal:8080, separated by commas',
  }),
  ...PROVIDER_ENVIRONMENT,
  BACKUP_EVERY: z
    .string()
    .regex(BACKUP_INTERVAL, { error: 'must be off, or a time such as 30m, 24h or 7d' })
    .optional(),
  BACKUP_KEEP: wholeNumber
    .refine((backups) => backups >= 1 && backups <= 10_000, { error: 'must be from 1 to 10000' })
    .default(7),
  BACKUP_DIR: z.string().optional(),
  ...LOG_ENVIRONMENT,
});

/** The names of all settings, as environment variables. */
export const SETTINGS = Object.keys(environment.shape);

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}

export type Config = DatabaseSettings & {
  host: string;
  port: number;
  /** The origin at which clients find the service; absolute URLs start with it. */
  publicUrl: string;
  logLevel: string;
  loadSamples: boolean;
  requireKeyForReads: boolean;
  /** Origins whose pages may write; pages of any origin may read. */
  corsOrigins: readonly string[];
  /** Bytes of memory for cached responses and frameworks; 0 turns the cache off. */
  cacheMaxBytes: number;
  /** Whether reads get cached responses, marked as stale, while the database is unavailable. */
  serveStale: boolean;
  /** Event streams that one address may have open on one instance. */
  streamsPerAddress: number;
  /** Requests a minute that one instance accepts from one address; 0 for no limit. */
  rateLimitPerAddress: number;
  /** Requests a minute that one instance accepts with one key; 0 for no limit. */
  rateLimitPerKey: number;
  /** The budget of one address on one instance, in milliseconds of work a second; 0 for no limit. */
  workPerAddress: number;
  /** The budget of one key on one instance, in milliseconds of work a second; 0 for no limit. */
  workPerKey: number;
  /** Requests that one instance handles at the same time. */
  requestsAtOnce: number;
  /** Addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted. */
  trustedProxies: readonly string[];
  /** Addresses and networks that may read the metrics. */
  metricsAddresses: readonly string[];
  /** The accepted token issuer; null if only keys are accepted. */
  oidc: Issuer | null;
  /** Days after which a key expires if whoever issues it does not say when. */
  keyDays: number;
  /** Hours for which a response is stored for retries. */
  idempotencyHours: number;
  /** Days for which the audit trail keeps refusals of unknown callers. */
  auditRefusalsDays: number;
  /** Whether webhooks may have private addresses, also without TLS. */
  webhookPrivateAddresses: boolean;
  /** How this instance pulls series from their sources. */
  pulls: PullSettings;
  /** When the embedded database is backed up; null if it is not. */
  backups: BackupSchedule | null;
  /** How the ledger's transparency log is named and signed. */
  transparencyLog: LogSettings;
};

/**
 * Reads the settings from environment variables. `.env.example` describes each and shows its default.
 * @throws Error that names every invalid setting and says what is wrong with it
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(set);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`);
    throw new Error(`Invalid settings: ${faults.join('; ')}.`);
  }
  const settings = parsed.data;
  return {
    host: settings.HOST,
    port: settings.PORT,
    publicUrl: settings.PUBLIC_URL ?? localOrigin({ host: settings.HOST, port: settings.PORT }),
    databaseUrl: settings.DATABASE_URL ?? null,
    directDatabaseUrl: otherUrl(settings, 'DIRECT_DATABASE_URL'),
    databaseMigrationUrl: otherUrl(settings, 'DATABASE_MIGRATION_URL'),
    dataDir: settings.DATA_DIR,
    databasePoolMax: settings.DATABASE_POOL_MAX,
    logLevel: settings.LOG_LEVEL,
    loadSamples: (settings.LOAD_SAMPLES ?? String(!settings.DATABASE_URL)) === 'true',
    requireKeyForReads: settings.REQUIRE_KEY_FOR_READS === 'true',
    corsOrigins: settings.CORS_ORIGINS,
    cacheMaxBytes: settings.CACHE_MAX_BYTES,
    serveStale: settings.SERVE_STALE === 'true',
    streamsPerAddress: settings.STREAMS_PER_ADDRESS,
    rateLimitPerAddress: settings.RATE_LIMIT_PER_ADDRESS,
    rateLimitPerKey: settings.RATE_LIMIT_PER_KEY,
    workPerAddress: settings.WORK_PER_ADDRESS,
    workPerKey: settings.WORK_PER_KEY,
    requestsAtOnce: settings.REQUESTS_AT_ONCE,
    trustedProxies: settings.TRUSTED_PROXIES,
    metricsAddresses: settings.METRICS_ADDRESSES,
    oidc: issuerOf(settings),
    keyDays: settings.KEY_DAYS,
    idempotencyHours: settings.IDEMPOTENCY_HOURS,
    auditRefusalsDays: settings.AUDIT_REFUSALS_DAYS,
    webhookPrivateAddresses: settings.WEBHOOK_PRIVATE_ADDRESSES === 'true',
    pulls: pullSettingsOf(settings),
    backups: scheduleOf(settings),
    transparencyLog: logSettingsOf(settings),
  };
}

/** The origin at which clients on this machine reach the service. */
export function localOrigin({ host, port }: Pick<Config, 'host' | 'port'>): string {
  if (['0.0.0.0', '::'].includes(host)) return `http://localhost:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Another URL of the database that DATABASE_URL names. */
function otherUrl(
  settings: z.output<typeof environment>,
  name: 'DIRECT_DATABASE_URL' | 'DATABASE_MIGRATION_URL',
): string | null {
  const url = settings[name] ?? null;
  if (url !== null && settings.DATABASE_URL === undefined) {
    throw new Error(`Invalid settings: DATABASE_URL is required when ${name} is set.`);
  }
  return url;
}
