import type { VersionReader } from '../ledger/versions.ts';
import type pg from 'pg';
import { z } from 'zod';
import { baseClose, readClosesInPages, requireCloses } from '../ledger/closes.ts';
import { type Drawdown, type DrawdownLabel, drawdownOf, labelOf } from '../domain/drawdown.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import type { Observation } from '../domain/series.ts';
import { requirePast } from '../http/require-past.ts';
import { Problem } from '../http/problems.ts';
import { ANY_SERIES, CLOSES_MAX_AGE } from '../http/response-cache/cache-entry.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { drawdown, drawdownQuery } from './schemas/drawdown.ts';
import { slug } from '../http/fields.ts';

export type DrawdownDeps = {
  pool: pg.Pool;
  cache: ResponseCache;
  versions: VersionReader;
  now: () => Date;
};

/** The most closes that one response is computed from: 270 years of trading days. */
const MOST_CLOSES = 70_000;

export function drawdownRoutes(api: Api, { pool, cache, versions, now }: DrawdownDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/drawdown',
    config: { access: 'read' },
    schema: {
      operationId: 'getDrawdown',
      tags: ['Series'],
      summary: 'Read the drawdown of the instrument',
      description:
        "How far the outlook's instrument is below its peak, computed from its closes and named by the outlook's drawdown labels. It counts from the close before the horizon, as the return does.",
      params: z.strictObject({ slug }),
      querystring: drawdownQuery,
      response: { 200: drawdown, ...problemResponses(404, 409, 422) },
    },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      const { asOf, minDepth, since } = request.query;
      requirePast('asOf', asOf, now());
      return cache.answer(request, reply, { tags: [name, ANY_SERIES] }, async () => {
        const outlook = await versions.read(name, asOf ? { asOf } : 'newest');
        const measured = await measureDrawdown(pool, outlook, { since, asOf, minDepth });
        const body = JSON.stringify(representDrawdown(outlook, measured));
        return { body, freshness: 'revalidate', maxAge: CLOSES_MAX_AGE };
      });
    },
  });
}

/** How far an outlook's instrument is below its peak, and the closes that show it. */
export type MeasuredDrawdown = {
  series: string;
  since: string;
  /** The close before the horizon, if the drawdown counts from it; it is the first of `closes`. */
  base: Observation | null;
  closes: Observation[];
  /** Null if there are no closes. */
  found: Drawdown | null;
  label: DrawdownLabel | null;
};

/**
 * Measures the drawdown of an outlook's instrument, and names it by the outlook's own labels.
 * @param since the first day that counts; undefined for the horizon and the close before it
 * @param minDepth the least depth of the episodes to list, a fraction of the peak; 1, the default, lists hardly any
 * @throws DomainError `no-closes` if the instrument names no series of closes; Problem if there are too many closes
 */
export async function measureDrawdown(
  pool: pg.Pool,
  { instrument, horizon, framework }: OutlookVersion,
  {
    since,
    asOf = null,
    minDepth = 1,
  }: { since?: string | undefined; asOf?: Date | null | undefined; minDepth?: number } = {},
): Promise<MeasuredDrawdown> {
  const series = await requireCloses(pool, instrument.symbol);
  const from = since ?? horizon.from;
  const base = since === undefined ? await baseClose(pool, series, from, asOf) : null;
  const closes = await readClosesInPages(pool, series, { from, asOf, limit: MOST_CLOSES + 1 });
  if (closes.length > MOST_CLOSES) throw tooMany(from);
  if (base) closes.unshift(base);
  const found = drawdownOf(closes, minDepth);
  const label = labelOf(closes, framework.read().drawdownLabels, found);
  return { series: series.key, since: from, base, closes, found, label };
}

/** A drawdown as the API returns it. */
export function representDrawdown(
  { instrument }: OutlookVersion,
  { series, since, base, found, label }: MeasuredDrawdown,
): z.output<typeof drawdown> {
  return {
    instrument,
    series,
    since,
    base,
    last: found && found.last,
    peak: found && found.peak,
    depth: found && found.depth,
    label,
    current: found && found.current,
    deepest: found && found.deepest,
    episodes: found ? found.episodes : [],
  };
}

function tooMany(since: string): Problem {
  const detail = `more than ${MOST_CLOSES} closes since ${since}: send a later date`;
  return new Problem('invalid-request', `There are ${detail}.`, {
    errors: [{ pointer: '/since', detail, in: 'query' }],
  });
}
