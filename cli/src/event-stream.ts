import { setTimeout as delay } from 'node:timers/promises';
import { createParser } from 'eventsource-parser';
import { dataOf, Refusal, Unavailable } from './errors.ts';
import { open } from './requests.ts';
import type { Service } from './api-client.ts';

export type LedgerEvent = { id: string; event: string; data: unknown };

/** Between attempts to go on, in milliseconds; doubled up to the longest. */
const [FIRST_WAIT, LONGEST_WAIT] = [500, 15_000];
/** The service says something every 15 seconds, in milliseconds; a stream that is silent for so long is dead. */
const SILENT_FOR = 45_000;
/** What an event may have at most, in characters. */
const LONGEST_EVENT = 4_194_304;

/**
 * The events of the ledger, or of one outlook, from now on, each once; after a lost connection it goes on behind
 * the last one. Written on a parser rather than on an EventSource, which forgets the id that the service sends
 * before the first event, and gives up for ever on a 503.
 * @param onOpen told when a stream begins, with the id that it goes on behind
 * @param onLost told when a connection was lost
 * @throws Refusal, Unavailable where the first connection can't be had; Refusal later where waiting mends nothing
 */
export async function* followEvents(
  service: Service,
  options: Options,
): AsyncGenerator<LedgerEvent> {
  const { signal } = options;
  const position: Position = { id: null };
  for (let wait = FIRST_WAIT; !signal.aborted; wait = Math.min(LONGEST_WAIT, 2 * wait)) {
    try {
      for await (const event of oneStream(service, position, options)) {
        wait = FIRST_WAIT;
        yield event;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (position.id === null || isFinal(error)) throw error;
    }
    if (signal.aborted) return;
    options.onLost();
    await delay(wait, undefined, { signal }).catch(() => {});
  }
}

type Options = {
  slug: string | undefined;
  signal: AbortSignal;
  onOpen: (id: string) => void;
  onLost: () => void;
};

/** The id of the last event there was; null before the first connection. */
type Position = { id: string | null };

function isFinal(error: unknown): boolean {
  if (error instanceof Refusal) return error.problem.status < 500 && error.problem.status !== 429;
  return !(error instanceof Unavailable || error instanceof TypeError || isAbort(error));
}

const isAbort = (error: unknown): boolean => (error as Error).name === 'AbortError';

async function* oneStream(
  { client }: Service,
  position: Position,
  { slug, signal, onOpen }: Options,
): AsyncGenerator<LedgerEvent> {
  const connection = new AbortController();
  const close = () => connection.abort();
  signal.addEventListener('abort', close);
  const timer = setTimeout(close, SILENT_FOR);
  const init = {
    parseAs: 'stream',
    fetch: (request: Request) => open(request, connection.signal),
    headers: {
      Accept: 'text/event-stream',
      ...(position.id !== null && { 'Last-Event-ID': position.id }),
    },
  } as const;
  try {
    const body = dataOf(
      slug === undefined
        ? await client.GET('/v1/events', init)
        : await client.GET('/v1/outlooks/{slug}/events', { ...init, params: { path: { slug } } }),
    );
    const reader = new EventReader(position, onOpen);
    const decoder = new TextDecoder();
    for await (const bytes of body as AsyncIterable<Uint8Array>) {
      timer.refresh();
      yield* reader.read(decoder.decode(bytes, { stream: true }));
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', close);
  }
}

class EventReader {
  readonly #position: Position;
  readonly #onOpen: Options['onOpen'];
  #told: LedgerEvent[] = [];
  #head: string | null = '';
  readonly #parser = createParser({
    maxBufferSize: LONGEST_EVENT,
    onEvent: ({ id = '', event = 'message', data }) => {
      this.#told.push({ id, event, data: JSON.parse(data) as unknown });
    },
    onError: ({ type }) => {
      if (type === 'max-buffer-size-exceeded') throw new Unavailable('An event is too long.');
    },
  });

  constructor(position: Position, onOpen: Options['onOpen']) {
    this.#position = position;
    this.#onOpen = onOpen;
  }

  /** The events that a piece of a stream completes; each is the position once it was taken. */
  *read(text: string): Generator<LedgerEvent> {
    this.#readHead(text);
    this.#parser.feed(text);
    const told = this.#told;
    this.#told = [];
    for (const event of told) {
      this.#position.id = event.id;
      yield event;
    }
  }

  /** The id of the first block, which has no data, so that the parser does not tell of it. */
  #readHead(text: string): void {
    if (this.#head === null) return;
    this.#head += text;
    if (!this.#head.includes('\n\n')) return;
    const [, id] = /^id: ?(\d+)$/m.exec(this.#head.slice(0, this.#head.indexOf('\n\n'))) ?? [];
    this.#head = null;
    if (id === undefined) return;
    this.#position.id ??= id;
    this.#onOpen(this.#position.id);
  }
}
