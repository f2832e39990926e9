import type pg from 'pg';
import { z } from 'zod';
import { bandOf } from '../domain/outcome.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import { slug } from '../http/fields.ts';
import { requirePast } from '../http/require-past.ts';
import { ANY_SERIES, CLOSES_MAX_AGE } from '../http/response-cache/cache-entry.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { readClimatologies } from '../ledger/climatology.ts';
import type { VersionReader } from '../ledger/versions.ts';
import type { Session } from '../postgres/pool.ts';
import { climatology, climatologyQuery } from './schemas/climatology.ts';

export type ClimatologyDeps = {
  pool: pg.Pool;
  cache: ResponseCache;
  versions: VersionReader;
  now: () => Date;
};

export type ClimatologyDocument = z.output<typeof climatology>;

export function climatologyRoutes(api: Api, { pool, cache, versions, now }: ClimatologyDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/climatology',
    config: { access: 'read' },
    schema: {
      operationId: 'getClimatology',
      tags: ['Resolution'],
      summary: 'Read the climatology',
      description:
        "The forecast that history alone gives: how often the instrument's past returns fell into the outlook's return bands. It is the reference that a forecast has to beat. The closes are those dated in the 50 years before the horizon, as they were known when it started or, before that time, as they are known now. A span starts at each positive close, is as long as the horizon and ends at the last close within that length. It is left out if its length was not over at the last close, or if no close is near enough to its end: for daily closes, within ten days. Returns are compared with the bands exactly, as at a resolution.",
      params: z.strictObject({ slug }),
      querystring: climatologyQuery,
      response: { 200: climatology, ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      const { asOf } = request.query;
      requirePast('asOf', asOf, now());
      return cache.answer(request, reply, { tags: [name, ANY_SERIES] }, async () => {
        const found = await versions.read(name, asOf ? { asOf } : 'newest');
        const body = JSON.stringify(await readClimatology(pool, found, asOf ?? null));
        return { body, freshness: 'revalidate', maxAge: CLOSES_MAX_AGE };
      });
    },
  });
}

/** As {@link readClimatology}; null without return bands. */
export async function readHistory(
  session: Session,
  version: OutlookVersion,
  asOf: Date | null,
): Promise<ClimatologyDocument | null> {
  if (version.framework.read().scenarios.base.returnBand === null) return null;
  return readClimatology(session, version, asOf);
}

/** What history alone says about a version of an outlook, as known at a given time or now, as the API returns it. */
async function readClimatology(
  session: Session,
  { slug: name, version, horizon, framework }: OutlookVersion,
  asOf: Date | null,
): Promise<ClimatologyDocument> {
  const { returnBand } = framework.read().scenarios.base;
  const band = returnBand && bandOf(returnBand.min, returnBand.max);
  const [found] = await readClimatologies(session, name, [band], asOf);
  if (!found) throw new Error(`the outlook "${name}" is missing`);
  const { series, days, probabilities, reason, spans, independent, first, last } = found;
  return {
    slug: name,
    version,
    horizon,
    series,
    days,
    probabilities,
    missing: reason === null ? [] : [{ pointer: '/probabilities', reason }],
    spans,
    independentSpans: independent,
    first,
    last,
  };
}
