import { z } from 'zod';
import { day, queryTimestamp, slug } from '../../http/fields.ts';
import { newHorizon } from './horizon.ts';
import { missing } from './scores.ts';

export const climatologyQuery = z.strictObject({
  asOf: queryTimestamp.optional().meta({
    description: 'Use the version that was current, and the closes that were known, at this time.',
  }),
});

const share = z.number().min(0).max(1);

export const climatology = z
  .object({
    slug,
    version: z.int().min(1).meta({ description: 'The version whose return bands are used.' }),
    horizon: newHorizon,
    series: slug
      .nullable()
      .meta({ description: 'The series of closes. Null if the instrument has none.' }),
    days: z
      .int()
      .min(1)
      .meta({ description: 'The length of the horizon, and of each past span, in days.' }),
    probabilities: z.object({ bear: share, base: share, bull: share }).nullable().meta({
      description:
        'The share of the past spans whose return falls into each band, smoothed by the rule of succession (Laplace): (m · share + 1) ÷ (m + 3), where m is `independentSpans`. So no band gets 0. Null with fewer than five independent spans, without return bands, or without closes; `missing` says why.',
    }),
    missing,
    spans: z.int().min(0).meta({
      description: 'The number of past spans. One starts at each close, so they overlap.',
    }),
    independentSpans: z.int().min(0).meta({
      description: 'The most of these spans of which no two overlap.',
    }),
    first: day
      .nullable()
      .meta({ description: 'The day on which the first span starts. Null without a span.' }),
    last: day.nullable().meta({ description: 'The day of the last close. Null without a span.' }),
  })
  .meta({
    id: 'Climatology',
    description:
      "The forecast that history alone gives (Murphy 1992): how often the instrument's past returns, over spans as long as the horizon, fell into each return band.",
  });
