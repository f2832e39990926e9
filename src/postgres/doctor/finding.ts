import type { Session } from '../pool.ts';

/** What a check found: a sentence on what was seen and, unless all is well, one on what to do. */
export type Finding =
  | { state: 'ok'; seen: string }
  | { state: 'warn' | 'fail' | 'unknown'; seen: string; remedy: string };

/** The sessions that checks ask. */
export type Sessions = {
  /** A session of the service's role. */
  service: Session;
  /** A session of the owner of the tables, who may often see more; the service's unless the owner is known. */
  owner: Session;
};

export const ok = (seen: string): Finding => ({ state: 'ok', seen });
export const warn = (seen: string, remedy: string): Finding => ({ state: 'warn', seen, remedy });
export const fail = (seen: string, remedy: string): Finding => ({ state: 'fail', seen, remedy });
export const unknown = (seen: string, remedy: string): Finding => ({
  state: 'unknown',
  seen,
  remedy,
});

/** The faults, or that all is well if there are none. */
export function orOk(faults: Finding[], seen: string): Finding[] {
  return faults.length > 0 ? faults : [ok(seen)];
}

/** Runs a query and returns its rows. */
export async function rowsOf<Row extends object>(
  session: Session,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  return (await session.query<Row>(text, values)).rows;
}

/** Runs a query that gives one row and returns it. */
export async function rowOf<Row extends object>(
  session: Session,
  text: string,
  values: unknown[] = [],
): Promise<Row> {
  const [row] = await rowsOf<Row>(session, text, values);
  if (!row) throw new Error('the query gave no row');
  return row;
}
