import { scaleLinear, scaleUtc } from 'd3-scale';
import { area, line } from 'd3-shape';
import { depthsOf, type Drawdown, type DrawdownLabel } from '../domain/drawdown.ts';
import type { Observation } from '../domain/series.ts';
import {
  type ChartLook,
  Label,
  plotOf,
  renderChart,
  round,
  TimeAxis,
  ValueAxis,
} from './frame.tsx';
import { timeTicks } from './history.tsx';
import { decimal, longDay, percent, roundedPercent, shortDay } from './text.ts';

export type DrawdownData = {
  symbol: string;
  since: string;
  /** Ascending by date. */
  closes: readonly Observation[];
  /** The drawdowns of these closes; null if there are none. */
  found: Drawdown | null;
  /** The label for the last close. */
  label: DrawdownLabel | null;
  labels: readonly DrawdownLabel[];
  /** The end of the time axis; null, or earlier than the last close, for the last close. */
  until: Date | null;
};

const dateOf = (day: string): Date => new Date(`${day}T00:00:00Z`);

/** How far the closes are below their running peak, with the depths of the drawdown labels. */
export function drawdownChart(data: DrawdownData, look: ChartLook): string {
  const { symbol, since, found, label } = data;
  const title = `${symbol}: drawdown`;
  if (!found) {
    const none = `There are no closes of ${symbol} since ${longDay(dateOf(since))}.`;
    return renderChart(look, { title, subtitle: none, description: none }, null);
  }
  const { last, peak, depth, deepest } = found;
  const at = `${decimal(last.value)} on ${longDay(dateOf(last.date))}`;
  const stands =
    depth === 0
      ? `${at}, at the peak`
      : `${at}, ${roundedPercent(depth)} below ${decimal(peak.value)} of ${longDay(dateOf(peak.date))}`;
  const name = label ? ` It is called ${label.label}.` : '';
  const most = deepest
    ? ` The deepest fall was ${roundedPercent(deepest.depth)}, on ${longDay(dateOf(deepest.troughDate))}.`
    : '';
  const short = `${roundedPercent(depth)} below ${decimal(peak.value)} · ${shortDay(dateOf(last.date))}`;
  const subtitle = `${short}${label ? ` · ${label.label}` : ''}`;
  const description = `${symbol} closed at ${stands}.${name}${most}`;
  return renderChart(look, { title, subtitle, description }, <Water data={data} look={look} />);
}

type Point = { date: Date; depth: number };

function Water({ data: { closes, labels, until }, look }: { data: DrawdownData; look: ChartLook }) {
  const plot = plotOf(look, { left: 60, right: 128, bottom: 44 });
  const points = depthsOf(closes).map(({ date, value }) => ({ date: dateOf(date), depth: value }));
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last) return null;
  const from = first.date.getTime();
  const to = Math.max(last.date.getTime(), until?.getTime() ?? -Infinity, from + 86_400_000);
  const x = scaleUtc([new Date(from), new Date(to)], [plot.left, plot.right]);
  const thresholds = labels.flatMap(({ label, minDepth }) =>
    minDepth === null ? [] : [{ label, minDepth }],
  );
  const deepest = points.reduce((most, { depth }) => Math.max(most, depth), 0);
  const shown = thresholds.find(({ minDepth }) => minDepth > deepest)?.minDepth ?? 0;
  const y = scaleLinear([0, Math.max(deepest, shown, 0.05) * 1.08], [plot.top, plot.bottom]);
  const drawn = deepestPerPixel(points, ({ date }) => x(date));
  const water = area<Point>()
    .x(({ date }) => round(x(date)))
    .y0(plot.top)
    .y1(({ depth }) => round(y(depth)))
    .digits(1);
  const surface = line<Point>()
    .x(({ date }) => round(x(date)))
    .y(({ depth }) => round(y(depth)))
    .digits(1);
  return (
    <>
      <ValueAxis
        plot={plot}
        ticks={y
          .ticks(5)
          .map((depth) => ({ y: y(depth), text: percent(depth === 0 ? 0 : -depth) }))}
      />
      <path class="fill-water" fill-opacity="0.35" d={water(drawn) ?? undefined} />
      <path class="stroke-water" stroke-width="1.5" d={surface(drawn) ?? undefined} />
      <circle class="fill-text" cx={round(x(last.date))} cy={round(y(last.depth))} r="3.5" />
      {thresholds
        .filter(({ minDepth }) => y(minDepth) <= plot.bottom)
        .map(({ label, minDepth }) => (
          <g>
            <path
              class="rule"
              stroke-dasharray="5 4"
              d={`M${plot.left},${round(y(minDepth))}H${plot.right}`}
            />
            <Label
              x={plot.right + 8}
              y={y(minDepth) + 4}
              size={12}
              room={116}
              text={`${percent(minDepth)} ${label}`}
            />
          </g>
        ))}
      <TimeAxis plot={plot} ticks={timeTicks(x, plot)} />
    </>
  );
}

/** Keeps the deepest value per pixel, so that the size of a chart does not grow with the days and no trough is lost. */
function deepestPerPixel(points: readonly Point[], x: (point: Point) => number): Point[] {
  const drawn: Point[] = [];
  let pixel = -1;
  for (const point of points) {
    const at = Math.floor(x(point));
    const before = drawn.at(-1);
    if (at !== pixel || !before) drawn.push(point);
    else if (point.depth > before.depth) drawn[drawn.length - 1] = point;
    pixel = at;
  }
  return drawn;
}
