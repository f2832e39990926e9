/** Rows of a table that all have the same fault. */
export type RowFault = {
  relation: string;
  /** What is wrong, after "is" or "has": for a sentence about one row. */
  fault: string;
  /** The primary key of the first of them, its columns joined by commas. */
  key: string;
  /** The write that the log has for it; null if there is none. */
  writeId: number | null;
  count: number;
};

/** Counts faults, and remembers the first row of each kind: a table, and what is wrong with its rows. */
export class RowFaults {
  readonly #faults = new Map<string, RowFault>();

  add(
    relation: string,
    fault: string,
    key: string,
    writeId: number | null = null,
    count = 1,
  ): void {
    const kind = `${relation} ${fault}`;
    const known = this.#faults.get(kind);
    if (known) known.count += count;
    else this.#faults.set(kind, { relation, fault, key, writeId, count });
  }

  /** The faults, by table. */
  all(): RowFault[] {
    return [...this.#faults.values()].toSorted((a, b) => (a.relation < b.relation ? -1 : 1));
  }
}
