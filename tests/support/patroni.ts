import { chownSync, copyFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { type Daemon, endDaemons, findProgram, serverUser, startDaemon } from './programs.ts';
import { freePort, isAlive, newFolder, until } from './service.ts';

/** What a cluster of {@link startCluster} needs besides this repository. */
export const CLUSTER_PROGRAMS = [
  'etcd',
  'patroni',
  'haproxy',
  'pg_controldata',
  'pg_rewind',
  'psql',
];

const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url));
const PASSWORD = 'only-for-tests';

/** A PostgreSQL under Patroni. */
export type Member = {
  name: string;
  /** Its own address, for the superuser; the proxy hides which member it leads to. */
  url: string;
  /** The process of its PostgreSQL; null if none was started, or its folder is gone. */
  postmaster: () => number | null;
  patroni: () => Daemon;
  /** Starts Patroni again after it was killed. */
  start: () => void;
};

type PatroniSettings = { synchronous_mode?: boolean; [setting: string]: unknown };

export type Cluster = {
  members: readonly Member[];
  /** The primary through the proxy: for the tables' owner, and for the service's role. */
  ownerUrl: string;
  serviceUrl: string;
  /** The instances through the proxy, at the ports given. */
  origin: string;
  /** The member that takes writes; waits for one. */
  primary: () => Promise<Member>;
  /** The member that can take over; waits for one. */
  standby: () => Promise<Member>;
  /** Changes the settings that Patroni keeps in etcd. */
  configure: (settings: PatroniSettings) => Promise<void>;
  /** The folder of the logs. */
  folder: string;
};

type Started = { member: Member; api: number; port: number };

/** The members of all clusters. */
const members: Member[] = [];

/** Ends what {@link startCluster} started; its folder goes with those of the service. */
export async function endClusters(): Promise<void> {
  await endDaemons();
  for (const { postmaster } of members.splice(0)) {
    const server = postmaster();
    if (server === null || !isAlive(server)) continue;
    process.kill(server, 'SIGQUIT');
    await until(() => !isAlive(server));
  }
}

/** Quick enough for a test, and slow enough for a busy machine; see deploy/patroni.yml for what they mean. */
const TIMING = { ttl: 8, loop_wait: 1, retry_timeout: 3 };

/**
 * Starts etcd, two members under Patroni, and HAProxy in front of them and of two instances at the given ports: with the
 * files of `deploy`, on loopback.
 */
export async function startCluster({
  instances,
}: {
  instances: readonly [number, number];
}): Promise<Cluster> {
  const folder = newFolder();
  const user = serverUser();
  if (user) chownSync(folder, user.uid, user.gid);
  for (const file of ['patroni.yml', 'create-ledger.sh']) {
    copyFileSync(path.join(DEPLOY, file), path.join(folder, file));
  }
  const etcd = await startEtcd(folder);
  const started: Started[] = [];

  for (const name of ['postgres1', 'postgres2']) {
    started.push(await startMember(name, folder, etcd));
    if (started.length === 1) await until(() => isLeader(started[0]));
  }
  const proxy = await startProxy(folder, started, instances);
  const urlOf = (role: string) => `postgres://${role}:${PASSWORD}@127.0.0.1:${proxy.port}/ledger`;
  let isSynchronous = true;
  const configure = async (settings: PatroniSettings) => {
    isSynchronous = settings.synchronous_mode ?? isSynchronous;
    const api = started.find(({ member }) => isAlive(member.patroni().pid))?.api;
    const response = await fetch(`http://127.0.0.1:${api}/config`, {
      method: 'PATCH',
      body: JSON.stringify(settings),
    });
    if (!response.ok) throw new Error(`Patroni answered ${response.status}`);
  };
  await configure(TIMING);

  const primary = async () => {
    let found: Started | undefined;
    await until(async () => {
      for (const one of started) if (await isLeader(one)) found = one;
      return found !== undefined;
    });
    return (found as Started).member;
  };
  const standby = async () => {
    const { url } = await primary();
    await until(() => isFollowed(url));
    let found: Started | undefined;
    const role = isSynchronous ? '/synchronous' : '/replica';
    await until(async () => {
      for (const one of started) if (await answers(one.api, role)) found = one;
      return found !== undefined;
    });
    return (found as Started).member;
  };
  return {
    members: started.map(({ member }) => member),
    ownerUrl: urlOf('ledger'),
    serviceUrl: urlOf('ledger_service'),
    origin: `http://127.0.0.1:${proxy.http}`,
    primary,
    standby,
    configure,
    folder,
  };
}

