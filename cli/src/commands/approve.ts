import type { Client, Outlook, Proposal } from '@outlook-ledger/client';
import { apiClient } from '../api-client.ts';
import { dataOrThrow, UsageError } from '../errors.ts';
import { numberOption, omitUndefined, textOption, type Yargs, yesOption } from '../options.ts';
import { printResult, requireConfirmation, requireTerminal } from '../output.ts';
import { formatDraft, formatProposal } from '../proposals.ts';

const idArgument = {
  type: 'string',
  demandOption: true,
  describe: 'id of the proposal, as shown by "outlook inbox"',
} as const;

const draftOption = numberOption('number of the draft that you have read; the newest if omitted');

export function approveCommand(yargs: Yargs): void {
  yargs.command(
    'approve <id>',
    'Show a proposal of your desk, and approve it',
    (yargs) =>
      yargs.positional('id', idArgument).options({
        draft: draftOption,
        comment: textOption('comment that goes with the approval'),
        yes: yesOption,
      }),
    async (argv) => {
      requireTerminal(argv);
      const client = apiClient(argv.url);
      const { proposal, draft } = await readDraft(client, argv);
      if (!argv.yes) {
        const preview = formatDraft(proposal, await readCurrent(client, proposal));
        await requireConfirmation(argv, preview, `Approve draft ${draft}?`);
      }
      const params = { path: { id: argv.id } };
      const body = { draft, ...omitUndefined({ comment: argv.comment }) };
      const approved = dataOrThrow(
        await client.POST('/v1/proposals/{id}/approvals', { params, body }),
      );
      printResult(argv, approved, () => formatProposal(approved));
    },
  );
}

export function returnCommand(yargs: Yargs): void {
  yargs.command(
    'return <id>',
    'Return a proposal of your desk to its author',
    (yargs) =>
      yargs.positional('id', idArgument).options({
        draft: draftOption,
        reason: { ...textOption('what its author should change'), demandOption: true },
      }),
    async (argv) => {
      const client = apiClient(argv.url);
      const { draft } = await readDraft(client, argv);
      const params = { path: { id: argv.id } };
      const body = { draft, reason: argv.reason };
      const returned = dataOrThrow(
        await client.POST('/v1/proposals/{id}/return', { params, body }),
      );
      printResult(argv, returned, () => formatProposal(returned));
    },
  );
}

/** A proposal, and the number of the draft to decide about. */
async function readDraft(
  client: Client,
  { id, draft }: { id: string; draft: number | undefined },
): Promise<{ proposal: Proposal; draft: number }> {
  if (draft !== undefined && !Number.isInteger(draft)) {
    throw new UsageError('--draft must be a whole number.');
  }
  const params = { path: { id } };
  const proposal = dataOrThrow(await client.GET('/v1/proposals/{id}', { params }));
  return { proposal, draft: draft ?? proposal.draft };
}

/** The current version of a proposal's outlook; null for a new one. */
async function readCurrent(client: Client, { outlook }: Proposal): Promise<Outlook | null> {
  if (outlook === null) return null;
  return dataOrThrow(
    await client.GET('/v1/outlooks/{slug}', { params: { path: { slug: outlook } } }),
  );
}
