import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import { z } from 'zod';
import { readScorable, type Scorable, type ScorableVersion } from '../ledger/scores.ts';
import { type Fractions, fractionsOf } from '../domain/probabilities.ts';
import {
  byScore,
  finite,
  type Scored,
  type ScoreName,
  scoresOf,
  skillOf,
  unscored,
} from '../domain/scoring.ts';
import { TimeWeightedScores } from '../domain/time-weighting.ts';
import { requirePast } from '../http/require-past.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { slug } from '../http/fields.ts';
import { outlookScores, type Reference, scoresQuery } from './schemas/scores.ts';

export type ScoreDeps = {
  pool: pg.Pool;
  cache: ResponseCache;
  now: () => Date;
};

export function scoreRoutes(api: Api, { pool, cache, now }: ScoreDeps): void {
  api.route({
    method: 'GET',
    url: '/v1/outlooks/:slug/scores',
    config: { access: 'read' },
    schema: {
      operationId: 'getScores',
      tags: ['Resolution'],
      summary: 'Read the scores of an outlook',
      description:
        "The Brier, logarithmic and ranked probability score of each version of a resolved outlook, with its skill against a reference. The outlook's scores are means, weighted by the share of the horizon during which each version was current. A score that is infinite or cannot be computed is null, and `missing` says why.",
      params: z.strictObject({ slug }),
      querystring: scoresQuery,
      response: { 200: outlookScores, ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      const { reference, asOf } = request.query;
      const at = now();
      requirePast('asOf', asOf, at);
      return cache.answer(request, reply, { tags: [name] }, async () => {
        const scorable = await readScorable(pool, name, asOf ?? null);
        const body = JSON.stringify(representScores(name, scorable, reference));
        return { body, freshness: 'revalidate' };
      });
    },
  });
}

type ScoresByRule = Record<ScoreName, Scored>;

/** Scores as JSON; `missing` gives the reason of each null. */
export function withReasons<Group extends string>(
  groups: Record<Group, ScoresByRule>,
): Record<Group, Record<ScoreName, number | null>> & {
  missing: { pointer: string; reason: string }[];
} {
  const missing: { pointer: string; reason: string }[] = [];
  const entries = Object.entries<ScoresByRule>(groups).map(([group, named]) => {
    const values = byScore((name) => {
      const { value, reason } = named[name];
      if (reason !== null) missing.push({ pointer: `/${group}/${name}`, reason });
      return value;
    });
    return [group, values] as const;
  });
  const values = Object.fromEntries(entries) as Record<Group, Record<ScoreName, number | null>>;
  return { ...values, missing };
}

/** The scores of an outlook as the API returns them. */
export function representScores(
  name: string,
  { status, horizon, resolution, attainableCoverage, versions }: Scorable,
  reference: Reference,
): z.output<typeof outlookScores> {
  const scored = versions.map((version, index) => ({
    ...version,
    reference: reference.probabilities ?? previousOf(versions[index - 1]),
  }));
  return {
    slug: name,
    status,
    horizon,
    resolution: resolution && {
      ...resolution,
      knownAt: resolution.knownAt && resolution.knownAt.toISOString(),
    },
    reference,
    outlook: { ...representWhole(scored, whyUnscored(resolution)), attainableCoverage },
    versions: scored.map((one) => {
      const { version, publishedAt, probabilities, share, outcome } = one;
      return {
        version,
        publishedAt: publishedAt.toISOString(),
        probabilities: fractionsOf(probabilities),
        share,
        outcome,
        ...withReasons(scoresOfVersion(one, whyUnscored(resolution))),
      };
    }),
  };
}

const previousOf = (before: ScorableVersion | undefined): Fractions | null =>
  before ? fractionsOf(before.probabilities) : null;

function whyUnscored(resolution: Scorable['resolution']): string {
  return resolution === null ? 'the outlook is not resolved' : 'the outlook is void';
}

type VersionWithReference = ScorableVersion & { reference: Fractions | null };

function scoresOfVersion(
  { probabilities, outcome, reference }: VersionWithReference,
  why: string,
): { scores: ScoresByRule; skill: ScoresByRule } {
  if (outcome === null) return { scores: unscored(why), skill: unscored(why) };
  const scores = scoresOf(fractionsOf(probabilities), outcome);
  const values = byScore((name) => finite(scores[name]));
  if (reference === null) {
    return { scores: values, skill: unscored('the first version has no previous version') };
  }
  const referred = scoresOf(reference, outcome);
  return { scores: values, skill: byScore((name) => skillOf(scores[name], referred[name])) };
}

/** The first version has no previous one to compare with; it is scored all the same. */
function representWhole(
  versions: readonly VersionWithReference[],
  why: string,
): Omit<z.output<typeof outlookScores>['outlook'], 'attainableCoverage'> {
  const scored = new TimeWeightedScores();
  const compared = new TimeWeightedScores();
  const referred = new TimeWeightedScores();
  for (const { probabilities, outcome, share, reference } of versions) {
    if (outcome === null || share === null) continue;
    const scores = scoresOf(fractionsOf(probabilities), outcome);
    scored.add(share, scores);
    if (reference === null) continue;
    compared.add(share, scores);
    referred.add(share, scoresOf(reference, outcome));
  }
  if (scored.coverage === 0) {
    const isScored = versions.some(({ outcome }) => outcome !== null);
    const none = unscored(isScored ? 'no version was current during the horizon' : why);
    const isClosed = versions.every(({ share }) => share !== null);
    const whole = withReasons({ timeWeighted: none, mean: none, skill: none });
    return { coverage: isClosed ? versions.reduce(sumOfShares, 0) : null, ...whole };
  }
  const skill =
    compared.coverage === 0
      ? unscored('no version that was current during the horizon has a previous version')
      : byScore((name) => skillOf(compared.mean(name), referred.mean(name)));
  const whole = withReasons({
    timeWeighted: byScore((name) => finite(scored.timeWeighted[name])),
    mean: byScore((name) => finite(scored.mean(name))),
    skill,
  });
  return { coverage: scored.coverage, ...whole };
}

const sumOfShares = (sum: number, { share }: VersionWithReference): number => sum + (share ?? 0);
