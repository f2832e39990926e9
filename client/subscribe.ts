import { createParser, type EventSourceMessage } from 'eventsource-parser';
import type { LedgerEvent } from './events.ts';
import { ProblemError, UnexpectedResponseError } from './problems.ts';
import { isTemporary, pause, retryAfter } from './retries.ts';

/** The wait before a reconnect, in milliseconds: what the service asks for, doubled up to the maximum while it fails. */
const RECONNECT_AFTER = { min: 100, usually: 1_000, max: 30_000 };
/** The service sends something every 15 seconds. A stream that is silent for this long is dead, in milliseconds. */
const MAX_SILENCE = 45_000;
/** In characters. */
const MAX_EVENT_LENGTH = 4_194_304;

export type SubscribeOptions = {
  /** The outlook to follow; all of them if left out. */
  slug?: string | undefined;
  /** The id of the last event that you have; `0` for all events. If left out, the next event comes first. */
  lastEventId?: string | undefined;
  /** Ends the subscription. */
  signal?: AbortSignal | undefined;
  /**
   * Called when a stream opens. `resumed` says whether it continues after the last id. If it does not, read what you
   * show now: an event before may have been missed.
   */
  onOpen?: ((opened: { lastEventId: string; resumed: boolean }) => void) | undefined;
  /**
   * Called when a stream ended or could not be opened, before the next attempt in `retryIn` milliseconds. What it
   * throws ends the subscription. `error` is null if the service ended the stream.
   */
  onDisconnect?: ((lost: { error: unknown; retryIn: number }) => void) | undefined;
};

/**
 * Opens a stream; the signal ends it.
 * @throws ProblemError, UnexpectedResponseError, or the error of `fetch`
 */
export type OpenStream = (
  lastEventId: string | undefined,
  signal: AbortSignal,
) => Promise<{ response: Response; body: ReadableStream<Uint8Array> }>;

type Position = {
  lastEventId: string | undefined;
  /** In milliseconds, as the service asked for. */
  retry: number;
};

/** A stream could not be opened, or broke off. Another attempt may succeed. */
class Disconnected extends Error {
  /** In milliseconds. */
  readonly retryAfter: number;

  constructor(cause: unknown) {
    super('The stream broke off.', { cause });
    const response = answerOf(cause);
    this.retryAfter = response ? retryAfter(response) : 0;
  }
}

/**
 * Yields each event once, and ends when the signal aborts. After a lost connection it resumes after the last event,
 * with growing waits. It gives up where another attempt would fail as well: at a 4xx other than 408 and 429.
 * @throws ProblemError, UnexpectedResponseError, and what a callback throws
 */
export async function* subscribe(
  open: OpenStream,
  options: SubscribeOptions,
): AsyncGenerator<LedgerEvent, void, undefined> {
  const { signal, onOpen, onDisconnect } = options;
  const position: Position = {
    lastEventId: options.lastEventId,
    retry: RECONNECT_AFTER.usually,
  };
  const isStopped = () => signal?.aborted ?? false;
  for (let failures = 0; !isStopped(); failures += 1) {
    let lost: Disconnected | null = null;
    try {
      for await (const event of readStream(open, position, signal)) {
        if (event.type !== 'stream.opened') yield event;
        else {
          failures = 0;
          const { resumed } = event.data;
          onOpen?.({ lastEventId: event.id, resumed });
        }
      }
    } catch (error) {
      if (!(error instanceof Disconnected)) throw error;
      lost = error;
    }
    if (isStopped()) return;
    const wait = Math.max(backOff(position.retry, failures), lost?.retryAfter ?? 0);
    // At random, so that clients that were cut off together do not come back together.
    const retryIn = Math.round(wait * (1 + Math.random() / 2));
    onDisconnect?.({ error: lost?.cause ?? null, retryIn });
    await pause(retryIn, signal);
  }
}

function backOff(retry: number, failures: number): number {
  return Math.min(RECONNECT_AFTER.max, retry * 2 ** Math.min(failures, 20));
}

