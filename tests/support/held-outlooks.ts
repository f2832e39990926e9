import type pg from 'pg';
import { expect } from 'vitest';
import type { TestLedger } from './ledger.ts';
import { openSession } from './plain-sql.ts';

export type HeldOutlooks = {
  /** How many statements of requests wait. The service's own reading of events may wait as well. */
  waiting: () => Promise<number>;
  release: () => Promise<void>;
};

/** Lets every statement on the table of outlooks wait, however long. */
export async function holdOutlooks({ app, servicePool, url }: TestLedger): Promise<HeldOutlooks> {
  // The log's loop runs while the service listens.
  if (app.server.listening) await expect.poll(() => isLogAtRest(servicePool)).toBe(true);
  await waitForLocks(servicePool);
  const owner = await openSession(url);
  await owner.query('begin; lock table outlooks in access exclusive mode');
  return {
    waiting: async () => {
      const { rowCount } = await owner.query(
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
            and query not like '%from events%'`,
      );
      return rowCount ?? 0;
    },
    release: async () => {
      await owner.query('rollback');
      await owner.end();
    },
  };
}

/** Whether the log has all events and digests, so that nothing that it does by itself waits for outlooks. */
async function isLogAtRest(pool: pg.Pool): Promise<boolean> {
  const { rows } = await pool.query<{ isAtRest: boolean }>(
    `select g.size = (select count(*) from events)
        and not exists (select from digest_progress where not is_done) as "isAtRest"
       from log_generations g where generation = 1`,
  );
  return rows[0]?.isAtRest === true;
}

/** Lets the connections of a pool wait for locks without end; otherwise a busy machine may look only after they gave up. */
async function waitForLocks(pool: pg.Pool): Promise<void> {
  const all = await Promise.all(Array.from({ length: pool.options.max }, () => pool.connect()));
  await Promise.all(all.map((client) => client.query('set lock_timeout = 0')));
  for (const client of all) client.release();
}
