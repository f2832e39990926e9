import type { Session } from '../pool.ts';

/** What a check found: a sentence on what it saw and, unless all is well, one on what to do. */
export type Finding =
  | { state: 'ok'; message: string }
  | { state: 'warn' | 'fail' | 'unknown'; message: string; remedy: string };

/** The sessions that checks ask. */
export type Sessions = {
  /** A session of the service's role. */
  service: Session;
  /** A session of the owner of the tables, who may often see more; the service's unless the owner is known. */
  owner: Session;
};

export const ok = (message: string): Finding => ({ state: 'ok', message });
export const warn = (message: string, remedy: string): Finding => ({
  state: 'warn',
  message,
  remedy,
});
export const fail = (message: string, remedy: string): Finding => ({
  state: 'fail',
  message,
  remedy,
});
export const unknown = (message: string, remedy: string): Finding => ({
  state: 'unknown',
  message,
  remedy,
});

/** The faults, or that all is well if there are none. */
export function orOk(faults: Finding[], message: string): Finding[] {
  return faults.length > 0 ? faults : [ok(message)];
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
