import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { expect } from 'vitest';
import { Webhook } from 'standardwebhooks';
import type { TestLedger } from './ledger.ts';
import { assertDeliveryDescribed } from './openapi.ts';

export type Received = {
  id: string;
  headers: IncomingHttpHeaders;
  body: string;
  payload: { type: string; timestamp: string; data: { slug: string; version: number } };
};

export type Certificate = { key: string; cert: string };

type Answer = (received: Received, response: ServerResponse) => unknown;

const accept: Answer = (_, response) => response.writeHead(204).end();

/** A receiver on this machine that responds as a test wants, and stores the requests. */
export class Receiver {
  /** All complete requests, whatever the response was. */
  readonly attempts: Received[] = [];
  /** What was answered 204 by {@link accepting}. */
  readonly accepted: Received[] = [];
  #server: Server;
  #port = 0;
  answer: Answer = (received, response) => this.accepting(received, response);

  readonly #tls: Certificate | null;
  readonly #describes: boolean;

  /**
   * @param tls what it proves to be localhost with; without TLS unless given
   * @param describes whether to check that the document describes what it gets: not messages for chats
   */
  constructor(tls: Certificate | null = null, { describes = true } = {}) {
    this.#tls = tls;
    this.#describes = describes;
    this.#server = this.#make();
  }

  #make(): Server {
    const listen = (request: IncomingMessage, response: ServerResponse) => {
      void read(request, this.#describes).then((received) => {
        if (!received) return;
        this.attempts.push(received);
        this.answer(received, response);
      });
    };
    return this.#tls ? createTlsServer(this.#tls, listen) : createServer(listen);
  }

  accepting(received: Received, response: ServerResponse): void {
    this.accepted.push(received);
    accept(received, response);
  }

  get url(): string {
    return `${this.#tls ? 'https://localhost' : 'http://127.0.0.1'}:${this.#port}/hook`;
  }

  /** Listens; again on the same port, where it did before. */
  async open(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  /** Is gone at once, with all its connections. */
  async kill(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
    this.#server = this.#make();
  }
}

async function read(request: IncomingMessage, describes: boolean): Promise<Received | null> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    return null; // its sender is gone
  }
  const body = Buffer.concat(chunks).toString('utf8');
  const payload = JSON.parse(body) as Received['payload'];
  if (describes) assertDeliveryDescribed(payload);
  return { id: String(request.headers['webhook-id']), headers: request.headers, body, payload };
}

/** The events of each outlook in their order of arrival, without repetitions. */
export function perOutlook(received: readonly Received[]): Record<string, string[]> {
  const bySlug: Record<string, string[]> = {};
  const known = new Set<string>();
  for (const { id, payload } of received) {
    if (known.has(id)) continue;
    known.add(id);
    (bySlug[payload.data.slug] ??= []).push(`${payload.type} ${payload.data.version}`);
  }
  return bySlug;
}

/** Verifies like a receiver that uses the published library; throws if that refuses. */
export function verify(secret: string, { headers, body }: Received): unknown {
  return new Webhook(secret).verify(body, headers as Record<string, string>);
}

/** Whether a secret signed, whenever that was. */
export function isSignedBy(secret: string, { id, headers, body }: Received): boolean {
  const at = new Date(Number(headers['webhook-timestamp']) * 1000);
  const signature = new Webhook(secret).sign(id, at, body);
  return String(headers['webhook-signature']).split(' ').includes(signature);
}

export type Subscription = { id: string; secret: string };

/** Adds a webhook; the service must be allowed to reach the receiver. */
export async function subscribe(
  ledger: TestLedger,
  url: string,
  more: object = {},
): Promise<Subscription> {
  const payload = { url, ...more };
  const created = await ledger.call({ method: 'POST', url: '/v1/webhooks', as: 'admin', payload });
  expect(created.statusCode, created.body).toBe(201);
  return created.json<Subscription>();
}

export type LoggedDelivery = {
  id: string;
  event: number;
  kind: string;
  slug: string;
  state: string;
  deliveredAt: string | null;
  nextAttemptAt: string | null;
  attempts: {
    number: number;
    startedAt: string;
    milliseconds: number | null;
    status: number | null;
    fault: string | null;
  }[];
};

/** The newest deliveries, the newest first. */
export async function deliveriesOf(ledger: TestLedger, id: string): Promise<LoggedDelivery[]> {
  const url = `/v1/webhooks/${id}/deliveries?limit=100`;
  const answer = await ledger.call({ url, as: 'admin' });
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json<{ items: LoggedDelivery[] }>().items;
}
