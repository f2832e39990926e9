import type { NewRevision, Outlook } from '@outlook-ledger/client';
import { dataOf, UsageError } from '../errors.ts';
import { heading, paragraph } from '../layout.ts';
import { evidenceIds, number, type Program, slug, yes, text } from '../options.ts';
import { answer, requireSomeone, requireYes } from '../output.ts';
import { probabilityMoves } from '../probabilities.ts';
import { serviceAt } from '../api-client.ts';

const probability = (scenario: string) =>
  ({ ...number(`the new probability of the ${scenario} scenario`), demandOption: true }) as const;

export function reviseCommand(program: Program): Program {
  return program.command(
    'revise <slug>',
    'Publish new probabilities, which must sum to exactly 1',
    (command) =>
      command.positional('slug', slug).options({
        bear: probability('bear'),
        base: probability('base'),
        bull: probability('bull'),
        why: { ...text('why this version differs'), demandOption: true },
        evidence: evidenceIds,
        acknowledge: {
          type: 'string',
          array: true,
          default: [] as string[],
          describe: 'KEY=REASON: why a triggered condition moves nothing; may be repeated',
        },
        yes,
      }),
    async (argv) => {
      requireSomeone(argv);
      const { client } = serviceAt(argv.url);
      const path = { slug: argv.slug };
      const { bear, base, bull, why: rationale, evidence } = argv;
      const acknowledges = argv.acknowledge.map(acknowledgement);
      const body = { probabilities: { bear, base, bull }, rationale, evidence, acknowledges };
      const read = await client.GET('/v1/outlooks/{slug}', { params: { path } });
      const current = dataOf(read);
      await requireYes(argv, preview(current, body), `Publish version ${current.version + 1}?`);
      const header = { 'If-Match': read.response.headers.get('etag') ?? '*' };
      const revised = dataOf(
        await client.POST('/v1/outlooks/{slug}/revisions', { params: { path, header }, body }),
      );
      answer(argv, revised, () => pageOf(current, revised));
    },
  );
}

/** @throws UsageError for what is not a key, an equals sign and a reason */
function acknowledgement(text: string): { condition: string; reason: string } {
  const [condition = '', ...reason] = text.split('=');
  if (condition !== '' && reason.length > 0) return { condition, reason: reason.join('=') };
  throw new UsageError(
    `--acknowledge takes the key of a condition and why, such as rate-relief="Spreads say more.", not ${JSON.stringify(text)}.`,
  );
}

function preview(current: Outlook, { probabilities, rationale }: NewRevision): string {
  return [
    heading(`${current.title} (${current.slug}, version ${current.version})`),
    probabilityMoves(current.probabilities, probabilities),
    paragraph(`because: ${rationale}`),
    ...current.review.reasons.map((reason) => paragraph(`to be answered: ${reason}`)),
  ].join('\n');
}

function pageOf(before: Outlook, revised: Outlook): string {
  return [
    heading(`Version ${revised.version} of ${revised.slug} stands.`),
    probabilityMoves(before.probabilities, revised.probabilities),
  ].join('\n');
}
