import type { Fault } from './errors.ts';

/** What drags on the instrument; rank 1 weighs most. */
export type Headwind = { key: string; rank: number; title: string; description: string };

/** Keys and ranks are each used once. */
export function headwindFaults(headwinds: readonly Partial<Headwind>[]): Fault[] {
  return [...repeated(headwinds, 'key'), ...repeated(headwinds, 'rank')];
}

/**
 * A fault at each entry whose `member` an earlier entry already has. An entry that lacks it is
 * passed over: what is wrong with one entry must not hide what is wrong between the others.
 */
export function repeated<Member extends string>(
  entries: readonly Partial<Readonly<Record<Member, unknown>>>[],
  member: Member,
): Fault[] {
  const first = new Map<unknown, number>();
  return entries.flatMap((entry, index) => {
    const value = entry[member];
    if (typeof value !== 'string' && typeof value !== 'number') return [];
    const earlier = first.get(value);
    if (earlier === undefined) {
      first.set(value, index);
      return [];
    }
    const quoted = JSON.stringify(value);
    return [{ path: [index, member], detail: `${quoted} is already used by entry ${earlier}` }];
  });
}
