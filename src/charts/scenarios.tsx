import { scaleLinear } from 'd3-scale';
import { type Fractions, SCENARIO_NAMES, type ScenarioName } from '../domain/probabilities.ts';
import { type ChartLook, HEADING, Label, renderChart, round } from './frame.tsx';
import { longDay, outcomePhrase, percent, points, SCENARIO_TITLES, sharesOf } from './text.ts';

/** The parts of a version that its chart shows. */
export type ScenariosData = {
  title: string;
  symbol: string;
  version: number;
  publishedAt: Date;
  probabilities: Fractions;
  /** How far the version moved each probability; null for the first version. */
  deltas: Fractions | null;
  scenarioTitles: Record<ScenarioName, string>;
  /** The outcome; null unless it is recorded. */
  resolution: { outcome: ScenarioName | 'void'; realisedReturn: number | null } | null;
};

/** The three probabilities of a version as bars from 0 to 100 %, with their changes. It marks the scenario that came about. */
export function scenariosChart(data: ScenariosData, look: ChartLook): string {
  const { title, symbol, version, publishedAt, probabilities, resolution } = data;
  const outcome = resolution && outcomePhrase(resolution);
  const description = `${outcome === null ? '' : `${outcome}. `}${sharesOf(probabilities)}. ${movement(data)}`;
  const shown = `${symbol} · version ${version} · ${longDay(publishedAt)}`;
  const subtitle = outcome === null ? shown : `${outcome} · ${shown}`;
  return renderChart(look, { title, subtitle, description }, <Bars data={data} look={look} />);
}

function movement({ version, deltas }: ScenariosData): string {
  if (!deltas || SCENARIO_NAMES.every((name) => deltas[name] === 0)) {
    return version === 1 ? 'The first version.' : 'Unchanged since the previous version.';
  }
  const moved = SCENARIO_NAMES.map((name) => `${SCENARIO_TITLES[name]} ${points(deltas[name])}`);
  return `Since the previous version, in percentage points: ${moved.join(', ')}.`;
}

function Bars({ data, look }: { data: ScenariosData; look: ChartLook }) {
  const { probabilities, deltas, scenarioTitles, resolution } = data;
  const left = 20;
  const right = look.width - 20;
  const rowHeight = (look.height - HEADING - 20) / SCENARIO_NAMES.length;
  const thickness = Math.min(26, rowHeight - 26);
  const length = scaleLinear([0, 1], [0, right - left - 150]);
  return (
    <>
      {SCENARIO_NAMES.map((name, row) => {
        const top = HEADING + 6 + row * rowHeight;
        const bar = length(probabilities[name]);
        const moved = deltas && deltas[name] !== 0 ? ` (${points(deltas[name])})` : '';
        const text = `${percent(probabilities[name])}${moved}`;
        const isOutcome = resolution?.outcome === name;
        return (
          <g>
            <Label
              x={left}
              y={top + 15}
              size={13}
              room={right - left}
              {...(isOutcome && { weight: 600 })}
              text={`${isOutcome ? '✓ ' : ''}${SCENARIO_TITLES[name]}${isOutcome ? ' came about' : ''} · ${scenarioTitles[name]}`}
            />
            <rect
              class={`fill-${name}`}
              x={left}
              y={round(top + 22)}
              width={round(Math.max(bar, 1))}
              height={round(thickness)}
              rx={3}
            />
            <Label
              x={left + bar + 10}
              y={top + 22 + thickness / 2 + 6}
              size={17}
              weight={600}
              room={170}
              text={text}
            />
          </g>
        );
      })}
    </>
  );
}
