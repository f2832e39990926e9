import { z } from 'zod';
import { DELIMITERS, PROVIDERS } from '../../domain/file-columns.ts';
import { dateFormatFault } from '../../domain/written-dates.ts';
import { DECIMAL_MARKS } from '../../domain/written-numbers.ts';
import { day, slug, timestamp, withRule } from '../../http/fields.ts';

const flag = z
  .enum(['true', 'false'], { error: 'must be true or false' })
  .transform((text) => text === 'true');

const columnName = z.string({ error: 'must be given once' }).min(1).max(200);

const words = z
  .string({ error: 'must be given once' })
  .max(200)
  .transform((text) => text.split(',').map((word) => word.trim()));

/** A dry run reports changes above this ratio of the value before: a unit or a decimal mark may be wrong. */
const USUAL_MAX_JUMP = 0.2;

/** The query of an import: the format of a CSV file, and how to import it. */
export const importQuery = withRule(
  z.strictObject({
    format: z.enum(PROVIDERS).optional().meta({
      description:
        'The provider whose CSV the body is. Of Yahoo, Stooq and Alpha Vantage, the closes are read unless `valueColumn` names another column.',
    }),
    dateColumn: columnName
      .optional()
      .meta({ description: 'The column of the dates, by its name in the header.' }),
    valueColumn: columnName
      .optional()
      .meta({ description: 'The column of the values, by its name in the header.' }),
    dateFormat: z
      .string({ error: 'must be given once' })
      .max(40)
      .superRefine((text, context) => {
        const fault = dateFormatFault(text);
        if (fault !== null) context.addIssue(fault);
      })
      .optional()
      .meta({
        description:
          'How the dates are written, such as `DD/MM/YYYY`, `MM/DD/YY`, `YYYYMMDD`, `D MMM YYYY` or `%d/%m/%Y`. Needed where dates like 11/12/2026 leave open which number is the month.',
      }),
    decimal: z
      .enum(DECIMAL_MARKS, { error: 'must be a point or a comma: decimal=. or decimal=,' })
      .optional()
      .meta({
        description:
          'The decimal mark; the other one may group thousands. Needed where numbers like 2,861 leave it open.',
      }),
    delimiter: z.enum(DELIMITERS).optional().meta({
      description:
        'The character between two cells. Needed where the header has several candidates.',
    }),
    missing: words.optional().meta({
      description:
        'Texts that mean that a day has no value, separated by commas, besides an empty cell, `.`, `null`, `NaN`, `NA` and the like. Such days are skipped; they retract nothing.',
    }),
    dryRun: flag.optional().meta({
      description: 'With `true`, nothing is stored: the response previews the import.',
    }),
    maxJump: z
      .preprocess(
        (text) =>
          typeof text === 'string' && /^\d{1,6}(\.\d{1,6})?$/.test(text) ? Number(text) : text,
        z.number({ error: 'must be a number above 0, such as 0.2' }).positive(),
      )
      .optional()
      .meta({
        description: `With \`dryRun=true\`: a change from one day to the next above this ratio of the value before is listed as a jump; ${USUAL_MAX_JUMP} unless given.`,
      }),
  }),
  ({ dryRun, maxJump }) =>
    maxJump === undefined || dryRun === true
      ? []
      : [{ path: ['maxJump'], detail: 'needs dryRun=true, which lists the jumps' }],
);

export const maxJumpOf = ({ maxJump }: z.output<typeof importQuery>): number =>
  maxJump ?? USUAL_MAX_JUMP;

const preview = z
  .object({
    from: day.nullable().meta({ description: 'The first day with a value, or a retraction.' }),
    to: day.nullable().meta({ description: 'The last such day, included.' }),
    skippedDays: z
      .array(day)
      .meta({ description: 'The first 100 days without a value, in the order of the file.' }),
    revisions: z
      .array(
        z
          .object({ date: day, before: z.number().nullable(), value: z.number().nullable() })
          .meta({ id: 'PreviewedRevision', description: 'A day whose value would change.' }),
      )
      .meta({
        description:
          'The first 100 days that would be revised or retracted. `before` is null for a day that was retracted, `value` for a retraction.',
      }),
    jumps: z
      .array(
        z
          .object({
            previousDate: day,
            previousValue: z.number(),
            date: day,
            value: z.number(),
            change: z.number().nullable().meta({
              description: 'Relative to the value before: 0.5 is half as much again. Null after 0.',
            }),
          })
          .meta({ id: 'Jump', description: 'Two days in a row whose values are far apart.' }),
      )
      .meta({
        description:
          'The first 100 changes above `maxJump`, by day, as the series would be. One of the two days is new or revised.',
      }),
  })
  .meta({ id: 'ImportPreview', description: 'What an import would do.' });

export const recorded = z
  .object({
    series: slug,
    added: z.int().meta({ description: 'Days without an earlier value.' }),
    revised: z.int().meta({ description: 'Days that got a new vintage with a value.' }),
    retracted: z.int().meta({ description: 'Days whose value was retracted.' }),
    unchanged: z
      .int()
      .meta({ description: 'Days that already had this value, or were already retracted.' }),
    skipped: z.int().meta({ description: 'Rows of a CSV without a value. They change nothing.' }),
    recordedAt: timestamp.nullable().meta({
      description: 'Null if nothing was new, and for a dry run.',
    }),
    preview: preview.nullable().meta({ description: 'Null unless it was a dry run.' }),
  })
  .meta({ id: 'Recorded', description: 'The result of sending observations.' });
