export const INSTRUMENT_KINDS = [
  'index',
  'equity',
  'fund',
  'commodity',
  'currency',
  'rate',
  'crypto',
] as const;
export type InstrumentKind = (typeof INSTRUMENT_KINDS)[number];

/** What outlooks are about, by the symbol that the desk's data vendor uses. */
export type Instrument = {
  symbol: string;
  name: string;
  kind: InstrumentKind;
  /** The key of the series that holds its closes; null where none is named. */
  closes: string | null;
};
