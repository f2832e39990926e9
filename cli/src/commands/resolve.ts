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
import { formatProposal, isProposal } from '../proposals.ts';

const OUTCOMES = [...SCENARIOS, 'void', 'reopened'] as const;

/** What a resolution is made of. */
export const RESOLUTION_OPTIONS = {
  outcome: {
    choices: OUTCOMES,
    describe: 'scenario that came true, void, or reopened to take it back',
  },
  return: numberOption('realised return over the horizon as a fraction; -0.1 is down 10 %'),
  'known-at': textOption('when the outcome became known, such as 2026-11-20T16:00:00Z'),
  reason: textOption('reason; required if early, void, a correction or a reopening'),
  supersedes: numberOption('number of the resolution that this one corrects or takes back'),
  evidence: evidenceOption,
} as const;

type ResolutionOptions = {
  outcome: (typeof OUTCOMES)[number] | undefined;
  return: number | undefined;
  knownAt: string | undefined;
  reason: string | undefined;
  supersedes: number | undefined;
  evidence: string[];
};

export function resolutionFrom(argv: ResolutionOptions) {
  const { outcome, return: realisedReturn, knownAt, reason, supersedes, evidence } = argv;
  return { ...omitUndefined({ outcome, realisedReturn, knownAt, reason, supersedes }), evidence };
}

export function resolveCommand(yargs: Yargs): void {
  yargs.command(
    'resolve <slug>',
    'Record the outcome; if omitted, the closing prices decide',
    (yargs) =>
      yargs.positional('slug', slugArgument).options({ ...RESOLUTION_OPTIONS, yes: yesOption }),
    async (argv) => {
      requireTerminal(argv);
      const client = apiClient(argv.url);
      const params = { path: { slug: argv.slug } };
      const { outcome } = argv;
      if (!argv.yes) {
        const current = dataOrThrow(await client.GET('/v1/outlooks/{slug}', { params }));
        const preview = formatPreview(current, outcome);
        const question =
          outcome === 'reopened'
            ? 'Take the resolution back? The outlook is then open again.'
            : 'Resolve this outlook? You cannot revise it afterwards.';
        await requireConfirmation(argv, preview, question);
      }
      const body = resolutionFrom(argv);
      const resolved = dataOrThrow(
        await client.POST('/v1/outlooks/{slug}/resolution', { params, body }),
      );
      printResult(argv, resolved, () =>
        isProposal(resolved) ? formatProposal(resolved) : formatResolution(argv.slug, resolved),
      );
    },
  );
}

function formatPreview(current: Outlook, outcome: string | undefined): string {
  return [
    heading(`${current.title} (${current.slug}, version ${current.version})`),
    probabilityBars(current.probabilities, null),
    paragraph(`outcome: ${outcome ?? 'decided by the closing prices'}`),
  ].join('\n');
}

function formatResolution(slug: string, { status, resolution }: OutlookResolution): string {
  if (resolution === null) return heading(`${slug} has no outcome. It is ${status}.`);
  const { outcome, realisedReturn, reason, number } = resolution;
  const lines = [heading(`${slug} is resolved: ${outcome} (resolution ${number}).`)];
  if (realisedReturn !== null) {
    lines.push(paragraph(`return: ${(realisedReturn * 100).toFixed(2)} %`));
  }
  if (reason !== null) lines.push(paragraph(reason));
  return lines.join('\n');
}
