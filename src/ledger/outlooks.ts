import type pg from 'pg';
import { deskOf, deskOfNew, type StoredDesk } from '../access/desks.ts';
import {
  type Actor,
  type Desk,
  type Desks,
  requireDesk,
  type Visibility,
} from '../domain/desks.ts';
import { DomainError, type Fault } from '../domain/errors.ts';
import { type Framework, type Horizon, hashFramework } from '../domain/framework.ts';
import { isOver, lastDayOf } from '../domain/horizon.ts';
import { firstVersion, type OutlookVersion } from '../domain/outlook.ts';
import type { Probabilities } from '../domain/probabilities.ts';
import { type RequestMode, proposalOf, requireApproval } from '../domain/proposals.ts';
import type { Session } from '../postgres/pool.ts';
import { appendFramework } from './frameworks.ts';
import { readApprovers } from './approvals.ts';
import { appendVersions } from './append-version.ts';
import { readRules } from './policies.ts';
import { evaluateFramework } from './evaluate-conditions.ts';
import { hasRules, lockOutObservations, findRuleSeries } from './rules.ts';
import { visibleDesks, visibleTo } from './visibility.ts';

export type NewOutlook = {
  slug: string;
  /** The slug of the outlook that it continues over a later horizon. */
  continues: string | null;
  /** The slug of its desk; undefined for that of the outlook that it continues, or the only one that the author acts for. */
  desk: string | undefined;
  /** Undefined for that of the outlook that it continues, or `public`. */
  visibility: Visibility | undefined;
  instrument: string;
  horizon: Horizon;
  actor: Actor;
  rationale: string;
  probabilities: Probabilities;
  framework: Framework;
  mode: RequestMode;
};

/**
 * Creates an outlook with its version 1. Call it in a transaction.
 * @throws DomainError `wrong-desk`, `desk-refused`, `horizon-over`, `unknown-instrument`, `unknown-series`,
 *   `continuation-refused` or `slug-taken`; ApprovalNeeded, before it writes anything
 */
export async function createOutlook(
  session: pg.PoolClient,
  request: NewOutlook,
  clock: () => Date,
): Promise<OutlookVersion> {
  const { slug, horizon, rationale, probabilities, framework, continues } = request;
  const { analyst: author, desks } = request.actor;
  if (hasRules(framework)) await lockOutObservations(session);
  const owner = await ownerOf(session, request);
  const { internalTo } = owner;
  const { series, faults } = await findRuleSeries(session, framework, horizon, {
    desks,
    internalTo,
  });
  const now = clock();
  const instrument = await findInstrument(session, request.instrument);
  const linkFaults = continuationFaults(request, owner, instrument !== null);
  const deskFaults = owner.fault ? [owner.fault] : [];
  const hasFault = [deskFaults, faults, linkFaults].some((some) => some.length > 0);
  if (!instrument || owner.desk === null || hasFault || isOver(horizon, now)) {
    const isKnown = instrument !== null;
    throw refusal(request, { isKnown, deskFaults, ruleFaults: faults, linkFaults, now });
  }
  const { approvals } = await readRules(session, owner.desk.id);
  requireApproval(request.mode, approvals.outlook);
  const outlookId = await takeSlug(session, request, instrument.id, owner, now);
  const frameworkHash = hashFramework(framework, { instrument: instrument.symbol, horizon });
  const frameworkId = await appendFramework(session, outlookId, framework, frameworkHash, series);
  const proposal = { authorId: author.id, rationale, probabilities, frameworkHash };
  const first = firstVersion(slug, proposal, now);
  const proposalId = proposalOf(request.mode);
  await appendVersions(session, [
    { outlookId, next: first, frameworkId, before: null, proposalId },
  ]);
  const { authorId: _, frameworkHash: hash, ...published } = first;
  const judged = { outlookId, framework, before: null, horizon, recordedAt: first.publishedAt };
  const review = await evaluateFramework(session, judged);
  return {
    ...published,
    slug,
    horizon,
    desk: { slug: owner.desk.slug, name: owner.desk.name },
    visibility: owner.visibility,
    author,
    framework: { hash, read: () => framework },
    instrument: { symbol: instrument.symbol, name: instrument.name },
    status: 'open',
    ...review,
    evidence: [],
    answers: [],
    consensus: null,
    approvedBy: await readApprovers(session, proposalId),
    resolution: null,
    continues,
    continuedBy: null,
    latestVersion: 1,
    previousProbabilities: null,
  };
}

