import { z } from 'zod';
import { day } from '../../http/fields.ts';

export const newHorizon = z
  .strictObject({ from: day, to: day })
  .superRefine(
    ({ from, to }, context) => {
      if (from < to) return;
      context.addIssue({ code: 'custom', path: ['to'], message: `must be after ${from}` });
    },
    { when: ({ value }) => z.object({ from: day, to: day }).safeParse(value).success },
  )
  .meta({
    id: 'Horizon',
    description:
      'The days that the outlook covers, half-open [from, to): `from` is the first day, and `to` is the first day after the last one. The horizon is over when `to` begins in UTC. Pages and texts show the last day instead of `to`.',
    examples: [{ from: '2026-03-31', to: '2027-03-31' }],
  });
