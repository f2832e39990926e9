import type { NewAuditEntry } from './audit-log.ts';

/** How many entries a share has: `burst` at first, and one more each `every` milliseconds, up to `burst`. */
export type Budget = { burst: number; every: number };

/** How often the refusals beyond a budget get an entry, in milliseconds. */
const REST_EVERY = 600_000;

/** The entries for the refusals of one caller, or of all unknown ones, that are not written yet. */
export class RefusalShare {
  readonly #budget: Budget;
  #left: number;
  #countedAt: number | null = null;
  #entries = new Map<string, NewAuditEntry>();
  /** The refusals beyond the budget. */
  #rest: NewAuditEntry | null = null;
  #restWrittenAt = -Infinity;

  constructor(budget: Budget) {
    this.#budget = budget;
    this.#left = budget.burst;
  }

  /** Whether there is anything to write, now or later. */
  get isPending(): boolean {
    return this.#entries.size > 0 || this.#rest !== null;
  }

  /** Counts a refusal: in the entry of those that differ only in time, in a new entry, or beyond the budget. */
  add(entry: NewAuditEntry, now: Date): void {
    const known = this.#entries.get(keyOf(entry));
    if (known) known.times += entry.times;
    else if (this.#mayAdd(now)) this.#entries.set(keyOf(entry), entry);
    else if (this.#rest) this.#rest.times += entry.times;
    else this.#rest = { ...entry, ...UNLISTED };
  }

  #mayAdd(now: Date): boolean {
    const { burst, every } = this.#budget;
    const time = now.getTime();
    const earned = Math.max(0, time - (this.#countedAt ?? time)) / every;
    this.#left = Math.min(burst, this.#left + earned);
    this.#countedAt = time;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }

  /** Takes the entries to write now; that for the refusals beyond the budget only if it is due, or with `all`. */
  take(now: Date, all: boolean): NewAuditEntry[] {
    const entries = [...this.#entries.values()];
    this.#entries = new Map();
    const time = now.getTime();
    if (this.#rest && (all || time - this.#restWrittenAt >= REST_EVERY)) {
      entries.push(this.#rest);
      this.#rest = null;
      this.#restWrittenAt = time;
    }
    return entries;
  }

  /** Puts back taken entries that could not be written. */
  putBack(entries: readonly NewAuditEntry[]): void {
    for (const entry of entries) {
      const isRest = entry.path === UNLISTED.path;
      const known = isRest ? this.#rest : this.#entries.get(keyOf(entry));
      if (known) known.times += entry.times;
      else if (isRest) [this.#rest, this.#restWrittenAt] = [entry, -Infinity];
      else this.#entries.set(keyOf(entry), entry);
    }
  }
}

function keyOf(entry: NewAuditEntry): string {
  const { recordedAt: _, requestId: __, times: ___, ...what } = entry;
  return JSON.stringify(what);
}

/** The members of the entry for the refusals beyond a budget. It still names the caller. */
const UNLISTED = {
  path: '…',
  address: null,
  requestId: null,
  detail: 'Too many refusals to list one by one.',
} as const;
