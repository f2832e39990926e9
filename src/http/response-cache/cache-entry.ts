import type { FastifyRequest } from 'fastify';
import { ONLY_JSON, preferredType } from '../negotiation.ts';
import type { RenderedReply } from './encoded-body.ts';

/** What a reply tells of, and so what makes it stale: outlooks by their slugs, or any of them. */
export type About = readonly string[];
export const WHOLE_LEDGER: About = ['*'];

/** Added to what a reply tells of where it tells of observations, of which no event tells. */
export const ANY_SERIES = 'series:*';

export type Kept = {
  reply: RenderedReply;
  about: About;
  /** By `performance.now()`; undefined where events tell of all that makes it stale. */
  until: number | undefined;
};

export const isOver = ({ until }: Kept): boolean =>
  until !== undefined && performance.now() > until;

/**
 * What a read is kept by, before anything has looked at it: its URL, for what the route is served as at first; else with
 * the media type that the client likes best. Null where it likes none of them. A URL that names a format is answered as
 * that, whatever it is kept by.
 */
export function keyOf(request: FastifyRequest, url: string): string | null {
  const { serves = ONLY_JSON } = request.routeOptions.config;
  const type = preferredType(request, serves);
  if (type === 'none') return null;
  return type === serves[0] ? url : `${type} ${url}`;
}
