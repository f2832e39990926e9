import type { FastifyRequest } from 'fastify';
import { confirmReads, type Session } from '../postgres/pool.ts';
import { Problem } from '../http/problems.ts';
import { appendAudit, type NewAuditEntry, type AuditSubject } from './audit-log.ts';
import { writeOf } from './audit-trail.ts';
import {
  type Attempt,
  attemptId,
  type EarlierAttempt,
  type NewResponse,
  type StoredResponse,
  storeResponses,
  lockKeys,
} from './idempotency-store.ts';
import { sealed, unsealed } from './sealed-responses.ts';

/** A request to write; its attempt is null if it has no idempotency key or ignores it. */
export type WriteRequest = { request: FastifyRequest; attempt: Attempt | null };

/**
 * What a transaction records about its writes: the audit entry of each, and the responses to those with an idempotency
 * key.
 */
export class WriteRecords {
  readonly #session: Session;
  readonly #now: () => Date;
  readonly #attempts: Map<string, EarlierAttempt | 'in-flight'>;
  readonly #audit: NewAuditEntry[] = [];
  readonly #responses: NewResponse[] = [];
  #isEarlierAnswered = false;

  private constructor(
    session: Session,
    now: () => Date,
    attempts: Map<string, EarlierAttempt | 'in-flight'>,
  ) {
    this.#session = session;
    this.#now = now;
    this.#attempts = attempts;
  }

  /** Locks the idempotency keys of all writes. Call it before anything else in the transaction. */
  static async open(
    session: Session,
    { now, idempotencyHours }: { now: () => Date; idempotencyHours: number },
    writes: readonly WriteRequest[],
  ): Promise<WriteRecords> {
    const since = new Date(now().getTime() - idempotencyHours * 3_600_000);
    const attempts = writes.flatMap(({ attempt }) => attempt ?? []);
    return new WriteRecords(session, now, await lockKeys(session, attempts, since));
  }

  /**
   * The response to an earlier request with the same key; null if the write has yet to be done.
   * @throws Problem `idempotency-key-reused` if the key was sent with another request, `idempotency-key-in-flight` if another
   *   transaction holds the key
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
    this.#isEarlierAnswered = true;
    return isSecret ? { ...response, body: unsealed(response.body, request, key) } : response;
  }

  /** Adds a write that is done. From then on, a write with the same key gets its response. */
  add(
    { request, attempt }: WriteRequest,
    response: StoredResponse,
    subject: AuditSubject,
    { isSecret = false } = {},
  ): void {
    const recordedAt = this.#now();
    this.#audit.push(writeOf(request, response.status, subject, recordedAt));
    if (!attempt) return;
    const { key, requestHash } = attempt;
    const stored = isSecret ? { ...response, body: sealed(response.body, request, key) } : response;
    this.#responses.push({ attempt, response: stored, recordedAt });
    this.#attempts.set(attemptId(attempt), { requestHash, response: stored });
  }

  /**
   * Stores the added writes. If there are none, only earlier responses, it makes the commit wait until the synchronous
   * standby has their writes: the first attempt may have ended before that.
   */
  async store(): Promise<void> {
    if (this.#responses.length > 0) {
      await storeResponses(this.#session, this.#responses, this.#audit);
    } else if (this.#audit.length > 0) await appendAudit(this.#session, this.#audit);
    else if (this.#isEarlierAnswered) await confirmReads(this.#session);
  }
}
