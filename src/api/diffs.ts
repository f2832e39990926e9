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
        'The changes from the version in `against` (by default the previous one) to this version: how far the probabilities moved, which fields differ, and which list entries were added, removed, altered or moved, by key. Swap the two versions to get the exact reverse. A diff never changes.',
      params: z.strictObject({ slug, version: queryVersion }),
      querystring: z.strictObject({
        against: queryVersion.optional().meta({
          description:
            'The version to compare with, older or newer. Left out: the previous version.',
        }),
      }),
      response: { 200: outlookDiff, ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name, version } = request.params;
      const against = request.query.against ?? version - 1;
      requireOtherVersion(version, against);
      return cache.answer(request, reply, { tags: [name] }, async () => {
        const to = await versions.read(name, { version });
        const from = await versions.read(name, { version: against });
        const body = JSON.stringify(representDiff(from, to));
        return { body, freshness: 'immutable', isFinal: true };
      });
    },
  });
}

/** @throws Problem `invalid-request` if both versions are the same, or there is no earlier one */
export function requireOtherVersion(version: number, against: number): void {
  const detail =
    against === version
      ? `must be another version than ${version}`
      : against === 0 && 'is required, because version 1 has no previous version';
  if (!detail) return;
  throw new Problem('invalid-request', 'There is no other version to compare with.', {
    errors: [{ pointer: '/against', detail, in: 'query' }],
  });
}

/** The difference between two versions, as the API returns it. */
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
