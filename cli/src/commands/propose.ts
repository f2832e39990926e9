import type { ProposalInput } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow } from '../errors.ts';
import { readJsonObject } from '../input-files.ts';
import {
  evidenceOption,
  numberOption,
  omitUndefined,
  slugArgument,
  textOption,
  type Yargs,
} from '../options.ts';
import { printResult } from '../output.ts';
import { formatProposal } from '../proposals.ts';
import { RESOLUTION_OPTIONS, resolutionFrom } from './resolve.ts';
import { REVISION_OPTIONS, revisionFrom } from './revise.ts';

const PROPOSAL_OPTIONS = {
  note: textOption('what approvers should know'),
  'publish-at': textOption('when to publish it, such as 2026-11-20T16:00:00Z'),
  draft: { type: 'boolean', default: false, describe: 'keep a draft instead of submitting it' },
  proposal: textOption('id of a proposal of yours, to send another draft of it'),
} as const;

type ProposalOptions = {
  url: string;
  json: boolean;
  note: string | undefined;
  publishAt: string | undefined;
  draft: boolean;
  proposal: string | undefined;
};

const fileOption = {
  ...textOption('JSON file with the body of the request; - is standard input'),
  demandOption: true,
} as const;

const whyOption = { ...textOption('rationale'), demandOption: true } as const;

export function proposeCommand(yargs: Yargs): void {
  yargs.command(
    'propose',
    'Propose a change, which is published once others of your desk approve it',
    (yargs) => {
      proposeOutlook(yargs);
      proposeRevision(yargs);
      proposeFramework(yargs);
      proposeResolution(yargs);
      proposeWithdrawal(yargs);
      proposeConsensus(yargs);
      return yargs.demandCommand(
        1,
        'Use "propose outlook", "revision", "framework", "resolution", "withdrawal" or "consensus".',
      );
    },
  );
}

function proposeOutlook(yargs: Yargs): void {
  yargs.command(
    'outlook',
    'Propose a new outlook',
    (yargs) => yargs.options({ file: fileOption, ...PROPOSAL_OPTIONS }),
    async (argv) => propose(argv, { kind: 'outlook', body: await bodyOf(argv.file) }),
  );
}

function proposeRevision(yargs: Yargs): void {
  yargs.command(
    'revision <slug>',
    'Propose new probabilities, or to reaffirm the current ones',
    (yargs) =>
      yargs.positional('slug', slugArgument).options({ ...REVISION_OPTIONS, ...PROPOSAL_OPTIONS }),
    (argv) => propose(argv, { kind: 'revision', outlook: argv.slug, body: revisionFrom(argv) }),
  );
}

function proposeFramework(yargs: Yargs): void {
  yargs.command(
    'framework <slug>',
    'Propose changes of the framework, as a merge patch',
    (yargs) =>
      yargs.positional('slug', slugArgument).options({ file: fileOption, ...PROPOSAL_OPTIONS }),
    async (argv) =>
      propose(argv, { kind: 'framework', outlook: argv.slug, body: await bodyOf(argv.file) }),
  );
}

function proposeResolution(yargs: Yargs): void {
  yargs.command(
    'resolution <slug>',
    'Propose the outcome; if omitted, the closing prices decide',
    (yargs) =>
      yargs
        .positional('slug', slugArgument)
        .options({ ...RESOLUTION_OPTIONS, ...PROPOSAL_OPTIONS }),
    (argv) => propose(argv, { kind: 'resolution', outlook: argv.slug, body: resolutionFrom(argv) }),
  );
}

function proposeWithdrawal(yargs: Yargs): void {
  yargs.command(
    'withdrawal <slug>',
    'Propose to withdraw an outlook',
    (yargs) =>
      yargs
        .positional('slug', slugArgument)
        .options({ why: whyOption, evidence: evidenceOption, ...PROPOSAL_OPTIONS }),
    (argv) => {
      const body = { rationale: argv.why, evidence: argv.evidence };
      return propose(argv, { kind: 'withdrawal', outlook: argv.slug, body });
    },
  );
}

function proposeConsensus(yargs: Yargs): void {
  yargs.command(
    'consensus <slug>',
    "Propose to publish the pool of the analysts' views",
    (yargs) =>
      yargs.positional('slug', slugArgument).options({
        method: { choices: ['linear', 'logarithmic'] as const, describe: 'how to pool the views' },
        weights: {
          choices: ['equal', 'recency', 'skill'] as const,
          describe: 'how to weight them',
        },
        'max-age': numberOption('greatest age of a view, in days'),
        why: whyOption,
        evidence: evidenceOption,
        ...PROPOSAL_OPTIONS,
      }),
    (argv) => {
      const { method, weights, maxAge, why: rationale, evidence } = argv;
      const body = { ...omitUndefined({ method, weights, maxAge }), rationale, evidence };
      return propose(argv, { kind: 'consensus', outlook: argv.slug, body });
    },
  );
}

const bodyOf = async (file: string) => (await readJsonObject(file)) as ProposalInput['body'];

/** Opens a proposal, or sends another draft of one, and submits it unless a draft is to be kept. */
async function propose(
  argv: ProposalOptions,
  request: Pick<ProposalInput, 'kind' | 'outlook' | 'body'>,
): Promise<void> {
  const client = apiClient(argv.url);
  const { note, publishAt, draft: isDraft, proposal: id } = argv;
  const timing = omitUndefined({ note, publishAt });
  if (id === undefined) {
    const body = { ...request, ...timing, submit: !isDraft };
    const opened = dataOrThrow(await client.POST('/v1/proposals', { body }));
    printResult(argv, opened, () => formatProposal(opened));
    return;
  }
  const params = { path: { id } };
  const body = { body: request.body, ...timing };
  const drafted = dataOrThrow(await client.PUT('/v1/proposals/{id}/draft', { params, body }));
  const sent = isDraft
    ? drafted
    : dataOrThrow(await client.POST('/v1/proposals/{id}/submission', { params, body: {} }));
  printResult(argv, sent, () => formatProposal(sent));
}
