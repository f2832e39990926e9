import type { Session } from './pool.ts';

let cursors = 0;

/**
 * Reads the rows of a query page by page, so that neither side holds all of them. Call it in a transaction; several may be
 * under way in one.
 */
export async function* readPages<Row extends object>(
  session: Session,
  text: string,
  rowsAtOnce = 2_000,
): AsyncGenerator<Row[]> {
  const name = `pages_${(cursors += 1)}`;
  await session.query(`declare ${name} no scroll cursor for ${text}`);
  for (;;) {
    const { rows } = await session.query<Row>(`fetch ${rowsAtOnce} from ${name}`);
    if (rows.length > 0) yield rows;
    if (rows.length < rowsAtOnce) break;
  }
  await session.query(`close ${name}`);
}
