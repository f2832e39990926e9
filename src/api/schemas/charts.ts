import { z } from 'zod';
import { CHART_THEMES } from '../../charts/colours.ts';
import { queryTimestamp, queryVersion, withRule } from '../../http/fields.ts';

export const CHART_KINDS = ['scenarios', 'history', 'drawdown', 'calibration'] as const;
export type ChartKind = (typeof CHART_KINDS)[number];

const pixels = (least: number, most: number) =>
  z.preprocess(
    (text) => (typeof text === 'string' && /^[1-9]\d{0,3}$/.test(text) ? Number(text) : text),
    z
      .int({ error: `must be a whole number in ${least}–${most}` })
      .min(least)
      .max(most),
  );

// Links to charts are shared, and whoever shares them may add parameters, so unknown ones are ignored.
export const chartQuery = withRule(
  z.object({
    kind: z.enum(CHART_KINDS).default('scenarios').meta({
      description:
        '`scenarios`: the three probabilities of a version. `history`: how they moved. `drawdown`: how far the instrument is below its peak. `calibration`: how well the author of the version is calibrated over all resolved outlooks.',
    }),
    version: queryVersion.optional().meta({
      description:
        'For `scenarios` and `history`: draw the chart for this version. That chart never changes. Left out: the current version.',
    }),
    asOf: queryTimestamp.optional().meta({
      description: 'Draw the chart from the data recorded up to this time.',
    }),
    width: pixels(320, 1600).default(720).meta({ description: 'The width in pixels.' }),
    height: pixels(200, 1200).optional().meta({
      description:
        'The height in pixels. Left out: 300 for `scenarios`, 400 for `history` and `drawdown`, 520 for `calibration`.',
    }),
    scale: pixels(1, 2).default(1).meta({
      description: 'The scale factor of the whole chart: 2 for high-density screens.',
    }),
    theme: z.enum(CHART_THEMES).default('auto').meta({
      description:
        "The colour scheme. With `auto`, an SVG follows the reader's light or dark mode, and a PNG is light.",
    }),
    v: z
      .unknown()
      .transform(() => undefined)
      .optional()
      .meta({
        type: 'string',
        description:
          'A cache buster for caches between the service and the reader: any text. The service ignores it, as it ignores parameters that it does not know.',
      }),
    format: z.enum(['svg', 'png']).optional().meta({
      description: 'Overrides the Accept header, for use in links.',
    }),
  }),
  ({ kind, version, asOf }) => {
    if (version === undefined) return [];
    if (kind === 'drawdown' || kind === 'calibration') {
      const detail = `does not apply to ${kind}: leave it out, or use asOf`;
      return [{ path: ['version'], detail }];
    }
    if (asOf === undefined) return [];
    return [{ path: ['version'], detail: 'cannot be combined with asOf: leave one of them out' }];
  },
);
