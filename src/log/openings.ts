import { commitmentOf } from '../domain/log-entries.ts';
import { Problem } from '../http/problems.ts';
import type { Session } from '../postgres/pool.ts';

/** What an entry of the log commits to: an event, and the rows of the transaction that wrote it. */
export type Opening = {
  /** The place of the event in the log, among all events, from 1. */
  position: number;
  writeId: number;
  salt: Buffer;
  /** Canonical JSON (RFC 8785). */
  content: string;
  commitment: Buffer;
  /** The path that the event is about. */
  subject: string;
  /** How many rows the transaction wrote, and the root of the tree over them. */
  rows: { count: number; root: Buffer };
};

type OpeningRow = {
  isSigned: boolean;
  position: number | null;
  writeId: number | null;
  salt: Buffer | null;
  content: string | null;
  commitment: Buffer | null;
};

type EventContent = { subject: string; rows: { count: number; root: string } };

const readOpening = (name: string, where: string) => ({
  name,
  text: `
    select exists (select from log_checkpoints) as "isSigned", coalesce(e.log_position, e.position) as position,
        p.write_id as "writeId", p.salt, p.content, p.commitment
      from (select) one
      left join (events e join openings p on p.event_id = e.id) on ${where}
     order by p.content is null, coalesce(e.log_position, e.position) limit 1`,
});
const OF_EVENT = readOpening('read-opening', 'e.id = $1');
// A write that digests rows older than the log adds one event.
const OF_WRITE = readOpening(
  'read-opening-of-write',
  `e.id = (select d.keys[1]::bigint from row_digests d
      where d.write_id = $1 and d.relation = 'events' order by d.number limit 1)`,
);

/**
 * The opening of an event, or one of those of a write, which all have its root.
 * @throws Problem `no-signed-log`, `receipt-not-ready` or `opening-erased`
 */
export async function requireOpening(
  session: Session,
  of: { eventId: number } | { writeId: number },
): Promise<Opening> {
  const { rows } = await session.query<OpeningRow>(
    'eventId' in of ? { ...OF_EVENT, values: [of.eventId] } : { ...OF_WRITE, values: [of.writeId] },
  );
  const { isSigned, position, writeId, salt, content, commitment } = rows[0] as OpeningRow;
  if (!isSigned) throw noSignedLog();
  if (position === null || writeId === null || commitment === null) throw notReady();
  if (salt === null || content === null) throw openingErased();
  if (!commitmentOf(salt, content).equals(commitment)) throw recordAltered('openings');
  const { subject, rows: written } = parseContent(content);
  const root = Buffer.from(written.root, 'base64');
  const opened = { subject, rows: { count: written.count, root } };
  return { position, writeId, salt, content, commitment, ...opened };
}

/** @throws Problem `record-altered` if it is not JSON */
function parseContent(content: string): EventContent {
  try {
    return JSON.parse(content) as EventContent;
  } catch {
    throw new Problem(
      'record-altered',
      'The opening of this record is not valid JSON: an earlier release wrote it so. No receipt can prove it.',
    );
  }
}

/** 503: the tree, or its newest signed checkpoint, does not have the record yet. */
export function notReady(): Problem {
  return new Problem(
    'receipt-not-ready',
    'No signed checkpoint of the log covers this record yet; try again.',
    { headers: { 'retry-after': '1' } },
  );
}

function noSignedLog(): Problem {
  return new Problem('no-signed-log', 'This service does not sign its log, so it has no receipts.');
}

/** 410: an erasure deleted a salt that the receipt needs. */
export function openingErased(): Problem {
  return new Problem(
    'opening-erased',
    'A name in this record was erased, and its opening with it, so it can no longer be proved.',
  );
}

/** 409: a row of this table does not have the hash that it was written with. */
export function recordAltered(relation: string): Problem {
  return new Problem(
    'record-altered',
    `A row of ${relation} is not as it was written, so no receipt can prove it.`,
  );
}
