import type { FastifyReply, FastifyRequest } from 'fastify';
import pg from 'pg';
import { DomainError } from '../domain/errors.ts';
import { isUnavailable } from '../http/errors.ts';
import { Problem } from '../http/problems.ts';
import { batchCalls } from '../postgres/batching.ts';
import { inTransaction } from '../postgres/pool.ts';
import type { AuditSubject } from './audit-log.ts';
import { attemptOf } from './idempotency-key.ts';
import type { StoredResponse } from './idempotency-store.ts';
import { WriteRecords, type WriteRequest } from './write-records.ts';

export type WriteDeps = {
  pool: pg.Pool;
  now: () => Date;
  idempotencyHours: number;
};

/** A response before it is sent: with a body as bytes, with a value to write as JSON, or without a body. */
export type WriteResponse = {
  status: number;
  headers?: Record<string, string>;
  body: Buffer | object | null;
};

export type Write<Result> = {
  /** Does the write, in the transaction of the session. */
  work: (session: pg.PoolClient) => Promise<Result>;
  respond: (result: Result) => WriteResponse;
  /** What the audit trail says that the write was about. */
  subjectOf: (result: Result) => AuditSubject;
  /** Runs after the commit, before the response is sent. If it returns a response, that one is sent instead. */
  afterCommit?: (result: Result) => void | Promise<WriteResponse>;
  /** Whether the response has a secret, so that it is stored encrypted. */
  isSecret?: true;
  /** Whether every request is carried out, even with the same `Idempotency-Key`. */
  ignoresKey?: true;
  /** Tries the write in a shared transaction; null if it needs its own. See {@link groupWrites}. */
  join?: (write: WriteRequest) => Promise<Committed<Result> | null>;
};

/** A committed write. It has no result if an earlier request did it. */
type Committed<Result> = { response: StoredResponse; result?: Result };

/**
 * Carries out a write once, in one transaction with its audit entry and, if the client sent an `Idempotency-Key`, its
 * response: a crash can't separate them. A retry gets the first response, byte for byte. A refused write stores nothing, so
 * a retry of it is tried again.
 * @throws Problem `idempotency-key-reused` if the key was sent with another request, `idempotency-key-in-flight` if its
 *   request is still running, `invalid-request` for a malformed key
 */
export async function runWrite<Result>(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: WriteDeps,
  write: Write<Result>,
): Promise<void> {
  const sent = { request, attempt: write.ignoresKey ? null : attemptOf(request) };
  const committed = (await write.join?.(sent)) ?? (await commitAlone(deps, sent, write));
  const { response } = committed;
  const isNew = 'result' in committed;
  const later = isNew ? await write.afterCommit?.(committed.result as Result) : undefined;
  const { status, headers, body } = later ? storable(later) : response;
  void reply
    .code(status)
    .headers(headers)
    .send(status === 204 ? null : body);
}

function commitAlone<Result>(
  deps: WriteDeps,
  sent: WriteRequest,
  { work, respond, subjectOf, ...how }: Write<Result>,
): Promise<Committed<Result>> {
  return inTransaction(deps.pool, async (session) => {
    const records = await WriteRecords.open(session, deps, [sent]);
    const earlier = records.earlierResponse(sent, how);
    if (earlier) {
      await records.store();
      return { response: earlier };
    }
    const result = await work(session);
    const response = storable(respond(result));
    records.add(sent, response, subjectOf(result), how);
    await records.store();
    return { response, result };
  });
}

/** How to carry out writes that share a transaction. */
export type GroupedWrites<Item, Result> = {
  /** Locks what the items change. */
  open: (session: pg.PoolClient, items: readonly Item[]) => Promise<OpenGroup<Item, Result>>;
} & Pick<Write<Result>, 'respond' | 'subjectOf'>;

export type OpenGroup<Item, Result> = {
  /**
   * Decides an item after those before it, without writing it yet; null if it needs a transaction of its own. A DomainError
   * or a Problem refuses only this item.
   */
  decide: (item: Item) => Result | null;
  /** Writes all decided items. */
  append: () => Promise<void>;
};

/** The most writes that share a transaction. */
const MOST = 64;

/**
 * Carries out the writes that arrive while others run in one transaction. Each gets the same result as if it came alone,
 * after those before it: it is done, refused, or answered with an earlier response.
 * @returns a function that adds a write to a group; it gives null if the write needs a transaction of its own
 */
export function groupWrites<Item, Result>(
  deps: WriteDeps,
  writes: GroupedWrites<Item, Result>,
): (sent: WriteRequest, item: Item) => Promise<Committed<Result> | null> {
  const commit = batchCalls<Grouped<Item>, Committed<Result> | null>(
    (group) => commitTogether(deps, group, writes),
    { most: MOST, atOnce: 1 },
  );
  return (sent, item) => commit({ ...sent, item });
}

type Grouped<Item> = WriteRequest & { item: Item };

async function commitTogether<Item, Result>(
  deps: WriteDeps,
  group: readonly Grouped<Item>[],
  { open, respond, subjectOf }: GroupedWrites<Item, Result>,
): Promise<(Committed<Result> | Error | null)[]> {
  try {
    return await inTransaction(deps.pool, async (session) => {
      const records = await WriteRecords.open(session, deps, group);
      const { decide, append } = await open(
        session,
        group.map(({ item }) => item),
      );
      const outcomes = group.map((sent) =>
        orRefusal(() => {
          const earlier = records.earlierResponse(sent);
          if (earlier) return { response: earlier };
          const result = decide(sent.item);
          if (result === null) return null;
          const response = storable(respond(result));
          records.add(sent, response, subjectOf(result));
          return { response, result };
        }),
      );
      await append();
      await records.store();
      return outcomes;
    });
  } catch (error) {
    // The shared transaction was rolled back. Whatever made it fail may concern one member only, so each is tried alone.
    const mayBeOfOne = isLockFailure(error) || !isUnavailable(error);
    if (group.length > 1 && mayBeOfOne) return group.map(() => null);
    throw error;
  }
}

/** Whether a transaction waited for a row that another one holds: too long (55P03), or in a deadlock (40P01). */
function isLockFailure(error: unknown): boolean {
  return error instanceof pg.DatabaseError && ['55P03', '40P01'].includes(error.code ?? '');
}

function orRefusal<Outcome>(decide: () => Outcome): Outcome | Error {
  try {
    return decide();
  } catch (error) {
    if (error instanceof DomainError || error instanceof Problem) return error;
    throw error;
  }
}

const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8' };

function storable({ status, headers = {}, body }: WriteResponse): StoredResponse {
  if (body === null) return { status, headers, body: Buffer.alloc(0) };
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
  return { status, headers: { ...JSON_HEADERS, ...headers }, body: bytes };
}
