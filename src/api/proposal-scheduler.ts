import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { appendAudit, localWrite } from '../access/audit-log.ts';
import { lockDueProposal } from '../ledger/proposals.ts';
import { inTransaction } from '../postgres/pool.ts';
import type { CarriedOut } from './carry-out.ts';
import { namesOfApprovers, pathOf, type ReviewDeps } from './proposal-reviews.ts';
import { publishProposal } from './publish-proposal.ts';

/** How often due proposals are looked for, in milliseconds. */
const POLL_EVERY = 1_000;
/** How long a proposal waits after an unexpected error, in milliseconds, so that others take their turn. */
const WAIT_AFTER_ERROR = 30_000;

/**
 * Publishes approved proposals when they are due, one transaction each. Every instance runs it; the lock of a proposal's row
 * decides which one publishes it. What was due while no instance ran is published at the next start.
 */
export class ProposalScheduler {
  readonly #deps: ReviewDeps;
  readonly #log: FastifyBaseLogger;
  /** Proposals that failed with an unexpected error, and until when they wait, in milliseconds since 1970. */
  readonly #waiting = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  #working: Promise<void> | null = null;
  #hasFailed = false;

  /** Starts when the app listens and stops when it closes. */
  constructor(app: FastifyInstance, deps: ReviewDeps) {
    this.#deps = deps;
    this.#log = app.log;
    app.addHook('onListen', async () => {
      this.#timer = setInterval(() => void this.publishDue(), POLL_EVERY).unref();
      void this.publishDue();
    });
    app.addHook('preClose', async () => {
      this.#isClosed = true;
      clearInterval(this.#timer);
      await this.#working;
    });
  }

  /** Publishes what is due. A call while one runs waits for that one. */
  publishDue(): Promise<void> {
    this.#working ??= this.#publishAll().finally(() => (this.#working = null));
    return this.#working;
  }

  async #publishAll(): Promise<void> {
    try {
      while (!this.#isClosed && (await this.#publishNext()));
      this.#hasFailed = false;
    } catch (error) {
      // Logged once, not each second while the database is away.
      if (!this.#hasFailed) {
        this.#log.warn({ err: error }, 'could not look for due proposals; trying again');
      }
      this.#hasFailed = true;
    }
  }

  /** @returns whether a proposal was due */
  async #publishNext(): Promise<boolean> {
    const { pool, now, cache, feed } = this.#deps;
    let id: string | null = null;
    try {
      const published = await inTransaction(pool, async (session) => {
        const due = await lockDueProposal(session, now(), this.#waitingIds());
        if (!due) return null;
        ({ id } = due);
        const carried = await publishProposal(session, this.#deps, due);
        const approvers = await namesOfApprovers(session, due.id);
        const subject = `/v1/proposals/${due.id}`;
        await appendAudit(session, [
          localWrite(
            subject,
            carried
              ? {
                  subject: pathOf(due, carried),
                  summary: `Published ${subject} at its time, approved by ${approvers}`,
                }
              : { subject, summary: 'Returned: it could not be published at its time' },
            now(),
          ),
        ]);
        return { changed: carried?.changed ?? [] } satisfies Partial<CarriedOut>;
      });
      if (!published) return false;
      for (const name of published.changed) cache.invalidate(name);
      feed.announce();
      return true;
    } catch (error) {
      if (id === null) throw error;
      this.#log.warn(
        { err: error, proposal: id },
        'could not publish a due proposal; trying again',
      );
      this.#waiting.set(id, now().getTime() + WAIT_AFTER_ERROR);
      return true;
    }
  }

  #waitingIds(): string[] {
    const time = this.#deps.now().getTime();
    for (const [id, until] of this.#waiting) if (until <= time) this.#waiting.delete(id);
    return [...this.#waiting.keys()];
  }
}
