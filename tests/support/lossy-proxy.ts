import { connect, createServer, type Server, type Socket } from 'node:net';

/** What happens to a write: its response is lost, or the proxy responds itself. */
export type Loss = 'response lost' | keyof typeof RESPONSES;

const NO_BODY = 'retry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n';

const RESPONSES = {
  unavailable: `HTTP/1.1 503 Service Unavailable\r\n${NO_BODY}`,
  'in flight': `HTTP/1.1 409 Conflict\r\n${NO_BODY}`,
};

/** A proxy of the service. Each of the next writes suffers one of the losses. */
export class LossyProxy {
  /** The head of each write, in the order they were sent. */
  readonly writes: string[] = [];
  readonly losses: Loss[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.#server = createServer((client) => this.#accept(client, hostname, Number(port)));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    if (typeof address !== 'object' || address === null) throw new Error('no port is free');
    return `http://127.0.0.1:${address.port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket, host: string, port: number): void {
    const service = connect(port, host);
    let loss: Loss | undefined;
    for (const socket of [client, service]) {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        service.destroy();
      });
    }
    client.on('data', (bytes) => {
      const text = bytes.toString('latin1');
      if (text.startsWith('POST ')) {
        this.writes.push(text.split('\r\n\r\n', 1)[0] ?? '');
        loss = this.losses.shift();
      }
      if (loss === undefined || loss === 'response lost') service.write(bytes);
      else client.end(RESPONSES[loss]);
    });
    service.on('data', (bytes) => {
      if (loss === 'response lost') client.destroy();
      else client.write(bytes);
    });
  }
}
