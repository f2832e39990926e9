import { readdirSync, readFileSync } from 'node:fs';
import pg from 'pg';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../src/postgres/embedded/server.ts';
import { cpuOf } from './processes.ts';

/** A PostgreSQL that runs apart from the service, so that several instances may share it. */
export class Database {
  readonly #server: EmbeddedPostgres;

  private constructor(server: EmbeddedPostgres) {
    this.#server = server;
  }

  static async start(
    dataDir: string,
    settings: Record<string, string>,
    onLog?: (line: string) => void,
  ): Promise<Database> {
    return new Database(
      await startEmbeddedPostgres({ dataDir, settings, ...(onLog && { onLog }) }),
    );
  }

  get url(): string {
    const { host, port, user, database } = this.#server.connection;
    return `postgresql://${user}@localhost:${port}/${database}?host=${encodeURIComponent(host)}`;
  }

  async query<Result>(work: (client: pg.Client) => Promise<Result>): Promise<Result> {
    const client = new pg.Client({ connectionString: this.url });
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  /** Milliseconds of CPU by process: of each that PostgreSQL runs now, and of those that ended, as one. Linux only. */
  cpu(): Map<number, number> {
    const used = new Map<number, number>();
    for (const pid of [this.#server.pid, ...childrenOf(this.#server.pid)]) {
      const cpu = cpuOf(pid);
      if (cpu !== null) used.set(pid, cpu);
    }
    return used;
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent;
      } catch {
        return false; // It has ended.
      }
    });
}
