import { z } from 'zod';
import { readCloses } from '../db/drawdowns.ts';
import { drawdownOf, labelOf } from '../domain/drawdown.ts';
import { setFreshness } from './caching.ts';
import { requirePast } from './moments.ts';
import { Problem } from './problems.ts';
import { type Api, type Ledger, refusals } from './routing.ts';
import { drawdown, drawdownQuery } from './schemas/drawdown.ts';
import { slug } from './schemas/fields.ts';

/** How many closes one answer is computed from, at the most: 270 years of trading days. */
const MOST_CLOSES = 70_000;

export function drawdownRoutes(
  api: Api,
  { pool, versions, now, requireKeyForReads }: Ledger,
): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/drawdown',
    config: { access: 'read' },
    schema: {
      operationId: 'getDrawdown',
      tags: ['Series'],
      summary: 'Read where the instrument stands below its peak',
      description:
        "Computed from the closes of the outlook's instrument and named by the outlook's own drawdown labels.",
      params: z.strictObject({ slug }),
      querystring: drawdownQuery,
      response: { 200: drawdown, ...refusals(404, 409, 422) },
    },
    handler: async (request, reply) => {
      const { asOf, minDepth } = request.query;
      requirePast('asOf', asOf, now());
      const outlook = await versions.read(request.params.slug, asOf ? { asOf } : 'newest');
      const { instrument, horizon, framework } = outlook;
      const { since = horizon.from } = request.query;
      const limit = MOST_CLOSES + 1;
      const { series, closes } = await readCloses(pool, instrument.symbol, {
        from: since,
        asOf: asOf ?? null,
        limit,
      });
      if (closes.length === limit) throw tooMany(since);
      const found = drawdownOf(closes);
      setFreshness(reply, 'revalidate', requireKeyForReads);
      return reply.send({
        instrument,
        series,
        since,
        last: found && found.last,
        peak: found && found.peak,
        depth: found && found.depth,
        label: labelOf(closes, framework.read().drawdownLabels),
        current: found && found.current,
        deepest: found && found.deepest,
        episodes: found?.episodes.filter(({ depth }) => depth >= minDepth) ?? [],
      });
    },
  });
}

function tooMany(since: string): Problem {
  const detail = `more than ${MOST_CLOSES} closes since ${since}: start later`;
  return new Problem('invalid-request', `There are ${detail}.`, {
    errors: [{ pointer: '/since', detail, in: 'query' }],
  });
}
