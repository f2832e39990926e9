import { z } from 'zod';
import { close } from '../../http/closes-schema.ts';
import { day, queryMoment, slug } from '../../http/fields.ts';
import { drawdownLabel, instrumentName } from './outlooks.ts';

const decimal = (value: unknown): unknown =>
  typeof value === 'string' && /^\d(\.\d{1,9})?$/.test(value) ? Number(value) : value;

export const drawdownQuery = z.strictObject({
  since: day.optional().meta({
    description:
      'The first day whose closes count, and so the first that can be the peak. Left out: the first day of the horizon.',
  }),
  asOf: queryMoment.optional().meta({
    description: 'A moment of recording: the closes and the labels as they were known then.',
  }),
  minDepth: z
    .preprocess(
      decimal,
      z.number({ error: 'must be a fraction in 0.01–1, such as 0.1' }).min(0.01).max(1),
    )
    .default(0.1)
    .meta({ description: 'How deep an episode must be to be listed, as a fraction.' }),
});

const depth = z.number().meta({
  description:
    'How far below the peak, as a fraction of it: the negated drawdown P / max P − 1. 0 is at the peak; above 1 only where a close is negative.',
});

const drawdownEpisode = z
  .object({
    peakDate: day.meta({ description: 'The last day at the peak, before the fall.' }),
    peakValue: z.number(),
    troughDate: day.meta({ description: 'The first day of the lowest close.' }),
    troughValue: z.number(),
    recoveryDate: day
      .nullable()
      .meta({ description: 'The first day back at the peak; null while under water.' }),
    depth,
    daysToTrough: z.int().meta({ description: 'Calendar days from the peak to the trough.' }),
    daysUnderWater: z.int().meta({
      description: 'Calendar days from the peak to the recovery, or to the last close.',
    }),
  })
  .meta({
    id: 'DrawdownEpisode',
    description: 'A fall from a peak, until the peak is reached again.',
  });

export const drawdown = z
  .object({
    instrument: instrumentName,
    series: slug.meta({ description: 'The series of its closes.' }),
    since: day,
    last: close.nullable().meta({ description: 'The newest close; null where there is none.' }),
    peak: close
      .nullable()
      .meta({ description: 'The highest close, and the last day that had it.' }),
    depth: depth.nullable().meta({ description: 'Of the last close. Null where there is none.' }),
    label: drawdownLabel.nullable().meta({
      description:
        "The outlook's own label for the last close: of those that apply, the last in its list. Null for none.",
    }),
    current: drawdownEpisode
      .nullable()
      .meta({ description: 'The one that is open; null at a peak.' }),
    deepest: drawdownEpisode.nullable(),
    episodes: z
      .array(drawdownEpisode)
      .meta({ description: 'At least `minDepth` deep, oldest first.' }),
  })
  .meta({ id: 'Drawdown', description: "Where an outlook's instrument stands below its peak." });
