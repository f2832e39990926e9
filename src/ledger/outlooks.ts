import { eq } from 'drizzle-orm';
import type pg from 'pg';
import { DomainError, type Fault } from '../domain/errors.ts';
import { type Framework, type Horizon, hashFramework } from '../domain/framework.ts';
import { firstVersion, type OutlookVersion } from '../domain/outlook.ts';
import type { Probabilities } from '../domain/probabilities.ts';
import { type Db, onSession } from '../postgres/pool.ts';
import { appendFramework } from './frameworks.ts';
import { instruments } from '../postgres/tables/instruments.ts';
import { outlooks } from '../postgres/tables/outlooks.ts';
import { appendVersions } from './append-version.ts';
import { evaluateFramework } from './evaluate-conditions.ts';
import { hasRules, lockOutObservations, findRuleSeries } from './rules.ts';

export type NewOutlook = {
  slug: string;
  instrument: string;
  horizon: Horizon;
  author: OutlookVersion['author'];
  rationale: string;
  probabilities: Probabilities;
  framework: Framework;
};

/**
 * Creates an outlook with its version 1. Call it in a transaction.
 * @throws DomainError `unknown-instrument`, `unknown-series` or `slug-taken`
 */
export async function createOutlook(
  session: pg.PoolClient,
  request: NewOutlook,
  clock: () => Date,
): Promise<OutlookVersion> {
  const { slug, horizon, author, rationale, probabilities, framework } = request;
  if (hasRules(framework)) await lockOutObservations(session);
  const tx = onSession(session);
  const { series, faults } = await findRuleSeries(session, framework, horizon);
  const instrument = await instrumentOf(tx, request.instrument, faults);
  const now = clock();
  const outlookId = await takeSlug(tx, request, instrument.id, now);
  const frameworkHash = hashFramework(framework, { instrument: instrument.symbol, horizon });
  const frameworkId = await appendFramework(tx, outlookId, framework, frameworkHash, series);
  const proposal = { authorId: author.id, rationale, probabilities, frameworkHash };
  const first = firstVersion(slug, proposal, now);
  await appendVersions(session, [{ outlookId, next: first, frameworkId, before: null }]);
  const { authorId: _, frameworkHash: hash, ...published } = first;
  const judged = { outlookId, framework, before: null, horizon, recordedAt: first.publishedAt };
  const review = await evaluateFramework(session, judged);
  return {
    ...published,
    slug,
    horizon,
    author,
    framework: { hash, read: () => framework },
    instrument: { symbol: instrument.symbol, name: instrument.name },
    status: 'open',
    ...review,
    evidence: [],
    answers: [],
    consensus: null,
    resolution: null,
    latestVersion: 1,
    previousProbabilities: null,
  };
}

/** @param others faults that are told beside its own */
async function instrumentOf(tx: Db, symbol: string, others: readonly Fault[]) {
  const [instrument] = await tx.select().from(instruments).where(eq(instruments.symbol, symbol));
  if (!instrument) {
    const detail = `"${symbol}" is unknown; create it with POST /v1/instruments`;
    const fault = { path: ['instrument'], detail };
    throw new DomainError('unknown-instrument', `There is no instrument "${symbol}".`, [
      fault,
      ...others,
    ]);
  }
  if (others.length === 0) return instrument;
  throw new DomainError('unknown-series', 'A rule does not fit its series.', others);
}

async function takeSlug(
  tx: Db,
  { slug, horizon }: NewOutlook,
  instrumentId: number,
  now: Date,
): Promise<number> {
  const [inserted] = await tx
    .insert(outlooks)
    .values({
      slug,
      instrumentId,
      horizonFrom: horizon.from,
      horizonTo: horizon.to,
      publishedAt: now,
    })
    .onConflictDoNothing({ target: outlooks.slug })
    .returning({ id: outlooks.id });
  if (inserted) return inserted.id;
  throw new DomainError('slug-taken', `The outlook "${slug}" already exists.`, [
    { path: ['slug'], detail: 'is taken; choose another slug, or revise the outlook that has it' },
  ]);
}
