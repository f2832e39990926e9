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

/** The subject of outlooks, identified by the symbol that the desk's data vendor uses. */
export type Instrument = {
  symbol: string;
  name: string;
  kind: InstrumentKind;
  /** The key of the series that holds its closes; null if none is set. */
  closes: string | null;
};
