import slugify from '@sindresorhus/slugify';
import type pg from 'pg';
import type { z } from 'zod';
import type { Actor } from '../domain/desks.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import { fractionsOf } from '../domain/probabilities.ts';
import type { RequestMode, Preview, ProposalKind } from '../domain/proposals.ts';
import { slug } from '../http/fields.ts';
import { mergePatch } from '../http/merge-patch.ts';
import { Problem } from '../http/problems.ts';
import { parse } from '../http/validation.ts';
import { readConsensus } from '../ledger/consensus.ts';
import type { CurrentOutlook } from '../ledger/locked-outlooks.ts';
import { createOutlook } from '../ledger/outlooks.ts';
import { resolveOutlook, type Resolutions } from '../ledger/resolutions.ts';
import type { Prepare, Reviser, RevisionRequest } from '../ledger/revisions.ts';
import type { VersionReader } from '../ledger/versions.ts';
import type { Session } from '../postgres/pool.ts';
import { requestedOutlook } from './clones.ts';
import { patchedFramework } from './schemas/frameworks.ts';
import type { newOutlook } from './schemas/outlook-requests.ts';
import { newResolution, newWithdrawal } from './schemas/resolutions.ts';
import { newRevision } from './schemas/revisions.ts';
import { newConsensus } from './schemas/views.ts';

// What the routes that publish do with their requests, so that a proposal is carried out through the same functions.

export type CarryOutDeps = { versions: VersionReader; reviser: Reviser; now: () => Date };

/** A request that a proposal may hold. */
export type Proposable = {
  kind: ProposalKind;
  /** The slug of its outlook; null for a new one. */
  outlook: string | null;
  /** The body, as its route takes it. */
  body: unknown;
};

/** What came of a request that was carried out. */
export type CarriedOut = {
  outlook: string;
  /** The number of the version, or of the resolution. */
  number: number;
  preview: Preview;
  /** The slugs of the outlooks that changed. */
  changed: readonly string[];
};

/**
 * Carries out a request of an actor. Call it in a transaction, and roll that back if it throws.
 * @throws DomainError or Problem, as its route answers; ApprovalNeeded for a direct one that needs approval
 */
export async function carryOut(
  session: pg.PoolClient,
  deps: CarryOutDeps,
  { kind, outlook, body }: Proposable,
  actor: Actor,
  mode: RequestMode,
): Promise<CarriedOut> {
  if (kind === 'outlook' || outlook === null) {
    const requested = await requestedOutlook(session, deps.versions, actor, body);
    return ofVersion(await publishOutlook(session, requested, { actor, mode }, deps.now));
  }
  if (kind === 'resolution') {
    const resolution = { ...parse(newResolution, body), actor, mode };
    return ofResolution(outlook, await resolveOutlook(session, outlook, resolution, deps.now));
  }
  const options = { mayChangeRules: kind === 'framework', mode };
  const prepare = prepareOf(kind, outlook, body, deps);
  return ofVersion(await deps.reviser.revise(session, outlook, actor, prepare, options));
}

function prepareOf(
  kind: Exclude<ProposalKind, 'outlook' | 'resolution'>,
  outlook: string,
  body: unknown,
  { now }: CarryOutDeps,
): Prepare {
  switch (kind) {
    case 'revision': {
      const revision = revisionOf(parse(newRevision, body));
      return () => revision;
    }
    case 'withdrawal': {
      const withdrawal = withdrawalOf(parse(newWithdrawal, body));
      return () => withdrawal;
    }
    case 'consensus': {
      const sent = parse(newConsensus, body);
      return (session) => consensusOf(session, outlook, sent, now());
    }
    case 'framework':
      return (_, current) => frameworkOf(current, body);
  }
}

export function revisionOf({
  reaffirm: reaffirms,
  ...sent
}: z.output<typeof newRevision>): RevisionRequest {
  return { ...sent, reaffirms };
}

export function withdrawalOf({
  rationale,
  evidence,
}: z.output<typeof newWithdrawal>): RevisionRequest {
  return { rationale, evidence, acknowledges: [], withdraws: true };
}

/** @throws Problem if the patched framework is not valid; its pointers are those of the patch */
export function frameworkOf(current: CurrentOutlook, patch: unknown): RevisionRequest {
  const merged = mergePatch(current.framework.read(), patch);
  const patched = parse(patchedFramework, merged, 'body', patch);
  const { rationale, probabilities, evidence, acknowledges, ...framework } = patched;
  return { rationale, probabilities, evidence, acknowledges, framework };
}

/** @throws DomainError as {@link readConsensus} does */
export async function consensusOf(
  session: Session,
  outlook: string,
  { method, weights, maxAge, ...reasons }: z.output<typeof newConsensus>,
  now: Date,
): Promise<RevisionRequest> {
  const pooling = { method, weights, maxAge, asOf: null, now };
  const pooled = await readConsensus(session, outlook, pooling);
  const { probabilities } = pooled.consensus;
  const views = pooled.views.map(({ analyst, version, weight }) => ({ analyst, version, weight }));
  return { ...reasons, probabilities, consensus: { method, weights, maxAge, views } };
}

/**
 * Creates the outlook that a request describes. Call it in a transaction.
 * @throws DomainError as {@link createOutlook} does; Problem if no slug is given and none can be made from the title
 */
export async function publishOutlook(
  session: pg.PoolClient,
  body: z.output<typeof newOutlook>,
  by: { actor: Actor; mode: RequestMode },
  now: () => Date,
): Promise<OutlookVersion> {
  const { slug: givenSlug, instrument, horizon, continues, from: _, ...rest } = body;
  const { desk, visibility, ...published } = rest;
  const { rationale, probabilities, ...framework } = published;
  const subject = { slug: givenSlug ?? slugOf(framework.title), instrument, horizon, continues };
  const owner = { desk, visibility, ...by };
  return createOutlook(session, { ...subject, ...owner, rationale, probabilities, framework }, now);
}

function slugOf(title: string): string {
  const made = slugify(title, { decamelize: false }).slice(0, 100).replace(/-$/, '');
  if (slug.safeParse(made).success) return made;
  throw new Problem('invalid-request', 'No slug can be made from the title; send one.', {
    errors: [{ pointer: '/slug', detail: 'is required, because none can be made from the title' }],
  });
}

function ofVersion(version: OutlookVersion): CarriedOut {
  const { slug: outlook, version: number, kind, visibility, continues } = version;
  const preview = {
    outlook,
    visibility,
    version: number,
    kind,
    probabilities: fractionsOf(version.probabilities),
    frameworkHash: version.framework.hash,
    // A revision may answer conditions that it does not name, also those that are triggered later.
    answers: version.answers.map(({ condition, way }) => ({ condition, way })),
  };
  return {
    outlook,
    number,
    preview,
    changed: continues === null ? [outlook] : [outlook, continues],
  };
}

function ofResolution(outlook: string, { resolutions: [newest] }: Resolutions): CarriedOut {
  if (!newest) throw new Error(`"${outlook}" has no resolution after it was resolved`);
  const { number, outcome, realisedReturn, closes } = newest;
  return {
    outlook,
    number,
    preview: { outlook, resolution: number, outcome, realisedReturn, closes },
    changed: [outlook],
  };
}
