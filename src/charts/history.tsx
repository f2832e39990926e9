import { scaleLinear, scaleUtc } from 'd3-scale';
import { area, curveStepAfter, type SeriesPoint, stack } from 'd3-shape';
import { type Fractions, SCENARIO_NAMES, type ScenarioName } from '../domain/probabilities.ts';
import {
  type ChartLook,
  Label,
  type Plot,
  plotOf,
  renderChart,
  round,
  TimeAxis,
  ValueAxis,
} from './frame.tsx';
import {
  longDay,
  outcomePhrase,
  percent,
  SCENARIO_TITLES,
  sharesOf,
  shortDay,
  withoutControls,
} from './text.ts';

/** The probabilities that apply from a time on. */
export type HistoryStep = { version: number; publishedAt: Date; probabilities: Fractions };
/** An event of the outlook other than a version. */
export type HistoryMark = { at: Date; kind: 'evidence' | 'triggered' | 'resolved'; text: string };
export type HistoryData = {
  title: string;
  symbol: string;
  /** Oldest first; at least one. */
  steps: readonly HistoryStep[];
  marks: readonly HistoryMark[];
  /** The end of the time axis; null for a little after the last step or mark. */
  until: Date | null;
  /** When the last step ceases to apply; null for the end of the axis. */
  lastUntil: Date | null;
  /** The outcome; null unless it is recorded. */
  resolution: { outcome: ScenarioName | 'void'; realisedReturn: number | null } | null;
};

/** How the probabilities moved: steps stacked to 100 %, with marks for versions and other events. */
export function historyChart(data: HistoryData, look: ChartLook): string {
  const { title, symbol, steps, marks, resolution } = data;
  const outcome = resolution && outcomePhrase(resolution);
  const [first, last] = [steps[0], steps.at(-1)];
  if (!first || !last) throw new Error('a history starts with version 1');
  const count = steps.length === 1 ? '1 version' : `${steps.length} versions`;
  const from = longDay(first.publishedAt);
  const to = longDay(last.publishedAt);
  const sentences = marks.map(({ at, text }) => `${text} on ${longDay(at)}.`);
  const description = [
    ...(outcome === null ? [] : [`${outcome}.`]),
    `${count} from ${from} to ${to}.`,
    `At first ${sharesOf(first.probabilities)}; at last ${sharesOf(last.probabilities)}.`,
    ...sentences.slice(-10),
  ].join(' ');
  const span =
    from === to ? from : `${shortDay(first.publishedAt)} – ${shortDay(last.publishedAt)}`;
  const shown = `${symbol} · ${count} · ${span}`;
  const subtitle = outcome === null ? shown : `${outcome} · ${shown}`;
  const heading = { title, subtitle, description };
  return renderChart(look, heading, <Steps data={data} look={look} />);
}

function Steps({ data, look }: { data: HistoryData; look: ChartLook }) {
  const { steps, marks, lastUntil, resolution } = data;
  const plot = plotOf(look, { left: 56, right: 124, bottom: 52 });
  const x = timeScale(data, plot);
  const y = scaleLinear([0, 1], [plot.bottom, plot.top]);
  const drawn = perPixel(steps, (step) => x(step.publishedAt));
  const last = drawn.at(-1);
  const lastX = last ? x(last.publishedAt) : 0;
  const endX = lastUntil ? Math.max(lastX, Math.min(x(lastUntil), plot.right)) : plot.right;
  const layers = stack<HistoryStep, ScenarioName>()
    .keys(SCENARIO_NAMES)
    .value(({ probabilities }, name) => probabilities[name])([...drawn]);
  return (
    <>
      {layers.map((layer) => {
        const path = area<SeriesPoint<HistoryStep>>()
          .x(({ data }) => round(x(data.publishedAt)))
          .y0(([low]) => round(y(low)))
          .y1(([, high]) => round(y(high)))
          .curve(curveStepAfter)
          .digits(1);
        const end = layer.at(-1);
        const ending = `M${round(lastX)},${round(y(end?.[0] ?? 0))}`;
        const [low, high] = end ?? [0, 0];
        const mark = resolution?.outcome === layer.key ? '✓ ' : '';
        return (
          <g>
            <path class={`fill-${layer.key}`} d={path(layer) ?? undefined} />
            <path
              class={`fill-${layer.key}`}
              d={`${ending}H${round(endX)}V${round(y(high))}H${round(lastX)}Z`}
            />
            {last && high - low >= 0.04 && (
              <Label
                x={plot.right + 8}
                y={y((low + high) / 2) + 4}
                size={13}
                weight={600}
                room={116}
                text={`${mark}${SCENARIO_TITLES[layer.key]} ${percent(last.probabilities[layer.key])}`}
              />
            )}
          </g>
        );
      })}
      <ValueAxis
        plot={plot}
        ticks={[0, 0.25, 0.5, 0.75, 1].map((share) => ({ y: y(share), text: percent(share) }))}
      />
      <TimeAxis plot={plot} ticks={timeTicks(x, plot)} />
      <VersionMarks steps={drawn} x={x} plot={plot} />
      {marks.map((mark) => (
        <Mark mark={mark} x={x(mark.at)} plot={plot} />
      ))}
    </>
  );
}

