import type { FastifyInstance, FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import type pg from 'pg';
import { appendAudit, type NewAuditEntry, type Subject } from './audit-log.ts';
import { type Budget, RefusalShare } from './refusal-share.ts';
import { PROBLEMS } from '../http/problem-catalogue.ts';
import { pathOf, type Problem } from '../http/problems.ts';

/** The sender of a request, as the audit trail names it. */
export type AuditedCaller = Pick<NewAuditEntry, 'analystId' | 'role' | 'credential'>;

const NOBODY: AuditedCaller = { analystId: null, role: null, credential: null };

/** The audit entry of a write, to record in the transaction of the write. */
export function writeOf(
  request: FastifyRequest,
  status: number,
  subject: Subject,
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

/** What all unknown callers of one instance get together: at most 3,000 entries of their own a day. */
const UNKNOWN: Budget = { burst: 100, every: 30_000 };
/** What each known caller gets. */
const KNOWN: Budget = { burst: 20, every: 600_000 };
/** The known callers whose refusals are limited at the same time. */
const CALLERS = 10_000;

/**
 * Records the requests that were refused because of their sender (401, 403). Anyone can cause any number of refusals, so
 * those that differ only in their time share one entry, paths are recorded as patterns, and the number of entries is
 * limited: for each caller whose key or token is known, and for all others together. So nobody can fill the trail, nor hide
 * the refusals of somebody else.
 */
export class RefusalTrail {
  readonly #pool: pg.Pool;
  readonly #now: () => Date;
  readonly #log: FastifyInstance['log'];
  readonly #unknown = new RefusalShare(UNKNOWN);
  readonly #known = new LRUCache<string, RefusalShare>({ max: CALLERS });
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
    this.#shareOf(caller).add(
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

  #shareOf({ credential }: AuditedCaller): RefusalShare {
    if (credential === null) return this.#unknown;
    const share = this.#known.get(credential) ?? new RefusalShare(KNOWN);
    this.#known.set(credential, share);
    return share;
  }

  /**
   * Records the refusals so far. If that fails, the next call tries again.
   * @param isLast whether to record also what is counted together and not due yet
   */
  async write({ isLast = false } = {}): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write(isLast));
    await this.#writing;
  }

  async #write(isLast: boolean): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const shares = [this.#unknown, ...this.#known.values()];
    const due = shares.map((share) => ({ share, entries: share.take(this.#now(), isLast) }));
    const entries = due
      .flatMap((one) => one.entries)
      .toSorted((a, b) => a.recordedAt.getTime() - b.recordedAt.getTime());
    try {
      if (entries.length > 0) await appendAudit(this.#pool, entries);
    } catch (error) {
      this.#log.warn({ err: error }, 'could not record refusals; trying again');
      for (const one of due) one.share.putBack(one.entries);
    }
    if (shares.some((share) => share.isPending)) this.#timer ??= this.#writeLater();
  }

  #writeLater(): NodeJS.Timeout {
    return setTimeout(() => void this.write(), WRITE_EVERY).unref();
  }
}

/** The path of a refusal at a URL that no route has. */
const NO_ROUTE = '(no route)';
