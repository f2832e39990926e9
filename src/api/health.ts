import type { ChangeFeed } from '../postgres/change-feed.ts';
import type pg from 'pg';
import { z } from 'zod';
import { hasEvent } from '../postgres/outbox.ts';
import { GRANT_RIGHTS, schemaFault, UNREADABLE } from '../postgres/migrations.ts';
import { missingRights } from '../postgres/privileges.ts';
import { forbidStoring } from '../http/conditional-requests.ts';
import { Problem } from '../http/problems.ts';
import { type Api, problemResponses } from '../http/routing.ts';
import { countLostConnections } from '../http/when-finished.ts';

export type HealthDeps = {
  pool: pg.Pool;
  feed: ChangeFeed;
  /** How many requests the service handles at once. */
  requestsAtOnce: number;
  /** How the transparency log is signed. */
  signingState: () => Promise<z.output<typeof signingState>>;
};

const TAG = 'Service';

const signingState = z.object({
  state: z
    .enum(['signing', 'signed-elsewhere', 'unsigned', 'no-state', 'forked', 'failing'])
    .describe(
      '`signing`: this instance signs. `signed-elsewhere`: it has no key, and another one signed. `unsigned`: nobody does. Otherwise it has a key and does not sign: the key has no state file (`no-state`), the ledger does not extend what was signed (`forked`), or the last try failed (`failing`). Nothing but signing stops for it.',
    ),
  reason: z.string().optional().describe('Why this instance does not sign, and what to do.'),
});

export function healthRoutes(api: Api, ledger: HealthDeps): void {
  livenessRoute(api);
  readinessRoute(api, ledger, watchStorage(api));
}

/**
 * Why the database would not store every write; null if it would.
 * @throws Problem if the role may not even read
 */
async function whyWritesFail(pool: pg.Pool): Promise<string | null> {
  const session = await pool.connect();
  let isUnusable = true; // a connection that failed, or leads to a standby, must not return to the pool
  try {
    const { rows } = await session.query<{ isReadOnly: boolean }>(
      `select current_setting('transaction_read_only') = 'on' as "isReadOnly"`,
    );
    const missing = await missingRights(session);
    isUnusable = rows[0]?.isReadOnly === true;
    if (missing.some((right) => READ_RIGHTS.test(right))) throw notReady(UNREADABLE);
    return isUnusable ? READ_ONLY : lackText(missing);
  } finally {
    session.release(isUnusable);
  }
}

const READ_RIGHTS = /^(select on table|usage on schema) /;
const READ_ONLY = 'The database is read-only.';
const STORAGE_FULL = 'The disk of the database was full at the last write.';

function lackText(rights: readonly string[]): string | null {
  if (rights.length === 0) return null;
  const [first, second, third, ...more] = rights;
  const named = [first, second, third].filter(Boolean).join(', ');
  const others = more.length > 0 ? ` and ${more.length} more` : '';
  return `The role in DATABASE_URL lacks rights (${named}${others}): ${GRANT_RIGHTS}.`;
}

const WRITES = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);

/** @returns whether the last write that reached the disk found it full */
function watchStorage(api: Api): () => boolean {
  let isFull = false;
  // Cached responses do not run this hook.
  api.addHook('onSend', (request, reply, payload, done) => {
    if (request.problem === 'storage-full') isFull = true;
    else if (WRITES.has(request.method) && reply.statusCode < 300) isFull = false;
    done(null, payload);
  });
  return () => isFull;
}

/** @returns a check that throws a Problem `overloaded` while requests without a connection hold half of all slots */
function watchSlots(api: Api, requestsAtOnce: number): () => void {
  let isLogged = false;
  return () => {
    const lost = countLostConnections();
    if (lost < requestsAtOnce / 2) {
      isLogged = false;
      return;
    }
    if (!isLogged) api.log.error({ lost }, 'requests whose connections closed still hold slots');
    isLogged = true;
    const detail = `${lost} requests whose connections closed still hold slots; the service needs a restart.`;
    throw new Problem('overloaded', detail, { headers: { 'retry-after': '5' } });
  };
}

function livenessRoute(api: Api): void {
  api.route({
    method: 'GET',
    url: '/healthz',
    config: { access: 'public', isUnlimited: true },
    schema: {
      operationId: 'getHealth',
      tags: [TAG],
      summary: 'Check liveness',
      description: 'Responds while the process runs. Does not query the database.',
      security: [],
      response: { 200: z.object({ status: z.literal('ok') }), ...problemResponses(422) },
    },
    handler: async (_request, reply) => {
      forbidStoring(reply);
      return reply.send({ status: 'ok' });
    },
  });
}

function readinessRoute(
  api: Api,
  { pool, feed, requestsAtOnce, signingState: readSigningState }: HealthDeps,
  isStorageFull: () => boolean,
): void {
  const refuseIfSlotsAreLost = watchSlots(api, requestsAtOnce);
  const ask = async () => {
    const fault = await schemaFault(pool);
    if (fault) throw notReady(fault);
    const writeFault = await whyWritesFail(pool);
    // The ledger may have gone back since the feed's last read.
    const isCurrent = feed.isCurrent && feed.last !== null && (await hasEvent(pool, feed.last));
    return { writeFault, isCurrent, log: await readSigningState() };
  };
  // Anyone may ask, without a limit, so simultaneous requests share one check.
  let pending: ReturnType<typeof ask> | null = null;

  api.route({
    method: 'GET',
    url: '/readyz',
    config: { access: 'public', isUnlimited: true },
    schema: {
      operationId: 'getReadiness',
      tags: [TAG],
      summary: 'Check readiness',
      description:
        'Queries the database and compares its schema with the one that this release requires. `writes` is `refused` while the database is read-only, if its disk was full at the last write, or if the role of the service lacks a right; `reason` says which. Answers 503 as well if requests whose connections closed still hold half of `REQUESTS_AT_ONCE`. While `changeFeed` is `away`, the service works but is slower: reads query the database, and event streams pause.',
      security: [],
      response: {
        200: z.object({
          status: z.literal('ready'),
          changeFeed: z.enum(['current', 'away']),
          writes: z.enum(['accepted', 'refused']),
          reason: z.string().optional().describe('Why writes are refused, and what to do.'),
          log: signingState.describe('How the checkpoints of the transparency log are signed.'),
        }),
        ...problemResponses(422, 503),
      },
    },
    handler: async (_request, reply) => {
      refuseIfSlotsAreLost();
      pending ??= ask().finally(() => (pending = null));
      const { writeFault, isCurrent, log } = await pending;
      const reason = writeFault ?? (isStorageFull() ? STORAGE_FULL : null);
      forbidStoring(reply);
      return reply.send({
        status: 'ready',
        changeFeed: isCurrent && feed.isCurrent ? 'current' : 'away',
        writes: reason === null ? 'accepted' : 'refused',
        ...(reason !== null && { reason }),
        log,
      });
    },
  });
}

function notReady(fault: string): Problem {
  return new Problem('unavailable', `The database is not ready: ${fault}`, {
    headers: { 'retry-after': '5' },
  });
}
