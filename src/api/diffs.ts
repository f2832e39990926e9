import type { VersionReader } from '../ledger/versions.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import { z } from 'zod';
import { type Comparable, diffVersions, type ListName, type VersionDiff } from '../domain/diff.ts';
import { type Alteration, type ListDiff } from '../domain/list-diff.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import { fractionsOf, WHOLE } from '../domain/probabilities.ts';
import { jsonPointer, Problem } from '../http/problems.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { outlookDiff } from './schemas/diffs.ts';
import { queryVersion, slug } from '../http/fields.ts';

export type DiffDeps = {
  cache: ResponseCache;
  versions: VersionReader;
};

export function diffRoutes(api: Api, { versions, cache }: DiffDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/versions/:version/diff',
    config: { access: 'read' },
    schema: {
      operationId: 'getDiff',
      tags: ['Versions'],
      summary: 'Compare two versions',
      description:
        'What leads from the version in `against` (the one before, unless it is given) to this one: how the probabilities moved and how far, which fields differ, and for each list what was added, removed, altered or moved, by key. Asked the other way round, the answer is the exact way back. Two versions never change, so neither does this.',
      params: z.strictObject({ slug, version: queryVersion }),
      querystring: z.strictObject({
        against: queryVersion.optional().meta({
          description: 'The version to start from, older or newer; left out, the one before.',
        }),
      }),
      response: { 200: outlookDiff, ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name, version } = request.params;
      const against = request.query.against ?? version - 1;
      refuseNothingToCompare(version, against);
      return cache.answer(request, reply, { tags: [name] }, async () => {
        const to = await versions.read(name, { version });
        const from = await versions.read(name, { version: against });
        const body = JSON.stringify(representDiff(from, to));
        return { body, freshness: 'immutable', isFinal: true };
      });
    },
  });
}

/** @throws Problem `invalid-request` where two versions are none, or there is no earlier one */
export function refuseNothingToCompare(version: number, against: number): void {
  const detail =
    against === version
      ? `is the version itself: name another than ${version}`
      : against === 0 && 'is required, as no version comes before the first';
  if (!detail) return;
  throw new Problem('invalid-request', 'There is nothing to compare the version with.', {
    errors: [{ pointer: '/against', detail, in: 'query' }],
  });
}

/** What leads from one version to another, as the API answers it. */
export function representDiff(
  from: OutlookVersion,
  to: OutlookVersion,
): z.output<typeof outlookDiff> {
  const { probabilities, fields, lists } = diffVersions(comparable(from), comparable(to));
  return {
    slug: to.slug,
    from: representSide(from),
    to: representSide(to),
    probabilities: {
      from: fractionsOf(probabilities.from),
      to: fractionsOf(probabilities.to),
      deltas: fractionsOf(probabilities.deltas),
      totalVariation: probabilities.totalVariation / WHOLE,
    },
    fields: fields.map(representAlteration),
    ...representLists(lists),
  };
}

function comparable({ probabilities, framework }: OutlookVersion): Comparable {
  return { probabilities, framework: framework.read() };
}

function representSide({ version, publishedAt, author }: OutlookVersion) {
  return { version, publishedAt: publishedAt.toISOString(), author };
}

function representAlteration({ path, before, after }: Alteration) {
  return { pointer: jsonPointer(path), before, after };
}

function representLists(lists: VersionDiff['lists']) {
  const represented = Object.entries(lists).map(
    ([name, { altered, ...rest }]: [string, ListDiff<unknown>]) => [
      name,
      {
        ...rest,
        altered: altered.map(({ fields, ...identity }) => ({
          ...identity,
          fields: fields.map(representAlteration),
        })),
      },
    ],
  );
  return { lists: Object.fromEntries(represented) as Record<ListName, never> };
}
