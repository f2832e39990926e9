import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;

/** A provider of series on this machine that answers as a test wants, and stores the targets of requests. */
export class Provider {
  /** The targets of all requests, and their headers. */
  readonly requests: { target: string; headers: IncomingMessage['headers'] }[] = [];
  answer: Answer = (_, response) => response.writeHead(404).end();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      this.requests.push({ target: request.url ?? '', headers: request.headers });
      response.on('error', () => {}); // the puller has left
      this.answer(request, response);
    });
  }

  async open(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Answers with a text from now on. */
  sends(body: string | Buffer, headers: Record<string, string> = { 'content-type': 'text/csv' }) {
    this.answer = (_, response) =>
      response.writeHead(200, { 'content-length': Buffer.byteLength(body), ...headers }).end(body);
  }

  /** Answers with a status from now on. */
  refuses(status: number, headers: Record<string, string> = {}, body = '') {
    this.answer = (_, response) => response.writeHead(status, headers).end(body);
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

/**
 * What FRED's API answers, as its documentation shows it (fred/series/observations, file_type=json).
 * @param values by day; `.` where there is none
 */
export function fredJson(values: Readonly<Record<string, string>>): string {
  const entries = Object.entries(values);
  return JSON.stringify({
    realtime_start: '2026-11-20',
    realtime_end: '2026-11-20',
    observation_start: '1600-01-01',
    observation_end: '9999-12-31',
    units: 'lin',
    output_type: 1,
    file_type: 'json',
    order_by: 'observation_date',
    sort_order: 'asc',
    count: entries.length,
    offset: 0,
    limit: 100_000,
    observations: entries.map(([date, value]) => ({
      realtime_start: '2026-11-20',
      realtime_end: '2026-11-20',
      date,
      value,
    })),
  });
}
