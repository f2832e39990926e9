import { z } from 'zod';
import { INSTRUMENT_KINDS } from '../../domain/instrument.ts';
import { line, slug, symbol } from '../../http/fields.ts';

const closes = slug.nullable();
const CLOSES = 'The key of the series with its closes. It can be set only once.';
const example = { symbol: 'RUT', name: 'Russell 2000 Index', kind: 'index', closes: 'rut-close' };

export const newInstrument = z
  .strictObject({
    symbol,
    name: line,
    kind: z.enum(INSTRUMENT_KINDS),
    closes: closes.default(null).meta({ description: CLOSES }),
  })
  .meta({
    id: 'InstrumentInput',
    description: 'The index, share, fund or other thing that an outlook is about.',
    examples: [example],
  });

export const instrument = z
  .object({
    symbol,
    name: z.string(),
    kind: z.enum(INSTRUMENT_KINDS),
    closes: closes.meta({ description: CLOSES }),
  })
  .meta({
    id: 'Instrument',
    description: 'The index, share, fund or other thing that an outlook is about.',
    examples: [example],
  });

export const instrumentPatch = z
  .strictObject({ closes: slug })
  .meta({ id: 'InstrumentPatch', description: "Sets the series with the instrument's closes." });
