import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '@outlook-ledger/client';
import { createParser } from 'eventsource-parser';
import { dataOrThrow, ProblemError, UnavailableError } from './errors.ts';
import { fetchOnce } from './requests.ts';

export type LedgerEvent = { id: string; event: string; data: unknown };

/** The pause before a reconnect, in milliseconds. It doubles up to the maximum. */
const RECONNECT_DELAY = { min: 500, max: 15_000 };
/** The service sends something every 15 seconds. A stream that is silent for this long is dead, in milliseconds. */
const MAX_SILENCE = 45_000;
/** In characters. */
const MAX_EVENT_LENGTH = 4_194_304;

type Options = {
  /** The outlook to follow; undefined for all of them. */
  slug: string | undefined;
  signal: AbortSignal;
  /** Called when a stream begins, with the id of the event that it continues after. */
  onOpen: (lastEventId: string) => void;
  onLost: () => void;
};

/** Null before the first stream begins. */
type Position = { lastEventId: string | null };

/**
 * Yields each event from now on, once. After a lost connection it continues after the last event. If the ledger no longer has
 * that one, it yields a `stream.reset` and continues with the next event. An EventSource
 * would forget the id that the service sends before the first event, and would give up at a 503.
 * @throws ProblemError, UnavailableError if the first connection fails; ProblemError later where a retry can't help
 */
export async function* followEvents(client: Client, options: Options): AsyncGenerator<LedgerEvent> {
  const { signal } = options;
  const position: Position = { lastEventId: null };
  const { min, max } = RECONNECT_DELAY;
  for (let wait = min; !signal.aborted; wait = Math.min(max, 2 * wait)) {
    try {
      for await (const event of readStream(client, position, options)) {
        wait = min;
        yield event;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (position.lastEventId === null || !isTemporary(error)) throw error;
    }
    if (signal.aborted) return;
    options.onLost();
    await delay(wait, undefined, { signal }).catch(() => {});
  }
}

function isTemporary(error: unknown): boolean {
  if (error instanceof ProblemError) {
    return error.problem.status >= 500 || error.problem.status === 429;
  }
  if (error instanceof UnavailableError || error instanceof TypeError) return true;
  return error instanceof Error && error.name === 'AbortError';
}

async function* readStream(
  client: Client,
  position: Position,
  { slug, signal, onOpen }: Options,
): AsyncGenerator<LedgerEvent> {
  const connection = new AbortController();
  const close = () => connection.abort();
  signal.addEventListener('abort', close);
  const silence = setTimeout(close, MAX_SILENCE);
  const { lastEventId } = position;
  const init = {
    parseAs: 'stream',
    fetch: (request: Request) => fetchOnce(request, connection.signal),
    headers: {
      Accept: 'text/event-stream',
      ...(lastEventId !== null && { 'Last-Event-ID': lastEventId }),
    },
  } as const;
  try {
    const body = dataOrThrow(
      slug === undefined
        ? await client.GET('/v1/events', init)
        : await client.GET('/v1/outlooks/{slug}/events', { ...init, params: { path: { slug } } }),
    );
    const reader = new EventReader(position, onOpen);
    const decoder = new TextDecoder();
    for await (const bytes of body as AsyncIterable<Uint8Array>) {
      silence.refresh();
      yield* reader.read(decoder.decode(bytes, { stream: true }));
    }
  } finally {
    clearTimeout(silence);
    signal.removeEventListener('abort', close);
  }
}

/** Reads the events of one stream, piece by piece. */
class EventReader {
  readonly #position: Position;
  readonly #onOpen: Options['onOpen'];
  #events: LedgerEvent[] = [];
  /** The text up to the end of the first block; null once that was read. */
  #firstBlock: string | null = '';
  readonly #parser = createParser({
    maxBufferSize: MAX_EVENT_LENGTH,
    onEvent: ({ id = '', event = 'message', data }) => {
      this.#events.push({ id, event, data: JSON.parse(data) as unknown });
    },
    onError: ({ type }) => {
      if (type === 'max-buffer-size-exceeded')
        throw new UnavailableError('The service sent an event that is too long.');
    },
  });

  constructor(position: Position, onOpen: Options['onOpen']) {
    this.#position = position;
    this.#onOpen = onOpen;
  }

  /** The events that this text completes. */
  *read(text: string): Generator<LedgerEvent> {
    this.#readFirstBlock(text);
    this.#parser.feed(text);
    const events = this.#events;
    this.#events = [];
    for (const event of events) {
      this.#position.lastEventId = event.id;
      yield event;
    }
  }

  /** Reads the id of the first block. Without data, the parser does not report it. */
  #readFirstBlock(text: string): void {
    if (this.#firstBlock === null) return;
    this.#firstBlock += text;
    const end = this.#firstBlock.indexOf('\n\n');
    if (end === -1) return;
    const [, id] = /^id: ?(\S+)$/m.exec(this.#firstBlock.slice(0, end)) ?? [];
    this.#firstBlock = null;
    if (id === undefined) return;
    this.#position.lastEventId = id;
    this.#onOpen(id);
  }
}
