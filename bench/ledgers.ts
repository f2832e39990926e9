import { Ledger, type Report } from './ledger.ts';
import type { Options } from './options.ts';
import type { Group } from './seed.ts';

/** Outlooks compared by their number of versions: one for each connection. */
export const COMPARED = 32;
export const SHORT_VERSIONS = 10;
export const SMALL_OUTLOOKS = 100;
/** How many rounds' worth of versions are read to warm up, each version once. */
export const WARM_UP_LOTS = 10;

/**
 * The ledgers of the cases, each made when a case first needs it: `standard` with `--outlooks` outlooks, which later grows
 * to `large`, and `small`.
 */
export class Ledgers {
  readonly #options: Options;
  readonly #report: Report;
  #standard: Promise<Ledger> | undefined;
  #large: Promise<Ledger> | undefined;
  #small: Promise<Ledger> | undefined;

  constructor(options: Options, report: Report) {
    this.#options = options;
    this.#report = report;
  }

  standard(): Promise<Ledger> {
    if (this.#large) throw new Error('the ledger has grown');
    return (this.#standard ??= this.#createStandard());
  }

  large(): Promise<Ledger> {
    return (this.#large ??= this.#grow());
  }

  small(): Promise<Ledger> {
    return (this.#small ??= this.#createSmall());
  }

  /** The ordinary outlooks of a ledger. */
  ordinaryOf(ledger: 'standard' | 'large' | 'small'): string[] {
    const { outlooks, largeOutlooks } = this.#options;
    const ordinary = this.#ordinary();
    if (ledger === 'small') return slugs({ prefix: 'outlook', count: SMALL_OUTLOOKS - 1 });
    if (ledger === 'standard') return slugs(ordinary);
    return [
      ...slugs(ordinary),
      ...slugs({ prefix: 'further-outlook', count: largeOutlooks - outlooks }),
    ];
  }

  async postgresVersion(): Promise<string> {
    const ledger = await (this.#standard ?? this.#small);
    return (await ledger?.postgres) ?? '';
  }

  async #createStandard(): Promise<Ledger> {
    const ledger = await Ledger.create(this.#report);
    await ledger.add([...this.#special(), this.#ordinary()]);
    return ledger;
  }

  async #grow(): Promise<Ledger> {
    const ledger = await this.standard();
    const count = this.#options.largeOutlooks - this.#options.outlooks;
    await ledger.add([{ prefix: 'further-outlook', count, versions: 2 }]);
    return ledger;
  }

  async #createSmall(): Promise<Ledger> {
    const ledger = await Ledger.create(this.#report);
    await ledger.add([{ prefix: 'outlook', count: SMALL_OUTLOOKS - 1, versions: 2 }]);
    return ledger;
  }

  #special(): Group[] {
    const { versions, largeVersions, rounds } = this.#options;
    return [
      { prefix: 'many', count: 1, versions },
      { prefix: 'cold', count: 1, versions: versions * (WARM_UP_LOTS + rounds) },
      { prefix: 'short', count: COMPARED, versions: SHORT_VERSIONS },
      { prefix: 'long', count: COMPARED, versions: largeVersions },
    ];
  }

  #ordinary(): Group {
    const special = this.#special().reduce((sum, { count }) => sum + count, 0);
    return { prefix: 'outlook', count: this.#options.outlooks - special - 1, versions: 2 };
  }
}

/** The slugs of a {@link Group}. */
export function slugs({ prefix, count }: { prefix: string; count: number }): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);
}
