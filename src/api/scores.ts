import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import { z } from 'zod';
import { readScorable, type Scorable, type ScorableVersion } from '../ledger/scores.ts';
import type { Horizon } from '../domain/framework.ts';
import { fractionsOf } from '../domain/probabilities.ts';
import { byScore, finite, type Scored, type ScoreName, unscored } from '../domain/scoring.ts';
import { startOf } from '../domain/time-weighting.ts';
import {
  type Thirds,
  thirdsOf,
  UNIFORM_THIRDS,
  versionScores,
  versionSkill,
  WeightedScores,
} from '../domain/version-scores.ts';
import { requirePast } from '../http/require-past.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { slug } from '../http/fields.ts';
import { pointsOf } from './schemas/probabilities.ts';
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
        "The Brier, logarithmic and ranked probability score of each version of a resolved outlook, with its skill against a reference. The outlook's scores are means, weighted by the share of the horizon during which each version was current. Brier and ranked probability scores are exact: each is the double nearest to its value. A score that is infinite or cannot be computed is null, and `missing` says why.",
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
  { status, horizon, resolution, versions }: Scorable,
  reference: Reference,
): z.output<typeof outlookScores> {
  const scored = versions.map((version, index) => ({
    ...version,
    reference: referenceOf(reference, versions[index - 1]),
  }));
  return {
    slug: name,
    status,
    horizon,
    resolution,
    reference,
    outlook: representWhole(scored, horizon, whyUnscored(resolution)),
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

/** What a version is compared with; null for the first one, which has no previous version. */
function referenceOf(reference: Reference, before: ScorableVersion | undefined): Thirds | null {
  if (reference.name === 'uniform') return UNIFORM_THIRDS;
  if (reference.name === 'fixed') return thirdsOf(pointsOf(reference.probabilities));
  return before ? thirdsOf(before.probabilities) : null;
}

function whyUnscored(resolution: Scorable['resolution']): string {
  return resolution === null ? 'the outlook is not resolved' : 'the outlook is void';
}

type VersionWithReference = ScorableVersion & { reference: Thirds | null };

function scoresOfVersion(
  { probabilities, outcome, reference }: VersionWithReference,
  why: string,
): { scores: ScoresByRule; skill: ScoresByRule } {
  if (outcome === null) return { scores: unscored(why), skill: unscored(why) };
  const forecast = thirdsOf(probabilities);
  const scores = versionScores(forecast, outcome);
  const values = byScore((name) => finite(scores[name]));
  if (reference === null) {
    return { scores: values, skill: unscored('the first version has no previous version') };
  }
  return { scores: values, skill: versionSkill(forecast, reference, outcome) };
}

/** Skill compares the same versions on both sides: those that have a reference. */
function representWhole(
  versions: readonly VersionWithReference[],
  horizon: Horizon,
  why: string,
): z.output<typeof outlookScores>['outlook'] {
  const length = startOf(horizon.to) - startOf(horizon.from);
  const scored = new WeightedScores();
  const compared = new WeightedScores();
  const referred = new WeightedScores();
  let covered = 0;
  for (const { probabilities, outcome, share, reference } of versions) {
    const current = Math.round((share ?? 0) * length); // a share is whole milliseconds of the horizon
    covered += current;
    if (outcome === null) continue;
    const forecast = thirdsOf(probabilities);
    scored.add(current, forecast, outcome);
    if (reference === null) continue;
    compared.add(current, forecast, outcome);
    referred.add(current, reference, outcome);
  }
  const isClosed = versions.every(({ share }) => share !== null);
  const coverage = isClosed ? covered / length : null;
  if (scored.weight === 0) {
    const isScored = versions.some(({ outcome }) => outcome !== null);
    const none = unscored(isScored ? 'no version was current during the horizon' : why);
    const whole = withReasons({ timeWeighted: none, mean: none, skill: none });
    return { coverage, skillCoverage: null, ...whole };
  }
  const skill =
    compared.weight === 0
      ? unscored('no version that was current during the horizon has a previous version')
      : byScore((name) => compared.skillAgainst(referred, name));
  const whole = withReasons({
    timeWeighted: byScore((name) => finite(scored.over(length, name))),
    mean: byScore((name) => finite(scored.mean(name))),
    skill,
  });
  return { coverage, skillCoverage: compared.weight / length, ...whole };
}
