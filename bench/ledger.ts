import pg from 'pg';
import { type Connection, runningEmbeddedPostgres } from '../src/postgres/embedded/server.ts';
import { newFolder } from './processes.ts';
import { type Group, seed } from './seed.ts';
import { keyShown, type Service, type Settings, startService } from './service.ts';

export type Report = (line: string) => void;

/** A data folder with outlooks, and the service that runs on it. */
export class Ledger {
  /** An admin key. */
  readonly key: string;
  /** The version of its PostgreSQL. */
  readonly postgres: Promise<string>;
  readonly #dataDir: string;
  readonly #report: Report;
  #service: Service | null;
  #settings: Settings = {};

  private constructor(dataDir: string, service: Service, report: Report) {
    this.#dataDir = dataDir;
    this.#service = service;
    this.#report = report;
    this.key = keyShown(service.log());
    this.postgres = this.query((client) =>
      client.query<{ server_version: string }>('show server_version'),
    ).then(({ rows }) => rows[0]?.server_version ?? '');
  }

  /** A ledger with nothing but the sample outlook. */
  static async create(report: Report): Promise<Ledger> {
    const dataDir = newFolder();
    return new Ledger(dataDir, await startService(dataDir, {}), report);
  }

  /** Adds outlooks. A running service would not notice, so the next one is started anew. */
  async add(groups: readonly Group[]): Promise<void> {
    await this.serve({});
    await this.query((client) => seed(client, groups, this.#report));
    await this.stop();
  }

  /** The service with these settings: the running one if it has them, else a new one. */
  async serve(settings: Settings): Promise<Service> {
    if (this.#service && JSON.stringify(settings) === JSON.stringify(this.#settings)) {
      this.#service.clearLog();
      return this.#service;
    }
    return this.restart(settings);
  }

  async restart(settings: Settings): Promise<Service> {
    await this.stop();
    this.#settings = settings;
    this.#service = await startService(this.#dataDir, settings);
    return this.#service;
  }

  async stop(): Promise<void> {
    const service = this.#service;
    this.#service = null;
    await service?.stop();
  }

  /** The connection to the PostgreSQL of the running service. */
  connection(): Connection {
    const connection = runningEmbeddedPostgres(this.#dataDir);
    if (!connection) throw new Error('no PostgreSQL runs on this ledger');
    return connection;
  }

  async query<Result>(work: (client: pg.Client) => Promise<Result>): Promise<Result> {
    const client = new pg.Client({ ...this.connection(), statement_timeout: 300_000 });
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }
}
