import type { FastifyRequest } from 'fastify';
import type { Session } from '../postgres/pool.ts';
import { Problem } from '../http/problems.ts';
import { appendAudit, type NewAuditEntry } from './audit-log.ts';
import { writeOf } from './audit-trail.ts';
import {
  type Attempt,
  attemptId,
  type EarlierAttempt,
  type NewAnswer,
  type StoredAnswer,
  storeAnswers,
  takeKeys,
} from './idempotency-store.ts';
import { sealed, unsealed } from './sealed-answers.ts';

/** A request to write; its attempt is null where no idempotency key is honoured. */
export type WriteRequest = { request: FastifyRequest; attempt: Attempt | null };

/**
 * What a transaction records of its writes beside what they do: who did each, and the answers to those that were sent with
 * an idempotency key.
 */
export class WriteRecords {
  readonly #session: Session;
  readonly #now: () => Date;
  readonly #attempts: Map<string, EarlierAttempt | 'in-flight'>;
  readonly #audit: NewAuditEntry[] = [];
  readonly #answers: NewAnswer[] = [];

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
  earlierAnswer(
    { request, attempt }: WriteRequest,
    { isSecret = false } = {},
  ): StoredAnswer | null {
    const earlier = attempt && this.#attempts.get(attemptId(attempt));
    if (!earlier) return null;
    const { key, requestHash } = attempt;
    if (earlier === 'in-flight') {
      const detail = `A request with the key ${key} is being worked on.`;
      throw new Problem('idempotency-key-in-flight', detail, { headers: { 'retry-after': '1' } });
    }
    if (!earlier.requestHash.equals(requestHash)) {
      throw new Problem('idempotency-key-reused', `The key ${key} was sent with another request.`);
    }
    const { answer } = earlier;
    return isSecret ? { ...answer, body: unsealed(answer.body, request, key) } : answer;
  }

  /** Adds a write that is done; from then on it is the earlier one of its key. */
  add({ request, attempt }: WriteRequest, answer: StoredAnswer, { isSecret = false } = {}): void {
    const recordedAt = this.#now();
    this.#audit.push(writeOf(request, answer.status, recordedAt));
    if (!attempt) return;
    const { key, requestHash } = attempt;
    const stored = isSecret ? { ...answer, body: sealed(answer.body, request, key) } : answer;
    this.#answers.push({ attempt, answer: stored, recordedAt });
    this.#attempts.set(attemptId(attempt), { requestHash, answer: stored });
  }

  /** Stores what was added. */
  async store(): Promise<void> {
    await storeAnswers(this.#session, this.#answers);
    if (this.#audit.length > 0) await appendAudit(this.#session, this.#audit);
  }
}
