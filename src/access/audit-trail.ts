import type { FastifyInstance, FastifyRequest } from 'fastify';
import type pg from 'pg';
import { appendAudit, type NewAuditEntry } from './audit-log.ts';
import { withoutKeys } from '../http/logging.ts';
import { PROBLEMS } from '../http/problem-catalogue.ts';
import { pathOf, type Problem } from '../http/problems.ts';

/** The audit entry of a write, to record in the transaction of the write. */
export function writeOf(request: FastifyRequest, status: number, now: Date): NewAuditEntry {
  return { ...entryOf(request, now), kind: 'write', status };
}

function entryOf(request: FastifyRequest, now: Date): Omit<NewAuditEntry, 'kind' | 'status'> {
  const { caller, method, ip, id } = request;
  return {
    recordedAt: now,
    analystId: caller?.analyst.id ?? null,
    role: caller?.role ?? null,
    credential: caller?.id ?? null,
    method,
    path: withoutKeys(pathOf(request)),
    problem: null,
    detail: null,
    address: ip,
    requestId: id,
    times: 1,
  };
}

/** How often refusals are written, in milliseconds. */
const WRITE_EVERY = 5_000;
/** How many different refusals get an entry of their own in that time. */
const MOST = 100;

/**
 * Records the requests that were refused because of their sender (401, 403). Anyone can cause any number of refusals, so
 * those that differ only in their time share one entry, and the number of entries between two writes is limited: refusals
 * beyond it are counted in one entry that names no sender.
 */
export class RefusalTrail {
  readonly #pool: pg.Pool;
  readonly #now: () => Date;
  readonly #log: FastifyInstance['log'];
  #entries = new Map<string, NewAuditEntry>();
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(app: FastifyInstance, pool: pg.Pool, now: () => Date) {
    this.#pool = pool;
    this.#now = now;
    this.#log = app.log;
    app.addHook('onClose', () => this.write());
  }

  /** Adds a refusal, for {@link write} to record. */
  add(request: FastifyRequest, problem: Problem): void {
    const entry: NewAuditEntry = {
      ...entryOf(request, this.#now()),
      kind: 'refusal',
      status: PROBLEMS[problem.code].status,
      problem: problem.code,
      detail: problem.message,
    };
    this.#count(entry);
    this.#timer ??= setTimeout(() => void this.write(), WRITE_EVERY).unref();
  }

  #count(entry: NewAuditEntry): void {
    const { recordedAt: _, requestId: __, times: ___, ...what } = entry;
    const key = JSON.stringify(what);
    const known = this.#entries.get(key);
    if (known) known.times += entry.times;
    else if (this.#entries.size < MOST) this.#entries.set(key, { ...entry });
    else {
      const rest = this.#entries.get('') ?? { ...entry, ...UNLISTED, times: 0 };
      this.#entries.set('', { ...rest, times: rest.times + entry.times });
    }
  }

  /** Records the refusals so far. If that fails, the next call tries again. */
  async write(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write());
    await this.#writing;
  }

  async #write(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const entries = [...this.#entries.values()];
    if (entries.length === 0) return;
    this.#entries = new Map();
    try {
      await appendAudit(this.#pool, entries);
    } catch (error) {
      this.#log.warn({ err: error }, 'could not record refusals; trying again');
      for (const entry of entries) this.#count(entry);
      this.#timer ??= setTimeout(() => void this.write(), WRITE_EVERY).unref();
    }
  }
}

/** The members of the entry for all refusals without an entry of their own. */
const UNLISTED = {
  analystId: null,
  role: null,
  credential: null,
  path: '…',
  address: null,
  requestId: null,
  detail: 'Too many refusals to list one by one.',
} as const;
