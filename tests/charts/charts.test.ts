import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { load } from 'cheerio';
import { XMLValidator } from 'fast-xml-parser';
import { calibrationChart } from '../../src/charts/calibration.tsx';
import { chartPolicy, chartStyle } from '../../src/charts/colours.ts';
import { drawdownChart } from '../../src/charts/drawdown.tsx';
import type { ChartLook } from '../../src/charts/frame.tsx';
import { type HistoryData, historyChart } from '../../src/charts/history.tsx';
import { asPng } from '../../src/charts/png.ts';
import { scenariosChart } from '../../src/charts/scenarios.tsx';
import { fitText, percent, points, withoutControls } from '../../src/charts/text.ts';
import { calibrationOf } from '../../src/domain/calibration.ts';
import { drawdownOf } from '../../src/domain/drawdown.ts';

const LOOK: ChartLook = { width: 720, height: 400, scale: 1, theme: 'auto' };
const THIRDS = { bear: 0.3, base: 0.45, bull: 0.25 };

/** The text description of a chart. It must be well-formed XML. */
function textsOf(svg: string) {
  expect(XMLValidator.validate(svg)).toBe(true);
  expect(svg).not.toContain(']]>');
  const $ = load(svg, { xml: true });
  return {
    title: $('svg > title').text(),
    description: $('svg > desc').text(),
    width: $('svg').attr('width'),
  };
}

const pngOf = async (svg: string) => (await asPng('127.0.0.1', async () => ({ body: svg }))).body;

/** Probabilities in whole basis points that sum to 1. */
const fractions = fc
  .tuple(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 10_000 }))
  .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
  .map(([a, b]) => ({ bear: a / 10_000, base: (b - a) / 10_000, bull: (10_000 - b) / 10_000 }));

const scenarios = (change: object = {}) => ({
  title: 'A case',
  symbol: 'RUT',
  version: 2,
  publishedAt: new Date('2026-11-20T16:31:00Z'),
  probabilities: THIRDS,
  deltas: { bear: 0.05, base: -0.05, bull: 0 },
  scenarioTitles: { bear: 'Down', base: 'Sideways', bull: 'Up' },
  resolution: null,
  ...change,
});

const history = (count: number, change: Partial<HistoryData> = {}): HistoryData => ({
  title: 'A case',
  symbol: 'RUT',
  steps: Array.from({ length: count }, (_, index) => ({
    version: index + 1,
    publishedAt: new Date(Date.UTC(2026, 0, 1) + index * 3_600_000),
    probabilities: index % 2 === 0 ? THIRDS : { bear: 0.35, base: 0.4, bull: 0.25 },
  })),
  marks: [],
  until: null,
  lastUntil: null,
  resolution: null,
  ...change,
});