/** Whose a new outlook is, who sees it, and the outlook that it continues. */
type Owner = {
  /** Null, with a fault, if the request does not say which. */
  desk: StoredDesk | null;
  fault: Fault | null;
  visibility: Visibility;
  /** The only desk that sees it; null if it is public, undefined if its desk is not known. */
  internalTo: number | null | undefined;
  continued: Continued | null;
};

/** @throws DomainError `wrong-desk` if the author does not act for its desk, or that of the outlook that it continues */
async function ownerOf(
  session: Session,
  { continues, actor: { desks }, desk: sent, visibility: asked }: NewOutlook,
): Promise<Owner> {
  const continued = continues === null ? null : await lockContinued(session, continues, desks);
  // Continuing an outlook changes it: it then names its continuation.
  if (continued) requireDesk(desks, continued.desk, `"${continues}"`);
  const found = await deskOfNew(session, desks, sent ?? continued?.desk.slug);
  const visibility = asked ?? continued?.visibility ?? 'public';
  const internalTo = visibility === 'public' ? null : found.desk?.id;
  return { ...found, visibility, internalTo, continued };
}

type Continued = {
  id: number;
  symbol: string;
  horizonTo: string;
  desk: Desk & { id: number };
  visibility: Visibility;
};

/** Locked, because a disclosure could make it public in the meantime. Null if the author may see no such outlook. */
async function lockContinued(
  session: Session,
  slug: string,
  desks: Desks,
): Promise<Continued | null> {
  const { rows } = await session.query<Continued>(
    `select o.id, i.symbol, o.horizon_to as "horizonTo",
        json_build_object('id', d.id, 'slug', d.slug, 'name', d.name) as desk,
        case when o.internal_to is null then 'public' else 'internal' end as visibility
       from outlooks o join instruments i on i.id = o.instrument_id join ${deskOf('o')}
      where o.slug = $1 and ${visibleTo('o', '$2')} for no key update of o`,
    [slug, visibleDesks({ hasKey: true, desks })],
  );
  return rows[0] ?? null;
}

/**
 * Why an outlook can't continue another: it must be on the same instrument, over a horizon that ends later, and of the same
 * desk and visibility.
 * @param isKnown whether the instrument exists
 */
function continuationFaults(
  { continues, instrument, horizon }: NewOutlook,
  { continued, desk, visibility }: Owner,
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
  if (desk !== null && desk.id !== continued.desk.id) {
    const detail = `must be ${continued.desk.slug}, the desk of "${continues}"; or leave continues out`;
    faults.push({ path: ['desk'], detail });
  }
  if (visibility !== continued.visibility) {
    const detail = `must be ${continued.visibility}, as "${continues}" is; or leave continues out`;
    faults.push({ path: ['visibility'], detail });
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
    deskFaults: readonly Fault[];
    ruleFaults: readonly Fault[];
    linkFaults: readonly Fault[];
    now: Date;
  },
): DomainError {
  const { isKnown, deskFaults, ruleFaults, linkFaults, now } = found;
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
  faults.push(...deskFaults, ...linkFaults, ...ruleFaults);
  if (!isKnown) {
    return new DomainError('unknown-instrument', `There is no instrument "${instrument}".`, faults);
  }
  if (isPast) return new DomainError('horizon-over', 'The horizon is over already.', faults);
  if (deskFaults.length > 0) {
    return new DomainError('desk-refused', 'The outlook needs a desk.', faults);
  }
  if (linkFaults.length > 0) {
    const detail = 'The outlook cannot continue the one that the request names.';
    return new DomainError('continuation-refused', detail, faults);
  }
  return new DomainError('unknown-series', 'A rule does not fit its series.', faults);
}

async function takeSlug(
  session: Session,
  { slug, horizon }: NewOutlook,
  instrumentId: number,
  { desk, visibility, continued }: Owner,
  now: Date,
): Promise<number> {
  const { rows } = await session.query<{ id: number }>(
    `insert into outlooks (slug, instrument_id, horizon_from, horizon_to, published_at, continues_id, desk_id, is_internal)
     values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (slug) do nothing returning id`,
    [
      slug,
      instrumentId,
      horizon.from,
      horizon.to,
      now.toISOString(),
      continued?.id,
      desk?.id,
      visibility === 'internal',
    ],
  );
  const [inserted] = rows;
  if (inserted) return inserted.id;
  throw new DomainError('slug-taken', `The outlook "${slug}" already exists.`, [
    { path: ['slug'], detail: 'is taken; choose another slug, or revise the outlook that has it' },
  ]);
}
