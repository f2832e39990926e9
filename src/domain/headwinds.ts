import { type Fault, repeated } from './errors.ts';

/** A force that weighs on the instrument; rank 1 is the most important. */
export type Headwind = { key: string; rank: number; title: string; description: string };

/** Keys and ranks are unique. */
export function headwindFaults(headwinds: readonly Partial<Headwind>[]): Fault[] {
  return [...repeated(headwinds, 'key'), ...repeated(headwinds, 'rank')];
}
