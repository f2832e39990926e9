import type pg from 'pg';
import type { Logger } from 'pino';
import { deleteExpiredRefusals } from './access/audit-log.ts';
import { deleteExpiredResponses } from './access/idempotency-store.ts';
import { endHorizons } from './ledger/end-horizons.ts';
import { refreshSearch } from './ledger/refresh-search.ts';
import { deleteOldDeliveries } from './webhooks/delivery-log.ts';
import { deleteExpiredSecrets } from './webhooks/webhooks.ts';

const DAY = 24 * 3_600_000;
/** Time between the starts of two runs, in milliseconds. */
const INTERVAL = 60_000;
/** Time for which webhook deliveries can be read, in milliseconds. */
const DELIVERY_RETENTION = 30 * DAY;

export type MaintenanceDeps = {
  pool: pg.Pool;
  now: () => Date;
  log: Logger;
  /** Hours for which responses are stored for retries. */
  idempotencyHours: number;
  /** Days for which the audit trail keeps refusals of unknown callers. */
  auditRefusalsDays: number;
  /** Called after horizons ended, which writes events. */
  onEvents: () => void;
};

/**
 * Runs the maintenance now and every minute: it notes the horizons that are over and expires their conditions, and deletes
 * stored responses, webhook deliveries and refusals of unknown callers that are too old, and webhook secrets that no longer
 * sign. It also collects the search words of what earlier releases stored. Every instance runs it, and they share the work. A run that fails is logged; the next one tries again.
 * @returns a function that stops the runs and waits for the current one
 */
export function startMaintenance({
  pool,
  now,
  log,
  idempotencyHours,
  auditRefusalsDays,
  onEvents,
}: MaintenanceDeps): () => Promise<void> {
  let isStopping = false;
  const run = async () => {
    const time = now().getTime();
    try {
      if ((await endHorizons(pool, now())).length > 0) onEvents();
      await deleteExpiredResponses(pool, new Date(time - idempotencyHours * 3_600_000));
      await deleteOldDeliveries(pool, new Date(time - DELIVERY_RETENTION));
      await deleteExpiredSecrets(pool, now());
      await deleteExpiredRefusals(pool, new Date(time - auditRefusalsDays * DAY));
      await refreshSearch(pool, () => isStopping);
    } catch (error) {
      log.warn({ err: error }, 'maintenance failed; the next run tries again');
    }
  };
  let lastRun = run();
  const timer = setInterval(() => void (lastRun = lastRun.then(run)), INTERVAL).unref();
  return async () => {
    clearInterval(timer);
    isStopping = true;
    await lastRun;
  };
}
