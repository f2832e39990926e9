import { z } from 'zod';
import { CHART_THEMES } from '../../charts/colours.ts';
import { queryMoment, queryVersion, withRule } from '../../http/fields.ts';

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

export const chartQuery = withRule(
  z.strictObject({
    kind: z.enum(CHART_KINDS).default('scenarios').meta({
      description:
        'The three probabilities of a version; how they moved; how far the instrument is below its peak; how well the author of the version is calibrated, over all resolved outlooks.',
    }),
    version: queryVersion.optional().meta({
      description:
        'Of scenarios and history: the picture as of that version, which never changes. Left out, the version that stands.',
    }),
    asOf: queryMoment.optional().meta({
      description: 'A moment of recording: the picture as it was then.',
    }),
    width: pixels(320, 1600).default(720).meta({ description: 'In pixels.' }),
    height: pixels(200, 1200).optional().meta({
      description:
        'In pixels. Left out: 300 of scenarios, 400 of history and drawdown, 520 of calibration.',
    }),
    scale: pixels(1, 2).default(1).meta({
      description: 'How many times as large it is, with all that is in it: 2 for sharp screens.',
    }),
    theme: z.enum(CHART_THEMES).default('auto').meta({
      description:
        'The ground: light, dark, or in an SVG what the reader prefers; a PNG is light then.',
    }),
    v: z.string({ error: 'must be given once' }).max(100).optional().meta({
      description:
        'Any text: whoever knows that the picture changed gives another one, so that no cache on the way answers with what it had.',
    }),
    format: z.enum(['svg', 'png']).optional().meta({
      description: 'As Accept, for where a link is all that there is.',
    }),
  }),
  ({ kind, version, asOf }) => {
    if (version === undefined) return [];
    if (kind === 'drawdown' || kind === 'calibration') {
      const detail = `says nothing of ${kind}: leave it out, or use asOf`;
      return [{ path: ['version'], detail }];
    }
    if (asOf === undefined) return [];
    return [{ path: ['version'], detail: 'says nothing beside asOf: leave one of them out' }];
  },
);
