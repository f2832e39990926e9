import { createHash } from 'node:crypto';
import type { Audience } from '../domain/desks.ts';
import { type EventKind, type EventRef, hiddenKinds, START } from '../domain/events.ts';
import { Busy, type Session } from './pool.ts';

/** A stored event, with its position in the order that all followers share. */
export type LedgerEvent = EventRef & {
  kind: EventKind;
  slug: string;
  version: number;
  data: unknown;
  recordedAt: Date;
  /** The desk that alone may see its outlook, as of the read; null if the outlook is public. */
  internalTo: number | null;
};

/**
 * Gives positions to the events committed since the last call.
 * @returns the last position; 0 if there is no event
 */
export async function sequenceEvents(session: Session): Promise<number> {
  const { rows } = await session.query<{ last: number | null }>({
    name: 'sequence-events',
    text: 'select sequence_events() as last',
  });
  return rows[0]?.last ?? 0;
}

/** The last place in the log, which events about no outlook have, too; 0 if there is none. */
export async function lastLogPosition(session: Session): Promise<number> {
  const { rows } = await session.query<{ last: number }>({
    name: 'last-log-position',
    text: 'select coalesce(max(coalesce(log_position, position)), 0) as last from events',
  });
  return rows[0]?.last ?? 0;
}

type EventRow = Pick<LedgerEvent, 'position' | 'kind' | 'version' | 'data'> & {
  outlookId: number;
  /** In milliseconds since 1970, because the text of a time depends on the settings of the session. */
  recordedAt: number;
};

const COLUMNS = `e.position, e.kind, e.outlook_id as "outlookId", e.version, e.data,
    (extract(epoch from e.recorded_at) * 1000)::bigint as "recordedAt"`;
const READ = `select ${COLUMNS}, o.slug, o.internal_to as "internalTo" from events e join outlooks o on o.id = e.outlook_id`;
const READ_FROM = {
  name: 'read-events',
  text: `${READ} where e.position >= $1 order by e.position limit $2`,
};
const READ_OF_OUTLOOK_FROM = {
  name: 'read-events-of-outlook',
  // With a join alone, a generic plan reads all events of the outlook for each page.
  text: `${READ} where e.outlook_id = (select id from outlooks where slug = $3) and e.position >= $1
    order by e.position limit $2`,
};
const READ_ONE = {
  name: 'read-event',
  text: `select ${COLUMNS} from events e where e.position = $1`,
};
const READ_NEWEST_SHOWN = {
  name: 'read-newest-shown-event',
  text: `select ${COLUMNS} from events e join outlooks o on o.id = e.outlook_id
    where e.position > $1 and e.position <= $2 and e.kind <> all($3::text[])
      and (o.internal_to is null or $4::int[] is null or o.internal_to = any($4::int[]))
    order by e.position desc limit 1`,
};

/** The events from a position on, in order, of all outlooks or of one; at most `limit`. */
export async function readEvents(
  session: Session,
  page: { from: number; limit: number; slug: string | null },
): Promise<LedgerEvent[]> {
  const { from, limit, slug } = page;
  const query =
    slug === null
      ? { ...READ_FROM, values: [from, limit] }
      : { ...READ_OF_OUTLOOK_FROM, values: [from, limit, slug] };
  const { rows } = await session.query<EventRow & Pick<LedgerEvent, 'slug' | 'internalTo'>>(query);
  return rows.map((row) => {
    const { position, kind, slug, version, data, internalTo } = row;
    const recordedAt = new Date(row.recordedAt);
    return { position, digest: digestOf(row), kind, slug, version, data, recordedAt, internalTo };
  });
}

/** The same on every instance: jsonb has an order of its own. */
function digestOf({ position, kind, outlookId, version, recordedAt, data }: EventRow): string {
  const content = JSON.stringify([position, kind, outlookId, version, recordedAt, data]);
  return createHash('sha256').update(content).digest('hex');
}

/** Refers to the event at a position; null if there is none. */
export async function readEventRef(session: Session, position: number): Promise<EventRef | null> {
  if (position === 0) return START;
  const { rows } = await session.query<EventRow>({ ...READ_ONE, values: [position] });
  return rows[0] ? { position, digest: digestOf(rows[0]) } : null;
}

/**
 * Refers to the newest event that an audience may see, of those after one position and up to another; null if there is none.
 * Nobody else may get the digest of an event: it proves a guess at what the event says.
 */
export async function readNewestShown(
  session: Session,
  { after, upTo }: { after: number; upTo: number },
  audience: Audience,
): Promise<EventRef | null> {
  const desks = audience.desks === 'all' ? null : audience.desks;
  const values = [after, upTo, hiddenKinds(audience), desks];
  const { rows } = await session.query<EventRow>({ ...READ_NEWEST_SHOWN, values });
  return rows[0] ? { position: rows[0].position, digest: digestOf(rows[0]) } : null;
}

/**
 * Refers to the newest event, after giving positions to all committed ones.
 * @throws Busy if the ledger goes back to an earlier state in the meantime
 */
export async function newestEvent(session: Session): Promise<EventRef> {
  const newest = await readEventRef(session, await sequenceEvents(session));
  if (!newest) throw new Busy('the ledger went back to an earlier state');
  return newest;
}

/** Whether the ledger still has an event. */
export async function hasEvent(session: Session, { position, digest }: EventRef): Promise<boolean> {
  return (await readEventRef(session, position))?.digest === digest;
}

// An erasure changes events and whatever shows the name. A renamed analyst changes whatever shows the name, a deactivated one
// the consensuses, and a renamed desk whatever shows its name. Ids and counts only grow, so each of these changes the sum.
const AMENDMENTS = `((select coalesce(max(id), 0) from erasures) + (select coalesce(max(id), 0) from analyst_changes)
    + (select sum(changes)::int from desks))`;

/** A number that grows with each amendment: an erasure, a change of an analyst, or a new name of a desk. It may skip some. */
export async function countAmendments(session: Session): Promise<number> {
  const { rows } = await session.query<{ amendments: number }>(
    `select ${AMENDMENTS} as amendments`,
  );
  return rows[0]?.amendments ?? 0;
}

// The event at $1 got its position before this statement, which therefore sees it, although the function gives positions to
// others. It reads neither outlooks nor what belongs to them, so that a lock on these tables delays no followers.
const SEQUENCE_AND_READ = {
  name: 'sequence-and-read-event',
  text: `select sequenced.last, pg_is_in_recovery() as "isStandby", ${AMENDMENTS} as amendments, ${COLUMNS}
    from (select sequence_events() as last) sequenced left join events e on e.position = $1`,
};

type SequenceRow = { last: number | null; isStandby: boolean; amendments: number } & (
  EventRow | { kind: null }
);

/**
 * Gives positions to the events committed since the last call.
 * @returns the last position, whether the ledger still has the given event, and the number of {@link countAmendments}
 * @throws Error on a standby: an event that it lacks may only be late
 */
export async function sequenceAndCheck(
  session: Session,
  { position, digest }: EventRef,
): Promise<{ last: number; hasGiven: boolean; amendments: number }> {
  const { rows } = await session.query<SequenceRow>({ ...SEQUENCE_AND_READ, values: [position] });
  const [row] = rows;
  if (!row) throw new Error('the query for new events returned no row');
  const { last, isStandby, amendments, ...event } = row;
  if (isStandby) throw new Error('the server is a standby: connect to the primary');
  const hasGiven = position === 0 || (event.kind !== null && digestOf(event) === digest);
  return { last: last ?? 0, hasGiven, amendments };
}
