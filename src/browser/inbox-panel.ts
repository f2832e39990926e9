import type { Inbox, Item, Proposal } from './inbox-api.ts';
import { changesOf } from './inbox-changes.ts';
import type { Refusal } from './publishing.ts';

/** What each kind of item asks for. */
const HEADINGS: Record<string, string> = {
  'to-approve': 'To approve',
  returned: 'Returned to you',
  'review-due': 'Reviews due',
  'horizon-over': 'Horizons over: record the outcome',
  contradicted: 'Outcomes that closes contradict',
  'series-silent': 'Series that stopped arriving',
};

const ACTS: Record<string, string> = {
  submitted: 'submitted',
  approved: 'approved',
  returned: 'returned',
  commented: 'commented on',
  published: 'published',
  discarded: 'discarded',
};

export function part(id: string): HTMLElement {
  const found = document.querySelector<HTMLElement>(`#${id}`);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  text: string | null,
  ...children: Node[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  if (text !== null) {
    made.dir = 'auto';
    made.textContent = text;
  }
  made.append(...children);
  return made;
}

const moment = (timestamp: string) => `${timestamp.slice(0, 16).replace('T', ' ')} UTC`;

/** Shows the items under a heading for each kind, and calls back for the proposal that is chosen. */
export function showItems({ items, counts }: Inbox, onChosen: (id: string) => void): void {
  const focused = document.activeElement;
  const chosen = focused instanceof HTMLElement ? focused.dataset['proposal'] : undefined;
  const kinds = Object.keys(counts).filter((kind) => items.some((item) => item.kind === kind));
  part('item-lists').replaceChildren(
    ...kinds.flatMap((kind) => {
      const list = element('ul', null);
      list.append(
        ...items.filter((item) => item.kind === kind).map((item) => itemOf(item, onChosen)),
      );
      return [element('h3', `${HEADINGS[kind] ?? kind} (${counts[kind]})`), list];
    }),
    ...(items.length === 0 ? [element('p', 'Nothing waits for you.')] : []),
  );
  // The list is made anew at each event; who reads it with the keyboard stays where they are.
  if (chosen) document.querySelector<HTMLElement>(`[data-proposal="${chosen}"]`)?.focus();
}

function itemOf(item: Item, onChosen: (id: string) => void): HTMLLIElement {
  const { proposal, title, detail, desk, since } = item;
  const made = element(
    'li',
    null,
    proposal === null ? linkTo(item) : choiceOf(proposal, title, onChosen),
  );
  if (detail !== null) made.append(element('p', detail));
  made.append(element('small', `${desk.name}, since ${moment(since)}`));
  return made;
}

function linkTo({ outlook, series, title }: Item): HTMLAnchorElement {
  const link = element('a', title);
  link.href = outlook === null ? `/v1/series/${series}` : `/outlooks/${outlook}`;
  return link;
}

function choiceOf(id: string, title: string, onChosen: (id: string) => void): HTMLButtonElement {
  const button = element('button', title);
  button.type = 'button';
  button.className = 'secondary outline';
  button.dataset['proposal'] = id;
  button.addEventListener('click', () => onChosen(id));
  return button;
}

/** Shows a proposal beside the current version of its outlook, which is null for a new one. */
export function showProposal(
  proposal: Proposal,
  current: { version: number } | null,
  isOwn: boolean,
): void {
  part('chosen-title').textContent = `${proposal.title}: ${proposal.kind}`;
  part('facts').replaceChildren(...factsOf(proposal, current).map((fact) => element('li', fact)));
  part('note').textContent = proposal.note ?? '';
  part('changes').replaceChildren(
    ...changesOf(current, proposal.body).map(({ member, now, proposed }) =>
      element('tr', null, heading(member), element('td', now), element('td', proposed)),
    ),
  );
  part('steps').replaceChildren(
    ...proposal.steps.map(({ kind, by, draft, text, recordedAt }) => {
      const line = `${by?.name ?? 'The service'} ${ACTS[kind] ?? kind} draft ${draft}, ${moment(recordedAt)}`;
      return element('li', text === null ? line : `${line}: ${text}`);
    }),
  );
  const isOpen = proposal.state === 'submitted' || proposal.state === 'approved';
  for (const button of part('answer-form').querySelectorAll('button')) {
    button.hidden = button.value !== 'comment' && (isOwn || !isOpen);
  }
  part('answer-form').hidden = ['published', 'discarded'].includes(proposal.state);
  part('proposal').hidden = false;
}

function heading(text: string): HTMLTableCellElement {
  const cell = element('th', text);
  cell.scope = 'row';
  return cell;
}

function factsOf(proposal: Proposal, current: { version: number } | null): string[] {
  const { author, desk, draft, state, approvals, publishAt, baseVersion } = proposal;
  const { needed, given } = approvals;
  const names = given.map(({ name }) => name).join(', ');
  const isMoved = current !== null && baseVersion !== null && baseVersion !== current.version;
  return [
    `Draft ${draft} by ${author.name}, ${desk.name}: ${state}`,
    `Approvals: ${given.length} of ${Math.max(1, needed)}${names && ` (${names})`}`,
    ...(publishAt === null ? [] : [`To be published at ${moment(publishAt)}`]),
    ...(isMoved
      ? [`Submitted for version ${baseVersion}; version ${current.version} is current now`]
      : []),
  ];
}

export function showRefusal({ sentence, errors }: Refusal): void {
  const list = element('ul', null);
  list.append(
    ...errors.map(({ pointer, detail }) => element('li', `${pointer.slice(1)} ${detail}`)),
  );
  const refusal = part('refusal');
  refusal.replaceChildren(element('p', sentence), ...(errors.length > 0 ? [list] : []));
  refusal.focus();
}
