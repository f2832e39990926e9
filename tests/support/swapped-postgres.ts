import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startEmbeddedPostgres } from '../../src/postgres/embedded/server.ts';
import { isAlive, postmasterOf, until } from './service.ts';

/** A PostgreSQL whose data can go back to an earlier copy: as after a failover that lost commits, or a recovery. */
export class SwappedPostgres {
  readonly #folder: string;
  #copies = 0;
  #url = '';

  constructor() {
    const isRoomy =
      existsSync('/dev/shm') &&
      statfsSync('/dev/shm').bavail * statfsSync('/dev/shm').bsize > 3_000_000_000;
    this.#folder = mkdtempSync(path.join(isRoomy ? '/dev/shm' : tmpdir(), 'outlook-ledger-'));
    chmodSync(this.#folder, 0o755); // for PostgreSQL's own user, where root runs the tests
  }

  /** The URL of the database for a role; the same after each start. */
  urlFor(user: string): string {
    const url = new URL(this.#url);
    url.username = user;
    return url.href;
  }

  async start(): Promise<void> {
    const settings = { fsync: 'off', max_connections: '60', min_wal_size: '32MB' };
    const { connection } = await startEmbeddedPostgres({ dataDir: this.#folder, settings });
    const { host, port, user, database } = connection;
    this.#url = `postgresql://${user}@localhost:${port}/${database}?host=${encodeURIComponent(host)}`;
  }

  /** Ends it at once, without a checkpoint. */
  async kill(): Promise<void> {
    const pid = postmasterOf(this.#folder);
    if (pid === null) return;
    process.kill(pid, 'SIGQUIT');
    await until(() => !isAlive(pid));
  }

  /** Copies the data while it is down. */
  copy(): string {
    const name = `copy-${(this.#copies += 1)}`;
    execFileSync('cp', ['-a', this.#path('pg18'), this.#path(name)]);
    return name;
  }

  /** Puts a copy in the place of the data, while it is down. */
  goBackTo(copy: string): void {
    rmSync(this.#path('pg18'), { recursive: true });
    execFileSync('cp', ['-a', this.#path(copy), this.#path('pg18')]);
    rmSync(this.#path('pg18/postmaster.pid'), { force: true });
  }

  drop(copy: string): void {
    rmSync(this.#path(copy), { recursive: true });
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10 });
  }

  #path(name: string): string {
    return path.join(this.#folder, name);
  }
}
