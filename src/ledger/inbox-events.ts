import { createHash } from 'node:crypto';
import type { Desks } from '../domain/desks.ts';
import { type EventRef, PROPOSAL_EVENT_KINDS, START } from '../domain/events.ts';
import type { Session } from '../postgres/pool.ts';

/** An event of a proposal. Its position is its place in the transparency log: such events have no other. */
export type InboxEvent = EventRef & { kind: string; recordedAt: Date; data: object };

/** How many places of the log a statement looks through: most are those of other events. */
const PLACES_AT_ONCE = 10_000;
const EVENTS_AT_ONCE = 100;

type Row = { position: number; id: number; kind: string; recordedAt: number; data: object };

// An index has the places, by exactly this expression.
const PLACE = 'coalesce(e.log_position, e.position)';
const COLUMNS = `${PLACE} as position, e.id, e.kind, (extract(epoch from e.recorded_at) * 1000)::bigint as "recordedAt"`;

/**
 * Tells an event from another that the ledger had at that place before it went back. Not by what the event says: an erasure of a
 * name may change that, and the id would prove a guess at it.
 */
function digestOf({ position, id, recordedAt }: Omit<Row, 'data'>): string {
  const content = JSON.stringify([position, id, recordedAt]);
  return createHash('sha256').update(content).digest('hex');
}

/**
 * The events of the desks' proposals after a place, in order.
 * @param upTo the place of the newest event to read
 * @returns `readTo`, up to where there are no others
 */
export async function readInboxEvents(
  session: Session,
  { after, upTo, desks }: { after: number; upTo: number; desks: Desks },
): Promise<{ events: InboxEvent[]; readTo: number }> {
  const until = Math.min(after + PLACES_AT_ONCE, upTo);
  const { rows } = await session.query<Row>({
    name: 'read-inbox-events',
    text: `select ${COLUMNS}, e.data from events e
      where ${PLACE} > $1 and ${PLACE} <= $2 and e.kind = any($3)
        and ($4::int[] is null or e.data ->> 'desk' in (select slug from desks where id = any($4::int[])))
      order by ${PLACE} limit ${EVENTS_AT_ONCE}`,
    values: [after, until, PROPOSAL_EVENT_KINDS, desks === 'all' ? null : desks],
  });
  const events = rows.map((row) => ({
    position: row.position,
    digest: digestOf(row),
    kind: row.kind,
    recordedAt: new Date(row.recordedAt),
    data: row.data,
  }));
  const last = rows.at(-1)?.position ?? until;
  return { events, readTo: rows.length < EVENTS_AT_ONCE ? until : last };
}

/** The place of the newest event; 0 if there is none. */
export async function newestPlace(session: Session): Promise<number> {
  const { rows } = await session.query<{ last: number | null }>({
    name: 'read-newest-place',
    text: `select max(${PLACE}) as last from events e`,
  });
  return rows[0]?.last ?? 0;
}

/** Whether proposals have an event after a place, up to another one. */
export async function hasInboxEvents(
  session: Session,
  { after, upTo }: { after: number; upTo: number },
): Promise<boolean> {
  if (after >= upTo) return false;
  const { rows } = await session.query({
    name: 'has-inbox-events',
    text: `select from events e where ${PLACE} > $1 and ${PLACE} <= $2 and e.kind = any($3) limit 1`,
    values: [after, upTo, PROPOSAL_EVENT_KINDS],
  });
  return rows.length > 0;
}

/** Refers to the event at a place; null if there is none. */
export async function readPlace(session: Session, place: number): Promise<EventRef | null> {
  if (place === 0) return START;
  const { rows } = await session.query<Omit<Row, 'data'>>({
    name: 'read-place',
    text: `select ${COLUMNS} from events e where ${PLACE} = $1`,
    values: [place],
  });
  return rows[0] ? { position: place, digest: digestOf(rows[0]) } : null;
}
