import { Problem } from './problems.ts';

/**
 * A moment of recording to read as of: what will stand later is not known yet.
 * @throws Problem `invalid-request` where it lies in the future by the service's clock
 */
export function pastMoment<At extends Date | undefined>(asOf: At, now: Date): At {
  if (asOf === undefined || asOf <= now) return asOf;
  const detail = `must not be in the future: it is ${now.toISOString()} here`;
  throw new Problem('invalid-request', 'What will stand then is not known yet.', {
    errors: [{ pointer: '/asOf', detail, in: 'query' }],
  });
}
