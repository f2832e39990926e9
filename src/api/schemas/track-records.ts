import { z } from 'zod';
import { FORECAST_SOURCES } from '../../domain/track-record.ts';
import { day, queryTimestamp, symbol, timestamp, withRule } from '../../http/fields.ts';
import { author } from './outlooks.ts';
import { fixedReference, missing, scoreReference } from './scores.ts';

const filters = {
  from: day
    .optional()
    .meta({ description: 'Only outlooks whose horizon ends on this day or later.' }),
  to: day.optional().meta({ description: 'Only outlooks whose horizon ends before this day.' }),
  asOf: queryTimestamp.optional().meta({
    description: 'The record as of this time, without later resolutions and corrections.',
  }),
  reference: fixedReference,
};
const instrument = symbol.optional().meta({ description: 'Only outlooks on this symbol.' });
const source = z.enum(FORECAST_SOURCES).default('version').meta({
  description:
    "The forecasts to score: the versions that the analyst published, or the analyst's views.",
});

function periodFaults({ from, to }: { from?: string | undefined; to?: string | undefined }) {
  if (from === undefined || to === undefined || from <= to) return [];
  return [{ path: ['from'], detail: `must not be after to, ${to}` }];
}

export const recordQuery = withRule(z.strictObject({ instrument, ...filters }), periodFaults);
export const instrumentRecordQuery = withRule(z.strictObject(filters), periodFaults);
export const analystRecordQuery = withRule(
  z.strictObject({ source, instrument, ...filters }),
  periodFaults,
);

const value = z.number().nullable();
const meanScore = z
  .object({
    mean: value,
    standardError: value.meta({
      description: 'The standard error of the mean: standard deviation ÷ √n.',
    }),
    skill: value.meta({ description: '1 − mean ÷ mean of the reference.' }),
    skillError: value.meta({
      description: 'The standard error of the skill, by the delta method.',
    }),
  })
  .meta({ id: 'MeanScore', description: 'A mean over outlooks and its uncertainty.' });

const decomposition = z
  .object({
    reliability: z
      .number()
      .meta({ description: 'How far forecasts are from the realised rates. 0 is best.' }),
    resolution: z
      .number()
      .meta({ description: 'How well forecasts separate outcomes. Higher is better.' }),
    uncertainty: z.number().meta({ description: 'How hard the outcomes were to predict.' }),
    withinBuckets: z.number().meta({
      description:
        'The variation of forecasts within a bucket (Stephenson, Coelho and Jolliffe 2008).',
    }),
  })
  .meta({
    id: 'Decomposition',
    description:
      "Murphy's decomposition (1973) over the buckets: score = reliability − resolution + uncertainty + withinBuckets.",
  });

const buckets = z.array(
  z
    .object({
      from: z.number(),
      to: z.number().meta({ description: 'Exclusive, except for 1.' }),
      n: z
        .int()
        .min(1)
        .meta({ description: 'The number of outlooks with a probability in this bucket.' }),
      weight: z.number().meta({
        description: 'The sum over those outlooks of the share of their time spent in this bucket.',
      }),
      predictedMean: z.number(),
      realisedRate: z.number(),
      interval: z.object({ low: z.number(), high: z.number() }).meta({
        description:
          "Wilson's 95 % interval of the realised rate, at Kish's effective number of outlooks. For calibrated forecasts it contains the predicted mean in 19 of 20 buckets.",
      }),
    })
    .meta({
      id: 'CalibrationBucket',
      description: 'How often events forecast with a probability in this range occurred.',
    }),
);

export const trackRecord = z
  .object({
    analyst: author.nullable().meta({ description: 'Null if the record covers all analysts.' }),
    source: z.enum(FORECAST_SOURCES),
    instrument: symbol.nullable(),
    period: z
      .object({ from: day.nullable(), to: day.nullable() })
      .meta({ description: 'Outlooks with a horizon that ends in [from, to).' }),
    asOf: timestamp.nullable(),
    reference: scoreReference,
    counts: z
      .object({
        open: z.int(),
        resolved: z.int(),
        void: z.int(),
        withdrawn: z
          .int()
          .meta({ description: 'Withdrawn outlooks are scored as well, once resolved.' }),
      })
      .meta({ description: 'The number of outlooks in the record, by status.' }),
    n: z.int().min(0).meta({
      description:
        'The number of scored outlooks: those with an outcome and a forecast that was current during the horizon.',
    }),
    isSmall: z.boolean().meta({
      description: 'Whether n is below 30, which is too few to tell skill from luck.',
    }),
    coverage: z
      .number()
      .nullable()
      .meta({ description: 'The mean share of the horizon during which a forecast was current.' }),
    scores: z
      .object({ brier: meanScore, logarithmic: meanScore, rankedProbability: meanScore })
      .meta({
        description: 'Means over outlooks. Each outlook counts once, with its time-weighted mean.',
      }),
    missing,
    calibration: z.object({ bear: buckets, base: buckets, bull: buckets, overall: buckets }),
    decomposition: z
      .object({
        bear: decomposition,
        base: decomposition,
        bull: decomposition,
        overall: decomposition.meta({
          description: 'The sum over the three scenarios, which decomposes the Brier score.',
        }),
      })
      .nullable(),
    leadTimes: z
      .array(
        z
          .object({
            lead: z.number().meta({
              description: 'The share of the horizon that was left: 1 at its start, 0 at its end.',
            }),
            n: z.int().min(1),
            brier: z
              .object({ mean: z.number(), standardError: value, skill: value })
              .meta({ description: 'The Brier score of the forecasts that were current then.' }),
            decomposition,
            missing,
          })
          .meta({ id: 'LeadTime', description: 'Forecast accuracy by lead time.' }),
      )
      .meta({ description: 'The lead times at which a forecast was current, from 1 down to 0.' }),
  })
  .meta({
    id: 'TrackRecord',
    description: 'The accuracy of the forecasts of all scored outlooks.',
  });
