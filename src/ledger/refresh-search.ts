import type pg from 'pg';

/** Frameworks in a transaction: about a quarter of a second. */
const AT_ONCE = 100;

/**
 * Collects the search words of the frameworks that earlier releases stored, the newest first. Does nothing while another
 * instance does it, or once all are done. Until then a search finds them by the words of those releases.
 * @param isStopping ends it after the current transaction
 */
export async function refreshSearch(pool: pg.Pool, isStopping: () => boolean): Promise<void> {
  while (!isStopping()) {
    const { rows } = await pool.query<{ done: number }>('select refresh_search($1) as done', [
      AT_ONCE,
    ]);
    if (rows[0]?.done === 0) return;
  }
}
