import { scaleLinear, scaleSqrt } from 'd3-scale';
import { line } from 'd3-shape';
import type { CalibrationBucket } from '../domain/calibration.ts';
import { type ChartLook, Label, plotOf, renderChart, round, ValueAxis } from './frame.tsx';
import { percent } from './text.ts';

export type CalibrationData = {
  /** The name of the forecaster. */
  name: string;
  /** The number of scored outlooks. */
  n: number;
  buckets: readonly CalibrationBucket[];
};

/** How often outcomes occurred, against their forecast probability, each with its 95 % interval. */
export function calibrationChart({ name, n, buckets }: CalibrationData, look: ChartLook): string {
  const title = `Calibration of ${name}`;
  const count = n === 1 ? '1 resolved outlook' : `${n} resolved outlooks`;
  const subtitle = n === 0 ? 'No outlook is resolved yet.' : `${count} · bars: 95% intervals`;
  const sentences = buckets.map(
    ({ predictedMean, realisedRate, interval, n: of }) =>
      `forecast ${percent(hundredth(predictedMean))}, occurred ${percent(hundredth(realisedRate))} (${percent(hundredth(interval.low))} to ${percent(hundredth(interval.high))}; ${of})`,
  );
  const description = sentences.length > 0 ? `${count}: ${sentences.join('; ')}.` : subtitle;
  return renderChart(
    look,
    { title, subtitle, description },
    <Curve buckets={buckets} look={look} />,
  );
}

const hundredth = (share: number): number => Math.round(share * 100) / 100;

function Curve({ buckets, look }: { buckets: readonly CalibrationBucket[]; look: ChartLook }) {
  const plot = plotOf(look, { left: 64, right: 24, bottom: 60 });
  const x = scaleLinear([0, 1], [plot.left, plot.right]);
  const y = scaleLinear([0, 1], [plot.bottom, plot.top]);
  const most = buckets.reduce((largest, { weight }) => Math.max(largest, weight), 1);
  const radius = scaleSqrt([0, most], [3, 9]);
  const curve = line<CalibrationBucket>()
    .x(({ predictedMean }) => round(x(predictedMean)))
    .y(({ realisedRate }) => round(y(realisedRate)))
    .digits(1);
  const shares = [0, 0.25, 0.5, 0.75, 1];
  return (
    <>
      <ValueAxis
        plot={plot}
        ticks={shares.map((share) => ({ y: y(share), text: percent(share) }))}
      />
      {shares.map((share) => (
        <Label
          x={x(share)}
          y={plot.bottom + 18}
          size={12}
          tone="faint"
          anchor="middle"
          room={60}
          text={percent(share)}
        />
      ))}
      <Label
        x={(plot.left + plot.right) / 2}
        y={plot.bottom + 42}
        size={13}
        tone="faint"
        anchor="middle"
        room={plot.right - plot.left}
        text="Forecast probability (vertical: how often it occurred)"
      />
      <path
        class="rule"
        stroke-dasharray="5 4"
        d={`M${plot.left},${plot.bottom}L${plot.right},${plot.top}`}
      />
      {buckets.map(({ predictedMean, interval }) => (
        <path
          class="stroke-text"
          stroke-width="1.5"
          d={`M${round(x(predictedMean))},${round(y(interval.low))}V${round(y(interval.high))}M${round(x(predictedMean) - 5)},${round(y(interval.low))}h10M${round(x(predictedMean) - 5)},${round(y(interval.high))}h10`}
        />
      ))}
      <path class="stroke-water" stroke-width="2" d={curve([...buckets]) ?? undefined} />
      {buckets.map((bucket) => (
        <circle
          class="fill-bull"
          cx={round(x(bucket.predictedMean))}
          cy={round(y(bucket.realisedRate))}
          r={round(radius(bucket.weight))}
        />
      ))}
    </>
  );
}
