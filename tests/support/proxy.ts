import { connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';

/** How a proxy treats traffic: unchanged, or as bad networks do. */
export type Weather = 'calm' | 'refusing' | 'slow' | 'cutting' | 'frozen';

/** A proxy before a database that fails on command. */
export class Proxy {
  weather: Weather = 'calm';
  /** How many connections were asked for. */
  attempts = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  readonly #url: string;

  /** @param url of the database behind it */
  constructor(url: string) {
    this.#url = url;
    const { searchParams, port, hostname } = new URL(url);
    const folder = searchParams.get('host');
    const target = folder
      ? { path: `${folder}/.s.PGSQL.${port || '5432'}` }
      : { host: hostname, port: Number(port || 5432) };
    this.#server = createServer((client) => this.#accept(client, target));
  }

  #accept(client: Socket, target: NetConnectOpts): void {
    this.attempts += 1;
    if (this.weather === 'refusing') {
      client.destroy();
      return;
    }
    const database = connect(target);
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
    if (this.weather === 'frozen') return; // the data is lost silently
    if (this.weather === 'cutting' && Math.random() < 0.2) {
      to.write(bytes.subarray(0, bytes.length / 2), () => to.destroy());
      return;
    }
    if (this.weather === 'slow') setTimeout(() => to.writable && to.write(bytes), 100);
    else to.write(bytes);
  }

  /** Breaks open connections, and accepts none until the weather changes. */
  block(): void {
    this.weather = 'refusing';
    this.cut();
  }

  /** Breaks open connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  get open(): number {
    return this.#sockets.size / 2;
  }

  /** The URL of the database by this way. */
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    if (typeof address !== 'object' || address === null) throw new Error('no port is free');
    const url = new URL(this.#url);
    url.search = '';
    url.host = `127.0.0.1:${address.port}`;
    return url.href;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
