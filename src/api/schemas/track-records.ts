import { z } from 'zod';
import { FORECAST_SOURCES } from '../../domain/track-record.ts';
import { day, queryMoment, symbol, timestamp } from '../../http/fields.ts';
import { author } from './outlooks.ts';
import { fixedReference, missing, scoreReference } from './scores.ts';

const filters = {
  from: day
    .optional()
    .meta({ description: 'Only outlooks whose horizon ends on this day or later.' }),
  to: day.optional().meta({ description: 'Only outlooks whose horizon ends before this day.' }),
  asOf: queryMoment.optional().meta({
    description:
      'A moment of recording: the record as it was then, whatever was resolved, or resolved anew, since.',
  }),
  reference: fixedReference,
};
const instrument = symbol.optional().meta({ description: 'Only outlooks on this symbol.' });
const source = z.enum(FORECAST_SOURCES).default('version').meta({
  description: 'The versions that the analyst published, or the views that the analyst held.',
});

const upright = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.strictObject(shape).superRefine((query, context) => {
    const { from, to } = query as { from?: string; to?: string };
    if (from === undefined || to === undefined || from <= to) return;
    context.addIssue({ code: 'custom', path: ['from'], message: `must not be after to, ${to}` });
  });

export const recordQuery = upright({ instrument, ...filters });
export const instrumentRecordQuery = upright(filters);
export const analystRecordQuery = upright({ source, instrument, ...filters });

const value = z.number().nullable();
const meanScore = z
  .object({
    mean: value,
    standardError: value.meta({ description: 'Of the mean: its standard deviation over √n.' }),
    skill: value.meta({ description: '1 − mean ÷ mean of the reference.' }),
    skillError: value.meta({
      description: 'The standard error of the skill, by the delta method.',
    }),
  })
  .meta({ id: 'MeanScore', description: 'A mean over outlooks, and how sure it is.' });

const decomposition = z
  .object({
    reliability: z
      .number()
      .meta({ description: 'How far forecasts are from the rates; 0 is best.' }),
    resolution: z.number().meta({ description: 'How far they tell cases apart; more is better.' }),
    uncertainty: z.number().meta({ description: 'How hard the cases were.' }),
    withinBuckets: z.number().meta({
      description: 'What forecasts of one bucket differ by (Stephenson, Coelho and Jolliffe 2008).',
    }),
  })
  .meta({
    id: 'Decomposition',
    description:
      "Murphy's (1973), over the buckets: score = reliability − resolution + uncertainty + withinBuckets.",
  });

const buckets = z.array(
  z
    .object({
      from: z.number(),
      to: z.number().meta({ description: 'Exclusive, but for 1.' }),
      n: z.int().min(1).meta({ description: 'How many outlooks had a probability in it.' }),
      weight: z.number().meta({
        description:
          'The parts of their time that they did, added up; the whole time of each is 1.',
      }),
      predictedMean: z.number(),
      realisedRate: z.number(),
      interval: z.object({ low: z.number(), high: z.number() }).meta({
        description:
          "Of the realised rate, 95 %: Wilson's, at Kish's effective number of outlooks. Calibrated forecasts have their predicted mean in it, but for one bucket in twenty.",
      }),
    })
    .meta({
      id: 'CalibrationBucket',
      description: 'Whether what was given probabilities like these came about as often.',
    }),
);

export const trackRecord = z
  .object({
    analyst: author.nullable().meta({ description: 'Null for outlooks whoever wrote them.' }),
    source: z.enum(FORECAST_SOURCES),
    instrument: symbol.nullable(),
    period: z
      .object({ from: day.nullable(), to: day.nullable() })
      .meta({ description: 'Of the end of the horizons, [from, to).' }),
    asOf: timestamp.nullable(),
    reference: scoreReference,
    counts: z
      .object({
        open: z.int(),
        resolved: z.int(),
        void: z.int(),
        withdrawn: z.int().meta({ description: 'Scored, too, where they were resolved since.' }),
      })
      .meta({ description: 'All outlooks of the record, by their status.' }),
    n: z.int().min(0).meta({
      description:
        'How many outlooks are scored: those with an outcome, of which a forecast stood within the horizon.',
    }),
    isSmall: z.boolean().meta({
      description: 'Whether n is below 30: too few for the figures to tell skill from luck.',
    }),
    coverage: z
      .number()
      .nullable()
      .meta({ description: 'The mean part of the horizons that forecasts stood.' }),
    scores: z
      .object({ brier: meanScore, logarithmic: meanScore, rankedProbability: meanScore })
      .meta({
        description:
          'Over outlooks, each of which counts once: by its mean over the time that the forecasts stood.',
      }),
    missing,
    calibration: z.object({ bear: buckets, base: buckets, bull: buckets, overall: buckets }),
    decomposition: z
      .object({
        bear: decomposition,
        base: decomposition,
        bull: decomposition,
        overall: decomposition.meta({ description: 'Their sum: that of the Brier score.' }),
      })
      .nullable(),
    leadTimes: z
      .array(
        z
          .object({
            lead: z.number().meta({
              description: 'The part of the horizon that was left: 1 at its start, 0 at its end.',
            }),
            n: z.int().min(1),
            brier: z
              .object({ mean: z.number(), standardError: value, skill: value })
              .meta({ description: 'Of the forecasts that stood then.' }),
            decomposition,
            missing,
          })
          .meta({ id: 'LeadTime', description: 'How forecasts did, by how early they were.' }),
      )
      .meta({ description: 'Where a forecast stood, from 1 down to 0.' }),
  })
  .meta({ id: 'TrackRecord', description: 'How forecasts did, of all outlooks that are scored.' });
