import type { ComponentChildren, VNode } from 'preact';
import { renderToString } from 'preact-render-to-string';
import { chartStyle, type ChartTheme } from './colours.ts';
import { fitText, withoutControls } from './text.ts';

/** How a chart is drawn: its size in pixels, its scale factor and its colour scheme. */
export type ChartLook = { width: number; height: number; scale: number; theme: ChartTheme };

/** The plot area of a chart, in pixels. */
export type Plot = { left: number; right: number; top: number; bottom: number };

const FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif";
/** The height of the heading, in pixels; the plot starts below. */
export const HEADING = 62;
const MARGIN = 20;

/**
 * A chart as an SVG document, with a visible heading, and a name and description for screen readers
 * (WAI-ARIA, SVG 2 chapter 5). The same data always give the same bytes.
 * @param title the visible heading, also read by screen readers
 * @param subtitle drawn under the title
 * @param description the content of the chart, as text
 */
export function renderChart(
  { width, height, scale, theme }: ChartLook,
  { title, subtitle, description }: { title: string; subtitle: string; description: string },
  drawing: ComponentChildren,
): string {
  const chart = (
    <svg
      xmlns="http://www.w3.org/2000/svg"
      width={width * scale}
      height={height * scale}
      viewBox={`0 0 ${width} ${height}`}
      role="img"
      aria-labelledby="title description"
      font-family={FONT}
    >
      <title id="title">{withoutControls(title)}</title>
      <desc id="description">{withoutControls(description)}</desc>
      <style>{chartStyle(theme)}</style>
      <rect class="fill-ground" width={width} height={height} />
      <Label x={MARGIN} y={32} size={18} weight={600} room={width - 2 * MARGIN} text={title} />
      <Label x={MARGIN} y={52} size={13} tone="faint" room={width - 2 * MARGIN} text={subtitle} />
      {drawing}
    </svg>
  );
  // XML does not allow `]]>` in text (2.4). Preact escapes for HTML, which does.
  return renderToString(chart).replaceAll(']]>', ']]&gt;');
}

/** The space below the heading. */
export function plotOf(
  { width, height }: ChartLook,
  margins: { left?: number; right?: number; bottom?: number } = {},
): Plot {
  const { left = MARGIN, right = MARGIN, bottom = MARGIN } = margins;
  return { left, right: width - right, top: HEADING + 10, bottom: height - bottom };
}

/** One line of text, truncated to the available width in pixels. */
export function Label(props: {
  x: number;
  y: number;
  text: string;
  room: number;
  size?: number;
  weight?: number;
  tone?: 'faint';
  anchor?: 'middle' | 'end';
}): VNode {
  const { x, y, text, room, size = 13, weight, tone, anchor } = props;
  return (
    <text
      x={round(x)}
      y={round(y)}
      font-size={size}
      font-weight={weight}
      class={tone}
      text-anchor={anchor}
    >
      {fitText(text, room, size)}
    </text>
  );
}

/** Rounds coordinates to a tenth of a pixel, so that they are short and the same on every machine. */
export const round = (value: number): number => Math.round(value * 10) / 10;

/** The value axis: lines across the plot, each labelled on the left. */
export function ValueAxis({
  plot,
  ticks,
}: {
  plot: Plot;
  ticks: readonly { y: number; text: string }[];
}): VNode {
  return (
    <g>
      {ticks.map(({ y, text }) => (
        <>
          <path class="grid" d={`M${plot.left},${round(y)}H${plot.right}`} />
          <Label
            x={plot.left - 8}
            y={y + 4}
            size={12}
            tone="faint"
            anchor="end"
            room={plot.left}
            text={text}
          />
        </>
      ))}
    </g>
  );
}

/** The time axis, below the plot. */
export function TimeAxis({
  plot,
  ticks,
}: {
  plot: Plot;
  ticks: readonly { x: number; text: string }[];
}): VNode {
  const room = (plot.right - plot.left) / Math.max(1, ticks.length);
  return (
    <g>
      <path class="rule" d={`M${plot.left},${plot.bottom}H${plot.right}`} />
      {ticks.map(({ x, text }) => (
        <>
          <path class="rule" d={`M${round(x)},${plot.bottom}v4`} />
          <Label
            x={x}
            y={plot.bottom + 18}
            size={12}
            tone="faint"
            anchor="middle"
            room={Math.max(room, 60)}
            text={text}
          />
        </>
      ))}
    </g>
  );
}
