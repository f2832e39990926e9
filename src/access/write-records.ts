import type { FastifyRequest } from 'fastify';
import type { Session } from '../postgres/pool.ts';
import { Problem } from '../http/problems.ts';
import { appendAudit, type NewAuditEntry } from './audit-log.ts';
import { writeOf } from './audit-trail.ts';
import {
  type Attempt,
  attemptId,
  type EarlierAttempt,
  type NewResponse,
  type StoredResponse,
  storeResponses,
  takeKeys,
} from './idempotency-store.ts';
import { sealed, unsealed } from './sealed-responses.ts';

/** A request to write; its attempt is null where no idempotency key is honoured. */
export type WriteRequest = { request: FastifyRequest; attempt: Attempt | null };

/**
 * What a transaction records of its writes beside what they do: who did each, and the responses to those that were sent with
 * an idempotency key.
 */
export class WriteRecords {
  readonly #session: Session;
  readonly #now: () => Date;
  readonly #attempts: Map<string, EarlierAttempt | 'in-flight'>;
  readonly #audit: NewAuditEntry[] = [];
  readonly #responses: NewResponse[] = [];

  private constructor(
    session: Session,
    now: () => Date,
    attempts: Map<string, EarlierAttempt | 'in-flight'>,
  ) {
    this.#session = session;
    this.#now = now;
    this.#attempts = attempts;
  }

  /** Takes the idempotency keys of all writes for the transaction, before anything else is done in it. */
  static async open(
    session: Session,
    { now, idempotencyHours }: { now: () => Date; idempotencyHours: number },
    writes: readonly WriteRequest[],
  ): Promise<WriteRecords> {
    const since = new Date(now().getTime() - idempotencyHours * 3_600_000);
    const attempts = writes.flatMap(({ attempt }) => attempt ?? []);
    return new WriteRecords(session, now, await takeKeys(session, attempts, since));
  }

  /**
   * How a write was answered before; null for one that is yet to be done.
   * @throws Problem `idempotency-key-reused` where its key was sent with something else, `idempotency-key-in-flight` where
   *   another transaction is at work on it
   */
  earlierResponse(
    { request, attempt }: WriteRequest,
    { isSecret = false } = {},
  ): StoredResponse | null {
    const earlier = attempt && this.#attempts.get(attemptId(attempt));
    if (!earlier) return null;
    const { key, requestHash } = attempt;
    if (earlier === 'in-flight') {
      const detail = `A request with the key ${key} is still in progress.`;
      throw new Problem('idempotency-key-in-flight', detail, { headers: { 'retry-after': '1' } });
    }
    if (!earlier.requestHash.equals(requestHash)) {
      throw new Problem('idempotency-key-reused', `The key ${key} was sent with another request.`);
    }
    const { response } = earlier;
    return isSecret ? { ...response, body: unsealed(response.body, request, key) } : response;
  }

  /** Adds a write that is done; from then on it is the earlier one of its key. */
  add(
    { request, attempt }: WriteRequest,
    response: StoredResponse,
    { isSecret = false } = {},
  ): void {
    const recordedAt = this.#now();
    this.#audit.push(writeOf(request, response.status, recordedAt));
    if (!attempt) return;
    const { key, requestHash } = attempt;
    const stored = isSecret ? { ...response, body: sealed(response.body, request, key) } : response;
    this.#responses.push({ attempt, response: stored, recordedAt });
    this.#attempts.set(attemptId(attempt), { requestHash, response: stored });
  }

  /** Stores what was added. */
  async store(): Promise<void> {
    if (this.#responses.length > 0) {
      await storeResponses(this.#session, this.#responses, this.#audit);
    } else if (this.#audit.length > 0) await appendAudit(this.#session, this.#audit);
  }
}
