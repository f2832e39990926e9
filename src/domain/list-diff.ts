import canonicalize from 'canonicalize';

/** A member whose value differs; `path` leads to it from what holds it. */
export type Alteration = {
  path: readonly (string | number)[];
  before: unknown;
  after: unknown;
};

/** What an entry is told by: its key and, as a key may be used again, which use it is, from 1 on. */
export type Identity = { key: string; occurrence: number };

/** An entry that one of the lists lacks, and where it stands in the other, from 0 on. */
export type Placed<Entry> = Identity & { index: number; entry: Entry };

/** An entry of both lists whose members differ. */
export type Altered = Identity & { fields: Alteration[] };

/** An entry of both lists, and where it stands in each. */
export type Move = Identity & { from: number; to: number };

/**
 * What leads from one list to another. The way back holds the same, with the sides swapped:
 * - `added` by their place in the later list, `removed` by theirs in the earlier one
 * - `altered` and `moved` by key, then occurrence, which are the same on both sides
 *
 * `moved` are the fewest entries that, taken out, leave the others of both lists in one order:
 * where one entry is carried past many, only that one.
 */
export type ListDiff<Entry> = {
  added: Placed<Entry>[];
  removed: Placed<Entry>[];
  altered: Altered[];
  moved: Move[];
};

/**
 * Compares two lists whose entries are told apart by `key`: the nth entry of a key is the nth
 * entry of it in the other list.
 * @param members what is compared of an entry, in the order it is told
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

// As the hash of a version tells values apart: nothing to it is the order of members.
function same(a: unknown, b: unknown): boolean {
  return a === b || canonicalize(a) === canonicalize(b);
}

/** Entries in their order, by what names their identity. */
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

/** The entries of both lists, each as it stands in either, by identity. */
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

/** By key in code units, whatever the locale, then by occurrence. */
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
 * The entries of one longest common subsequence of the two orders; of several, the one whose
 * identities read first, so that it is the same one on the way back.
 */
function unmoved(moves: readonly Move[]): Set<Move> {
  const reaches = new Map<Move, number>();
  const reach = (move: Move) => reaches.get(move) ?? 0;
  // The longest common subsequence that starts with each entry, from the last entry on.
  for (const move of moves.toSorted((a, b) => b.from - a.from)) {
    const next = moves.filter((later) => follows(later, move)).map(reach);
    reaches.set(move, 1 + Math.max(0, ...next));
  }
  const chosen = new Set<Move>();
  let last: Move | undefined;
  // What follows an entry reaches less far than it, and some of it just one less: so the first
  // that follows the last one chosen is the first in identity of those that lose no length.
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
