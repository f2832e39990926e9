import { createHash } from 'node:crypto';
import { type BaseBand, returnOfCloses } from '../../src/domain/outcome.ts';
import { BANDS, FROM, history, type Step, TO } from './forecast-worlds.ts';
import type { Odds, StoredOutlook, StoredResolution } from './naive-sums.ts';

/** A resolution by its number, with the outlook as it was then; readTimes() reads when it was known. */
export type Resolved = {
  number: number;
  outlook: StoredOutlook;
  resolution: Omit<StoredResolution, 'knownAt' | 'latest'>;
};

/** Where an outlook is written. */
export type Target = {
  id: number;
  analysts: readonly string[];
  insert: (table: string, row: Record<string, unknown>) => Promise<void>;
  newFramework: (band: BaseBand | null) => Promise<number>;
  hasCloses: boolean;
  /** Leaves out what the release before can't store. */
  isOld: boolean;
};

/** Writes the rows of an outlook step by step, and keeps what its resolutions judge. */
export class OutlookWriter {
  readonly resolved: Resolved[] = [];
  readonly #versions: StoredOutlook['versions'][number][] = [];
  readonly #views: StoredOutlook['views'][number][] = [];
  #status: 'open' | 'closed' = 'open';
  #isWithdrawn = false;
  #framework = 0;
  #band: BaseBand | null = null;
  #hash: string | null = null;
  #numbers = 0;
  #isReopened = true;
  /** The time at which the outcome was known by the resolution before; null if there is none, or closes decided it. */
  #known: number | null = null;
  readonly #target: Target;

  constructor(target: Target) {
    this.#target = target;
  }

  async apply(step: Step, at: number): Promise<void> {
    const isRunning = at < TO && this.#status === 'open';
    switch (step.kind) {
      case 'revise':
        if (isRunning) await this.#revise(step, at);
        return;
      case 'view':
      case 'leave':
        if (isRunning) await this.#view(step, at);
        return;
      case 'withdraw':
        if (isRunning && this.#versions.length > 3) await this.#version(step, at, 'withdrawn');
        return;
      case 'resolve':
        // Most outlooks run for a while.
        if (at >= TO || this.#versions.length > 4) await this.#resolve(step, at);
        return;
      default:
        if (!this.#isReopened && !this.#target.isOld) await this.#reopen(step, at);
    }
  }

  async #revise(step: Step, at: number): Promise<void> {
    const last = this.#versions.at(-1);
    const band = BANDS[step.band] ?? null;
    if (!last || step.odds[0] % 2 === 1) {
      this.#framework = await this.#target.newFramework(band);
      this.#band = band;
      await this.#version(step, at, last ? 'framework' : 'created');
      return;
    }
    const isSame = last.odds.every((points, index) => points === step.odds[index]);
    if (!isSame) await this.#version(step, at, 'probabilities');
  }

  async #version(step: Step, at: number, kind: string): Promise<void> {
    const last = this.#versions.at(-1);
    const author = this.#target.analysts[step.who] ?? '';
    const odds = kind === 'withdrawn' && last ? last.odds : step.odds;
    const version = this.#versions.length + 1;
    const hash = createHash('sha256').update(`${this.#target.id}/${version}`).digest('hex');
    await this.#target.insert('outlook_versions', {
      outlook_id: this.#target.id,
      version,
      kind,
      framework_id: this.#framework,
      ...points(odds),
      author_id: author,
      rationale: 'R',
      recorded_at: new Date(at),
      hash: `\\x${hash}`,
      previous_hash: this.#hash && `\\x${this.#hash}`,
      transaction_id: '1',
    });
    this.#hash = hash;
    this.#versions.push({ version, kind, author, odds, band: this.#band, at });
    if (kind !== 'withdrawn') return;
    this.#status = 'closed';
    this.#isWithdrawn = true;
  }

  async #view(step: Step, at: number): Promise<void> {
    const analyst = this.#target.analysts[step.who] ?? '';
    const own = this.#views.filter((view) => view.analyst === analyst);
    const last = own.at(-1);
    const kind = step.kind === 'leave' ? 'withdrawn' : 'held';
    if (kind === 'withdrawn' && (last?.kind !== 'held' || this.#target.isOld)) return;
    const odds = kind === 'withdrawn' && last ? last.odds : step.odds;
    const version = own.length + 1;
    await this.#target.insert('views', {
      outlook_id: this.#target.id,
      analyst_id: analyst,
      version,
      ...(this.#target.isOld ? {} : { kind }),
      ...points(odds),
      rationale: `R ${version}`,
      recorded_at: new Date(at),
    });
    this.#views.push({ analyst, version, kind, odds, at });
  }

  async #resolve(step: Step, at: number): Promise<void> {
    const isOver = at >= TO;
    const byCloses = isOver && ['closes', 'noisy', 'both'].includes(step.by);
    const closes = byCloses ? { start: 100, end: step.end } : null;
    const returns: Record<Step['by'], number | null> = {
      closes: closes && returnOfCloses(closes),
      noisy: closes && closes.end / closes.start - 1,
      stated: step.stated,
      both: step.stated,
      nothing: null,
    };
    const realisedReturn = step.outcome && (returns[step.by] ?? null);
    const latest = this.#known ?? at;
    const isSaid =
      !this.#target.isOld && step.known !== null && !byCloses && latest > FROM && step.outcome;
    const known = isSaid ? Math.round(FROM + (step.known ?? 0) * (latest - FROM)) : null;
    this.#numbers += 1;
    await this.#target.insert('resolutions', {
      outlook_id: this.#target.id,
      number: this.#numbers,
      outcome: step.outcome,
      realised_return: realisedReturn,
      reason: 'R',
      band_low: this.#band?.low ?? null,
      band_high: this.#band?.high ?? null,
      ...(closes && {
        start_date: '2026-01-10',
        start_value: closes.start,
        end_date: '2026-01-30',
        end_value: closes.end,
      }),
      ...(known !== null && { known_at: new Date(known) }),
      author_id: this.#target.analysts[step.who],
      recorded_at: new Date(at),
    });
    this.#status = 'closed';
    this.#isReopened = false;
    if (step.outcome === null) return;
    // Where closes may have decided it, no time is said from then on.
    this.#known = byCloses ? -Infinity : (known ?? latest);
    this.resolved.push({
      number: this.#numbers,
      outlook: {
        from: FROM,
        to: TO,
        versions: [...this.#versions],
        views: [...this.#views],
        climatology: (band) =>
          this.#target.hasCloses
            ? history(band)
            : { ...history(band), bear: null, base: null, bull: null },
      },
      resolution: {
        outcome: step.outcome,
        realisedReturn,
        closes,
        band: this.#band,
        author: this.#target.analysts[step.who] ?? '',
      },
    });
  }

  async #reopen(step: Step, at: number): Promise<void> {
    this.#numbers += 1;
    await this.#target.insert('resolutions', {
      outlook_id: this.#target.id,
      number: this.#numbers,
      reopens: true,
      reason: 'R',
      band_low: this.#band?.low ?? null,
      band_high: this.#band?.high ?? null,
      author_id: this.#target.analysts[step.who],
      recorded_at: new Date(at),
    });
    this.#isReopened = true;
    this.#known = null;
    if (!this.#isWithdrawn) this.#status = 'open';
  }
}

const points = ([bear, base, bull]: Odds) => ({ bear_bps: bear, base_bps: base, bull_bps: bull });
