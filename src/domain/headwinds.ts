import { type Fault, repeated } from './errors.ts';

/** What drags on the instrument; rank 1 weighs most. */
export type Headwind = { key: string; rank: number; title: string; description: string };

/** Keys and ranks are each used once. */
export function headwindFaults(headwinds: readonly Partial<Headwind>[]): Fault[] {
  return [...repeated(headwinds, 'key'), ...repeated(headwinds, 'rank')];
}
