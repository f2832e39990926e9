import { randomBytes, randomUUID } from 'node:crypto';
import type pg from 'pg';
import { commitmentOf } from '../domain/log-entries.ts';
import type { TreeHead } from '../domain/signed-note.ts';
import { inTransaction, type Session } from '../postgres/pool.ts';
import { newestGeneration } from './leaves.ts';

/**
 * Starts the first generation, unless one was started. Its origin never changes.
 * @param prefix the public address of the service without its scheme, such as `outlooks.example`; null if it has none
 */
export async function startFirstGeneration(
  pool: pg.Pool,
  { prefix, now }: { prefix: string | null; now: Date },
): Promise<void> {
  if ((await newestGeneration(pool)) !== null) return;
  const origin = originOf({ prefix, before: null, generation: 1 });
  await inTransaction(pool, async (session) => {
    await session.query(`select ${LOCK}`);
    await session.query(
      `insert into log_generations (generation, origin, started_at, after_position)
       select 1, $1, $2, 0 where not exists (select from log_generations)`,
      [origin, now.toISOString()],
    );
  });
}

/** The lock that whoever extends the tree holds. */
const LOCK = `pg_advisory_xact_lock(hashtextextended('outlook-ledger log', 0))`;

type OriginOf = {
  prefix: string | null;
  /** The origin of the generation before; null for the first one. */
  before: string | null;
  generation: number;
};

/** The origin of a generation (c2sp.org/tlog-checkpoint): the address of its tiles, or a name that no server has (RFC 2606). */
export function originOf({ prefix, before, generation }: OriginOf): string {
  if (prefix !== null) return `${prefix}/log/${generation}`;
  const [, id = randomUUID()] = /^outlook-ledger\.invalid\/([0-9a-f-]+)\//.exec(before ?? '') ?? [];
  return `outlook-ledger.invalid/${id}/${generation}`;
}

/** What leaf 0 of a generation says about the log that it follows. */
export type Predecessor = TreeHead & {
  /** How many of its leaves the ledger still has. */
  agreed: number;
};

type NewGeneration = {
  generation: number;
  origin: string;
  /** The last event that the generations before agree on. */
  afterPosition: number;
  previous: Predecessor;
};

/** Starts a generation that follows another one. Its leaf 0 says which, and what is left of it. */
export async function startGeneration(
  session: Session,
  { generation, origin, afterPosition, previous }: NewGeneration,
  now: Date,
): Promise<void> {
  const { agreed, size, root } = previous;
  // Canonical JSON (RFC 8785): the names are sorted, and origins have no characters that JSON escapes.
  const content = JSON.stringify({
    after: afterPosition,
    at: now.toISOString(),
    kind: 'log.generation.started',
    previous: { agreed, origin: previous.origin, root: root.toString('base64'), size },
    v: 1,
  });
  const salt = randomBytes(32);
  const commitment = commitmentOf(salt, content);
  await session.query(
    `insert into log_generations (generation, origin, started_at, after_position, previous_size, previous_root,
       salt, content, commitment)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [generation, origin, now.toISOString(), afterPosition, size, root, salt, content, commitment],
  );
}

/** Keeps everyone else from extending or signing the tree until the transaction ends. */
export async function lockLog(session: Session): Promise<void> {
  await session.query(`set local lock_timeout = '15s'`);
  await session.query(`select ${LOCK}, ${SIGNING_LOCK}`);
}

const SIGNING_LOCK = `pg_advisory_xact_lock(hashtextextended('outlook-ledger log signing', 0))`;

/** Makes the start of a generation wait until the transaction ends. */
export async function lockSigning(session: Session): Promise<void> {
  await session.query(`select ${SIGNING_LOCK}`);
}
