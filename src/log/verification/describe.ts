import type { Session } from '../../postgres/pool.ts';
import type { RowFault } from './faults.ts';

/** A sentence about a fault: the table, the first row, what is wrong with it, how many more there are, and its event. */
export async function describeFault(session: Session, fault: RowFault): Promise<string> {
  const { relation, key, count } = fault;
  const more = count === 1 ? '' : ` (and ${count - 1} more)`;
  const event = fault.writeId === null ? null : await readEvent(session, fault.writeId);
  const source = event === null ? '' : ` It was written with ${event}.`;
  return `${relation}: ${await labelOf(session, relation, key)} ${fault.fault}${more}.${source}`;
}

/** A primary key with the names of its columns, such as `outlook_id 3, version 2`. */
async function labelOf(session: Session, relation: string, key: string): Promise<string> {
  const { rows } = await session.query<{ name: string }>(
    `select k.name from pg_class c, key_columns(c.oid) as k
      where c.relnamespace = 'public'::regnamespace and c.relname = $1 order by k.number`,
    [relation],
  );
  const values = rows.length > 1 ? key.split(',') : [key];
  return values.map((value, at) => (rows[at] ? `${rows[at].name} ${value}` : value)).join(', ');
}

/** The first event of a write: its position, and what the log says that it is about. */
async function readEvent(session: Session, writeId: number): Promise<string | null> {
  const { rows } = await session.query<{
    id: number;
    position: number | null;
    kind: string;
    content: string | null;
  }>(
    `select e.id, coalesce(e.log_position, e.position) as position, e.kind, o.content
       from openings o join events e on e.id = o.event_id where o.write_id = $1 order by e.id limit 1`,
    [writeId],
  );
  if (!rows[0]) return null;
  const { position, kind, content } = rows[0];
  const subject = subjectOf(content);
  const place = position === null ? 'an event without a position yet' : `event ${position}`;
  return `${place} (${kind}${subject === null ? '' : ` of ${subject}`})`;
}

/** Null if the content was erased, or is not JSON. */
function subjectOf(content: string | null): string | null {
  try {
    return (JSON.parse(content ?? 'null') as { subject: string } | null)?.subject ?? null;
  } catch {
    return null;
  }
}
