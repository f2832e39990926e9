import type pg from 'pg';
import { DomainError, type Fault } from '../domain/errors.ts';
import { type Framework, type Horizon, hashFramework } from '../domain/framework.ts';
import { isOver, lastDayOf } from '../domain/horizon.ts';
import { firstVersion, type OutlookVersion } from '../domain/outlook.ts';
import type { Probabilities } from '../domain/probabilities.ts';
import type { Session } from '../postgres/pool.ts';
import { appendFramework } from './frameworks.ts';
import { appendVersions } from './append-version.ts';
import { evaluateFramework } from './evaluate-conditions.ts';
import { hasRules, lockOutObservations, findRuleSeries } from './rules.ts';

export type NewOutlook = {
  slug: string;
  /** The slug of the outlook that it continues over a later horizon. */
  continues: string | null;
  instrument: string;
  horizon: Horizon;
  author: OutlookVersion['author'];
  rationale: string;
  probabilities: Probabilities;
  framework: Framework;
};

/**
 * Creates an outlook with its version 1. Call it in a transaction.
 * @throws DomainError `horizon-over`, `unknown-instrument`, `unknown-series`, `continuation-refused` or `slug-taken`
 */
export async function createOutlook(
  session: pg.PoolClient,
  request: NewOutlook,
  clock: () => Date,
): Promise<OutlookVersion> {
  const { slug, horizon, author, rationale, probabilities, framework, continues } = request;
  if (hasRules(framework)) await lockOutObservations(session);
  const { series, faults } = await findRuleSeries(session, framework, horizon);
  const now = clock();
  const instrument = await findInstrument(session, request.instrument);
  const continued = continues === null ? null : await readContinued(session, continues);
  const linkFaults = continuationFaults(request, continued, instrument !== null);
  if (!instrument || faults.length > 0 || linkFaults.length > 0 || isOver(horizon, now)) {
    const isKnown = instrument !== null;
    throw refusal(request, { isKnown, ruleFaults: faults, linkFaults, now });
  }
  const ids = { instrumentId: instrument.id, continuedId: continued && continued.id };
  const outlookId = await takeSlug(session, request, ids, now);
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
    continues,
    continuedBy: null,
    latestVersion: 1,
    previousProbabilities: null,
  };
}

type Continued = { id: number; symbol: string; horizonTo: string };

async function readContinued(session: Session, slug: string): Promise<Continued | null> {
  const { rows } = await session.query<Continued>(
    `select o.id, i.symbol, o.horizon_to as "horizonTo" from outlooks o join instruments i on i.id = o.instrument_id where o.slug = $1`,
    [slug],
  );
  return rows[0] ?? null;
}

/**
 * Why an outlook can't continue another: it must be on the same instrument, over a horizon that ends later.
 * @param isKnown whether the instrument exists
 */
function continuationFaults(
  { continues, instrument, horizon }: NewOutlook,
  continued: Continued | null,
  isKnown: boolean,
): Fault[] {
  if (continues === null) return [];
  if (!continued) {
    const detail = `"${continues}" is unknown; send the slug of an existing outlook`;
    return [{ path: ['continues'], detail }];
  }
  const faults: Fault[] = [];
  if (isKnown && instrument !== continued.symbol) {
    const detail = `must be ${continued.symbol}, the instrument of "${continues}"; or leave continues out`;
    faults.push({ path: ['instrument'], detail });
  }
  if (horizon.to <= continued.horizonTo) {
    const detail = `must be after ${continued.horizonTo}, where the horizon of "${continues}" ends; or leave continues out`;
    faults.push({ path: ['horizon', 'to'], detail });
  }
  return faults;
}

async function findInstrument(
  session: Session,
  symbol: string,
): Promise<{ id: number; symbol: string; name: string } | null> {
  const { rows } = await session.query<{ id: number; symbol: string; name: string }>(
    'select id, symbol, name from instruments where symbol = $1',
    [symbol],
  );
  return rows[0] ?? null;
}

/** All that is wrong with a new outlook, with the code of the first fault. */
function refusal(
  { instrument, horizon }: NewOutlook,
  found: {
    isKnown: boolean;
    ruleFaults: readonly Fault[];
    linkFaults: readonly Fault[];
    now: Date;
  },
): DomainError {
  const { isKnown, ruleFaults, linkFaults, now } = found;
  const faults: Fault[] = [];
  if (!isKnown) {
    const detail = `"${instrument}" is unknown; create it with POST /v1/instruments`;
    faults.push({ path: ['instrument'], detail });
  }
  const isPast = isOver(horizon, now);
  if (isPast) {
    const today = now.toISOString().slice(0, 10);
    const detail = `must be after ${today}: the last day of this horizon, ${lastDayOf(horizon)}, is over`;
    faults.push({ path: ['horizon', 'to'], detail });
  }
  faults.push(...linkFaults, ...ruleFaults);
  if (!isKnown) {
    return new DomainError('unknown-instrument', `There is no instrument "${instrument}".`, faults);
  }
  if (isPast) return new DomainError('horizon-over', 'The horizon is over already.', faults);
  if (linkFaults.length > 0) {
    const detail = 'The outlook cannot continue the one that the request names.';
    return new DomainError('continuation-refused', detail, faults);
  }
  return new DomainError('unknown-series', 'A rule does not fit its series.', faults);
}

async function takeSlug(
  session: Session,
  { slug, horizon }: NewOutlook,
  { instrumentId, continuedId }: { instrumentId: number; continuedId: number | null },
  now: Date,
): Promise<number> {
  const { rows } = await session.query<{ id: number }>(
    `insert into outlooks (slug, instrument_id, horizon_from, horizon_to, published_at, continues_id)
     values ($1, $2, $3, $4, $5, $6) on conflict (slug) do nothing returning id`,
    [slug, instrumentId, horizon.from, horizon.to, now.toISOString(), continuedId],
  );
  const [inserted] = rows;
  if (inserted) return inserted.id;
  throw new DomainError('slug-taken', `The outlook "${slug}" already exists.`, [
    { path: ['slug'], detail: 'is taken; choose another slug, or revise the outlook that has it' },
  ]);
}
