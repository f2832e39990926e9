import pg from 'pg';

const { DATE, INT8 } = pg.types.builtins;

/**
 * The `types` of every client of the pool. An int8, which pg leaves as text, becomes a number. A date, which pg turns
 * into midnight in the process's time zone, stays text: `YYYY-MM-DD`.
 */
export const TYPE_PARSERS = new pg.TypeOverrides();
TYPE_PARSERS.setTypeParser(INT8, safeInteger);
TYPE_PARSERS.setTypeParser(DATE, isoDate);

/** @throws RangeError for an integer that a number can't hold exactly */
function safeInteger(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value)) return value;
  throw new RangeError(`the integer ${text} is beyond what a number holds exactly`);
}

/** @throws RangeError for a date in another style than ISO */
function isoDate(text: string): string {
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return text;
  throw new RangeError(`the date ${text} is not YYYY-MM-DD: set DateStyle to ISO`);
}
