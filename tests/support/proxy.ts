import { connect, createServer, type Server, type Socket } from 'node:net';

/** What a proxy does with what passes: nothing, or what bad networks do. */
export type Weather = 'calm' | 'refusing' | 'slow' | 'cutting' | 'frozen';

/** A way to a database that fails as it is told to. */
export class Proxy {
  weather: Weather = 'calm';
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** @param socketPath of the PostgreSQL behind it */
  constructor(socketPath: string) {
    this.#server = createServer((client) => this.#accept(client, socketPath));
  }

  #accept(client: Socket, socketPath: string): void {
    if (this.weather === 'refusing') {
      client.destroy();
      return;
    }
    const database = connect(socketPath);
    for (const socket of [client, database]) {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        database.destroy();
      });
    }
    client.on('data', (bytes) => this.#pass(bytes, database));
    database.on('data', (bytes) => this.#pass(bytes, client));
  }

  #pass(bytes: Buffer, to: Socket): void {
    if (this.weather === 'frozen') return; // what was sent is lost, and nobody is told
    if (this.weather === 'cutting' && Math.random() < 0.2) {
      to.write(bytes.subarray(0, bytes.length / 2), () => to.destroy());
      return;
    }
    if (this.weather === 'slow') setTimeout(() => to.writable && to.write(bytes), 100);
    else to.write(bytes);
  }

  /** Breaks what is open. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  get open(): number {
    return this.#sockets.size / 2;
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    if (typeof address !== 'object' || address === null) throw new Error('no port is free');
    return address.port;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
