import type { VersionReader } from '../ledger/versions.ts';
import type pg from 'pg';
import type { z } from 'zod';
import { readConditions } from '../ledger/conditions.ts';
import { listEvidence } from '../ledger/evidence.ts';
import { readScorable } from '../ledger/scores.ts';
import { listVersions } from '../ledger/version-list.ts';
import type { Audience } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import { UNIFORM } from '../domain/scoring.ts';
import { digestOf } from '../http/conditional-requests.ts';
import { representCondition } from '../api/conditions.ts';
import { requireOtherVersion, representDiff } from '../api/diffs.ts';
import { readHistory } from '../api/climatology.ts';
import { measureDrawdown, representDrawdown } from '../api/drawdown.ts';
import { representEvidence } from '../api/evidence.ts';
import { Problem } from '../http/problems.ts';
import { renderOutlook, representOutlook, representVersionEntry } from '../api/outlook-json.ts';
import { representScores } from '../api/scores.ts';
import type { OutlookPageData } from './outlook-page.tsx';
import type { outlookPageQuery } from './queries.ts';
import type { Drawdown } from './watch.tsx';

export type PageReadDeps = {
  pool: pg.Pool;
  versions: VersionReader;
};

/** The number of versions per list. */
const VERSIONS = 20;
/** The newest versions whose scores are shown. */
const NEWEST_SCORES = { asOf: null, after: null, limit: 20, isByPrevious: false };
/** The number of newest items of evidence that are shown. */
const EVIDENCE = 10;

/**
 * Reads everything that the page of an outlook shows.
 * @throws DomainError `outlook-not-found` or `version-not-found`; Problem if there is nothing to compare
 */
export async function readOutlookPage(
  ledger: PageReadDeps,
  name: string,
  asked: Omit<z.output<typeof outlookPageQuery>, 'asOf'> & { asOf: Date | undefined },
  audience: Audience,
): Promise<Omit<OutlookPageData, 'day' | 'isOver'>> {
  const { pool, versions } = ledger;
  const { version, asOf, against, olderThan } = asked;
  const which = version === undefined ? (asOf ? { asOf } : 'newest') : { version };
  const found = await versions.read(name, which);
  const { digest } = renderOutlook(found, audience);
  const outlook = representOutlook(found, audience);
  const isCurrent = which === 'newest';
  const moment = isCurrent ? undefined : (asOf ?? found.publishedAt);
  const [entries, conditions, drawdown, history, evidence, scores, diff] = await Promise.all([
    listVersions(pool, name, { before: olderThan ?? null, limit: VERSIONS + 1 }),
    isCurrent ? readConditions(pool, name, null) : [],
    readDrawdown(ledger, found, moment),
    readHistory(pool, found, moment ?? null),
    isCurrent ? listEvidence(pool, name, { before: null, limit: EVIDENCE + 1 }) : null,
    isCurrent && found.resolution ? readScorable(pool, name, NEWEST_SCORES) : null,
    readDiff(ledger, found, against),
  ]);
  const listed = entries.slice(0, VERSIONS);
  const shown = [digest, conditions, drawdown, evidence?.[0]?.id, found.resolution];
  return {
    outlook,
    latestVersion: found.latestVersion,
    etag: isCurrent ? `"${digest}"` : null,
    asOf: moment?.toISOString() ?? null,
    pictures: isCurrent ? digestOf(JSON.stringify(shown)) : null,
    versions: listed.map(representVersionEntry),
    olderThan: entries.length > VERSIONS ? (listed.at(-1)?.version ?? null) : null,
    conditions: isCurrent
      ? conditions.map(representCondition)
      : outlook.invalidationConditions.map((one) => ({ ...one, lastChange: null })),
    drawdown,
    history,
    evidence: evidence && {
      items: evidence.slice(0, EVIDENCE).map(representEvidence),
      hasMore: evidence.length > EVIDENCE,
    },
    scores: scores && {
      ...representScores(name, scores, { name: 'uniform', probabilities: { ...UNIFORM } }),
      newest: scores.newest,
    },
    diff,
  };
}

/** Null if the instrument has no series of closes, or more closes than the limit. */
async function readDrawdown(
  { pool }: PageReadDeps,
  outlook: OutlookVersion,
  asOf: Date | undefined,
): Promise<Drawdown | null> {
  try {
    return representDrawdown(outlook, await measureDrawdown(pool, outlook, { asOf }));
  } catch (error) {
    if (error instanceof Problem) return null;
    if (error instanceof DomainError && error.code === 'no-closes') return null;
    throw error;
  }
}

/** The diff with the requested version; by default with the previous one if the wording changed. */
async function readDiff(
  { versions }: PageReadDeps,
  found: OutlookVersion,
  asked: number | undefined,
): Promise<OutlookPageData['diff']> {
  const isReworded = found.kind === 'framework' && found.version > 1;
  const against = asked ?? (isReworded ? found.version - 1 : undefined);
  if (against === undefined) return null;
  requireOtherVersion(found.version, against);
  return representDiff(await versions.read(found.slug, { version: against }), found);
}
