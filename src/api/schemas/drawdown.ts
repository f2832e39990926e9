import { z } from 'zod';
import { close } from '../../http/closes-schema.ts';
import { day, queryTimestamp, slug } from '../../http/fields.ts';
import { drawdownLabel, instrumentName } from './outlooks.ts';

const decimal = (value: unknown): unknown =>
  typeof value === 'string' && /^\d(\.\d{1,9})?$/.test(value) ? Number(value) : value;

export const drawdownQuery = z.strictObject({
  since: day.optional().meta({
    description:
      'Use closes from this day on. Left out: the closes of the horizon and the one before it.',
  }),
  asOf: queryTimestamp.optional().meta({
    description: 'Use the closes and labels that were recorded up to this time.',
  }),
  minDepth: z
    .preprocess(
      decimal,
      z.number({ error: 'must be a fraction in 0.01–1, such as 0.1' }).min(0.01).max(1),
    )
    .default(0.1)
    .meta({ description: 'List only episodes at least this deep, as a fraction.' }),
});

const depth = z.number().meta({
  description:
    'How far the close is below the peak, as a fraction of the peak: 1 − P / max P. 0 is at the peak. It exceeds 1 only if a close is negative.',
});

const drawdownEpisode = z
  .object({
    peakDate: day.meta({ description: 'The last day at the peak before the fall.' }),
    peakValue: z.number(),
    troughDate: day.meta({ description: 'The first day with the lowest close.' }),
    troughValue: z.number(),
    recoveryDate: day
      .nullable()
      .meta({ description: 'The first day back at the peak. Null while under water.' }),
    depth,
    daysToTrough: z.int().meta({ description: 'Calendar days from the peak to the trough.' }),
    daysUnderWater: z.int().meta({
      description:
        'Calendar days from the peak to the recovery, or to the last close while under water.',
    }),
  })
  .meta({
    id: 'DrawdownEpisode',
    description: 'A fall from a peak until the price reaches the peak again.',
  });

export const drawdown = z
  .object({
    instrument: instrumentName,
    series: slug.meta({ description: "The key of the series with the instrument's closes." }),
    since: day,
    base: close.nullable().meta({
      description:
        'The close before the horizon, from which the drawdown counts. Null if there is none that is recent enough for a return, or if the request names `since`.',
    }),
    last: close.nullable().meta({ description: 'The newest close. Null if there are no closes.' }),
    peak: close
      .nullable()
      .meta({ description: 'The highest close, on the last day that reached it.' }),
    depth: depth
      .nullable()
      .meta({ description: 'The depth of the last close. Null if there are no closes.' }),
    label: drawdownLabel.nullable().meta({
      description:
        "The outlook's drawdown label for the last close: the last one in its list that applies. Null if none applies.",
    }),
    current: drawdownEpisode.nullable().meta({ description: 'The open episode. Null at a peak.' }),
    deepest: drawdownEpisode.nullable(),
    episodes: z
      .array(drawdownEpisode)
      .meta({ description: 'Episodes at least `minDepth` deep, oldest first.' }),
  })
  .meta({ id: 'Drawdown', description: "How far an outlook's instrument is below its peak." });