const DAY = 86_400_000;
type TimeScale = ReturnType<typeof scaleUtc<number>>;

/** From the first version to `until`; without it, to a little after the last event, so that the last step is visible. */
function timeScale({ steps, marks, until }: HistoryData, plot: Plot): TimeScale {
  const moments = [...steps.map(({ publishedAt }) => publishedAt), ...marks.map(({ at }) => at)];
  const times = moments.map((at) => at.getTime());
  const from = times.reduce((a, b) => Math.min(a, b));
  const last = times.reduce((a, b) => Math.max(a, b));
  const to = Math.max(last, until?.getTime() ?? last);
  const slack = until === null ? (to - from) * 0.06 : 0;
  const more = to === from ? DAY : slack;
  return scaleUtc([new Date(from), new Date(to + more)], [plot.left, plot.right]);
}

/** Time ticks, as many as fit. */
export function timeTicks(x: TimeScale, plot: Plot): { x: number; text: string }[] {
  const ticks = x.ticks(Math.max(2, Math.floor((plot.right - plot.left) / 110)));
  const write = x.tickFormat();
  return ticks.map((tick) => ({ x: x(tick), text: write(tick) }));
}

/** Keeps the last step per pixel, so that the size of a chart does not grow with the number of versions. */
function perPixel<Item>(items: readonly Item[], x: (item: Item) => number): Item[] {
  return items.filter((item, index) => {
    const next = items[index + 1];
    return next === undefined || Math.floor(x(next)) > Math.floor(x(item));
  });
}

/** The minimum distance between version marks, and between version numbers, in pixels. */
const [LINES_APART, NUMBERS_APART] = [8, 34];

/** A line where a version was published, with its number, where they fit. */
function VersionMarks(props: { steps: readonly HistoryStep[]; x: TimeScale; plot: Plot }) {
  const { steps, x, plot } = props;
  return (
    <g>
      {apart(steps, LINES_APART, x).map(({ publishedAt }) => (
        <path
          class="edge"
          stroke-width="1"
          d={`M${round(x(publishedAt))},${plot.top}V${plot.bottom}`}
        />
      ))}
      {apart(steps, NUMBERS_APART, x).map(({ version, publishedAt }) => (
        <Label
          x={x(publishedAt)}
          y={plot.top - 4}
          size={11}
          tone="faint"
          room={40}
          text={`v${version}`}
        />
      ))}
    </g>
  );
}

/** The first step and each one far enough from the previous one. */
function apart(steps: readonly HistoryStep[], pixels: number, x: TimeScale): HistoryStep[] {
  let taken = -Infinity;
  return steps.filter(({ publishedAt }) => {
    const isClear = x(publishedAt) - taken >= pixels;
    if (isClear) taken = x(publishedAt);
    return isClear;
  });
}

/** A dot for evidence, a triangle for a triggered condition, a square for a resolution, each with its text. */
function Mark({ mark: { kind, text, at }, x, plot }: { mark: HistoryMark; x: number; plot: Plot }) {
  const base = plot.bottom + 40;
  const shapes = {
    evidence: `M${round(x - 4)},${base - 5}a4,4 0 1 0 8,0a4,4 0 1 0 -8,0z`,
    triggered: `M${round(x - 6)},${base}h12l-6,-11z`,
    resolved: `M${round(x - 5)},${base}h10v-10h-10z`,
  };
  return (
    <g>
      <title>{`${withoutControls(text)}, ${longDay(at)}`}</title>
      {kind !== 'evidence' && (
        <path
          class="stroke-text"
          stroke-dasharray="3 3"
          d={`M${round(x)},${plot.top}V${base - 11}`}
        />
      )}
      <path class="fill-text" d={shapes[kind]} />
    </g>
  );
}
