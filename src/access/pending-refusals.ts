import type { NewAuditEntry } from './audit-log.ts';

/** How many entries are allowed: `burst` at first, and one more every `every` milliseconds, up to `burst`. */
export type Budget = { burst: number; every: number };

/** How often the refusals beyond a budget get an entry, in milliseconds. */
const OVERFLOW_EVERY = 600_000;

/** The refusals of one caller, or of all unknown ones, that are not written yet. Their entries are limited by a budget. */
export class PendingRefusals {
  readonly #budget: Budget;
  #left: number;
  #countedAt: number | null = null;
  #entries = new Map<string, NewAuditEntry>();
  /** The entry for the refusals beyond the budget. */
  #overflow: NewAuditEntry | null = null;
  #overflowTakenAt = -Infinity;

  constructor(budget: Budget) {
    this.#budget = budget;
    this.#left = budget.burst;
  }

  /** Whether there is nothing to write, now or later. */
  get isEmpty(): boolean {
    return this.#entries.size === 0 && this.#overflow === null;
  }

  /** Counts a refusal: in the entry of those that differ only in time, in a new entry, or beyond the budget. */
  add(entry: NewAuditEntry, now: Date): void {
    const known = this.#entries.get(keyOf(entry));
    if (known) known.times += entry.times;
    else if (this.#mayAdd(now)) this.#entries.set(keyOf(entry), entry);
    else if (this.#overflow) this.#overflow.times += entry.times;
    else this.#overflow = { ...entry, ...UNLISTED };
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

  /** Takes the entries to write now. The one for the refusals beyond the budget is taken if it is due, or if `isLast`. */
  take(now: Date, isLast: boolean): NewAuditEntry[] {
    const entries = [...this.#entries.values()];
    this.#entries = new Map();
    const time = now.getTime();
    if (this.#overflow && (isLast || time - this.#overflowTakenAt >= OVERFLOW_EVERY)) {
      entries.push(this.#overflow);
      this.#overflow = null;
      this.#overflowTakenAt = time;
    }
    return entries;
  }

  /** Puts back taken entries that could not be written. */
  putBack(entries: readonly NewAuditEntry[]): void {
    for (const entry of entries) {
      const isOverflow = entry.path === UNLISTED.path;
      const known = isOverflow ? this.#overflow : this.#entries.get(keyOf(entry));
      if (known) known.times += entry.times;
      else if (isOverflow) [this.#overflow, this.#overflowTakenAt] = [entry, -Infinity];
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
