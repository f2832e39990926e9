import type { Outlook, OutlookResolution } from '@outlook-ledger/client';
import { dataOf } from '../errors.ts';
import { heading, paragraph } from '../layout.ts';
import {
  evidenceIds,
  given,
  number,
  type Program,
  SCENARIOS,
  slug,
  yes,
  text,
} from '../options.ts';
import { answer, requireSomeone, requireYes } from '../output.ts';
import { probabilityBars } from '../probabilities.ts';
import { serviceAt } from '../api-client.ts';

const OUTCOMES = [...SCENARIOS, 'void'] as const;

export function resolveCommand(program: Program): Program {
  return program.command(
    'resolve <slug>',
    'Record what came about; without an outcome, what the closes of the instrument say',
    (command) =>
      command.positional('slug', slug).options({
        outcome: { choices: OUTCOMES, describe: 'what came about, or void' },
        return: number('the return over the horizon, a fraction; -0.1 is 10 % down'),
        reason: text('required for what is early, void, or corrects'),
        supersedes: number('the number of the resolution that this one corrects'),
        evidence: evidenceIds,
        yes,
      }),
    async (argv) => {
      requireSomeone(argv);
      const { client } = serviceAt(argv.url);
      const params = { path: { slug: argv.slug } };
      const { outcome, return: realisedReturn, reason, supersedes, evidence } = argv;
      if (!argv.yes) {
        const current = dataOf(await client.GET('/v1/outlooks/{slug}', { params }));
        await requireYes(
          argv,
          preview(current, outcome),
          'Resolve it? It takes no version any more.',
        );
      }
      const body = { ...given({ outcome, realisedReturn, reason, supersedes }), evidence };
      const resolved = dataOf(
        await client.POST('/v1/outlooks/{slug}/resolution', { params, body }),
      );
      answer(argv, resolved, () => pageOf(argv.slug, resolved));
    },
  );
}

function preview(current: Outlook, outcome: string | undefined): string {
  return [
    heading(`${current.title} (${current.slug}, version ${current.version})`),
    probabilityBars(current.probabilities, null),
    paragraph(`came about: ${outcome ?? 'what the closes say'}`),
  ].join('\n');
}

function pageOf(name: string, { resolution }: OutlookResolution): string {
  if (resolution === null) return heading(`${name} is not resolved.`);
  const { outcome, realisedReturn, reason, number } = resolution;
  const percent = realisedReturn === null ? [] : [`return: ${(realisedReturn * 100).toFixed(2)} %`];
  return [
    heading(`${name} is resolved: ${outcome} (resolution ${number}).`),
    ...[...percent, ...(reason === null ? [] : [reason])].map((line) => paragraph(line)),
  ].join('\n');
}