describe('a chart', () => {
  test('describes in words what it shows', () => {
    const { title, description } = textsOf(scenariosChart(scenarios(), LOOK));
    expect(title).toBe('A case');
    expect(description).toBe(
      'Bear 30%, Base 45%, Bull 25%. Since the previous version, in percentage points: Bear +5, Base −5, Bull ±0.',
    );
    const moved = textsOf(
      historyChart(
        history(2, {
          marks: [{ at: new Date('2026-01-02T00:00:00Z'), kind: 'triggered', text: 'x triggered' }],
        }),
        LOOK,
      ),
    );
    expect(moved.description).toBe(
      '2 versions from 1 January 2026 to 1 January 2026. At first Bear 30%, Base 45%, Bull 25%; at last Bear 35%, Base 40%, Bull 25%. x triggered on 2 January 2026.',
    );
  });

  test('is well-formed XML for any texts and figures', () => {
    const text = fc.string({ unit: 'binary', maxLength: 400 });
    fc.assert(
      fc.property(
        text,
        text,
        fractions,
        fc.integer({ min: 320, max: 1600 }),
        (title, name, p, width) => {
          const look = { ...LOOK, width };
          const titles = { bear: title, base: name, bull: title };
          const drawn = [
            scenariosChart(
              scenarios({ title, symbol: name, probabilities: p, scenarioTitles: titles }),
              look,
            ),
            historyChart(history(3, { title, symbol: name }), look),
            calibrationChart({ name: title, n: 0, buckets: [] }, look),
          ];
          for (const svg of drawn) {
            const found = textsOf(svg.replaceAll(/\r\n?/g, '\n'));
            expect(found.width).toBe(String(width));
            // XML reads a carriage return as a line feed.
            const heading = svg === drawn[2] ? `Calibration of ${title}` : title;
            expect(found.title).toBe(withoutControls(heading).replaceAll(/\r\n?/g, '\n'));
          }
        },
      ),
    );
  });

  test('stays within its size for any texts', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 200 }),
        fc.integer({ min: 30, max: 800 }),
        (text, room) => {
          const fitted = fitText(text, room, 13);
          expect(fitted === withoutControls(text) || fitted.endsWith('…')).toBe(true);
          expect(fitted.length).toBeLessThanOrEqual(Math.max(1, text.length));
        },
      ),
    );
    expect(fitText('W'.repeat(100), 130, 13).length).toBeLessThanOrEqual(130 / 13 / 0.82 + 1);
  });

  test('does not grow with the number of versions or days', () => {
    const few = historyChart(history(700), LOOK).length;
    expect(historyChart(history(100_000), LOOK).length).toBeLessThan(1.5 * few);
    const closes = (count: number) =>
      Array.from({ length: count }, (_, index) => ({
        date: new Date(Date.UTC(1900, 0, 1) + index * 86_400_000).toISOString().slice(0, 10),
        value: 100 + 20 * Math.sin(index),
      }));
    const sizeOf = (count: number) => {
      const found = drawdownOf(closes(count));
      const data = {
        title: 'A',
        symbol: 'RUT',
        since: '1900-01-01',
        label: null,
        labels: [],
        until: null,
      };
      return drawdownChart({ ...data, closes: closes(count), found }, LOOK).length;
    };
    expect(sizeOf(40_000)).toBeLessThan(1.5 * sizeOf(1_000));
  });

  test('of one version, or of versions of the same time, fills its width', () => {
    const start = new Date('2026-01-01T00:00:00Z');
    const { steps } = history(2);
    for (const some of [
      steps.slice(0, 1),
      steps.map((step) => ({ ...step, publishedAt: start })),
    ]) {
      const svg = historyChart({ ...history(1), steps: some }, LOOK);
      expect(svg).toMatch(/fill-bear" d="M56,[\d.]+H596V/);
    }
  });

  test('draws the deepest day of those that fall on one pixel', () => {
    const closes = Array.from({ length: 5_000 }, (_, index) => ({
      date: new Date(Date.UTC(2010, 0, 1) + index * 86_400_000).toISOString().slice(0, 10),
      value: index === 2_501 ? 50 : 100,
    }));
    const data = {
      title: 'A',
      symbol: 'RUT',
      since: '2010-01-01',
      label: null,
      labels: [],
      until: null,
    };
    const svg = drawdownChart(
      { ...data, closes, found: drawdownOf(closes) },
      { ...LOOK, width: 320 },
    );
    const [, path = ''] = /stroke-water"[^>]* d="([^"]+)"/.exec(svg) ?? [];
    const heights = [...path.matchAll(/,([\d.]+)/g)].map(([, y]) => Number(y));
    const top = Math.min(...heights);
    expect(heights.filter((y) => y > top)).toHaveLength(1);
    expect(svg).toContain('The deepest fall was 50%, on 6 November 2016.');
  });

  test('may only use its own style', async () => {
    for (const theme of ['auto', 'light', 'dark'] as const) {
      const svg = scenariosChart(scenarios(), { ...LOOK, theme });
      const [, style = ''] = /<style>(.*)<\/style>/.exec(svg) ?? [];
      expect(style).toBe(chartStyle(theme));
      const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(style));
      const digest = Buffer.from(bytes).toString('base64');
      expect(chartPolicy(theme)).toContain(`style-src 'sha256-${digest}'`);
      expect(svg).not.toMatch(/\sstyle=|<script|\son\w+=|href=/);
    }
    expect(chartStyle('auto')).toContain('prefers-color-scheme:dark');
    expect(chartStyle('dark')).not.toContain('@media');
  });

  test('has 95% intervals around the outcomes', () => {
    const sums = { bucket: 3, n: 4, weight: 4, squared: 4, predicted: 1.4, realised: 2 };
    const buckets = calibrationOf([sums]);
    const svg = calibrationChart({ name: 'Ada', n: 4, buckets }, LOOK);
    expect(textsOf(svg).description).toBe(
      '4 resolved outlooks: forecast 35%, occurred 50% (15% to 85%; 4).',
    );
    expect(svg.match(/<circle/g)).toHaveLength(1);
  });

  test('as PNG is a picture of its size, the same each time', async () => {
    const svg = scenariosChart(scenarios(), {
      ...LOOK,
      width: 600,
      height: 315,
      scale: 2,
      theme: 'light',
    });
    const [first, second] = [await pngOf(svg), await pngOf(svg)];
    expect(first.subarray(1, 4).toString()).toBe('PNG');
    expect([first.readUInt32BE(16), first.readUInt32BE(20)]).toEqual([1200, 630]);
    expect(second.equals(first)).toBe(true);
    const other = await pngOf(
      scenariosChart(scenarios({ title: 'Another' }), { ...LOOK, theme: 'light' }),
    );
    expect(other.equals(first)).toBe(false);
  });
});

test('figures lose nothing of a basis point', () => {
  expect([0, 0.3, 0.0001, 0.3333, 1].map(percent)).toEqual([
    '0%',
    '30%',
    '0.01%',
    '33.33%',
    '100%',
  ]);
  expect([0.05, -0.05, 0, 0.0001].map(points)).toEqual(['+5', '−5', '±0', '+0.01']);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10_000 }), (bps) => {
      expect(Math.round(Number(percent(bps / 10_000).slice(0, -1)) * 100)).toBe(bps);
    }),
  );
});
