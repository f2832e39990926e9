import type { Session } from './pool.ts';

/**
 * Reads the rows of a query page by page, so that neither side holds all of them. Call it in a transaction; several may be
 * under way in one.
 *
 * @param name of the cursor, which is closed at the end
 */
export async function* readPages<Row extends object>(
  session: Session,
  name: string,
  text: string,
  { rowsAtOnce = 2_000 }: { rowsAtOnce?: number } = {},
): AsyncGenerator<Row[]> {
  await session.query(`declare ${name} no scroll cursor for ${text}`);
  for (;;) {
    const { rows } = await session.query<Row>(`fetch ${rowsAtOnce} from ${name}`);
    if (rows.length > 0) yield rows;
    if (rows.length < rowsAtOnce) break;
  }
  await session.query(`close ${name}`);
}
