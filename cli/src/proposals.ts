import type { Outlook, Proposal } from '@outlook-ledger/client';
import { formatTime, heading, paragraph } from './layout.ts';
import { probabilityChanges } from './probabilities.ts';

/** Whether a write was answered with the proposal that it became, because the desk's policy asks for approval. */
export function isProposal(written: object): written is Proposal {
  return 'approvals' in written;
}

/** What became of a proposal, and what is wrong with its draft. */
export function formatProposal(proposal: Proposal): string {
  const { warnings } = proposal;
  return [
    heading(sentenceOf(proposal)),
    paragraph(`${proposal.kind} of ${proposal.outlook ?? 'a new outlook'}: ${proposal.title}`),
    ...warnings.map(({ pointer, detail }) => paragraph(`warning: ${pointer} ${detail}`)),
    ...(proposal.state === 'returned' ? [paragraph(lastWords(proposal))] : []),
  ].join('\n');
}

function sentenceOf(proposal: Proposal): string {
  const { id, kind, state, draft, approvals, publishAt, steps, outlook } = proposal;
  const { needed, given } = approvals;
  const count = `${given.length} of ${needed} approval${needed === 1 ? '' : 's'}`;
  switch (state) {
    case 'draft':
      return `Draft ${draft} of proposal ${id} is stored.`;
    case 'submitted':
      return `Proposal ${id} waits for approval: ${count}.`;
    case 'approved':
      return `Proposal ${id} is approved, and will be published at ${formatTime(publishAt ?? '')}.`;
    case 'published':
      return `Proposal ${id} is published: ${kind === 'resolution' ? 'resolution' : 'version'} ${steps.at(-1)?.version ?? ''} of ${outlook}.`;
    default:
      return `Proposal ${id} was ${state}.`;
  }
}

function lastWords({ steps }: Proposal): string {
  const { by, text } = steps.findLast(({ kind }) => kind === 'returned') ?? {};
  return `${by?.name ?? 'The service'}: ${text ?? ''}`;
}

/** A proposal for those who decide about it, beside the current version of its outlook; null for a new one. */
export function formatDraft(proposal: Proposal, current: Outlook | null): string {
  const { title, kind, outlook, draft, author, note, publishAt, body, warnings } = proposal;
  const { probabilities, ...members } = body as Partial<Pick<Outlook, 'probabilities'>>;
  return [
    heading(`${title} (${kind}${outlook === null ? '' : ` of ${outlook}`}, draft ${draft})`),
    paragraph(`by ${author.name}`),
    ...(note === null ? [] : [paragraph(`note: ${note}`)]),
    ...(publishAt === null ? [] : [paragraph(`to be published at ${formatTime(publishAt)}`)]),
    ...(current && probabilities ? [probabilityChanges(current.probabilities, probabilities)] : []),
    ...linesOf(current && probabilities ? members : body).map((line) => paragraph(line)),
    ...proposal.steps.map((step) => paragraph(formatStep(step))),
    ...warnings.map(({ pointer, detail }) => paragraph(`warning: ${pointer} ${detail}`)),
  ].join('\n');
}

function formatStep({ kind, by, draft, text, recordedAt }: Proposal['steps'][number]): string {
  const act = kind === 'commented' ? 'commented on' : kind;
  const line = `${by?.name ?? 'The service'} ${act} draft ${draft} at ${formatTime(recordedAt)}`;
  return text === null ? line : `${line}: ${text}`;
}

/** The members of a body, each as a line; those that say nothing are left out. */
function linesOf(body: object): string[] {
  return Object.entries(body).flatMap(([name, value]: [string, unknown]) => {
    const saysNothing =
      value === undefined || value === false || (Array.isArray(value) && value.length === 0);
    if (saysNothing) return [];
    return [`${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`];
  });
}
