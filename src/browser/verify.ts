import {
  type ReceiptCheck,
  type ReceiptVerification,
  verifyReceipt,
} from '../../client/receipt.ts';

/** In bytes; no receipt is longer. */
const MAX_BYTES = 64 * 1_048_576;

/** Control and format characters except the joiners, which emoji and some scripts need: they could hide or reorder text. */
const INVISIBLE = /(?![\u{200c}\u{200d}]|\n)[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u{2028}\u{2029}]/gu;

const OUTCOMES: Record<ReceiptVerification['outcome'], string> = {
  holds: 'The receipt holds.',
  unchecked: 'The signature was not checked.',
  fails: 'The receipt proves nothing.',
};

const CHECKS: Record<ReceiptCheck['name'], string> = {
  form: 'Form',
  inclusion: 'Place in the log',
  signature: "Log's signature",
  witnesses: 'Witnesses',
  rows: 'Rows',
  documents: 'Documents',
};

const RESULTS: Record<ReceiptCheck['result'], string> = {
  passed: '✓ passed',
  failed: '✗ failed',
  skipped: '– not checked',
};

const part = (id: string): HTMLElement => {
  const found = document.querySelector<HTMLElement>(`#${id}`);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
};

const form = part('verify') as HTMLFormElement;
const file = part('receipt') as HTMLInputElement;
const chosen = part('chosen');
const vkey = part('vkey') as HTMLInputElement;
const witnesses = part('witnesses') as HTMLTextAreaElement;
const result = part('result');

let dropped: File | null = null;
/** Counts the changes, so that a result that an input has overtaken is not shown. */
let changes = 0;

form.addEventListener('input', clear);
form.addEventListener('submit', (event) => {
  event.preventDefault();
  void show();
});
file.addEventListener('change', () => {
  choose(null);
  if (file.files?.[0]) void show();
});
document.addEventListener('dragover', (event) => event.preventDefault());
document.addEventListener('drop', (event) => {
  event.preventDefault();
  const [first] = event.dataTransfer?.files ?? [];
  if (!first) return;
  file.value = '';
  choose(first);
  void show();
});

function clear(): void {
  changes += 1;
  result.replaceChildren();
}

function choose(one: File | null): void {
  clear();
  dropped = one;
  chosen.textContent = one ? `Dropped: ${visible(one.name)}` : '';
}

async function show(): Promise<void> {
  clear();
  const started = changes;
  const receipt = dropped ?? file.files?.[0];
  const parts = receipt
    ? partsOf(await verify(receipt))
    : [element('p', 'Choose or drop the file of a receipt first.')];
  if (started !== changes) return;
  result.replaceChildren(...parts);
  result.focus();
}

async function verify(receipt: File): Promise<ReceiptVerification> {
  const lines = witnesses.value.split('\n').map((line) => line.trim());
  return verifyReceipt(await textOf(receipt), {
    vkey: vkey.value.trim() || undefined,
    witnesses: lines.filter((line) => line !== ''),
  });
}

/** The text of a file; an empty one if it is too long, unreadable or not UTF-8, which is no receipt either. */
async function textOf(receipt: File): Promise<string> {
  if (receipt.size > MAX_BYTES) return '';
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await receipt.arrayBuffer());
  } catch {
    return '';
  }
}

function partsOf(verification: ReceiptVerification): Node[] {
  const { outcome, sentence, checks } = verification;
  const verdict = element('div', [
    element('h2', OUTCOMES[outcome]),
    element('p', visible(sentence)),
    ...('caveats' in verification ? [list(verification.caveats)] : []),
  ]);
  verdict.className = `verdict ${outcome}`;
  return [verdict, ...('said' in verification ? said(verification) : []), tableOf(checks)];
}

function list(items: readonly string[]): Node {
  return element(
    'ul',
    items.map((item) => element('li', visible(item))),
  );
}

function said({ said, log }: ReceiptVerification & { outcome: 'holds' | 'unchecked' }): Node[] {
  const { by } = said.event;
  const facts = [
    { label: 'Subject', text: said.event.subject },
    { label: 'By', text: by ? `${by.name} (${by.id})` : 'the service' },
    ...said.facts,
    { label: 'Log', text: log.origin },
    { label: 'Key of the log', text: log.vkey ?? 'unknown' },
  ];
  const pairs = facts.flatMap(({ label, text }) => [
    element('dt', label),
    element('dd', visible(text)),
  ]);
  const rows = said.rows.map(({ table, row }) =>
    element('pre', visible(`${table} ${JSON.stringify(row, null, 2)}`)),
  );
  return [
    element('h2', 'What it says'),
    element('dl', pairs),
    element('details', [
      element('summary', 'The rows that it shows, as the ledger has them'),
      ...rows,
    ]),
  ];
}

function tableOf(checks: readonly ReceiptCheck[]): Node {
  const head = element(
    'tr',
    ['Check', 'Result', 'Detail'].map((title) => heading(title, 'col')),
  );
  const rows = checks.map(({ name, result: outcome, detail }) =>
    element('tr', [
      heading(CHECKS[name], 'row'),
      element('td', RESULTS[outcome]),
      element('td', visible(detail)),
    ]),
  );
  return element('table', [
    element('caption', 'Checks'),
    element('thead', [head]),
    element('tbody', rows),
  ]);
}

function heading(title: string, scope: string): HTMLElement {
  const cell = element('th', title);
  cell.setAttribute('scope', scope);
  return cell;
}

function element(name: string, content: string | readonly Node[]): HTMLElement {
  const created = document.createElement(name);
  created.dir = 'auto';
  created.append(...(typeof content === 'string' ? [content] : content));
  return created;
}

/** A text that others wrote, with its invisible characters escaped. */
function visible(text: string): string {
  return text.replace(INVISIBLE, (one) => `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`);
}
