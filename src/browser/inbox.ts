import { ask, followInbox, type Inbox, type Proposal, type Result } from './inbox-api.ts';
import { part, showItems, showProposal, showRefusal } from './inbox-panel.ts';

/**
 * Shows what waits for the analyst whose key is typed in, and lets them approve or return a proposal. The key stays in
 * the memory of the page.
 * @param announce announces something to screen readers
 */
export function showInbox(root: HTMLElement, announce: (news: string) => void): void {
  const page = new InboxView(announce);
  root.hidden = false;
  const form = part('key-form') as HTMLFormElement;
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (form.reportValidity())
      void page.open((form.elements.namedItem('key') as HTMLInputElement).value.trim());
  });
  part('more').addEventListener('click', () => void page.readMore());
  (part('answer-form') as HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault();
    const { value } = event.submitter as HTMLButtonElement;
    void page.answer(value as Act);
  });
}

const FIRST_PAGE = '/v1/inbox?limit=100';

type Act = 'approve' | 'return' | 'comment';

class InboxView {
  readonly #announce: (news: string) => void;
  #key = '';
  #ownId = '';
  #inbox: Inbox = { items: [], nextCursor: null, counts: {} };
  #proposal: Proposal | null = null;
  #isAnswering = false;
  #following = new AbortController();

  constructor(announce: (news: string) => void) {
    this.#announce = announce;
  }

  /** Opens the inbox of a key. */
  async open(key: string): Promise<void> {
    this.#following.abort();
    this.#following = new AbortController();
    this.#key = key;
    part('proposal').hidden = true;
    this.#proposal = null;
    const me = this.#contentOf(await ask<{ analyst: { id: string } }>(key, '/v1/me'));
    part('waiting').hidden = me === null;
    if (me === null) return;
    this.#ownId = me.analyst.id;
    await this.#read();
    part('items-title').focus();
    void followInbox(key, () => void this.#refresh(), this.#following.signal);
  }

  /** Reads the first page again. */
  async #read(): Promise<void> {
    const inbox = this.#contentOf(await ask<Inbox>(this.#key, FIRST_PAGE));
    if (inbox) this.#show(inbox);
  }

  /** The same after an event: a failure must not interrupt what the analyst is doing. */
  async #refresh(): Promise<void> {
    const key = this.#key;
    const result = await ask<Inbox>(key, FIRST_PAGE);
    if ('content' in result && key === this.#key) this.#show(result.content);
  }

  async readMore(): Promise<void> {
    const { items, nextCursor } = this.#inbox;
    if (nextCursor === null) return;
    const path = `/v1/inbox?limit=100&cursor=${encodeURIComponent(nextCursor)}`;
    const next = this.#contentOf(await ask<Inbox>(this.#key, path));
    if (next) this.#show({ ...next, items: [...items, ...next.items] });
  }

  #show(inbox: Inbox): void {
    this.#inbox = inbox;
    showItems(inbox, (id) => void this.#choose(id));
    part('more').hidden = inbox.nextCursor === null;
  }

  async #choose(id: string): Promise<void> {
    if (await this.#readProposal(id)) part('chosen-title').focus();
  }

  /** @returns whether it could be read */
  async #readProposal(id: string): Promise<boolean> {
    const proposal = this.#contentOf(await ask<Proposal>(this.#key, `/v1/proposals/${id}`));
    if (!proposal) return false;
    const { outlook } = proposal;
    const current =
      outlook === null || proposal.kind === 'outlook'
        ? null
        : this.#contentOf(await ask<{ version: number }>(this.#key, `/v1/outlooks/${outlook}`));
    this.#proposal = proposal;
    showProposal(proposal, current, proposal.author.id === this.#ownId);
    return true;
  }

  /** Sends what the analyst decided about the draft that is shown. */
  async answer(act: Act): Promise<void> {
    const proposal = this.#proposal;
    if (!proposal || this.#isAnswering) return;
    const words = (part('answer-form') as HTMLFormElement).elements.namedItem(
      'words',
    ) as HTMLTextAreaElement;
    this.#isAnswering = true;
    const { path, body, said } = requestOf(act, proposal, words.value.trim());
    const answered = this.#contentOf(
      await ask<Proposal>(this.#key, `/v1/proposals/${proposal.id}/${path}`, body),
    );
    this.#isAnswering = false;
    if (!answered) return;
    words.value = '';
    await this.#readProposal(proposal.id);
    await this.#read();
    this.#announce(said);
    part('chosen-title').focus();
  }

  /** What a result has; null after showing why there is nothing. */
  #contentOf<Content>(result: Result<Content>): Content | null {
    if ('content' in result) {
      part('refusal').replaceChildren();
      return result.content;
    }
    showRefusal(result);
    return null;
  }
}

/** The request for an act on the draft that is shown: if there is a newer one, the service refuses it. */
function requestOf(
  act: Act,
  { draft }: Proposal,
  words: string,
): { path: string; body: object; said: string } {
  if (act === 'approve') {
    const body = { draft, ...(words !== '' && { comment: words }) };
    return { path: 'approvals', body, said: `You approved draft ${draft}.` };
  }
  if (act === 'return') {
    return { path: 'return', body: { draft, reason: words }, said: `You returned draft ${draft}.` };
  }
  return { path: 'comments', body: { text: words }, said: 'Your comment was added.' };
}
