import type { ProbabilityHistory } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow } from '../errors.ts';
import {
  formatDelta,
  formatFraction,
  formatTime,
  sparkline,
  table,
  terminalWidth,
} from '../layout.ts';
import { omitUndefined, SCENARIOS, slugArgument, textOption, type Yargs } from '../options.ts';
import { printResult } from '../output.ts';
import { deltaBetween } from '../probabilities.ts';

/** The columns that a line needs beside its sparkline. */
const LABEL_WIDTH = 12;

export function historyCommand(yargs: Yargs): void {
  yargs.command(
    'history <slug>',
    'Show how the probabilities changed',
    (yargs) =>
      yargs.positional('slug', slugArgument).options({
        from: textOption('published at or after this time'),
        to: textOption('published before this time'),
      }),
    async (argv) => {
      const params = {
        path: { slug: argv.slug },
        query: omitUndefined({ from: argv.from, to: argv.to }),
      };
      const history = dataOrThrow(
        await apiClient(argv.url).GET('/v1/outlooks/{slug}/probabilities', { params }),
      );
      printResult(argv, history, () => formatHistory(history));
    },
  );
}

function formatHistory({ opening, points }: ProbabilityHistory): string {
  const steps = opening ? [opening, ...points] : points;
  if (steps.length === 0) return 'No versions in this period.';
  const newest = steps.slice(LABEL_WIDTH - terminalWidth());
  const lines = SCENARIOS.map(
    (scenario) => `  ${scenario}  ${sparkline(newest.map((step) => step[scenario]))}`,
  );
  return [...lines, '', stepTable(steps)].join('\n');
}

function stepTable(steps: ProbabilityHistory['points']): string {
  return table(
    [
      { title: 'Version', align: 'right' },
      { title: 'Published' },
      ...SCENARIOS.flatMap((title) => [
        { title, align: 'right' as const },
        { title: '', align: 'right' as const },
      ]),
    ],
    steps.map((step, index) => [
      String(step.version),
      formatTime(step.publishedAt),
      ...SCENARIOS.flatMap((scenario) => {
        const probability = step[scenario];
        const before = steps[index - 1]?.[scenario];
        const change = before === undefined ? '' : formatDelta(deltaBetween(before, probability));
        return [formatFraction(probability), change];
      }),
    ]),
  );
}
