import canonicalize from 'canonicalize';

/** A member with different values; `path` starts at its container. */
export type Alteration = {
  path: readonly (string | number)[];
  before: unknown;
  after: unknown;
};

/** What identifies an entry: its key and, because keys may repeat, the number of the occurrence, from 1. */
export type Identity = { key: string; occurrence: number };

/** An entry that only one of the lists has, with its index there, from 0. */
export type Placed<Entry> = Identity & { index: number; entry: Entry };

/** An entry of both lists with different members. */
export type Altered = Identity & { fields: Alteration[] };

/** An entry of both lists, with its index in each. */
export type Move = Identity & { from: number; to: number };

/**
 * The difference between two lists. The reverse diff has the same entries, with the sides swapped:
 * - `added` in the order of the later list, `removed` in the order of the earlier one
 * - `altered` and `moved` by key, then occurrence, which are the same on both sides
 *
 * `moved` is the smallest set of entries whose removal leaves the others of both lists in the same
 * order: if one entry moves past many, only that one.
 */
export type ListDiff<Entry> = {
  added: Placed<Entry>[];
  removed: Placed<Entry>[];
  altered: Altered[];
  moved: Move[];
};

/**
 * Compares two lists of entries that `key` identifies: the nth entry with a key corresponds to the
 * nth entry with that key in the other list.
 * @param members the members of an entry to compare, in the order of the report
 */
export function diffLists<Key extends string, Entry extends Readonly<Record<Key, string>>>(
  from: readonly Entry[],
  to: readonly Entry[],
  key: Key,
  members: readonly Exclude<keyof Entry & string, Key>[],
): ListDiff<Entry> {
  const before = placed(from, key);
  const after = placed(to, key);
  const kept = paired(before, after);
  return {
    added: [...after].flatMap(([name, entry]) => (before.has(name) ? [] : [entry])),
    removed: [...before].flatMap(([name, entry]) => (after.has(name) ? [] : [entry])),
    altered: kept.flatMap(([left, right]) => {
      const fields = alterations(left.entry, right.entry, members);
      return fields.length > 0 ? [{ key: left.key, occurrence: left.occurrence, fields }] : [];
    }),
    moved: moved(kept),
  };
}

/** The members that differ, in the order of `members`. */
export function alterations<Part extends object>(
  before: Part,
  after: Part,
  members: readonly (keyof Part & string)[],
): Alteration[] {
  return members
    .filter((member) => !same(before[member], after[member]))
    .map((member) => ({ path: [member], before: before[member], after: after[member] }));
}

// Like the hash of a version, this ignores the order of members.
function same(a: unknown, b: unknown): boolean {
  return a === b || canonicalize(a) === canonicalize(b);
}

/** Entries in their order, by identity. */
function placed<Key extends string, Entry extends Readonly<Record<Key, string>>>(
  entries: readonly Entry[],
  member: Key,
): Map<string, Placed<Entry>> {
  const uses = new Map<string, number>();
  return new Map(
    entries.map((entry, index) => {
      const key = entry[member];
      const occurrence = (uses.get(key) ?? 0) + 1;
      uses.set(key, occurrence);
      return [`${occurrence} ${key}`, { key, occurrence, index, entry }];
    }),
  );
}

/** The entries of both lists, with their versions in each, by identity. */
function paired<Entry>(
  before: ReadonlyMap<string, Placed<Entry>>,
  after: ReadonlyMap<string, Placed<Entry>>,
): [Placed<Entry>, Placed<Entry>][] {
  return [...before]
    .flatMap(([name, left]): [Placed<Entry>, Placed<Entry>][] => {
      const right = after.get(name);
      return right ? [[left, right]] : [];
    })
    .toSorted(([a], [b]) => byIdentity(a, b));
}

/** Sorts by key in code units, independent of the locale, then by occurrence. */
function byIdentity(a: Identity, b: Identity): number {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1;
  return a.occurrence - b.occurrence;
}

function moved<Entry>(kept: readonly [Placed<Entry>, Placed<Entry>][]): Move[] {
  const moves = kept.map(([{ key, occurrence, index }, right]) => ({
    key,
    occurrence,
    from: index,
    to: right.index,
  }));
  const inPlace = unmoved(moves);
  return moves.filter((move) => !inPlace.has(move));
}

/**
 * The entries of one longest common subsequence of the two orders. Of several, it takes the one that
 * sorts first by identity, so that the reverse diff finds the same one.
 */
function unmoved(moves: readonly Move[]): Set<Move> {
  const reaches = new Map<Move, number>();
  const reach = (move: Move) => reaches.get(move) ?? 0;
  // The length of the longest common subsequence that starts with each entry, computed from the last entry back.
  for (const move of moves.toSorted((a, b) => b.from - a.from)) {
    const next = moves.filter((later) => follows(later, move)).map(reach);
    reaches.set(move, 1 + Math.max(0, ...next));
  }
  const chosen = new Set<Move>();
  let last: Move | undefined;
  // Every successor of an entry has a shorter subsequence, and some are shorter by just one: so the
  // first such successor of the last chosen entry sorts first among those that lose no length.
  for (const move of moves.toSorted((a, b) => reach(b) - reach(a) || byIdentity(a, b))) {
    if (last && !follows(move, last)) continue;
    chosen.add(move);
    last = move;
  }
  return chosen;
}

function follows(later: Move, earlier: Move): boolean {
  return later.from > earlier.from && later.to > earlier.to;
}
