declare const Idiomorph: {
  morph: (
    old: Element,
    next: Element,
    options: {
      morphStyle: 'outerHTML';
      ignoreActiveValue: boolean;
      callbacks: { beforeAttributeUpdated: (attribute: string, element: Element) => boolean };
    },
  ) => void;
};

/** The wait before retrying a failed stream or page, in milliseconds; a random wait of up to the same length is added. */
const RETRY_AFTER = 3_000;
/**
 * When to request the page again after an event, in milliseconds: the first response may come from an instance that
 * had not received the event yet.
 */
const REREAD_AFTER = 1_500;
/** How often to request the page without an event, in milliseconds: new closes cause no event. */
const POLL_EVERY = 60_000;

/** The event that says that the ledger went back to an earlier state, so that the page may show what is gone. */
const RESET = 'stream.reset';

/**
 * Keeps the page up to date while it is visible: on each event it requests the page again and applies the
 * differences. What the reader opened, chose or is writing stays.
 * @param onChanged called after a difference, with the new page and its updated part
 */
export function followEvents(
  live: HTMLElement,
  onChanged: (next: Document, then: HTMLElement) => void,
): void {
  const { events, kinds = '' } = live.dataset;
  if (events === undefined) return;
  const page = new LivePage(live, onChanged);
  let source: EventSource | null = null;
  const listen = (): void => {
    source?.close();
    // A browser has few connections to a host: a hidden page uses none.
    source = document.hidden ? null : open(events, kinds.split(' '), page, listen);
  };
  document.addEventListener('visibilitychange', listen);
  setInterval(() => {
    if (!document.hidden) page.refresh();
  }, POLL_EVERY);
  listen();
}

function open(
  url: string,
  kinds: readonly string[],
  page: LivePage,
  again: () => void,
): EventSource {
  const source = new EventSource(url);
  source.addEventListener('open', () => page.refresh());
  const heard = (): void => {
    page.refresh();
    setTimeout(() => page.refresh(), REREAD_AFTER);
  };
  for (const kind of [...kinds, RESET]) source.addEventListener(kind, heard);
  source.addEventListener('error', () => {
    // A browser reconnects by itself unless the server refused the stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(again, byChance(RETRY_AFTER));
  });
  return source;
}

const byChance = (milliseconds: number): number => milliseconds * (1 + Math.random());

/** Requests a page again: one request at a time, and one more if another is needed meanwhile. */
class LivePage {
  readonly #onChanged: (next: Document, then: HTMLElement) => void;
  #markup: string;
  #isAsking = false;
  #isWanted = false;

  constructor(live: HTMLElement, onChanged: (next: Document, then: HTMLElement) => void) {
    this.#markup = live.outerHTML;
    this.#onChanged = onChanged;
  }

  refresh(): void {
    this.#isWanted = true;
    if (this.#isAsking) return;
    this.#isAsking = true;
    void this.#ask().finally(() => (this.#isAsking = false));
  }

  async #ask(): Promise<void> {
    while (this.#isWanted) {
      this.#isWanted = false;
      try {
        await this.#replace();
      } catch {
        setTimeout(() => this.refresh(), byChance(RETRY_AFTER));
      }
    }
  }

  async #replace(): Promise<void> {
    const answer = await fetch(location.href, {
      headers: { accept: 'text/html' },
      cache: 'no-cache',
    });
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const now = document.querySelector('#live');
    const then = next.querySelector<HTMLElement>('#live');
    if (!now || !then || then.outerHTML === this.#markup) return;
    this.#markup = then.outerHTML;
    document.title = next.title;
    Idiomorph.morph(now, then.cloneNode(true) as Element, {
      morphStyle: 'outerHTML',
      ignoreActiveValue: true,
      callbacks: { beforeAttributeUpdated: (name, element) => !isOfReader(name, element) },
    });
    this.#onChanged(next, then);
  }
}

/** Whether an attribute reflects the reader's action instead of the page's content. */
function isOfReader(name: string, element: Element): boolean {
  if (name === 'open') return element instanceof HTMLDetailsElement;
  if (name !== 'value' || !(element instanceof HTMLInputElement)) return false;
  return element.type !== 'hidden' && element.value !== element.defaultValue;
}
