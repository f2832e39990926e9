import { and, desc, eq, lt, sql } from 'drizzle-orm';
import { alias } from 'drizzle-orm/pg-core';
import { DomainError } from '../domain/errors.ts';
import { type Framework, hashFramework, type Subject } from '../domain/framework.ts';
import {
  decideRevision,
  type NewVersion,
  type OutlookVersion,
  type Standing,
} from '../domain/outlook.ts';
import {
  deltasOf,
  fractionsOf,
  type Probabilities,
  probabilitiesOf,
} from '../domain/probabilities.ts';
import type { Db } from './client.ts';
import { appendFramework, type FrameworkCache, readFramework } from './frameworks.ts';
import { analysts } from './schema/api-keys.ts';
import { events } from './schema/events.ts';
import { instruments } from './schema/instruments.ts';
import { outlooks } from './schema/outlooks.ts';
import { outlookVersions } from './schema/versions.ts';

const previous = alias(outlookVersions, 'previous');

const points = (row: { bearBps: number; baseBps: number; bullBps: number }): Probabilities =>
  probabilitiesOf({ bear: row.bearBps, base: row.baseBps, bull: row.bullBps });

const versionColumns = {
  version: outlookVersions.version,
  kind: outlookVersions.kind,
  publishedAt: outlookVersions.recordedAt,
  rationale: outlookVersions.rationale,
  author: { id: analysts.id, name: analysts.name },
  bearBps: outlookVersions.bearBps,
  baseBps: outlookVersions.baseBps,
  bullBps: outlookVersions.bullBps,
  previous: {
    bearBps: previous.bearBps,
    baseBps: previous.baseBps,
    bullBps: previous.bullBps,
  },
};

/** A version as the list of an outlook's versions tells it. */
export type VersionEntry = Pick<
  OutlookVersion,
  | 'version'
  | 'kind'
  | 'publishedAt'
  | 'author'
  | 'rationale'
  | 'probabilities'
  | 'previousProbabilities'
>;

/**
 * One version of an outlook, whole; the newest where `version` is null.
 * @throws DomainError `outlook-not-found` or `version-not-found`
 */
export async function readVersion(
  db: Db,
  cache: FrameworkCache,
  slug: string,
  version: number | null,
): Promise<OutlookVersion> {
  const [row] = await db
    .select({
      ...versionColumns,
      slug: outlooks.slug,
      instrument: { symbol: instruments.symbol, name: instruments.name },
      horizon: { from: outlooks.horizonFrom, to: outlooks.horizonTo },
      status: outlooks.status,
      frameworkId: outlookVersions.frameworkId,
      hash: outlookVersions.hash,
      previousHash: outlookVersions.previousHash,
    })
    .from(outlooks)
    .innerJoin(instruments, eq(instruments.id, outlooks.instrumentId))
    .innerJoin(
      outlookVersions,
      and(
        eq(outlookVersions.outlookId, outlooks.id),
        eq(outlookVersions.version, version ?? outlooks.latestVersion),
      ),
    )
    .innerJoin(analysts, eq(analysts.id, outlookVersions.authorId))
    .leftJoin(previous, isVersionBefore())
    .where(eq(outlooks.slug, slug));
  if (!row) throw await notFound(db, slug, version);

  const { frameworkId, bearBps, baseBps, bullBps, previous: before, ...rest } = row;
  const stored = await readFramework(db, cache, frameworkId);
  return {
    ...rest,
    // A numbered version never changes, so it tells the status that it was published with.
    status: version === null ? rest.status : 'open',
    frameworkHash: stored.hash,
    framework: stored.framework,
    probabilities: points({ bearBps, baseBps, bullBps }),
    previousProbabilities: before && points(before),
  };
}

function isVersionBefore() {
  return and(
    eq(previous.outlookId, outlookVersions.outlookId),
    eq(previous.version, sql`${outlookVersions.version} - 1`),
  );
}

async function notFound(db: Db, slug: string, version: number | null): Promise<DomainError> {
  const [outlook] = await db
    .select({ latest: outlooks.latestVersion })
    .from(outlooks)
    .where(eq(outlooks.slug, slug));
  if (!outlook) return new DomainError('outlook-not-found', `There is no outlook "${slug}".`);
  return new DomainError(
    'version-not-found',
    `"${slug}" has no version ${version}; its newest is ${outlook.latest}.`,
  );
}

/**
 * The versions of an outlook, newest first, those older than `before`; at most `limit`.
 * @throws DomainError `outlook-not-found`
 */
