import { DomainError } from './errors.ts';

/** The desks that a caller acts for, or whose internal outlooks and series a read shows: their ids, or `all`. */
export type Desks = 'all' | readonly number[];

/** What a read may show. */
export type Audience = {
  /** Whether the caller sent a valid key or token. Views are only for those who did. */
  hasKey: boolean;
  /** Whose internal outlooks and series it shows. */
  desks: Desks;
};

/** The audience of a read without a key. */
export const PUBLIC_AUDIENCE: Audience = { hasKey: false, desks: [] };

/** The audience of keys of all desks, and of admins. */
export const FULL_AUDIENCE: Audience = { hasKey: true, desks: 'all' };

/** A name that audiences share only if they may see the same; empty for {@link PUBLIC_AUDIENCE}. */
export function audienceName({ hasKey, desks }: Audience): string {
  if (!hasKey) return '';
  return desks === 'all' ? 'all' : `desks ${desks.toSorted((a, b) => a - b).join(',')}`;
}

/** Whether a caller acts for a desk. */
export function actsFor(desks: Desks, desk: number): boolean {
  return desks === 'all' || desks.includes(desk);
}

export const VISIBILITIES = ['public', 'internal'] as const;
/** Who may see an outlook or a series: everyone, or only its desk, keys of all desks and admins. */
export type Visibility = (typeof VISIBILITIES)[number];

/** The id of the first desk, which owns what earlier releases published. */
export const FIRST_DESK = 1;

/** A desk, as outlooks and series that belong to it show it. */
export type Desk = { slug: string; name: string };

/** The analyst who acts, and the desks that their key or token acts for. */
export type Actor = { analyst: { id: string; name: string }; desks: Desks };

/**
 * Requires that a caller acts for the desk that owns what a request changes.
 * @param what names it in the message, such as `"a-slug"`
 * @throws DomainError `wrong-desk`
 */
export function requireDesk(desks: Desks, owner: Desk & { id: number }, what: string): void {
  if (actsFor(desks, owner.id)) return;
  throw new DomainError(
    'wrong-desk',
    `${what} belongs to the desk "${owner.slug}" (${owner.name}), for which your key or token does not act.`,
  );
}