type Opened = { id: string; type: 'stream.opened'; data: { resumed: boolean } };

/** The events of one stream. The position moves past each before it is yielded. */
async function* readStream(
  open: OpenStream,
  position: Position,
  signal: AbortSignal | undefined,
): AsyncGenerator<LedgerEvent | Opened, void, undefined> {
  const connection = new AbortController();
  const close = () => connection.abort();
  signal?.addEventListener('abort', close);
  const silence = new Alarm(MAX_SILENCE, close);
  let reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
  try {
    const { response, body } = await orDisconnected(open(position.lastEventId, connection.signal));
    if (!isEventStream(response)) {
      throw new UnexpectedResponseError(response, 'it is not an event stream');
    }
    reader = body.getReader();
    const decoder = new EventDecoder(position, response);
    while (true) {
      const { done, value } = await orDisconnected(reader.read());
      if (done) return;
      silence.restart();
      for (const event of decoder.decode(value)) {
        // A proxy may repeat what it has.
        if (event.id === position.lastEventId && !event.type.startsWith('stream.')) continue;
        position.lastEventId = event.id;
        yield event;
      }
    }
  } finally {
    silence.stop();
    signal?.removeEventListener('abort', close);
    connection.abort();
    void reader?.cancel().catch(() => {});
  }
}

const isEventStream = ({ headers }: Response): boolean =>
  /^text\/event-stream\b/i.test(headers.get('content-type') ?? '');

/** Waits for a step of a connection; what may pass rejects with {@link Disconnected}. */
async function orDisconnected<Result>(step: Promise<Result>): Promise<Result> {
  try {
    return await step;
  } catch (error) {
    const response = answerOf(error);
    throw response && !isTemporary(response) ? error : new Disconnected(error);
  }
}

/** The response that an error is about. */
function answerOf(error: unknown): Response | null {
  const isAnswer = error instanceof ProblemError || error instanceof UnexpectedResponseError;
  return isAnswer ? error.response : null;
}

/** Calls back if it is not restarted in time, in milliseconds. */
class Alarm {
  readonly #milliseconds: number;
  readonly #ring: () => void;
  #timer: ReturnType<typeof setTimeout>;

  constructor(milliseconds: number, ring: () => void) {
    this.#milliseconds = milliseconds;
    this.#ring = ring;
    this.#timer = setTimeout(ring, milliseconds);
  }

  restart(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#ring, this.#milliseconds);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

/** Decodes the events of one stream, piece by piece. */
class EventDecoder {
  readonly #response: Response;
  readonly #text = new TextDecoder();
  #messages: EventSourceMessage[] = [];
  #isTooLong = false;
  readonly #parser;

  constructor(position: Position, response: Response) {
    this.#response = response;
    this.#parser = createParser({
      maxBufferSize: MAX_EVENT_LENGTH,
      onEvent: (message) => this.#messages.push(message),
      onRetry: (retry) => {
        position.retry = Math.min(RECONNECT_AFTER.max, Math.max(RECONNECT_AFTER.min, retry));
      },
      onError: ({ type }) => {
        if (type === 'max-buffer-size-exceeded') this.#isTooLong = true;
      },
    });
  }

  /**
   * The events that these bytes complete.
   * @throws UnexpectedResponseError if the service can't have sent them
   */
  *decode(bytes: Uint8Array): Generator<LedgerEvent | Opened> {
    this.#parser.feed(this.#text.decode(bytes, { stream: true }));
    if (this.#isTooLong) throw new UnexpectedResponseError(this.#response, 'an event is too long');
    const messages = this.#messages;
    this.#messages = [];
    for (const message of messages) yield this.#eventOf(message);
  }

  #eventOf({ id, event, data }: EventSourceMessage): LedgerEvent | Opened {
    try {
      if (id && event) return { id, type: event, data: JSON.parse(data) } as LedgerEvent | Opened;
    } catch {
      // Reported below.
    }
    throw new UnexpectedResponseError(this.#response, 'an event is not one of Outlook Ledger');
  }
}
