import type { VersionReader } from '../ledger/versions.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import { z } from 'zod';
import { expectedCentralReturn, expectedOutcome } from '../domain/expected-outcome.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import { fractionsOf } from '../domain/probabilities.ts';
import { requirePast } from '../http/require-past.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { expectedOutcome as document, expectedOutcomeQuery } from './schemas/expected-outcome.ts';
import { slug } from '../http/fields.ts';

export type ExpectedOutcomeDeps = {
  cache: ResponseCache;
  versions: VersionReader;
  now: () => Date;
};

export function expectedOutcomeRoutes(
  api: Api,
  { versions, cache, now }: ExpectedOutcomeDeps,
): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/expected-outcome',
    config: { access: 'read' },
    schema: {
      operationId: 'getExpectedOutcome',
      tags: ['Resolution'],
      summary: 'Read the expected outcome',
      description:
        'The probability-weighted return with its bounds, and bounds of the probability of a fall as deep as each drawdown label, computed from the probabilities, the return bands and the central returns.',
      params: z.strictObject({ slug }),
      querystring: expectedOutcomeQuery,
      response: { 200: document, ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      const { asOf } = request.query;
      requirePast('asOf', asOf, now());
      return cache.answer(request, reply, { tags: [name] }, async () => {
        const found = await versions.read(name, asOf ? { asOf } : 'newest');
        return { body: JSON.stringify(represent(found)), freshness: 'revalidate' };
      });
    },
  });
}

function represent(found: OutlookVersion): z.output<typeof document> {
  const { slug: name, version, horizon, probabilities } = found;
  const { scenarios, drawdownLabels } = found.framework.read();
  const implied = expectedOutcome(probabilities, scenarios, drawdownLabels);
  const without = { value: null, reason: 'the scenarios have no return bands' };
  const { min, max } = implied?.range ?? { min: without, max: without };
  const central = expectedCentralReturn(probabilities, scenarios);
  const missing = Object.entries({ min, max, central }).flatMap(([end, { reason }]) =>
    reason === null ? [] : [{ pointer: `/expectedReturn/${end}`, reason }],
  );
  return {
    slug: name,
    version,
    horizon,
    probabilities: fractionsOf(probabilities),
    expectedReturn: { min: min.value, max: max.value, central: central.value },
    missing,
    thresholds: implied?.thresholds ?? [],
  };
}
