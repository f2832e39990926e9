import { z } from 'zod';
import { FORECAST_SOURCES } from '../../domain/track-record.ts';
import { day, queryTimestamp, symbol, timestamp, withRule } from '../../http/fields.ts';
import { author } from './outlooks.ts';
import { recordReference, missing, scoreReference } from './scores.ts';

const share = z.string({ error: 'must be given once' }).transform((text, context): number => {
  const value = /^(?:0?\.\d{1,15}|[01](?:\.\d{0,15})?)$/.test(text) ? Number(text) : NaN;
  if (value > 0 && value <= 1) return value;
  context.addIssue('must be a fraction above 0 and at most 1, such as 0.5');
  return z.NEVER;
});

const filters = {
  from: day
    .optional()
    .meta({ description: 'Only outlooks whose horizon ends on this day or later.' }),
  to: day.optional().meta({ description: 'Only outlooks whose horizon ends before this day.' }),
  asOf: queryTimestamp.optional().meta({
    description: 'The record as of this time, without later resolutions and corrections.',
  }),
  minCoverage: share.optional().meta({
    type: 'number',
    exclusiveMinimum: 0,
    maximum: 1,
    description:
      'Leaves out outlooks of which a smaller share of the horizon was forecast, a fraction. The counts stay as they are.',
  }),
  reference: recordReference,
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
      description:
        'The standard error of the mean. Outlooks of a cluster may err together, so it is √(G/(G − 1) · Σ e²) ÷ Σ c over the G clusters, where e is the sum of c (S − mean) in a cluster (Cameron and Miller 2015). Null with fewer than two clusters. With few clusters it tends to be too small.',
    }),
    skill: value.meta({
      description:
        '1 − Σ c S ÷ Σ c S_ref over the outlooks in `compared`. Null if less than one whole horizon was forecast.',
    }),
    skillError: value.meta({
      description:
        'The standard error of the skill, by the delta method over the clusters: √(G/(G − 1) · Σ e²) ÷ Σ c S_ref, where e is the sum of c (S − (1 − skill) S_ref) in a cluster.',
    }),
  })
  .meta({
    id: 'MeanScore',
    description:
      'A mean over outlooks and its uncertainty: Σ c S ÷ Σ c, where c is the share of its horizon for which an outlook was forecast and S its mean score over that time.',
  });

const decomposition = z
  .object({
    reliability: z.number().meta({
      description:
        'How far forecasts are from the realised rates. 0 is best. In small samples it is too large even for perfect forecasts, by about Σ o (1 − o) ÷ n over buckets with the realised rate o, because these rates are estimates (Ferro and Fricker 2012). It is not corrected here.',
    }),
    resolution: z.number().meta({
      description:
        'How well forecasts separate outcomes. Higher is better. In small samples it may be too large or too small.',
    }),
    uncertainty: z.number().meta({
      description:
        'How hard the outcomes were to predict. In small samples it is too small, by a share of about 1 ÷ n.',
    }),
    withinBuckets: z.number().meta({
      description:
        'What differences between the forecasts of a bucket add: their variance less twice their covariance with the outcomes (Stephenson, Coelho and Jolliffe 2008). Negative if the higher forecasts of a bucket came about more often.',
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
        description:
          'The sum over those outlooks of the share of their horizon during which the probability was in this bucket.',
      }),
      nEffective: z.number().meta({
        description:
          "The number of independent outlooks that the interval counts on: Kish's (Σ W)² ÷ Σ W² (1965) over the weights W of clusters, and at most `weight`.",
      }),
      predictedMean: z.number(),
      realisedRate: z.number(),
      interval: z.object({ low: z.number(), high: z.number() }).meta({
        description:
          "Wilson's 95 % interval of the realised rate (1927), at `nEffective`. It is an approximation: for independent outcomes it contains the true rate in about 19 of 20 buckets, in fewer where `nEffective` is below about 10 or the rate is near 0 or 1.",
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
    minCoverage: value,
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
    nEffective: z.number().meta({
      description:
        'The sum over those outlooks of the share of the horizon that was forecast, in whole horizons. Every mean weighs an outlook by that share.',
    }),
    clusters: z.int().min(0).meta({
      description:
        'The number of chains of overlapping horizons on one instrument, or on several with the same closes. Outlooks of a chain share their fate, so standard errors count each chain once.',
    }),
    isSmall: z.boolean().meta({
      description:
        'Whether the smaller of nEffective and the number of clusters is below 30, which is too few to tell skill from luck.',
    }),
    coverage: value.meta({
      description: 'The mean share of the horizon during which a forecast was current.',
    }),
    attainableCoverage: value.meta({
      description:
        'The mean share of the horizon before the outcome was known: the most that `coverage` could be.',
    }),
    outcomes: z
      .object({
        closes: z.int().meta({ description: 'Outcomes that the closes imply.' }),
        stated: z.int().meta({
          description: 'Outcomes that an analyst stated without closes, or against them.',
        }),
      })
      .meta({ description: 'The number of scored outlooks by what decided their outcome.' }),
    compared: z.object({ n: z.int().min(0), nEffective: z.number() }).meta({
      description:
        'The outlooks that skill compares. With `reference=climatology`, outlooks without one are left out of both means.',
    }),
    scores: z
      .object({ brier: meanScore, logarithmic: meanScore, rankedProbability: meanScore })
      .meta({
        description:
          'Means over outlooks, each weighted by the share of its horizon that was forecast.',
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
            nEffective: z.number().meta({
              description:
                'The sum over those outlooks of the share of the horizon that was forecast.',
            }),
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
