import type { EventKind } from '../domain/events.ts';
import type { Session } from './pool.ts';

/** A stored event, at its position in the order that all followers share. */
export type LedgerEvent = {
  /** Counts from 1 without gaps. */
  position: number;
  kind: EventKind;
  slug: string;
  version: number;
  data: unknown;
  recordedAt: Date;
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

const READ = `
  select e.position, e.kind, o.slug, e.version, e.data,
    e.recorded_at as "recordedAt"
  from events e join outlooks o on o.id = e.outlook_id`;
const READ_AFTER = {
  name: 'read-events',
  text: `${READ} where e.position > $1 order by e.position limit $2`,
};
const READ_OF_OUTLOOK_AFTER = {
  name: 'read-events-of-outlook',
  text: `${READ} where o.slug = $3 and e.position > $1 order by e.position limit $2`,
};

/** The events after a position, in order, of all outlooks or of one; at most `limit`. */
export async function readEvents(
  session: Session,
  page: { after: number; limit: number; slug: string | null },
): Promise<LedgerEvent[]> {
  const { after, limit, slug } = page;
  const query =
    slug === null
      ? { ...READ_AFTER, values: [after, limit] }
      : { ...READ_OF_OUTLOOK_AFTER, values: [after, limit, slug] };
  return (await session.query<LedgerEvent>(query)).rows;
}
