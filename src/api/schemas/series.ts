import { z } from 'zod';
import { PROVENANCES } from '../../domain/framework.ts';
import { DATINGS, FREQUENCIES } from '../../domain/series.ts';
import { listShape } from '../../http/paging.ts';
import { deskChoice, deskName, visibility } from './desks.ts';
import {
  day,
  line,
  optionalLine,
  queryTimestamp,
  slug,
  timestamp,
  withRule,
} from '../../http/fields.ts';

const dated = z.enum(DATINGS).meta({
  description:
    'The day of its period by which an observation is dated. `end`: the last day of the period. `start`: its first day, as FRED dates monthly series. Rules, returns and drawdowns use a value on the last day of its period.',
});

const seriesShape = {
  key: slug.meta({ description: 'Its name in URLs and rules. It never changes.' }),
  name: line,
  unit: line,
  frequency: z.enum(FREQUENCIES),
  dated,
  source: line.meta({ description: 'Who publishes the series.' }),
};
const EXAMPLE = {
  key: 'us-10y-yield',
  name: '10-year Treasury constant maturity yield',
  unit: 'percent',
  frequency: 'daily',
  source: 'Board of Governors of the Federal Reserve System',
};

export const newSeries = z
  .strictObject({
    ...seriesShape,
    dated: dated.default('end'),
    desk: deskChoice,
    visibility: visibility.default('public').meta({
      description:
        '`internal`: only for keys and tokens of its desk, of all desks, and for admins. Only internal outlooks of that desk may use it.',
    }),
  })
  .meta({
    id: 'SeriesInput',
    description: 'A time series of prices or an indicator.',
    examples: [EXAMPLE],
  });

export const series = z.object({ ...seriesShape, desk: deskName, visibility }).meta({
  id: 'Series',
  description: 'A time series of prices or an indicator.',
  examples: [
    {
      ...EXAMPLE,
      dated: 'end',
      desk: { slug: 'main', name: 'Main desk' },
      visibility: 'public',
    },
  ],
});

/** The most observations that one request may contain. */
export const MOST_OBSERVATIONS = 10_000;

export const newObservation = z
  .strictObject({
    date: day,
    value: z
      .number({ error: ({ input }) => valueFault(input) })
      .nullable()
      .meta({ description: 'Null retracts the value of a day that has an observation.' }),
    provenance: z.enum(PROVENANCES).default('sourced'),
    note: optionalLine,
  })
  .meta({ id: 'ObservationInput', description: 'The value of a day.' });

function valueFault(input: unknown): string {
  if (input === undefined) return 'is required';
  if (typeof input === 'string') return 'must be a number without quotes, such as 2793.3';
  return 'must be a finite number, such as 2793.3';
}

/** The rows with the same date as an earlier row. */
export function repeatedDates(rows: readonly unknown[]): { index: number; first: number }[] {
  const firsts = new Map<string, number>();
  return rows.flatMap((row, index) => {
    const { date } = Object(row) as { date?: unknown };
    if (typeof date !== 'string') return [];
    const first = firsts.get(date);
    if (first !== undefined) return [{ index, first }];
    firsts.set(date, index);
    return [];
  });
}

export const newObservations = z
  .strictObject({
    observations: z
      .array(newObservation)
      .min(1)
      .max(MOST_OBSERVATIONS)
      .superRefine(
        (rows, context) => {
          for (const { index, first } of repeatedDates(rows)) {
            const path = [index, 'date'];
            const message = `repeats the date of entry ${first}: send each day once`;
            context.addIssue({ code: 'custom', path, message });
          }
        },
        { when: ({ value }) => Array.isArray(value) && value.length <= MOST_OBSERVATIONS },
      ),
  })
  .meta({
    id: 'ObservationsInput',
    description: '1 to 10,000 observations of a series, at most one per day.',
  });

export const observation = z
  .object({
    date: day,
    value: z
      .number()
      .nullable()
      .meta({ description: 'Null for a retraction, which only `vintages=all` lists.' }),
    provenance: z.enum(PROVENANCES),
    note: z.string().nullable(),
    recordedAt: timestamp,
    supersededAt: timestamp.nullable().meta({
      description: 'When a newer vintage of the day was recorded. Null for the newest vintage.',
    }),
  })
  .meta({
    id: 'Observation',
    description: 'The value of a day, as known from `recordedAt` on.',
  });

/** How many observations a page has if its query sets no limit. */
export const DEFAULT_OBSERVATIONS = 1_000;

const digits = (value: unknown): unknown =>
  typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value;

export const observationQuery = withRule(
  z.strictObject({
    from: day.optional().meta({ description: 'The first day.' }),
    to: day.optional().meta({ description: 'The day after the last day: `to` is exclusive.' }),
    asOf: queryTimestamp.optional().meta({
      description: 'The values as they were known at this time.',
    }),
    vintages: z.enum(['newest', 'all']).default('newest').meta({
      description:
        '`newest`: one value per day. `all`: every vintage of each day, oldest first, with retractions.',
    }),
    limit: z
      .preprocess(digits, z.int({ error: 'must be a whole number in 1–10000' }).min(1).max(10_000))
      .optional()
      .meta({
        description:
          'The maximum number of observations to return. Left out: 1,000 as JSON, and all as CSV.',
      }),
    cursor: z.string({ error: 'must be given once' }).max(1_000).optional().meta({
      description: 'The `nextCursor` of the previous page. Keep the other parameters unchanged.',
    }),
    format: listShape.format,
  }),
  ({ from, to, asOf, vintages }) => {
    const faults = [];
    if (from !== undefined && to !== undefined && from > to) {
      faults.push({ path: ['from'], detail: `must not be after to, ${to}` });
    }
    if (asOf !== undefined && vintages === 'all') {
      const detail = 'cannot be combined with asOf: leave one of them out';
      faults.push({ path: ['vintages'], detail });
    }
    return faults;
  },
);
