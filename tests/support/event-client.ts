import { setTimeout as delay } from 'node:timers/promises';
import { createParser } from 'eventsource-parser';
import { assertEventDescribed } from './openapi.ts';

export type ReceivedEvent = { id: string; event: string; data: unknown };

/** Reads the text of a stream, in pieces as they come. */
export class EventReader {
  /** The events of the ledger, and `stream.reset`. */
  readonly events: ReceivedEvent[] = [];
  /** The `stream.opened` of each stream. */
  readonly openings: ReceivedEvent[] = [];
  /** As a browser keeps it: that of the last whole block, also of one without data. */
  lastEventId = '';
  #rest = '';
  #id: string | null = null;
  readonly #parser = createParser({
    onEvent: ({ id = '', event = 'message', data: text }) => {
      const data = JSON.parse(text) as unknown;
      assertEventDescribed(event, data);
      (event === 'stream.opened' ? this.openings : this.events).push({ id, event, data });
    },
    onError: (error) => {
      throw error;
    },
  });

  feed(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      this.#parser.feed(`${line}\n`);
      // The parser says the id of what has data only.
      if (line.startsWith('id:')) this.#id = line.slice(3).trim();
      if (line === '') this.lastEventId = this.#id ?? this.lastEventId;
    }
  }

  /** The next text is from another stream, so an incomplete block is dropped. */
  restart(): void {
    this.#rest = '';
    this.#id = null;
    this.#parser.reset();
  }
}

type Options = {
  /** What to go on from; a browser that connects for the first time sends none. */
  lastEventId?: string;
  headers?: Record<string, string>;
};

/** How a response went: to its end, cut off before that, or left by the client. */
export type StreamEnd = 'ended' | 'cut off' | 'left';

/** A client that reads one stream after the other and stores the events, as a page does. */
export class EventClient {
  readonly #reader = new EventReader();
  readonly #headers: Record<string, string>;
  #url: string;
  #leaving = new AbortController();
  #response: Response | null = null;
  #end: Promise<StreamEnd> = Promise.resolve('left');

  constructor(url: string, { lastEventId = '', headers = {} }: Options = {}) {
    this.#url = url;
    this.#headers = headers;
    this.#reader.lastEventId = lastEventId;
  }

  get events(): readonly ReceivedEvent[] {
    return this.#reader.events;
  }

  get openings(): readonly ReceivedEvent[] {
    return this.#reader.openings;
  }

  get lastEventId(): string {
    return this.#reader.lastEventId;
  }

  /** The head of the answer that is read, or that was read last. */
  get response(): Response {
    if (!this.#response) throw new Error('connect first');
    return this.#response;
  }

  /** Resolves once the response is over. */
  get end(): Promise<StreamEnd> {
    return this.#end;
  }

  /** Resumes after the last id, at another instance if a URL is given. */
  async connect(url = this.#url): Promise<this> {
    this.#url = url;
    this.#leaving = new AbortController();
    const { lastEventId } = this.#reader;
    const response = await fetch(url, {
      headers: { ...this.#headers, ...(lastEventId && { 'last-event-id': lastEventId }) },
      signal: this.#leaving.signal,
    });
    if (response.status !== 200) {
      throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
    }
    this.#response = response;
    this.#reader.restart();
    this.#end = this.#read(response);
    return this;
  }

  async leave(): Promise<void> {
    this.#leaving.abort();
    await this.#end;
  }

  /** Waits until this number of events arrived, over all connections together. */
  async received(count: number): Promise<readonly ReceivedEvent[]> {
    for (const deadline = Date.now() + 60_000; this.events.length < count; await delay(10)) {
      if (Date.now() > deadline) {
        throw new Error(`received ${this.events.length} events instead of ${count}`);
      }
    }
    return this.events;
  }

  async #read({ body }: Response): Promise<StreamEnd> {
    const { signal } = this.#leaving;
    const decoder = new TextDecoder();
    try {
      for await (const bytes of body ?? []) {
        if (signal.aborted) return 'left'; // a page would no longer see later events
        this.#reader.feed(decoder.decode(bytes, { stream: true }));
      }
      return 'ended';
    } catch (error) {
      if (signal.aborted) return 'left';
      if (error instanceof TypeError) return 'cut off';
      throw error;
    }
  }
}

/** Connects a new client; see {@link EventClient.connect}. */
export function connect(url: string, options: Options = {}): Promise<EventClient> {
  return new EventClient(url, options).connect();
}
