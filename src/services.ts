import { readFileSync } from 'node:fs';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
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
import { RefusalTrail } from './access/audit-trail.ts';
import type { DroppedRequests } from './http/connections.ts';
import { CurrentDigests } from './api/current-digests.ts';
import { EventStreams } from './api/event-streams.ts';
import type { BackupAge } from './http/metrics.ts';
import { ResponseCache } from './http/response-cache/response-cache.ts';
import { SegmentedLru } from './http/response-cache/segmented-lru.ts';
import { tokenVerifier } from './access/tokens.ts';
import { type Resolve, resolveName } from './outbound/addresses.ts';
import { SeriesPuller } from './pulls/puller.ts';
import { Signer, signingState } from './log/signer.ts';
import type { SigningKey } from './log/signing-key.ts';
import { TreeBuilder } from './log/tree-builder.ts';
import { Witnesses } from './log/witnesses.ts';
import { WebhookDispatcher } from './webhooks/dispatcher.ts';

/** The version of the release. */
export const { version } = JSON.parse(
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

/** What the route modules share; each names the parts that it needs. */
export function servicesOf(app: FastifyInstance, options: AppOptions, dropped: DroppedRequests) {
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
