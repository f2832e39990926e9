import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import { z } from 'zod';
import {
  type ForecastGroup,
  readScorable,
  type Scorable,
  type ScorableForecast,
} from '../ledger/scores.ts';
import type { Horizon } from '../domain/framework.ts';
import { byScenario, fractionsOf, WHOLE } from '../domain/probabilities.ts';
import { byScore, finite, type Scored, type ScoreName, unscored } from '../domain/scoring.ts';
import { scoredTime } from '../domain/time-weighting.ts';
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
import { slug, versionNumber } from '../http/fields.ts';
import { nextLink } from '../http/list-responses.ts';
import { decodeCursor, encodeCursor } from '../http/paging.ts';
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
        "The Brier, logarithmic and ranked probability score of each version of a resolved outlook, with its skill against a reference. The outlook's scores are means, weighted by the share of the horizon during which each version was current. Brier and ranked probability scores are exact: each is the double nearest to its value. A score that is infinite or cannot be computed is null, and `missing` says why. A page has up to 1,000 versions; the scores of the outlook cover all versions on every page.",
      params: z.strictObject({ slug }),
      querystring: scoresQuery,
      response: { 200: outlookScores, ...problemResponses(404, 422) },
    },
    handler: (request, reply) => {
      const { slug: name } = request.params;
      const { reference, asOf, limit, cursor } = request.query;
      const at = now();
      requirePast('asOf', asOf, at);
      const scope = { scoresOf: name, reference, asOf: asOf ?? null };
      const after = decodeCursor(cursor, scope, versionNumber) ?? 0;
      const isHistory = reference.name === 'climatology';
      const tags = isHistory ? [name, ANY_SERIES] : [name];
      return cache.answer(request, reply, { tags }, async () => {
        const isByPrevious = reference.name === 'previous';
        const page = { asOf: asOf ?? null, after, limit, isByPrevious };
        const scorable = await readScorable(pool, name, page);
        const bands = forecastsOf(scorable).map(({ band }) => band);
        const history = isHistory ? await readClimatologies(pool, name, bands, asOf ?? null) : [];
        const last = scorable.versions.at(-1)?.version ?? scorable.newest;
        const nextCursor = last < scorable.newest ? encodeCursor(scope, versionNumber, last) : null;
        const scores = representScores(name, scorable, reference, history);
        const body = JSON.stringify({ ...scores, nextCursor } satisfies z.output<
          typeof outlookScores
        >);
        const link = nextLink(request, { nextCursor });
        return {
          body,
          link,
          freshness: 'revalidate',
          ...(isHistory && { maxAge: CLOSES_MAX_AGE }),
        };
      });
    },
  });
}

/** All forecasts to score: the groups, then the versions. Their climatologies are in the same order. */
const forecastsOf = ({ groups, versions }: Scorable): ScorableForecast[] => [
  ...(groups ?? []),
  ...versions,
];

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
 * The scores of an outlook, and of the versions of a page.
 * @param history what history alone says about each forecast ({@link forecastsOf}), if that is the reference
 */
export function representScores(
  name: string,
  scorable: Scorable,
  reference: Reference,
  history: readonly Climatology[] = [],
): Omit<z.output<typeof outlookScores>, 'nextCursor'> {
  const { status, horizon, resolution, attainableCoverage, groups, versions } = scorable;
  const why = whyUnscored(resolution);
  const count = groups?.length ?? 0;
  const compare = <One extends ScorableForecast>(one: One, index: number) => ({
    ...one,
    ...comparedWith(reference, one, history[index]),
  });
  return {
    slug: name,
    status,
    horizon,
    resolution: resolution && {
      ...resolution,
      knownAt: resolution.knownAt && resolution.knownAt.toISOString(),
    },
    reference,
    outlook: { ...representWhole(groups && groups.map(compare), horizon, why), attainableCoverage },
    versions: versions.map((version, index) => {
      const { publishedAt, probabilities, share, outcome } = version;
      return {
        version: version.version,
        publishedAt: publishedAt.toISOString(),
        probabilities: fractionsOf(probabilities),
        share,
        outcome,
        ...withReasons(scoresOf(compare(version, count + index), why)),
      };
    }),
  };
}

/** What a forecast is compared with, or why there is nothing. */
type Compared = { reference: Thirds; whyNone: null } | { reference: null; whyNone: string };

function comparedWith(
  reference: Reference,
  { previous }: ScorableForecast,
  history: Climatology | undefined,
): Compared {
  const known = (thirds: Thirds) => ({ reference: thirds, whyNone: null });
  if (reference.name === 'uniform') return known(UNIFORM_THIRDS);
  if (reference.name === 'fixed') return known(thirdsOf(pointsOf(reference.probabilities)));
  if (reference.name === 'previous') {
    if (previous) return known(thirdsOf(previous));
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

function scoresOf(
  { probabilities, outcome, reference, whyNone }: ScorableForecast & Compared,
  why: string,
): { scores: ScoresByRule; skill: ScoresByRule } {
  if (outcome === null) return { scores: unscored(why), skill: unscored(why) };
  const forecast = thirdsOf(probabilities);
  const scores = versionScores(forecast, outcome);
  const values = byScore((name) => finite(scores[name]));
  if (reference === null) return { scores: values, skill: unscored(whyNone) };
  return { scores: values, skill: versionSkill(forecast, reference, outcome) };
}

type ComparedGroup = ForecastGroup & Compared;

/** Skill compares the same versions on both sides: those that have a reference. */
function representWhole(
  groups: readonly ComparedGroup[] | null,
  horizon: Horizon,
  why: string,
): Omit<z.output<typeof outlookScores>['outlook'], 'attainableCoverage'> {
  const { from, to } = scoredTime(horizon, null);
  const length = to - from;
  const scored = new WeightedScores();
  const compared = new WeightedScores();
  const referred = new WeightedScores();
  let covered = 0;
  for (const { probabilities, outcome, milliseconds, reference } of groups ?? []) {
    covered += milliseconds;
    if (outcome === null) continue;
    const forecast = thirdsOf(probabilities);
    scored.add(milliseconds, forecast, outcome);
    if (reference === null) continue;
    compared.add(milliseconds, forecast, outcome);
    referred.add(milliseconds, reference, outcome);
  }
  const coverage = groups && covered / length;
  if (scored.weight === 0) {
    const isScored = groups?.some(({ outcome }) => outcome !== null) ?? false;
    const none = unscored(isScored ? 'no version was current during the horizon' : why);
    const whole = withReasons({ timeWeighted: none, mean: none, skill: none });
    return { coverage, skillCoverage: null, ...whole };
  }
  const skill =
    compared.weight === 0
      ? unscored(whyNotCompared(groups ?? []))
      : byScore((name) => compared.skillAgainst(referred, name));
  const whole = withReasons({
    timeWeighted: byScore((name) => finite(scored.over(length, name))),
    mean: byScore((name) => finite(scored.mean(name))),
    skill,
  });
  return { coverage, skillCoverage: compared.weight / length, ...whole };
}

/** The reason of the newest version that was current during the horizon, if none has a reference. */
function whyNotCompared(groups: readonly ComparedGroup[]): string {
  const current = groups.filter(({ milliseconds }) => milliseconds > 0);
  const [last] = current.sort((a, b) => b.newest - a.newest);
  return last?.whyNone ?? 'no version was current during the horizon';
}
