import { z } from 'zod';
import type { Audience } from '../domain/desks.ts';
import type { VersionReader } from '../ledger/versions.ts';
import { digestOf } from '../http/conditional-requests.ts';
import { slug } from '../http/fields.ts';
import { Problem } from '../http/problems.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { type RenderedOutlook, renderOutlook } from './outlook-json.ts';
import { batchQuery } from './schemas/outlook-list.ts';
import { outlook } from './schemas/outlooks.ts';

export type OutlookBatchDeps = { cache: ResponseCache; versions: VersionReader };

/** The most MiB of the outlooks in a batch, which is built in memory. */
const MOST_MIB = 4;

const outlookBatch = z
  .object({
    items: z.array(outlook),
    missing: z.array(slug).meta({
      description: 'The requested slugs that do not exist, or that the caller may not see.',
    }),
  })
  .meta({ id: 'OutlookBatch', description: 'Several complete outlooks, in the requested order.' });

export function outlookBatchRoutes(api: Api, { versions, cache }: OutlookBatchDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/batch/outlooks',
    config: { access: 'read' },
    schema: {
      operationId: 'getOutlooks',
      tags: ['Outlooks'],
      summary: 'Read several outlooks',
      description: `The current versions, complete, all as of the same time. Together they may have ${MOST_MIB} MiB; beyond that, a 422 says how many of them fit.`,
      querystring: batchQuery,
      response: { 200: outlookBatch, ...problemResponses(422) },
    },
    handler: (request, reply) => {
      const { slugs } = request.query;
      return cache.answer(request, reply, { tags: slugs, isLarge: true }, async () => {
        const bySlug = await renderNewest(versions, slugs, request.audience);
        const items = slugs.flatMap((name) => bySlug.get(name) ?? []);
        const missing = slugs.filter((name) => !bySlug.has(name));
        return {
          body: bodyOf(items, missing),
          digest: digestOf(JSON.stringify([items.map(({ digest }) => digest), missing])),
          freshness: 'revalidate',
          // There is no end of slugs that do not exist, and nobody asks for the same ones again.
          skipsCache: missing.length > 0,
        };
      });
    },
  });
}

/** @throws Problem `invalid-request` if the outlooks are too large for one response */
async function renderNewest(
  versions: VersionReader,
  slugs: readonly string[],
  audience: Audience,
): Promise<Map<string, RenderedOutlook>> {
  const rendered = new Map<string, RenderedOutlook>();
  let bytes = 0;
  for await (const version of versions.newest(slugs, audience)) {
    const one = renderOutlook(version, audience);
    bytes += one.bytes.length;
    if (bytes > MOST_MIB * 2 ** 20 && rendered.size > 0)
      throw tooLarge(version.slug, rendered.size);
    rendered.set(version.slug, one);
  }
  return rendered;
}

function tooLarge(next: string, fit: number): Problem {
  const first = fit === 1 ? 'only the first fits' : `only the first ${fit} fit`;
  const detail = `names outlooks of more than ${MOST_MIB} MiB together: of those that exist, ${first}; read ${JSON.stringify(next)} and those after it in another request`;
  return new Problem('invalid-request', 'The outlooks are too large for one response.', {
    errors: [{ pointer: '/slugs', detail, in: 'query' }],
  });
}

function bodyOf(items: readonly RenderedOutlook[], missing: readonly string[]): Buffer {
  const parts = items.flatMap(({ bytes }, index) => (index === 0 ? [bytes] : [COMMA, bytes]));
  const end = Buffer.from(`],"missing":${JSON.stringify(missing)}}`);
  return Buffer.concat([START, ...parts, end]);
}

const START = Buffer.from('{"items":[');
const COMMA = Buffer.from(',');
