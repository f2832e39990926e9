import type pg from 'pg';
import { DomainError, type Fault } from '../domain/errors.ts';
import { type Framework, type Horizon, hashFramework } from '../domain/framework.ts';
import { firstVersion, type OutlookVersion } from '../domain/outlook.ts';
import type { Probabilities } from '../domain/probabilities.ts';
import type { Session } from '../postgres/pool.ts';
import { appendFramework } from './frameworks.ts';
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
  const { series, faults } = await findRuleSeries(session, framework, horizon);
  const instrument = await instrumentOf(session, request.instrument, faults);
  const now = clock();
  const outlookId = await takeSlug(session, request, instrument.id, now);
  const frameworkHash = hashFramework(framework, { instrument: instrument.symbol, horizon });
  const frameworkId = await appendFramework(session, outlookId, framework, frameworkHash, series);
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

/** @param others faults to report beside an unknown instrument */
async function instrumentOf(
  session: Session,
  symbol: string,
  others: readonly Fault[],
): Promise<{ id: number; symbol: string; name: string }> {
  const { rows } = await session.query<{ id: number; symbol: string; name: string }>(
    'select id, symbol, name from instruments where symbol = $1',
    [symbol],
  );
  const [instrument] = rows;
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
  session: Session,
  { slug, horizon }: NewOutlook,
  instrumentId: number,
  now: Date,
): Promise<number> {
  const { rows } = await session.query<{ id: number }>(
    `insert into outlooks (slug, instrument_id, horizon_from, horizon_to, published_at)
     values ($1, $2, $3, $4, $5) on conflict (slug) do nothing returning id`,
    [slug, instrumentId, horizon.from, horizon.to, now.toISOString()],
  );
  const [inserted] = rows;
  if (inserted) return inserted.id;
  throw new DomainError('slug-taken', `The outlook "${slug}" already exists.`, [
    { path: ['slug'], detail: 'is taken; choose another slug, or revise the outlook that has it' },
  ]);
}
