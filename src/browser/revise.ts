import { movedBy, type Name, NAMES, percentOf, type Points, withPoint } from './linked-points.ts';

const TITLES: Record<Name, string> = { bear: 'Bear', base: 'Base', bull: 'Bull' };

/** What the service refuses with (RFC 9457), as far as it is shown. */
type Problem = { title: string; detail: string; errors?: { pointer: string; detail: string }[] };

/** The parts of the panel. */
type Panel = {
  form: HTMLFormElement;
  preview: HTMLElement;
  rows: HTMLElement;
  why: HTMLElement;
  refusal: HTMLElement;
  publish: HTMLButtonElement;
};

/** What is about to be published. It is sent under one key, so that sending it again makes no second version. */
type Draft = {
  slug: string;
  etag: string;
  idempotencyKey: string;
  key: string;
  body: {
    probabilities: Points;
    rationale: string;
    evidence: string[];
    acknowledges: { condition: string; reason: string }[];
  };
};

/**
 * Lets an analyst revise the odds: three sliders that move together, a look at what would change, then the words
 * of the service.
 * @param tell says something to who follows the page
 * @returns what is to be called once another version stands
 */
export function letRevise(
  root: HTMLElement,
  tell: (news: string) => void,
): (next: Document) => void {
  const panel = panelOf(root);
  let draft: Draft | null = null;
  let points = standing(panel.form);
  const show = (shown: Points): void => {
    points = shown;
    for (const name of NAMES) showPoint(panel.form, name, shown[name]);
  };
  const edit = (): void => {
    draft = null;
    panel.form.hidden = false;
    panel.preview.hidden = true;
  };
  panel.form.addEventListener('input', ({ target }) => {
    const moved = movedPoint(target);
    if (moved) show(withPoint(points, moved.name, moved.value));
  });
  panel.form.addEventListener('submit', (event) => {
    event.preventDefault();
    panel.refusal.replaceChildren();
    if (!panel.form.reportValidity()) return;
    draft = draftOf(panel.form, points);
    preview(panel, points, draft.body.rationale);
  });
  root.querySelector('#back')?.addEventListener('click', () => {
    edit();
    control(panel.form, 'rationale').focus();
  });
  panel.publish.addEventListener('click', () => {
    if (!draft) return;
    panel.publish.disabled = true;
    void publish(panel, draft)
      .then((version) => {
        if (version === null) return;
        edit();
        control(panel.form, 'rationale').value = '';
        tell(`You published version ${version}.`);
      })
      .finally(() => (panel.publish.disabled = false));
  });
  root.hidden = false;
  return (next) => {
    const form = next.querySelector<HTMLFormElement>('#revise-form');
    root.hidden = form === null;
    if (!form) return;
    const isUntouched = NAMES.every((name) => standing(panel.form)[name] === points[name]);
    Object.assign(panel.form.dataset, form.dataset);
    for (const id of ['owed', 'citable']) replacePart(panel.form, form, id);
    if (isUntouched) show(standing(panel.form));
    if (!draft) return;
    edit();
    refuse(panel, 'Another version stands by now. Look at the change again.', []);
  };
}

function panelOf(root: HTMLElement): Panel {
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
    refusal: part('refusal'),
    publish: part('publish') as HTMLButtonElement,
  };
}

/** What stands, as the page has it. */
function standing({ dataset }: HTMLFormElement): Points {
  return {
    bear: Number(dataset['bear']),
    base: Number(dataset['base']),
    bull: Number(dataset['bull']),
  };
}

const control = (form: HTMLFormElement, name: string) =>
  form.elements.namedItem(name) as HTMLInputElement;

function showPoint(form: HTMLFormElement, name: Name, points: number): void {
  const slider = control(form, name);
  slider.value = String(points);
  slider.setAttribute('aria-valuetext', percentOf(points));
  const written = control(form, `${name}-percent`);
  // What is being written stays as it is while it says the same.
  if (Math.round(Number(written.value) * 100) !== points) written.value = String(points / 100);
}

function movedPoint(target: EventTarget | null): { name: Name; value: number } | null {
  if (!(target instanceof HTMLInputElement) || target.value === '') return null;
  const name = NAMES.find((one) => target.name === one || target.name === `${one}-percent`);
  if (!name) return null;
  return { name, value: Number(target.value) * (target.type === 'range' ? 1 : 100) };
}

function draftOf(form: HTMLFormElement, points: Points): Draft {
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
      rationale: control(form, 'rationale').value,
      evidence: [...checked].map(({ value }) => value),
      acknowledges: [...reasons].flatMap(({ value, dataset }) =>
        value.trim() === '' ? [] : [{ condition: dataset['condition'] ?? '', reason: value }],
      ),
    },
  };
}

// crypto.randomUUID is only there on pages that came by TLS or from this machine.
function randomKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
}

function preview(panel: Panel, points: Points, rationale: string): void {
  const before = standing(panel.form);
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
  panel.why.textContent = rationale;
  panel.publish.textContent = `Publish version ${Number(panel.form.dataset['version']) + 1}`;
  panel.form.hidden = true;
  panel.preview.hidden = false;
  panel.preview.focus();
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

/** Sends a draft; null where it was refused, which is then shown. */
async function publish(
  panel: Panel,
  { slug, etag, idempotencyKey, key, body }: Draft,
): Promise<number | null> {
  panel.refusal.replaceChildren();
  try {
    const answer = await fetch(`/v1/outlooks/${slug}/revisions`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'if-match': etag,
        'idempotency-key': idempotencyKey,
      },
      body: JSON.stringify(body),
    });
    const told = (await answer.json()) as Problem & { version: number };
    if (answer.ok) return told.version;
    refuse(panel, `${told.title}: ${told.detail}`, told.errors ?? []);
  } catch {
    refuse(
      panel,
      'The service can’t be reached. Publish again: it is sent under the same key, so it counts once.',
      [],
    );
  }
  return null;
}

function refuse(
  { refusal }: Panel,
  sentence: string,
  errors: { pointer: string; detail: string }[],
): void {
  const said = document.createElement('p');
  said.dir = 'auto';
  said.textContent = sentence;
  const list = document.createElement('ul');
  for (const { pointer, detail } of errors) {
    const item = document.createElement('li');
    item.dir = 'auto';
    item.textContent = `${pointer.slice(1)} ${detail}`;
    list.append(item);
  }
  refusal.replaceChildren(said, ...(errors.length > 0 ? [list] : []));
  refusal.scrollIntoView({ block: 'nearest' });
}

/** Takes over what another version owes and may cite; what was written there stays where it is asked for still. */
function replacePart(old: HTMLFormElement, next: HTMLFormElement, id: string): void {
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
