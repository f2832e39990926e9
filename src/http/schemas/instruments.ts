import { z } from 'zod';
import { INSTRUMENT_KINDS } from '../../domain/instrument.ts';
import { line, symbol } from './fields.ts';

export const newInstrument = z
  .strictObject({ symbol, name: line, kind: z.enum(INSTRUMENT_KINDS) })
  .meta({
    id: 'Instrument',
    description: 'What outlooks are about.',
    examples: [{ symbol: 'RUT', name: 'Russell 2000 Index', kind: 'index' }],
  });