async function startEtcd(folder: string): Promise<number> {
  const [port, peers] = [await freePort(), await freePort()];
  const client = `http://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${peers}`;
  const settings = {
    name: 'etcd',
    'data-dir': path.join(folder, 'etcd'),
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `etcd=${peer}`,
  };
  const args = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
  startDaemon('etcd', args, { env: {}, cwd: folder, log: `${folder}/etcd.log` });
  await until(() => answers(port, '/health'));
  return port;
}

async function startMember(name: string, folder: string, etcd: number): Promise<Started> {
  const [port, api] = [await freePort(), await freePort()];
  const dataDir = path.join(folder, name);
  const env = {
    PATRONI_NAME: name,
    PATRONI_ETCD3_HOSTS: `127.0.0.1:${etcd}`,
    PATRONI_RESTAPI_LISTEN: `127.0.0.1:${api}`,
    PATRONI_RESTAPI_CONNECT_ADDRESS: `127.0.0.1:${api}`,
    PATRONI_POSTGRESQL_LISTEN: `127.0.0.1:${port}`,
    PATRONI_POSTGRESQL_CONNECT_ADDRESS: `127.0.0.1:${port}`,
    PATRONI_POSTGRESQL_DATA_DIR: dataDir,
    PATRONI_POSTGRESQL_BIN_DIR: path.dirname(findProgram('pg_controldata') ?? ''),
    PATRONI_POSTGRESQL_PGPASS: path.join(folder, `${name}.pgpass`),
    PATRONI_SUPERUSER_USERNAME: 'postgres',
    PATRONI_SUPERUSER_PASSWORD: PASSWORD,
    PATRONI_REPLICATION_USERNAME: 'standby',
    PATRONI_REPLICATION_PASSWORD: PASSWORD,
    LEDGER_PASSWORD: PASSWORD,
  };
  const log = path.join(folder, `${name}.log`);
  const start = () => startDaemon('patroni', ['patroni.yml'], { env, cwd: folder, log });
  let daemon = start();
  const member: Member = {
    name,
    url: `postgres://postgres:${PASSWORD}@127.0.0.1:${port}/postgres`,
    postmaster: () => {
      try {
        return Number(readFileSync(path.join(dataDir, 'postmaster.pid'), 'utf8').split('\n')[0]);
      } catch {
        return null;
      }
    },
    patroni: () => daemon,
    start: () => void (daemon = start()),
  };
  members.push(member);
  return { member, api, port };
}

async function startProxy(
  folder: string,
  members: readonly Started[],
  instances: readonly [number, number],
): Promise<{ port: number; http: number }> {
  const [port, http] = [await freePort(), await freePort()];
  const addresses = [
    ...members.flatMap(({ port: own, api }, index) => [
      [`POSTGRES_${index + 1}`, `127.0.0.1:${own}`],
      [`PATRONI_${index + 1}`, String(api)],
    ]),
    ...instances.map((own, index) => [`LEDGER_${index + 1}`, `127.0.0.1:${own}`]),
  ];
  const env: Record<string, string> = {
    ...Object.fromEntries(addresses),
    POSTGRES_BIND: `127.0.0.1:${port}`,
    HTTP_BIND: `127.0.0.1:${http}`,
  };
  const file = path.join(DEPLOY, 'haproxy.cfg');
  copyFileSync(file, path.join(folder, 'haproxy.cfg'));
  const log = path.join(folder, 'haproxy.log');
  startDaemon('haproxy', ['-db', '-f', 'haproxy.cfg'], { env, cwd: folder, log });
  return { port, http };
}

function isLeader(started: Started | undefined): Promise<boolean> {
  return started ? answers(started.api, '/primary') : Promise.resolve(false);
}

async function answers(port: number, url: string): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}${url}`, {
      signal: AbortSignal.timeout(2_000),
    });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

function isFollowed(url: string): Promise<boolean> {
  return withClient(url, async (client) => {
    const { rowCount } = await client.query(
      `select from pg_stat_replication where state = 'streaming'`,
    );
    return rowCount !== 0;
  }).catch(() => false);
}

/** Runs `work` on a connection of its own. */
export async function withClient<Result>(
  connectionString: string,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => {});
  }
}
