import { setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import type pg from 'pg';
import { announceObservations, type AnnounceDeps } from '../api/announce-observations.ts';
import { parseRetryAfter, retryPullAfter } from '../domain/pulls.ts';
import type { AddressPolicy, Resolve } from '../outbound/addresses.ts';
import { FetchFault, fetchFile } from '../outbound/fetch-file.ts';
import {
  describeFault,
  noteFor,
  type ProviderSettings,
  requestFor,
  SourceFault,
} from './providers.ts';
import { observationsIn } from './pulled-files.ts';
import { claimPulls, type Pull, recordFailure, recordSuccess, releasePull } from './runs.ts';
import { countSources, type SourceCounts } from './sources.ts';

/** How often the puller looks for due sources, in milliseconds. */
const POLL_EVERY = 5_000;
/** How often the sources are counted for the metrics, in milliseconds. */
const COUNT_EVERY = 15_000;
/** How many pulls one instance has under way: each holds a file in memory. */
const AT_ONCE = 4;
/** How long a pull may take to fetch its file, redirects included, in milliseconds. */
const TIMEOUT = 60_000;
/** Of a file, decompressed. FRED's longest series take about 2 MiB. */
const MOST_BYTES = 8 * 1_048_576;
/**
 * How long an instance holds a source, in milliseconds, before others count the pull as lost: longer than fetching and
 * recording take, plus a minute by which the clocks of two instances may differ.
 */
const LEASE = 180_000;
/** How long a shutdown waits for pulls under way, in milliseconds, before it gives them up. */
const DRAIN_WITHIN = 2_000;
/** How far local time may be ahead of UTC, in milliseconds. */
const AHEAD = 14 * 3_600_000;
/** The longest error that a source shows, in characters. */
const LONGEST_ERROR = 300;

export type PullSettings = ProviderSettings & {
  /** Whether this instance pulls. */
  isOn: boolean;
  /** The origins that may have private addresses, also without TLS. */
  privateOrigins: readonly string[];
};

export type PullerDeps = AnnounceDeps & {
  pool: pg.Pool;
  now: () => Date;
  resolve: Resolve;
  settings: PullSettings;
  userAgent: string;
  /** How long a pull may take to fetch its file, in milliseconds. */
  timeout?: number;
  /** How long a shutdown waits for pulls under way, and then for them to be given back, in milliseconds. */
  drainWithin?: number;
};

/** The error that a source shows if the service itself failed. */
const UNEXPECTED = 'the service could not record what it pulled; its log says why';

type Outcome = 'stored' | 'unchanged' | 'failed' | 'discarded';

/**
 * Pulls series from their sources. Postgres holds what is due and which instance pulls it, so any number of instances share
 * the work. While a provider takes its time, no connection to Postgres waits, only a lease runs.
 */
export class SeriesPuller {
  /** How the pulls of this instance ended. */
  readonly outcomes: Record<Outcome, number> = { stored: 0, unchanged: 0, failed: 0, discarded: 0 };
  readonly #deps: PullerDeps;
  readonly #log: FastifyBaseLogger;
  readonly #busyHosts = new Set<string>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #counts: SourceCounts = { sources: 0, failing: 0, oldestSuccess: null };
  #timers: NodeJS.Timeout[] = [];
  #isRunning = false;
  #isClosed = false;
  #claiming: Promise<void> | null = null;
  #isDue = false;
  #hasFailed = false;

  constructor(log: FastifyBaseLogger, deps: PullerDeps) {
    this.#log = log;
    this.#deps = deps;
    setMaxListeners(0, this.#stop.signal); // every pull under way listens
  }

  /** Pulls from when the app listens until it closes, if this instance pulls at all. */
  runWith(app: FastifyInstance): void {
    app.addHook('onListen', async () => {
      this.#timers = [setInterval(() => void this.#count(), COUNT_EVERY).unref()];
      void this.#count();
      if (!this.#deps.settings.isOn) return;
      this.#isRunning = true;
      this.#timers.push(setInterval(() => this.wake(), POLL_EVERY).unref());
      this.wake();
    });
    app.addHook('preClose', () => this.close());
  }

  /** Which addresses a URL may have. Private ones only at the origins that the operator names. */
  policyOf({ origin }: URL): AddressPolicy {
    const { resolve, settings } = this.#deps;
    return { resolve, allowsPrivate: settings.privateOrigins.includes(origin) };
  }

  /** The sources at the last count. */
  get counts(): { sources: number; failing: number; oldestSuccessSeconds: number } {
    const { sources, failing, oldestSuccess } = this.#counts;
    const age = oldestSuccess ? (this.#deps.now().getTime() - oldestSuccess.getTime()) / 1000 : 0;
    return { sources, failing, oldestSuccessSeconds: Math.max(0, age) };
  }

  /** Looks for due sources, if the puller runs. */
  wake(): void {
    if (this.#isRunning) this.#look();
  }

  /** Pulls every source that is due, even on an instance that does not pull. Resolves when none is left. */
  async pullDue(): Promise<void> {
    this.#look();
    while (this.#claiming || this.#underWay.size > 0) {
      await this.#claiming;
      await Promise.all(this.#underWay);
    }
  }

  /** Looks for due sources. Called while it looks, it looks once more. */
  #look(): void {
    if (this.#isClosed) return;
    this.#isDue = true;
    this.#claiming ??= this.#claim().finally(() => (this.#claiming = null));
  }

  /** Claims nothing more, waits a little for pulls under way, and gives up the rest. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#claiming;
    const { drainWithin = DRAIN_WITHIN } = this.#deps;
    const drained = Promise.all(this.#underWay);
    const drain = () => Promise.race([drained, delay(drainWithin, undefined, { ref: false })]);
    await drain();
    this.#stop.abort();
    await drain(); // their claims have yet to be given back, and the database may be away
  }

  async #claim(): Promise<void> {
    while (this.#isDue && !this.#isClosed) {
      this.#isDue = false;
      const free = AT_ONCE - this.#underWay.size;
      if (free <= 0) return; // the next pull that ends wakes the puller
      const now = this.#deps.now();
      const times = { now, leaseUntil: new Date(now.getTime() + LEASE) };
      try {
        for (const pull of await claimPulls(this.#deps.pool, times, [...this.#busyHosts], free)) {
          this.#start(pull);
        }
        this.#hasFailed = false;
      } catch (error) {
        // Logged once, not each time while the database is away.
        if (!this.#hasFailed)
          this.#log.warn({ err: error }, 'could not look for series to pull; trying again');
        this.#hasFailed = true;
      }
    }
  }

  #start(pull: Pull): void {
    this.#busyHosts.add(pull.host);
    const pulling = this.#pull(pull).finally(() => {
      this.#busyHosts.delete(pull.host);
      this.#underWay.delete(pulling);
      this.#look();
    });
    this.#underWay.add(pulling);
  }

  async #pull(pull: Pull): Promise<void> {
    const startedAt = performance.now();
    const fields = { series: pull.key, source: noteFor(pull), attempt: pull.attempt };
    try {
      const { outcome, ...figures } = await this.#run(pull);
      this.outcomes[outcome] += 1;
      const milliseconds = Math.round(performance.now() - startedAt);
      this.#log.info({ ...fields, outcome, ...figures, milliseconds }, 'pulled a series');
    } catch (error) {
      // The database is away, or refuses: the source is due again once the lease ends.
      this.#log.warn({ ...fields, err: error }, 'could not record a pull');
    }
  }

  async #run(pull: Pull): Promise<{ outcome: Outcome } & Record<string, unknown>> {
    const { pool, now } = this.#deps;
    try {
      const pulled = await this.#fetch(pull);
      const recorded = await recordSuccess(pool, pull, pulled, {
        clock: now,
        spread: 1 + Math.random() / 20,
      });
      if (recorded === null) return { outcome: 'discarded' };
      announceObservations(this.#deps, recorded);
      const { added, revised, unchanged, recordedAt } = recorded;
      return { outcome: recordedAt === null ? 'unchanged' : 'stored', added, revised, unchanged };
    } catch (error) {
      if (this.#stop.signal.aborted) {
        await releasePull(pool, pull, now());
        return { outcome: 'discarded' };
      }
      return this.#fail(pull, error);
    }
  }

  async #fetch(pull: Pull) {
    const { settings, userAgent, now, timeout = TIMEOUT } = this.#deps;
    const { url, accept, isSecret } = requestFor(pull, settings);
    const { etag, lastModified } = pull;
    const file = await fetchFile(
      {
        url,
        headers: {
          accept,
          'user-agent': userAgent,
          ...(etag !== null && { 'if-none-match': etag }),
          ...(lastModified !== null && { 'if-modified-since': lastModified }),
        },
        policyOf: (target) => this.policyOf(target),
        maxBytes: MOST_BYTES,
        timeout,
        followsRedirects: !isSecret,
      },
      this.#stop.signal,
    );
    const note = noteFor(pull);
    if (file === null) return { observations: null, note, etag, lastModified };
    const lastDay = new Date(now().getTime() + AHEAD).toISOString().slice(0, 10);
    const observations = observationsIn(file, pull, lastDay);
    // A validator may quote the request, and is stored.
    if (isSecret) return { observations, note, etag: null, lastModified: null };
    return { observations, note, etag: file.etag, lastModified: file.lastModified };
  }

  async #fail(pull: Pull, error: unknown): Promise<{ outcome: Outcome } & Record<string, unknown>> {
    const isKnown = error instanceof FetchFault || error instanceof SourceFault;
    if (!isKnown) this.#log.error({ err: error, series: pull.key }, 'a pull failed unexpectedly');
    const text = isKnown ? describeFault(pull, error) : UNEXPECTED;
    const now = this.#deps.now();
    const asked = error instanceof FetchFault ? parseRetryAfter(error.retryAfter, now) : 0;
    const wait = retryPullAfter(pull.failures + 1, asked, Math.random());
    const failure = { error: this.#shown(text), now, again: new Date(now.getTime() + wait) };
    const isRecorded = await recordFailure(this.#deps.pool, pull, failure);
    return { outcome: isRecorded ? 'failed' : 'discarded', error: failure.error };
  }

  /** An error as it is stored and logged: one short line, without the key. */
  #shown(text: string): string {
    const { fredApiKey } = this.#deps.settings;
    const spellings = fredApiKey === null ? [] : [fredApiKey, encodeURIComponent(fredApiKey)];
    const safe = spellings.reduce((rest, secret) => rest.replaceAll(secret, '…'), text);
    return safe
      .replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ')
      .toWellFormed()
      .slice(0, LONGEST_ERROR)
      .toWellFormed();
  }

  async #count(): Promise<void> {
    try {
      this.#counts = await countSources(this.#deps.pool);
    } catch {
      // The last count stays; the failure itself is logged elsewhere.
    }
  }
}
