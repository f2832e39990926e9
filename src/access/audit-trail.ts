import type { FastifyInstance, FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import { appendAudit, type NewAuditEntry, type AuditSubject } from './audit-log.ts';
import { type Budget, PendingRefusals } from './pending-refusals.ts';
import { PROBLEMS } from '../http/problem-catalogue.ts';
import { pathOf, type Problem } from '../http/problems.ts';

/** The caller of a request, as the audit trail names it. */
export type AuditedCaller = Pick<NewAuditEntry, 'analystId' | 'role' | 'credential'>;

const NOBODY: AuditedCaller = { analystId: null, role: null, credential: null };

/** The audit entry of a write, to record in the transaction of the write. */
export function writeOf(
  request: FastifyRequest,
  status: number,
  subject: AuditSubject,
  now: Date,
): NewAuditEntry {
  const { caller } = request;
  const by = caller && { analystId: caller.analyst.id, role: caller.role, credential: caller.id };
  return {
    ...entryOf(request, by ?? NOBODY, now),
    kind: 'write',
    path: pathOf(request),
    status,
    ...subject,
  };
}

function entryOf(request: FastifyRequest, caller: AuditedCaller, now: Date) {
  const { method, ip, id } = request;
  return {
    recordedAt: now,
    ...caller,
    method,
    subject: null,
    summary: null,
    problem: null,
    detail: null,
    address: ip,
    requestId: id,
    times: 1,
  };
}

/** How often refusals are written, in milliseconds. */
const WRITE_EVERY = 5_000;

/** The entries of all unknown callers of one instance together: at most 3,000 a day. */
const UNKNOWN: Budget = { burst: 100, every: 30_000 };
/** The entries of each known caller. */
const KNOWN: Budget = { burst: 20, every: 600_000 };
/** The most known callers whose refusals are counted apart at the same time. */
const MOST_CALLERS = 10_000;

/**
 * Records the requests that were refused because of their caller (401, 403). Anyone can cause any number of refusals. So
 * those that differ only in time share one entry, an entry has the pattern of the route instead of the path, and the number
 * of entries is limited: for each caller whose key or token is known, and for all others together. Nobody can fill the trail
 * or hide the refusals of somebody else.
 */
export class RefusalTrail {
  readonly #pool: pg.Pool;
  readonly #now: () => Date;
  readonly #log: FastifyInstance['log'];
  readonly #unknown = new PendingRefusals(UNKNOWN);
  readonly #known = new LRUCache<string, PendingRefusals>({ max: MOST_CALLERS });
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(app: FastifyInstance, pool: pg.Pool, now: () => Date) {
    this.#pool = pool;
    this.#now = now;
    this.#log = app.log;
    app.addHook('onClose', () => this.write({ isLast: true }));
  }

  /** Adds a refusal, for {@link write} to record. */
  add(request: FastifyRequest, problem: Problem, caller: AuditedCaller = NOBODY): void {
    const now = this.#now();
    this.#pendingOf(caller).add(
      {
        ...entryOf(request, caller, now),
        kind: 'refusal',
        path: request.routeOptions.url ?? NO_ROUTE,
        status: PROBLEMS[problem.code].status,
        problem: problem.code,
        detail: problem.message,
      },
      now,
    );
    this.#timer ??= this.#writeLater();
  }

  #pendingOf({ credential }: AuditedCaller): PendingRefusals {
    if (credential === null) return this.#unknown;
    const pending = this.#known.get(credential) ?? new PendingRefusals(KNOWN);
    this.#known.set(credential, pending);
    return pending;
  }

  /**
   * Records the refusals so far. If that fails, the next call tries again.
   * @param isLast whether to record the refusals beyond the budgets as well, although their entries are not due yet
   */
  async write({ isLast = false } = {}): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write(isLast));
    await this.#writing;
  }

  async #write(isLast: boolean): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const all = [this.#unknown, ...this.#known.values()];
    const due = all.map((pending) => ({ pending, entries: pending.take(this.#now(), isLast) }));
    const entries = due
      .flatMap((one) => one.entries)
      .toSorted((a, b) => a.recordedAt.getTime() - b.recordedAt.getTime());
    try {
      if (entries.length > 0) await appendAudit(this.#pool, entries);
    } catch (error) {
      this.#log.warn({ err: error }, 'could not record refusals; trying again');
      for (const one of due) one.pending.putBack(one.entries);
    }
    if (all.some((pending) => !pending.isEmpty)) this.#timer ??= this.#writeLater();
  }

  #writeLater(): NodeJS.Timeout {
    return setTimeout(() => void this.write(), WRITE_EVERY).unref();
  }
}

/** The path of a refusal at a URL that no route has. */
const NO_ROUTE = '(no route)';
