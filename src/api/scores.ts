import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import { z } from 'zod';
import { readScorable, type Scorable, type ScorableVersion } from '../ledger/scores.ts';
import type { Horizon } from '../domain/framework.ts';
import { byScenario, fractionsOf, WHOLE } from '../domain/probabilities.ts';
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
import { type Climatology, readClimatologies } from '../ledger/climatology.ts';
import { ANY_SERIES, CLOSES_MAX_AGE } from '../http/response-cache/cache-entry.ts';
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
      const isHistory = reference.name === 'climatology';
      const tags = isHistory ? [name, ANY_SERIES] : [name];
      return cache.answer(request, reply, { tags }, async () => {
        const scorable = await readScorable(pool, name, asOf ?? null);
        const bands = scorable.versions.map(({ band }) => band);
        const history = isHistory ? await readClimatologies(pool, name, bands, asOf ?? null) : [];
        const body = JSON.stringify(representScores(name, scorable, reference, history));
        return { body, freshness: 'revalidate', ...(isHistory && { maxAge: CLOSES_MAX_AGE }) };
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

/**
 * The scores of an outlook as the API returns them.
 * @param history what history alone says about each version, if that is the reference
 */
export function representScores(
  name: string,
  { status, horizon, resolution, attainableCoverage, versions }: Scorable,
  reference: Reference,
  history: readonly Climatology[] = [],
): z.output<typeof outlookScores> {
  const scored = versions.map((version, index) => ({
    ...version,
    ...referenceOf(reference, versions[index - 1], history[index]),
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
    outlook: { ...representWhole(scored, horizon, whyUnscored(resolution)), attainableCoverage },
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

/** What a version is compared with, or why there is nothing. */
type Compared = { reference: Thirds; whyNone: null } | { reference: null; whyNone: string };

function referenceOf(
  reference: Reference,
  before: ScorableVersion | undefined,
  history: Climatology | undefined,
): Compared {
  const known = (thirds: Thirds) => ({ reference: thirds, whyNone: null });
  if (reference.name === 'uniform') return known(UNIFORM_THIRDS);
  if (reference.name === 'fixed') return known(thirdsOf(pointsOf(reference.probabilities)));
  if (reference.name === 'previous') {
    if (before) return known(thirdsOf(before.probabilities));
    return { reference: null, whyNone: 'the first version has no previous version' };
  }
  const shares = history?.probabilities;
  // Any fractions, so these thirds are not whole numbers.
  if (shares) return known(byScenario((name) => 3 * WHOLE * shares[name]));
  return { reference: null, whyNone: history?.reason ?? 'history is unknown' };
}

function whyUnscored(resolution: Scorable['resolution']): string {
  return resolution === null ? 'the outlook is not resolved' : 'the outlook is void';
}

type VersionWithReference = ScorableVersion & Compared;

function scoresOfVersion(
  { probabilities, outcome, reference, whyNone }: VersionWithReference,
  why: string,
): { scores: ScoresByRule; skill: ScoresByRule } {
  if (outcome === null) return { scores: unscored(why), skill: unscored(why) };
  const forecast = thirdsOf(probabilities);
  const scores = versionScores(forecast, outcome);
  const values = byScore((name) => finite(scores[name]));
  if (reference === null) return { scores: values, skill: unscored(whyNone) };
  return { scores: values, skill: versionSkill(forecast, reference, outcome) };
}

/** Skill compares the same versions on both sides: those that have a reference. */
function representWhole(
  versions: readonly VersionWithReference[],
  horizon: Horizon,
  why: string,
): Omit<z.output<typeof outlookScores>['outlook'], 'attainableCoverage'> {
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
      ? unscored(whyNotCompared(versions))
      : byScore((name) => compared.skillAgainst(referred, name));
  const whole = withReasons({
    timeWeighted: byScore((name) => finite(scored.over(length, name))),
    mean: byScore((name) => finite(scored.mean(name))),
    skill,
  });
  return { coverage, skillCoverage: compared.weight / length, ...whole };
}

/** The reason of the versions that were current during the horizon, if none of them has a reference. */
function whyNotCompared(versions: readonly VersionWithReference[]): string {
  const current = versions.filter(({ share }) => share !== null && share > 0);
  return current.at(-1)?.whyNone ?? 'no version was current during the horizon';
}
