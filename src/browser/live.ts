declare const Idiomorph: {
  morph: (
    old: Element,
    next: Element,
    options: { morphStyle: 'outerHTML'; ignoreActiveValue: boolean },
  ) => void;
};

/** How long a stream that was lost, and that the browser gave up, is waited for, in milliseconds. */
const TRY_AGAIN_AFTER = 5_000;

/**
 * Keeps what the page shows as it stands: each event, and each time that the stream is there again, it asks for
 * the page anew and puts in what differs, without taking the focus or what is being written from anybody.
 * @param onChanged called once something differed, with the page that is new
 */
export function followEvents(live: HTMLElement, onChanged: (next: Document) => void): void {
  const { events, kinds = '' } = live.dataset;
  if (events === undefined) return;
  let asking: Promise<void> | null = null;
  let isAskedAgain = false;
  const refresh = (): void => {
    if (asking) {
      isAskedAgain = true;
      return;
    }
    asking = replace(onChanged)
      .catch(() => {}) // the next event, or the stream's return, asks again
      .finally(() => {
        asking = null;
        if (!isAskedAgain) return;
        isAskedAgain = false;
        refresh();
      });
  };
  listen(events, kinds.split(' '), refresh);
}

function listen(url: string, kinds: readonly string[], refresh: () => void): void {
  const source = new EventSource(url);
  source.addEventListener('open', refresh);
  for (const kind of kinds) source.addEventListener(kind, refresh);
  source.addEventListener('error', () => {
    // A browser tries again by itself but where it was refused.
    if (source.readyState !== EventSource.CLOSED) return;
    setTimeout(() => listen(url, kinds, refresh), TRY_AGAIN_AFTER);
  });
}

async function replace(onChanged: (next: Document) => void): Promise<void> {
  const answer = await fetch(location.href, {
    headers: { accept: 'text/html' },
    cache: 'no-cache',
  });
  if (!answer.ok) return;
  const next = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const [now, then] = [document.querySelector('#live'), next.querySelector('#live')];
  if (!now || !then || now.outerHTML === then.outerHTML) return;
  Idiomorph.morph(now, then, { morphStyle: 'outerHTML', ignoreActiveValue: true });
  document.title = next.title;
  // Of closes no address tells that they changed.
  for (const image of document.querySelectorAll<HTMLImageElement>('img[src*="kind=drawdown"]')) {
    image.src = image.getAttribute('src') ?? '';
  }
  onChanged(next);
}
