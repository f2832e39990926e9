import { areSame, type Name, NAMES, type Points, withPoint } from './linked-points.ts';
import { type Draft, publish } from './publishing.ts';
import {
  control,
  draftOf,
  forget,
  movedPoint,
  type Panel,
  panelOf,
  preview,
  refuse,
  replacePart,
  showPoint,
  currentPoints,
} from './revise-panel.ts';

/**
 * Lets an analyst revise the probabilities: three linked sliders, a preview of the change, then the service's
 * response.
 * @param announce announces something to screen readers
 * @returns a function to call with each changed page
 */
export function letRevise(
  root: HTMLElement,
  announce: (news: string) => void,
): (next: Document) => void {
  const revising = new Revising(root, announce);
  root.hidden = false;
  return (next) => revising.update(next.querySelector<HTMLFormElement>('#revise-form'));
}

class Revising {
  readonly #root: HTMLElement;
  readonly #panel: Panel;
  readonly #announce: (news: string) => void;
  #points: Points;
  /** The slider that is moving, and the points before it started. */
  #moving: { name: Name | null; from: Points };
  /** The previewed draft. */
  #draft: Draft | null = null;
  /** Whether the draft may have been published, because its response is pending or was lost. */
  #isSent = false;
  /** The newer page that waits for a pending response; null if the outlook is closed. */
  #next: HTMLFormElement | null | undefined;

  constructor(root: HTMLElement, announce: (news: string) => void) {
    this.#root = root;
    this.#announce = announce;
    this.#panel = panelOf(root);
    const { form, publish, back } = this.#panel;
    this.#points = currentPoints(form);
    this.#moving = { name: null, from: this.#points };
    this.#show(this.#points); // a browser may restore other values when it returns to the page
    form.addEventListener('input', ({ target }) => this.#move(target));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#look();
    });
    back.addEventListener('click', () => {
      this.#edit();
      control(form, 'rationale').focus();
    });
    publish.addEventListener('click', () => void this.#publish());
  }

  /** Takes the form of an updated page; null if the page has none. */
  update(form: HTMLFormElement | null): void {
    this.#next = form;
    if (!this.#isSent) this.#takeOver();
  }

  #takeOver(): void {
    const next = this.#next;
    if (next === undefined) return;
    this.#next = undefined;
    this.#root.hidden = next === null;
    if (next === null) return;
    const { form } = this.#panel;
    const before = { etag: form.dataset['etag'], version: form.dataset['version'] };
    const isUntouched = areSame(currentPoints(form), this.#points);
    const isWriting = !isUntouched || control(form, 'rationale').value !== '';
    Object.assign(form.dataset, next.dataset);
    for (const id of ['owed', 'citable']) replacePart(form, next, id);
    if (before.etag === form.dataset['etag']) return;
    if (isUntouched) this.#show(currentPoints(form));
    const wasLookedAt = this.#draft !== null;
    if (wasLookedAt) this.#edit();
    if (!wasLookedAt && !isWriting) return;
    const isVersion = before.version !== form.dataset['version'];
    const what = isVersion
      ? `Version ${form.dataset['version']} is current now`
      : 'The outlook has changed';
    refuse(this.#panel, `${what}. Preview the change again before you publish it.`, []);
  }

  #show(points: Points): void {
    this.#points = points;
    for (const name of NAMES) showPoint(this.#panel.form, name, points[name]);
  }

  #move(target: EventTarget | null): void {
    const moved = movedPoint(target, this.#points);
    if (!moved) return;
    const { name, value } = moved;
    if (this.#moving.name !== name) this.#moving = { name, from: this.#points };
    this.#show(withPoint(this.#moving.from, name, value));
  }

  #edit(): void {
    this.#draft = null;
    this.#isSent = false;
    this.#panel.form.hidden = false;
    this.#panel.preview.hidden = true;
    this.#panel.refusal.replaceChildren();
    this.#moving = { name: null, from: this.#points };
    this.#takeOver();
  }

  #look(): void {
    const { form, refusal } = this.#panel;
    refusal.replaceChildren();
    if (!form.reportValidity()) return;
    this.#draft = draftOf(form, this.#points);
    preview(this.#panel, this.#points, this.#draft);
  }

  async #publish(): Promise<void> {
    const { publish: button, refusal, heading } = this.#panel;
    const draft = this.#draft;
    if (!draft || button.ariaDisabled === 'true') return;
    button.ariaDisabled = 'true';
    this.#isSent = true;
    const result = await publish(draft);
    button.ariaDisabled = 'false';
    if ('version' in result) {
      const { form } = this.#panel;
      forget(form);
      // The new current version, until the page itself is updated.
      for (const name of NAMES) form.dataset[name] = String(this.#points[name]);
      form.dataset['version'] = String(result.version);
      this.#edit();
      this.#announce(`You published version ${result.version}.`);
      heading.focus();
      return;
    }
    if ('proposal' in result) {
      forget(this.#panel.form);
      this.#show(currentPoints(this.#panel.form));
      this.#edit();
      this.#announce(
        'Your desk publishes revisions only with approval. Yours was submitted; the inbox shows it to others.',
      );
      heading.focus();
      return;
    }
    this.#isSent = result.isUnknown;
    if (!result.isUnknown) this.#takeOver();
    refuse(this.#panel, result.sentence, result.errors);
    refusal.focus();
  }
}
