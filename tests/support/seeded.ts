/** The seed of all choices; the setting SEED repeats those of another run. */
export const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));

let state = SEED;

/** A whole number below `most`, by Mulberry32. */
export function random(most: number): number {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) % most;
}

export const oneOf = <Item>(items: readonly Item[]): Item => items[random(items.length)] as Item;
