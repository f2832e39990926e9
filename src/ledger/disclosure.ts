import { deskOf } from '../access/desks.ts';
import { actsFor, type Desks, requireDesk } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';
import type { EventKind } from '../domain/events.ts';
import type { Session } from '../postgres/pool.ts';
import { outlookNotFound } from './find-outlook.ts';
import { seriesNotFound } from './series.ts';

/** An outlook that a disclosure would open: how much it has, and the newest of it. */
export type OpenedOutlook = {
  slug: string;
  title: string;
  versions: number;
  evidence: number;
  events: number;
  /** Views stay for those with a key. */
  views: number;
  newestVersions: readonly { version: number; publishedAt: Date; rationale: string }[];
  newestEvidence: readonly { id: string; headline: string; addedAt: Date }[];
  newestEvents: readonly { kind: EventKind; version: number; recordedAt: Date }[];
};

export type OpenedSeries = { key: string; name: string; observations: number };

/** What a disclosure would open. */
export type Opened = {
  /** An outlook and the others of its chain of continuations, oldest first. */
  outlooks: readonly OpenedOutlook[];
  series: readonly OpenedSeries[];
  /** The internal series that rules of the outlooks watch. They have to be public first. */
  needs: readonly OpenedSeries[];
};

/** How many versions, items of evidence and events are listed. */
const MOST_LISTED = 100;

type Subject = {
  id: number;
  internalTo: number | null;
  deskId: number;
  deskSlug: string;
  deskName: string;
};

const SUBJECT = (alias: string) => `
  select ${alias}.id, ${alias}.internal_to as "internalTo", d.id as "deskId", d.slug as "deskSlug", d.name as "deskName"`;

/**
 * @param notFound the error for a caller who may not see it
 * @throws DomainError `wrong-desk` if the caller does not act for its desk, `already-public` if it is not internal
 */
function requireInternal(
  { internalTo, deskId, deskSlug, deskName }: Subject,
  desks: Desks,
  name: string,
  notFound: DomainError,
): void {
  if (internalTo !== null && !actsFor(desks, internalTo)) throw notFound;
  requireDesk(desks, { id: deskId, slug: deskSlug, name: deskName }, `"${name}"`);
  if (internalTo === null) throw new DomainError('already-public', `"${name}" is public already.`);
}

/**
 * What the disclosure of an internal outlook would open.
 * @throws DomainError `outlook-not-found`, `wrong-desk` or `already-public`
 */
export async function readOutlookDisclosure(
  session: Session,
  slug: string,
  desks: Desks,
): Promise<Opened> {
  return openedBy(session, await readChain(session, await findOutlook(session, slug, desks)));
}

/**
 * Makes an internal outlook public, for good, with its chain of continuations. Call it in a transaction.
 * @param check what would open now; it may refuse it
 * @returns the slugs of the outlooks that are public now, oldest first
 * @throws DomainError `outlook-not-found`, `wrong-desk`, `already-public`, or `series-internal` if a rule watches an internal
 *   series
 */
export async function discloseOutlook(
  session: Session,
  slug: string,
  { analyst, desks }: { analyst: { id: string }; desks: Desks },
  check: (opened: Opened) => void,
  clock: () => Date,
): Promise<string[]> {
  const ids = await lockChain(session, await findOutlook(session, slug, desks));
  // Another disclosure may have been first.
  await findOutlook(session, slug, desks);
  const opened = await openedBy(session, ids);
  check(opened);
  await session.query(
    `insert into disclosures (outlook_id, author_id, recorded_at)
     select id, $2, $3 from unnest($1::bigint[]) id order by id`,
    [ids, analyst.id, clock().toISOString()],
  );
  return opened.outlooks.map((outlook) => outlook.slug);
}

async function findOutlook(session: Session, slug: string, desks: Desks): Promise<number> {
  const { rows } = await session.query<Subject>(
    `${SUBJECT('o')} from outlooks o join ${deskOf('o')} where o.slug = $1`,
    [slug],
  );
  const [found] = rows;
  if (!found) throw outlookNotFound(slug);
  requireInternal(found, desks, slug, outlookNotFound(slug));
  return found.id;
}

/** The ids of the outlooks in the chain of continuations of an outlook, itself included, in ascending order. */
async function readChain(session: Session, id: number): Promise<number[]> {
  const { rows } = await session.query<{ id: number }>(
    `with recursive chain (id) as (
       select $1::bigint
       union
       select n.id from chain c
         join outlooks o on o.id = c.id
         join outlooks n on n.continues_id = c.id or n.id = o.continues_id)
     select id from chain order by id`,
    [id],
  );
  return rows.map((row) => row.id);
}

/** Locks the outlooks of a chain. A request that continues one of them waits; if it came first, its outlook is locked, too. */
async function lockChain(session: Session, id: number): Promise<number[]> {
  for (let locked: number[] = []; ;) {
    const ids = await readChain(session, id);
    if (ids.length === locked.length) return ids;
    await session.query('select from outlooks where id = any($1) order by id for no key update', [
      ids,
    ]);
    locked = ids;
  }
}

