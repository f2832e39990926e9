import type { ProbabilityHistory } from '@outlook-ledger/client';
import { dataOf } from '../errors.ts';
import { delta, fraction, moment, sparkline, table, terminalWidth } from '../layout.ts';
import { given, type Program, SCENARIOS, slug, text } from '../options.ts';
import { answer } from '../output.ts';
import { moveOf } from '../probabilities.ts';
import { serviceAt } from '../api-client.ts';

export function historyCommand(program: Program): Program {
  return program.command(
    'history <slug>',
    'Show how the probabilities moved',
    (command) =>
      command.positional('slug', slug).options({
        from: text('published at this moment or later'),
        to: text('published before this moment'),
      }),
    async (argv) => {
      const { client } = serviceAt(argv.url);
      const params = {
        path: { slug: argv.slug },
        query: given({ from: argv.from, to: argv.to }),
      };
      const history = dataOf(await client.GET('/v1/outlooks/{slug}/probabilities', { params }));
      answer(argv, history, () => pageOf(history));
    },
  );
}

function pageOf({ opening, points }: ProbabilityHistory): string {
  const steps = opening ? [opening, ...points] : points;
  if (steps.length === 0) return 'Nothing was published by then.';
  const newest = steps.slice(12 - terminalWidth());
  const lines = SCENARIOS.map(
    (scenario) => `  ${scenario}  ${sparkline(newest.map((step) => step[scenario]))}`,
  );
  return [...lines, '', stepsOf(steps)].join('\n');
}

function stepsOf(steps: ProbabilityHistory['points']): string {
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
      moment(step.publishedAt),
      ...SCENARIOS.flatMap((scenario) => {
        const before = steps[index - 1]?.[scenario] ?? step[scenario];
        return [fraction(step[scenario]), index === 0 ? '' : delta(moveOf(before, step[scenario]))];
      }),
    ]),
  );
}
