import type { RevisionInput, Outlook, Probabilities } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow, UsageError } from '../errors.ts';
import { heading, paragraph } from '../layout.ts';
import {
  evidenceOption,
  numberOption,
  SCENARIOS,
  slugArgument,
  textOption,
  type Yargs,
  yesOption,
} from '../options.ts';
import { printResult, requireConfirmation, requireTerminal } from '../output.ts';
import { probabilityChanges } from '../probabilities.ts';
import { formatProposal, isProposal } from '../proposals.ts';

const probabilityOption = (scenario: string) =>
  numberOption(`new probability of the ${scenario} scenario`);

/** What a revision is made of. */
export const REVISION_OPTIONS = {
  bear: probabilityOption('bear'),
  base: probabilityOption('base'),
  bull: probabilityOption('bull'),
  reaffirm: {
    type: 'boolean',
    default: false,
    describe: 'keep the probabilities; this answers every triggered condition',
  },
  why: {
    ...textOption('rationale: why the probabilities change or stay'),
    demandOption: true,
  },
  evidence: evidenceOption,
  acknowledge: {
    type: 'string',
    array: true,
    default: [] as string[],
    describe: 'KEY=REASON: why a triggered condition changes nothing; may be repeated',
  },
} as const;

export function reviseCommand(yargs: Yargs): void {
  yargs.command(
    'revise <slug>',
    'Publish new probabilities, which must sum to exactly 1, or reaffirm the current ones',
    (yargs) =>
      yargs.positional('slug', slugArgument).options({ ...REVISION_OPTIONS, yes: yesOption }),
    async (argv) => {
      requireTerminal(argv);
      const client = apiClient(argv.url);
      const path = { slug: argv.slug };
      const body = revisionFrom(argv);
      const read = await client.GET('/v1/outlooks/{slug}', { params: { path } });
      const current = dataOrThrow(read);
      const question = `Publish version ${current.version + 1}?`;
      await requireConfirmation(argv, formatPreview(current, body), question);
      const header = { 'If-Match': read.response.headers.get('etag') ?? '*' };
      const revised = dataOrThrow(
        await client.POST('/v1/outlooks/{slug}/revisions', { params: { path, header }, body }),
      );
      printResult(argv, revised, () =>
        isProposal(revised) ? formatProposal(revised) : formatRevised(current, revised),
      );
    },
  );
}

type RevisionOptions = ProbabilityOptions & {
  why: string;
  evidence: string[];
  acknowledge: string[];
};

/** @throws UsageError */
export function revisionFrom(argv: RevisionOptions) {
  const { reaffirm, why: rationale, evidence } = argv;
  const acknowledges = argv.acknowledge.map(parseAcknowledgement);
  return { ...probabilitiesFrom(argv), reaffirm, rationale, evidence, acknowledges };
}

type ProbabilityOptions = {
  [Scenario in keyof Probabilities]: number | undefined;
} & { reaffirm: boolean };

/**
 * The three probabilities, or none with --reaffirm.
 * @throws UsageError if one is missing, or given with --reaffirm
 */
function probabilitiesFrom(argv: ProbabilityOptions): { probabilities?: Probabilities } {
  const { bear, base, bull } = argv;
  const given = SCENARIOS.filter((scenario) => argv[scenario] !== undefined);
  if (argv.reaffirm) {
    if (given.length === 0) return {};
    const named = given.map((scenario) => `--${scenario}`).join(', ');
    throw new UsageError(`--reaffirm keeps the probabilities: leave out ${named}.`);
  }
  if (bear !== undefined && base !== undefined && bull !== undefined) {
    return { probabilities: { bear, base, bull } };
  }
  const missing = SCENARIOS.filter((scenario) => argv[scenario] === undefined);
  throw new UsageError(
    `Missing required argument${missing.length > 1 ? 's' : ''}: ${missing.join(', ')}. To keep the probabilities, use --reaffirm.`,
  );
}

/** @throws UsageError if it is not KEY=REASON */
function parseAcknowledgement(text: string): { condition: string; reason: string } {
  const [condition = '', ...reason] = text.split('=');
  if (condition !== '' && reason.length > 0) return { condition, reason: reason.join('=') };
  throw new UsageError(
    `--acknowledge needs the key of a condition and a reason, such as rate-relief="Spreads say more.", not ${JSON.stringify(text)}.`,
  );
}

function formatPreview(
  current: Outlook,
  { probabilities = current.probabilities, reaffirm, rationale }: RevisionInput,
): string {
  return [
    heading(`${current.title} (${current.slug}, version ${current.version})`),
    probabilityChanges(current.probabilities, probabilities),
    ...(reaffirm ? [paragraph('reaffirmed: the probabilities stay')] : []),
    paragraph(`rationale: ${rationale}`),
    ...current.review.reasons.map((reason) =>
      paragraph(`${reaffirm ? 'is answered' : 'must be answered'}: ${reason}`),
    ),
  ].join('\n');
}

function formatRevised(before: Outlook, revised: Outlook): string {
  return [
    heading(`Published version ${revised.version} of ${revised.slug}.`),
    probabilityChanges(before.probabilities, revised.probabilities),
  ].join('\n');
}
