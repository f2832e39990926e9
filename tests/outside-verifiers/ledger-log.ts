import path from 'node:path';
import pg from 'pg';
import { runningEmbeddedPostgres } from '../../src/postgres/embedded/server.ts';
import {
  keysShown,
  newFolder,
  run,
  type Service,
  startService,
  until,
} from '../support/service.ts';

/** Events that one transaction writes. */
const AT_ONCE = 5_000;

/** The log of a service with an embedded PostgreSQL, which holds its key. */
export class LedgerLog {
  readonly dataDir: string;
  /** An admin's key. */
  readonly key: string;
  service: Service;

  private constructor(dataDir: string, service: Service) {
    this.dataDir = dataDir;
    this.service = service;
    this.key = keysShown(service.stdout())[0] ?? '';
  }

  static async start(): Promise<LedgerLog> {
    const dataDir = newFolder();
    const log = new LedgerLog(dataDir, await startService({ DATA_DIR: dataDir }));
    await log.#untilSettled();
    return log;
  }

  async restart(settings: Record<string, string>): Promise<void> {
    this.service.kill('SIGTERM');
    await this.service.ended;
    this.service = await startService({ DATA_DIR: this.dataDir, ...settings });
  }

  get prefix(): string {
    return `${this.service.origin}/log/1`;
  }

  /** The verifier key, as the operator's command prints it. */
  async vkey(): Promise<string> {
    const command = run('commands/keys.js', ['log'], { DATA_DIR: this.dataDir });
    await command.ended;
    const vkey = /\S+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{44}/.exec(command.stdout())?.[0];
    if (vkey === undefined) throw new Error(`no key: ${command.stdout()} ${command.stderr()}`);
    return vkey;
  }

  async checkpoint(): Promise<string> {
    const response = await fetch(`${this.prefix}/checkpoint`);
    return response.ok ? response.text() : '';
  }

  /** The size of the signed tree. */
  async size(): Promise<number> {
    return Number((await this.checkpoint()).split('\n')[1]);
  }

  /** Writes events until the log has that many, and returns the checkpoint of exactly that size. */
  async growTo(size: number): Promise<string> {
    await this.#query(async (client) => {
      for (let left = size - (await this.size()); left > 0; left -= AT_ONCE) {
        // Administrative events, which need nothing else, by the triggers that give every event its opening.
        await client.query(
          `insert into events (kind, data, recorded_at)
           select 'write.recorded', '{"subject": "/v1/outlooks"}', now() from generate_series(1, $1)`,
          [Math.min(left, AT_ONCE)],
        );
      }
    });
    await until(async () => (await this.size()) >= size);
    const checkpoint = await this.checkpoint();
    if (checkpoint.split('\n')[1] !== String(size)) throw new Error(`it has ${checkpoint}`);
    return checkpoint;
  }

  /** Waits until the events of the first start have their leaves. */
  async #untilSettled(): Promise<void> {
    let before = -1;
    await until(async () => {
      const [size, events] = [await this.size(), await this.#events()];
      const isSettled = size === events && size === before;
      before = size;
      return isSettled;
    });
  }

  async #events(): Promise<number> {
    return this.#query(async (client) => {
      const { rows } = await client.query<{ count: string }>('select count(*) from events');
      return Number(rows[0]?.count);
    });
  }

  async #query<Result>(work: (client: pg.Client) => Promise<Result>): Promise<Result> {
    const connection = runningEmbeddedPostgres(this.dataDir);
    if (connection === null)
      throw new Error(`no PostgreSQL runs on ${path.basename(this.dataDir)}`);
    const client = new pg.Client(connection);
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }
}
