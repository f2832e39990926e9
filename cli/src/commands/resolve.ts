import type { Outlook, OutlookResolution } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow } from '../errors.ts';
import { heading, paragraph } from '../layout.ts';
import {
  evidenceOption,
  numberOption,
  omitUndefined,
  SCENARIOS,
  slugArgument,
  textOption,
  type Yargs,
  yesOption,
} from '../options.ts';
import { printResult, requireConfirmation, requireTerminal } from '../output.ts';
import { probabilityBars } from '../probabilities.ts';

const OUTCOMES = [...SCENARIOS, 'void'] as const;

export function resolveCommand(yargs: Yargs): void {
  yargs.command(
    'resolve <slug>',
    'Record what came about; without an outcome, what the closes of the instrument say',
    (yargs) =>
      yargs.positional('slug', slugArgument).options({
        outcome: { choices: OUTCOMES, describe: 'what came about, or void' },
        return: numberOption('the return over the horizon, a fraction; -0.1 is 10 % down'),
        reason: textOption('required for what is early, void, or corrects'),
        supersedes: numberOption('the number of the resolution that this one corrects'),
        evidence: evidenceOption,
        yes: yesOption,
      }),
    async (argv) => {
      requireTerminal(argv);
      const client = apiClient(argv.url);
      const params = { path: { slug: argv.slug } };
      const { outcome, return: realisedReturn, reason, supersedes, evidence } = argv;
      if (!argv.yes) {
        const current = dataOrThrow(await client.GET('/v1/outlooks/{slug}', { params }));
        const preview = formatPreview(current, outcome);
        await requireConfirmation(argv, preview, 'Resolve it? It takes no version any more.');
      }
      const body = { ...omitUndefined({ outcome, realisedReturn, reason, supersedes }), evidence };
      const resolved = dataOrThrow(
        await client.POST('/v1/outlooks/{slug}/resolution', { params, body }),
      );
      printResult(argv, resolved, () => formatResolution(argv.slug, resolved));
    },
  );
}

function formatPreview(current: Outlook, outcome: string | undefined): string {
  return [
    heading(`${current.title} (${current.slug}, version ${current.version})`),
    probabilityBars(current.probabilities, null),
    paragraph(`came about: ${outcome ?? 'what the closes say'}`),
  ].join('\n');
}

function formatResolution(slug: string, { resolution }: OutlookResolution): string {
  if (resolution === null) return heading(`${slug} is not resolved.`);
  const { outcome, realisedReturn, reason, number } = resolution;
  const lines = [heading(`${slug} is resolved: ${outcome} (resolution ${number}).`)];
  if (realisedReturn !== null) {
    lines.push(paragraph(`return: ${(realisedReturn * 100).toFixed(2)} %`));
  }
  if (reason !== null) lines.push(paragraph(reason));
  return lines.join('\n');
}
