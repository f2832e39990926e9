import { z } from 'zod';
import { day } from './fields.ts';

export const close = z
  .object({ date: day, value: z.number() })
  .meta({ id: 'Close', description: 'A closing price of the instrument.' });

export const horizonReturn = z
  .object({
    start: close.meta({ description: 'The last close before the first day of the horizon.' }),
    end: close.meta({ description: 'The last close within the horizon.' }),
    value: z.number().meta({ description: 'end / start − 1, a fraction.' }),
  })
  .meta({
    id: 'HorizonReturn',
    description: 'The return over the horizon, computed from closes.',
  });
