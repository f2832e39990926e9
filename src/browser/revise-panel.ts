import { movedBy, type Name, NAMES, percentOf, type Points, stepped } from './linked-points.ts';
import { type Draft, randomKey } from './publishing.ts';

const TITLES: Record<Name, string> = { bear: 'Bear', base: 'Base', bull: 'Bull' };

/** The parts of the panel. */
export type Panel = {
  form: HTMLFormElement;
  preview: HTMLElement;
  rows: HTMLElement;
  why: HTMLElement;
  more: HTMLElement;
  heading: HTMLElement;
  refusal: HTMLElement;
  publish: HTMLElement;
  back: HTMLElement;
};

export function panelOf(root: HTMLElement): Panel {
  const part = (id: string): HTMLElement => {
    const found = root.querySelector<HTMLElement>(`#${id}`);
    if (!found) throw new Error(`the page has no #${id}`);
    return found;
  };
  return {
    form: part('revise-form') as HTMLFormElement,
    preview: part('preview'),
    rows: part('preview-rows'),
    why: part('preview-why'),
    more: part('preview-more'),
    heading: part('revise-title'),
    refusal: part('refusal'),
    publish: part('publish'),
    back: part('back'),
  };
}

/** The current probabilities, as on the page. */
export function currentPoints({ dataset }: HTMLFormElement): Points {
  return {
    bear: Number(dataset['bear']),
    base: Number(dataset['base']),
    bull: Number(dataset['bull']),
  };
}

export const control = (form: HTMLFormElement, name: string) =>
  form.elements.namedItem(name) as HTMLInputElement;

export function showPoint(form: HTMLFormElement, name: Name, points: number): void {
  const slider = control(form, name);
  slider.value = String(points);
  slider.setAttribute('aria-valuetext', percentOf(points));
  const written = control(form, `${name}-percent`);
  // A field that is being edited stays unchanged while its value is the same.
  if (Math.round(Number(written.value) * 100) !== points) written.value = String(points / 100);
}

/** The probability that was moved and its new value; null for another field or an empty one. */
export function movedPoint(
  target: EventTarget | null,
  points: Points,
): { name: Name; value: number } | null {
  if (!(target instanceof HTMLInputElement) || target.value === '') return null;
  const name = NAMES.find((one) => target.name === one || target.name === `${one}-percent`);
  if (!name) return null;
  const value = Number(target.value);
  return { name, value: target.type === 'range' ? stepped(points[name], value) : value * 100 };
}

export function draftOf(form: HTMLFormElement, points: Points): Draft {
  const checked = form.querySelectorAll<HTMLInputElement>('input[name=evidence]:checked');
  const reasons = form.querySelectorAll<HTMLTextAreaElement>('textarea[name=acknowledges]');
  return {
    slug: form.dataset['slug'] ?? '',
    etag: form.dataset['etag'] ?? '',
    idempotencyKey: randomKey(),
    key: control(form, 'key').value.trim(),
    body: {
      probabilities: {
        bear: points.bear / 10_000,
        base: points.base / 10_000,
        bull: points.bull / 10_000,
      },
      reaffirm: control(form, 'reaffirm').checked,
      rationale: control(form, 'rationale').value,
      evidence: [...checked].map(({ value }) => value),
      acknowledges: [...reasons].flatMap(({ value, dataset }) =>
        value.trim() === '' ? [] : [{ condition: dataset['condition'] ?? '', reason: value }],
      ),
    },
  };
}

export function preview(panel: Panel, points: Points, { body }: Draft): void {
  const before = currentPoints(panel.form);
  panel.rows.replaceChildren(
    ...NAMES.map((name) =>
      row(
        TITLES[name],
        percentOf(before[name]),
        percentOf(points[name]),
        movedBy(points[name] - before[name]),
      ),
    ),
  );
  panel.why.textContent = body.rationale;
  const cited = panel.form.querySelectorAll<HTMLInputElement>('input[name=evidence]:checked');
  const reaffirmed = 'Reaffirms the probabilities, which answers every triggered condition.';
  panel.more.replaceChildren(
    ...(body.reaffirm ? [listItem(reaffirmed)] : []),
    ...[...cited].map((input) => listItem(`Cites: ${input.parentElement?.textContent ?? ''}`)),
    ...body.acknowledges.map(({ condition, reason }) =>
      listItem(`Answers ${condition}: ${reason}`),
    ),
  );
  panel.publish.textContent = `Publish version ${Number(panel.form.dataset['version']) + 1}`;
  panel.form.hidden = true;
  panel.preview.hidden = false;
  panel.preview.focus();
}

function listItem(text: string): HTMLLIElement {
  return Object.assign(document.createElement('li'), { dir: 'auto', textContent: text });
}

function row(...[head = '', ...cells]: string[]): HTMLTableRowElement {
  const made = document.createElement('tr');
  const first = document.createElement('th');
  first.scope = 'row';
  first.textContent = head;
  made.append(
    first,
    ...cells.map((text) => Object.assign(document.createElement('td'), { textContent: text })),
  );
  return made;
}

/** Clears the published text, so that the next revision does not repeat it. */
export function forget(form: HTMLFormElement): void {
  control(form, 'rationale').value = '';
  control(form, 'reaffirm').checked = false;
  for (const input of form.querySelectorAll<HTMLInputElement>('input[name=evidence]')) {
    input.checked = false;
  }
  for (const area of form.querySelectorAll<HTMLTextAreaElement>('textarea[name=acknowledges]')) {
    area.value = '';
  }
}

export function refuse(
  { refusal }: Panel,
  sentence: string,
  errors: { pointer: string; detail: string }[],
): void {
  const said = document.createElement('p');
  said.dir = 'auto';
  said.textContent = sentence;
  const list = document.createElement('ul');
  list.append(...errors.map(({ pointer, detail }) => listItem(`${pointer.slice(1)} ${detail}`)));
  refusal.replaceChildren(said, ...(errors.length > 0 ? [list] : []));
  refusal.scrollIntoView({ block: 'nearest' });
}

/** Takes over the conditions and evidence of another version; reasons that are still needed keep their text. */
export function replacePart(old: HTMLFormElement, next: HTMLFormElement, id: string): void {
  const [before, after] = [old.querySelector(`#${id}`), next.querySelector(`#${id}`)];
  if (!before || !after) return;
  for (const area of before.querySelectorAll('textarea')) {
    const same = after.querySelector<HTMLTextAreaElement>(
      `textarea[data-condition="${area.dataset['condition']}"]`,
    );
    if (same) same.value = area.value;
  }
  for (const { value } of before.querySelectorAll<HTMLInputElement>('input:checked')) {
    const same = after.querySelector<HTMLInputElement>(`input[value="${value}"]`);
    if (same) same.checked = true;
  }
  before.replaceWith(after);
}
