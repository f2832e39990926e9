import pg from 'pg';

const { DATE, INT8 } = pg.types.builtins;

/**
 * How values arrive where pg's own parsers lose something: an int8 (which pg hands over as text) as a number, a date
 * (which pg turns into a moment of the process's time zone) as `YYYY-MM-DD`. For the `types` of a pool or a client.
 */
export const TYPE_PARSERS = new pg.TypeOverrides();
TYPE_PARSERS.setTypeParser(INT8, safeInteger);
TYPE_PARSERS.setTypeParser(DATE, isoDate);

/** @throws RangeError for an integer that a number would round */
function safeInteger(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value)) return value;
  throw new RangeError(`the integer ${text} is beyond what a number holds exactly`);
}

/** @throws RangeError for a date that the session writes in another style */
function isoDate(text: string): string {
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return text;
  throw new RangeError(`the date ${text} is not YYYY-MM-DD: set DateStyle to ISO`);
}
