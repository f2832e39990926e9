import type { NewRevision, Outlook } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow, UsageError } from '../errors.ts';
import { heading, paragraph } from '../layout.ts';
import {
  evidenceOption,
  numberOption,
  slugArgument,
  textOption,
  type Yargs,
  yesOption,
} from '../options.ts';
import { printResult, requireConfirmation, requireTerminal } from '../output.ts';
import { probabilityChanges } from '../probabilities.ts';

const probabilityOption = (scenario: string) =>
  ({
    ...numberOption(`new probability of the ${scenario} scenario`),
    demandOption: true,
  }) as const;

export function reviseCommand(yargs: Yargs): void {
  yargs.command(
    'revise <slug>',
    'Publish new probabilities, which must sum to exactly 1',
    (yargs) =>
      yargs.positional('slug', slugArgument).options({
        bear: probabilityOption('bear'),
        base: probabilityOption('base'),
        bull: probabilityOption('bull'),
        why: { ...textOption('rationale: why the probabilities change'), demandOption: true },
        evidence: evidenceOption,
        acknowledge: {
          type: 'string',
          array: true,
          default: [] as string[],
          describe: 'KEY=REASON: why a triggered condition changes nothing; may be repeated',
        },
        yes: yesOption,
      }),
    async (argv) => {
      requireTerminal(argv);
      const client = apiClient(argv.url);
      const path = { slug: argv.slug };
      const { bear, base, bull, why: rationale, evidence } = argv;
      const acknowledges = argv.acknowledge.map(parseAcknowledgement);
      const body = { probabilities: { bear, base, bull }, rationale, evidence, acknowledges };
      const read = await client.GET('/v1/outlooks/{slug}', { params: { path } });
      const current = dataOrThrow(read);
      const question = `Publish version ${current.version + 1}?`;
      await requireConfirmation(argv, formatPreview(current, body), question);
      const header = { 'If-Match': read.response.headers.get('etag') ?? '*' };
      const revised = dataOrThrow(
        await client.POST('/v1/outlooks/{slug}/revisions', { params: { path, header }, body }),
      );
      printResult(argv, revised, () => formatRevised(current, revised));
    },
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

function formatPreview(current: Outlook, { probabilities, rationale }: NewRevision): string {
  return [
    heading(`${current.title} (${current.slug}, version ${current.version})`),
    probabilityChanges(current.probabilities, probabilities),
    paragraph(`rationale: ${rationale}`),
    ...current.review.reasons.map((reason) => paragraph(`must be answered: ${reason}`)),
  ].join('\n');
}

function formatRevised(before: Outlook, revised: Outlook): string {
  return [
    heading(`Published version ${revised.version} of ${revised.slug}.`),
    probabilityChanges(before.probabilities, revised.probabilities),
  ].join('\n');
}