export async function listVersions(
  db: Db,
  slug: string,
  page: { before: number | null; limit: number },
): Promise<VersionEntry[]> {
  const [outlook] = await db
    .select({ id: outlooks.id })
    .from(outlooks)
    .where(eq(outlooks.slug, slug));
  if (!outlook) throw await notFound(db, slug, null);
  const rows = await db
    .select(versionColumns)
    .from(outlookVersions)
    .innerJoin(analysts, eq(analysts.id, outlookVersions.authorId))
    .leftJoin(previous, isVersionBefore())
    .where(
      and(
        eq(outlookVersions.outlookId, outlook.id),
        page.before === null ? undefined : lt(outlookVersions.version, page.before),
      ),
    )
    .orderBy(desc(outlookVersions.version))
    .limit(page.limit);
  return rows.map(({ bearBps, baseBps, bullBps, previous: before, ...rest }) => ({
    ...rest,
    probabilities: points({ bearBps, baseBps, bullBps }),
    previousProbabilities: before && points(before),
  }));
}

/** What an author sends as the next version; see {@link decideRevision}. */
export type RevisionRequest = {
  author: OutlookVersion['author'];
  rationale: string;
  probabilities?: Probabilities | undefined;
  framework?: Framework | undefined;
};

/**
 * Appends the next version of an outlook: one transaction that holds the outlook's row, so writers
 * of one outlook take turns and each decides on what the one before left.
 *
 * `prepare` sees the version that stands, still under the lock, and answers what to append; what it
 * throws leaves everything as it was.
 * @returns the version as it now stands
 * @throws DomainError `outlook-not-found`, or what {@link decideRevision} throws
 */
export async function revise(
  db: Db,
  cache: FrameworkCache,
  slug: string,
  prepare: (current: OutlookVersion) => RevisionRequest,
  now: () => Date,
): Promise<OutlookVersion> {
  return db.transaction(async (tx) => {
    const [locked] = await tx
      .select({ id: outlooks.id })
      .from(outlooks)
      .where(eq(outlooks.slug, slug))
      .for('no key update');
    if (!locked) throw await notFound(tx, slug, null);
    // A statement of its own: joined to the locked row, versions would be read as they were before
    // the wait for the lock.
    const current = await readVersion(tx, cache, slug, null);
    const { author, framework, ...request } = prepare(current);
    const subject: Subject = { instrument: current.instrument.symbol, horizon: current.horizon };
    const frameworkHash = framework && hashFramework(framework, subject);
    const proposal = { ...request, authorId: author.id, frameworkHash };
    const next = decideRevision(current satisfies Standing, proposal, now());
    const replaced = next.kind === 'framework' ? framework : undefined;
    const frameworkId =
      replaced && (await appendFramework(tx, locked.id, replaced, next.frameworkHash));
    await appendVersion(tx, locked.id, next, frameworkId ?? null, current.probabilities);
    const { authorId: _, ...published } = next;
    return {
      ...current,
      ...published,
      author,
      previousProbabilities: current.probabilities,
      framework: replaced ?? current.framework,
    };
  });
}

/**
 * Appends a version and the event that tells of it. Call it in the transaction that decided on the
 * version. The outlook's pointer follows by trigger.
 * @param frameworkId its new framework; null keeps that of the version before
 * @param before what stood before; null for version 1
 */
export async function appendVersion(
  tx: Db,
  outlookId: number,
  next: NewVersion,
  frameworkId: number | null,
  before: Probabilities | null,
): Promise<void> {
  const kept = tx
    .select({ id: outlookVersions.frameworkId })
    .from(outlookVersions)
    .where(
      and(eq(outlookVersions.outlookId, outlookId), eq(outlookVersions.version, next.version - 1)),
    );
  await tx.insert(outlookVersions).values({
    outlookId,
    version: next.version,
    kind: next.kind,
    frameworkId: frameworkId ?? sql`(${kept})`,
    bearBps: next.probabilities.bear,
    baseBps: next.probabilities.base,
    bullBps: next.probabilities.bull,
    authorId: next.authorId,
    rationale: next.rationale,
    recordedAt: next.publishedAt,
    hash: next.hash,
    previousHash: next.previousHash,
  });
  await tx.insert(events).values({
    kind: next.kind === 'created' ? 'outlook.created' : 'outlook.version.published',
    outlookId,
    version: next.version,
    data: {
      kind: next.kind,
      probabilities: fractionsOf(next.probabilities),
      deltas: before && deltasOf(before, next.probabilities),
    },
    recordedAt: next.publishedAt,
  });
}
