import { Problem } from './problems.ts';

/**
 * Refuses a time in the future, because nobody knows what the ledger will show then.
 * @param name the name of the query parameter
 * @throws Problem `invalid-request` if the time is in the future by the service's clock
 */
export function requirePast(name: string, moment: Date | undefined, now: Date): void {
  if (moment === undefined || moment <= now) return;
  const detail = `must not be in the future; the server time is ${now.toISOString()}`;
  throw new Problem('invalid-request', 'The requested time is in the future.', {
    errors: [{ pointer: `/${name}`, detail, in: 'query' }],
  });
}
