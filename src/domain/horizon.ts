import type { Horizon } from './framework.ts';
import { startOf } from './time-weighting.ts';

const DAY = 86_400_000;

/** The last day of a horizon [from, to): the day before `to`. */
export function lastDayOf({ to }: Pick<Horizon, 'to'>): string {
  return new Date(startOf(to) - DAY).toISOString().slice(0, 10);
}

/** The end of the day of a time, in UTC. */
export function endOfDay(at: Date): Date {
  return new Date((Math.floor(at.getTime() / DAY) + 1) * DAY);
}

/** Whether a horizon [from, to) is over at a time: from the start of the day `to` on, in UTC. */
export function isOver({ to }: Pick<Horizon, 'to'>, now: Date): boolean {
  return now.getTime() >= startOf(to);
}
