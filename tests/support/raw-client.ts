import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A connection that sends bytes as they are, such as pipelined requests. */
export class RawClient {
  readonly socket: Socket;
  #received = '';

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    socket.setEncoding('latin1').on('data', (text: string) => (this.#received += text));
  }

  /** @param origin such as http://127.0.0.1:3000 */
  static async open(origin: string): Promise<RawClient> {
    const { hostname, port } = new URL(origin);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** All bytes so far. */
  get received(): string {
    return this.#received;
  }

  /** The statuses of the responses so far, in their order. */
  get statuses(): number[] {
    return [...this.#received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
  }

  /** Sends requests at once, each a method and a path, or a text as it is. */
  send(...requests: string[]): void {
    const texts = requests.map((one) =>
      one.includes('\r\n') ? one : `${one} HTTP/1.1\r\nHost: x\r\n\r\n`,
    );
    this.socket.write(texts.join(''));
  }

  /** Closes the connection by a reset, as a process that crashes does. */
  async reset(): Promise<void> {
    const closed = once(this.socket, 'close');
    this.socket.resetAndDestroy();
    await closed;
  }
}

/** The text of a request with a body in JSON. */
export function rawPost(path: string, key: string, body: object): string {
  const text = JSON.stringify(body);
  return (
    `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`
  );
}
