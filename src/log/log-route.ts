import type pg from 'pg';
import type { z } from 'zod';
import { EMPTY_ROOT } from '../domain/merkle-tree.ts';
import { setFreshness } from '../http/conditional-requests.ts';
import { Problem } from '../http/problems.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import type { Session } from '../postgres/pool.ts';
import { newestCheckpoint } from './checkpoints.ts';
import { newestCosignatures } from './cosignatures.ts';
import { newestGeneration } from './generations.ts';
import { transparencyLog } from './schemas.ts';

export type LogDeps = {
  pool: pg.Pool;
  /** Whether this instance signs. If so, the log is what was signed, even if that is nothing yet. */
  isSigning: boolean;
  /** Who cosigns checkpoints, by the settings of this instance. */
  witnesses: readonly { name: string; vkey: string }[];
};

type LogJson = z.output<typeof transparencyLog>;

/** Serves the state of the log to everyone, even where reads need a key: it is sizes and hashes. */
export function logRoute(api: Api, deps: LogDeps): void {
  const readDigestedAt = digestedAtReader(deps.pool);
  api.route({
    method: 'GET',
    url: '/v1/log',
    config: { access: 'public' },
    schema: {
      operationId: 'getLog',
      tags: ['Transparency log'],
      summary: 'Read the state of the transparency log',
      description:
        'Every write is a leaf of a Merkle tree (RFC 6962), so that nobody can change or delete it unseen, not even the owner of the database. The tree is served as c2sp.org/tlog-tiles describes, under `/log/{generation}`. A new generation starts only after the ledger lost leaves that were signed.',
      security: [],
      response: { 200: transparencyLog, ...problemResponses(422) },
    },
    handler: async (_request, reply) => {
      const [state, rowsFirstDigestedAt] = [await readState(deps), await readDigestedAt()];
      setFreshness(reply, 'revalidate');
      return reply.send({ ...state, rowsFirstDigestedAt } satisfies LogJson);
    },
  });
}

async function readState({
  pool,
  isSigning,
  witnesses,
}: LogDeps): Promise<Omit<LogJson, 'rowsFirstDigestedAt'>> {
  const newest = await newestGeneration(pool);
  if (!newest) {
    const detail = 'The log starts within a second of the service; try again.';
    throw new Problem('unavailable', detail, { headers: { 'retry-after': '1' } });
  }
  const { generation, origin } = newest;
  const checkpoint = await newestCheckpoint(pool, generation);
  // Only a log that is signed gets a second generation.
  const unsigned = isSigning || generation > 1 ? { size: 0, root: EMPTY_ROOT } : newest;
  const { size, root } = checkpoint ?? unsigned;
  return {
    generation,
    origin,
    size,
    root: root.toString('base64'),
    signed: checkpoint !== null,
    checkpoint: checkpoint && `/log/${generation}/checkpoint`,
    vkey: checkpoint?.vkeys[0] ?? null,
    witnesses: await withCosignatures(pool, generation, witnesses),
    generations: await readGenerations(pool),
  };
}

async function withCosignatures(
  session: Session,
  generation: number,
  witnesses: LogDeps['witnesses'],
): Promise<LogJson['witnesses']> {
  const newest = await newestCosignatures(session, generation);
  return witnesses.map(({ name, vkey }) => {
    const { size = null, cosignedAt = null } = newest.get(name) ?? {};
    return { name, vkey, size, cosignedAt: cosignedAt?.toISOString() ?? null };
  });
}

type GenerationRow = {
  generation: number;
  origin: string;
  startedAt: Date;
  content: string | null;
  salt: Buffer | null;
};

async function readGenerations(session: Session): Promise<LogJson['generations']> {
  const { rows } = await session.query<GenerationRow>(
    `select generation, origin, started_at as "startedAt", content, salt
      from log_generations order by generation`,
  );
  return rows.map(({ generation, origin, startedAt, content, salt }) => ({
    generation,
    origin,
    startedAt: startedAt.toISOString(),
    agreedSize: content === null ? null : agreedIn(content),
    statement:
      content === null || salt === null ? null : { event: content, salt: salt.toString('base64') },
  }));
}

/** The leaves of the generation before that a statement still stands by. */
function agreedIn(content: string): number {
  return (JSON.parse(content) as { previous: { agreed: number } }).previous.agreed;
}

/** Reads when the rows from before the log were all digested, once they are: it takes long in a large ledger. */
function digestedAtReader(session: Session): () => Promise<string | null> {
  let known: string | null = null;
  return async () => {
    if (known !== null) return known;
    const { rows } = await session.query<{ at: Date }>(
      `select recorded_at as at from events
        where kind = 'ledger.digested' and exists (select from digest_progress)
          and not exists (select from digest_progress where not is_done)`,
    );
    known = rows[0]?.at.toISOString() ?? null;
    return known;
  };
}
