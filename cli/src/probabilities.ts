import type { Probabilities, ProbabilityDeltas } from '@outlook-ledger/client';
import { bar, formatDelta, formatFraction, style, table, terminalWidth } from './layout.ts';
import { SCENARIOS } from './options.ts';

const COLOURS = { bear: 'red', base: 'yellow', bull: 'green' } as const;
const MAX_BAR_WIDTH = 50;
/** The columns that a line needs beside its bar. */
const LABEL_WIDTH = 26;

/** The three probabilities as bars, each with its change. */
export function probabilityBars(
  probabilities: Probabilities,
  deltas: ProbabilityDeltas | null,
): string {
  const width = Math.min(MAX_BAR_WIDTH, terminalWidth() - LABEL_WIDTH);
  return SCENARIOS.map((scenario) => {
    const value = probabilities[scenario];
    const change = deltas ? ` ${formatDelta(deltas[scenario])}` : '';
    return `  ${scenario}  ${style(COLOURS[scenario], bar(value, width))} ${formatFraction(value)}${change}`;
  }).join('\n');
}

/** A table of the probabilities before and after, and of their changes. */
export function probabilityChanges(from: Probabilities, to: Probabilities): string {
  return table(
    [
      { title: '' },
      { title: 'from', align: 'right' },
      { title: 'to', align: 'right' },
      { title: 'delta', align: 'right' },
    ],
    SCENARIOS.map((scenario) => [
      { text: scenario, format: COLOURS[scenario] },
      formatFraction(from[scenario]),
      formatFraction(to[scenario]),
      formatDelta(deltaBetween(from[scenario], to[scenario])),
    ]),
  );
}

/** The change of a probability, exact to a basis point. */
export function deltaBetween(from: number, to: number): number {
  return Math.round((to - from) * 10_000) / 10_000;
}