const listed = (members: string, from: string, order: string): string => `
  (select coalesce(json_agg(json_build_object(${members}) order by ${order} desc), '[]')
     from (${from} order by ${order} desc limit ${MOST_LISTED}) l)`;
const milliseconds = (column: string): string => `(extract(epoch from ${column}) * 1000)::float8`;

// The events of views stay for those with a key, as views do.
const OF_OUTLOOK = "e.outlook_id = o.id and e.kind not like 'view.%'";

const READ_OPENED = `
  select o.slug, f.title, o.latest_version as versions,
    (select count(*) from evidence e where e.outlook_id = o.id) as evidence,
    (select count(*) from events e where ${OF_OUTLOOK}) as events,
    (select count(*) from views v where v.outlook_id = o.id) as views,
    ${listed(
      `'version', l.version, 'publishedAt', ${milliseconds('l.recorded_at')}, 'rationale', l.rationale`,
      'select v.version, v.recorded_at, v.rationale from outlook_versions v where v.outlook_id = o.id',
      'version',
    )} as "newestVersions",
    ${listed(
      `'id', l.id, 'headline', l.headline, 'addedAt', ${milliseconds('l.recorded_at')}`,
      'select e.id, e.number, e.headline, e.recorded_at from evidence e where e.outlook_id = o.id',
      'number',
    )} as "newestEvidence",
    ${listed(
      `'kind', l.kind, 'version', l.version, 'recordedAt', ${milliseconds('l.recorded_at')}`,
      `select e.id, e.kind, e.version, e.recorded_at from events e where ${OF_OUTLOOK}`,
      'id',
    )} as "newestEvents"
    from outlooks o join frameworks f on f.id = o.framework_id
   where o.id = any($1) order by o.id`;

type OpenedRow = Omit<OpenedOutlook, 'newestVersions' | 'newestEvidence' | 'newestEvents'> & {
  newestVersions: { version: number; publishedAt: number; rationale: string }[];
  newestEvidence: { id: string; headline: string; addedAt: number }[];
  newestEvents: { kind: EventKind; version: number; recordedAt: number }[];
};

async function openedBy(session: Session, outlookIds: readonly number[]): Promise<Opened> {
  const { rows } = await session.query<OpenedRow>(READ_OPENED, [outlookIds]);
  const { rows: needs } = await session.query<OpenedSeries>(
    `select s.key, s.name, (select count(*) from observations b where b.series_id = s.id) as observations
       from series s
      where s.internal_to is not null and s.id in (
        select c.series_id from frameworks f join condition_comparisons c on c.framework_id = f.id
         where f.outlook_id = any($1))
      order by s.key collate "C"`,
    [outlookIds],
  );
  const outlooks = rows.map((row) => ({
    ...row,
    newestVersions: row.newestVersions.map((one) => ({
      ...one,
      publishedAt: new Date(one.publishedAt),
    })),
    newestEvidence: row.newestEvidence.map((one) => ({ ...one, addedAt: new Date(one.addedAt) })),
    newestEvents: row.newestEvents.map((one) => ({ ...one, recordedAt: new Date(one.recordedAt) })),
  }));
  return { outlooks, series: [], needs };
}

type SeriesSubject = Subject & OpenedSeries;

async function findSeries(
  session: Session,
  key: string,
  { desks, isLocked }: { desks: Desks; isLocked: boolean },
): Promise<SeriesSubject> {
  const { rows } = await session.query<SeriesSubject>(
    `${SUBJECT('s')}, s.key, s.name,
        (select count(*) from observations b where b.series_id = s.id) as observations
       from series s join ${deskOf('s')} where s.key = $1 ${isLocked ? 'for no key update of s' : ''}`,
    [key],
  );
  const [found] = rows;
  if (!found) throw seriesNotFound(key);
  requireInternal(found, desks, key, seriesNotFound(key));
  return found;
}

const disclosureOf = ({ key, name, observations }: OpenedSeries): Opened => ({
  outlooks: [],
  series: [{ key, name, observations }],
  needs: [],
});

/**
 * What the disclosure of an internal series would open.
 * @throws DomainError `series-not-found`, `wrong-desk` or `already-public`
 */
export async function readSeriesDisclosure(
  session: Session,
  key: string,
  desks: Desks,
): Promise<Opened> {
  return disclosureOf(await findSeries(session, key, { desks, isLocked: false }));
}

/**
 * Makes an internal series public, for good. Call it in a transaction.
 * @param check what would open now; it may refuse it
 * @throws DomainError `series-not-found`, `wrong-desk` or `already-public`
 */
export async function discloseSeries(
  session: Session,
  key: string,
  { analyst, desks }: { analyst: { id: string }; desks: Desks },
  check: (opened: Opened) => void,
  clock: () => Date,
): Promise<void> {
  await findSeries(session, key, { desks, isLocked: true });
  // Counts what was recorded while this waited for the lock.
  const found = await findSeries(session, key, { desks, isLocked: false });
  check(disclosureOf(found));
  await session.query(
    'insert into disclosures (series_id, author_id, recorded_at) values ($1, $2, $3)',
    [found.id, analyst.id, clock().toISOString()],
  );
}
