import type { Probabilities, ProbabilityDeltas } from '@outlook-ledger/client';
import { bar, delta, fraction, styled, table, terminalWidth } from './layout.ts';
import { SCENARIOS } from './options.ts';

const COLOURS = { bear: 'red', base: 'yellow', bull: 'green' } as const;
/** What a bar leaves to the figures beside it, in columns. */
const FIGURES = 26;

/** The three probabilities as bars, with how far each moved. */
export function probabilityBars(
  probabilities: Probabilities,
  deltas: ProbabilityDeltas | null,
): string {
  const columns = Math.min(50, terminalWidth() - FIGURES);
  return SCENARIOS.map((scenario) => {
    const value = probabilities[scenario];
    const moved = deltas ? ` ${delta(deltas[scenario])}` : '';
    return `  ${scenario}  ${styled(COLOURS[scenario], bar(value, columns))} ${fraction(value)}${moved}`;
  }).join('\n');
}

/** What stood, what is to stand, and how far each moves. */
export function probabilityMoves(from: Probabilities, to: Probabilities): string {
  return table(
    [
      { title: '' },
      { title: 'from', align: 'right' },
      { title: 'to', align: 'right' },
      { title: 'moves', align: 'right' },
    ],
    SCENARIOS.map((scenario) => [
      { text: scenario, format: COLOURS[scenario] },
      fraction(from[scenario]),
      fraction(to[scenario]),
      delta(moveOf(from[scenario], to[scenario])),
    ]),
  );
}

/** How far a fraction moved, exact to the four decimals that the ledger has. */
export function moveOf(from: number, to: number): number {
  return Math.round((to - from) * 10_000) / 10_000;
}
