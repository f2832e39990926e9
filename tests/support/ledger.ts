import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify';
import { type Logger, pino } from 'pino';
import type pg from 'pg';
import { buildApp } from '../../src/app.ts';
import { type Config, readConfig } from '../../src/config.ts';
import type { Role } from '../../src/domain/api-keys.ts';
import { issueKey } from '../../src/access/api-keys.ts';
import { createSeries } from '../../src/ledger/series.ts';
import { SAMPLE_SERIES } from '../../src/http/openapi/examples.ts';
import type { Resolve } from '../../src/outbound/addresses.ts';
import { newSeries } from '../../src/api/schemas/series.ts';
import { parse } from '../../src/http/validation.ts';
import { ChangeFeed } from '../../src/postgres/change-feed.ts';
import { loadSamples } from '../../src/first-start.ts';
import { createDatabase, openDatabase, serviceUrl, throughPooler } from './database.ts';
import { assertDescribed } from './openapi.ts';

export const SLUG = 'russell-2000-downside';

/** A service on a database of its own, with the sample in it and a key of each role. */
export type TestLedger = {
  /** Connections as the owner of the tables. */
  pool: pg.Pool;
  /** The service's connections, as its own role. */
  servicePool: pg.Pool;
  app: FastifyInstance;
  feed: ChangeFeed;
  url: string;
  keys: Record<Role, string>;
  /** The service's clock; it stands still until it is set. */
  clock: { now: Date };
  /** Injects a request; with `as`, under a key of that role. Checks the answer by the document. */
  call: (options: InjectOptions & { as?: Role }) => Promise<LightMyRequestResponse>;
  /** Revises the sample's probabilities as its analyst. */
  revise: (body: unknown, headers?: Record<string, string>) => Promise<LightMyRequestResponse>;
  close: () => Promise<void>;
};

/** The service on a database, with a change feed that is not started: nothing is served from memory. */
export function buildSilentApp(
  pool: pg.Pool,
  { requireKeyForReads = false, now = () => new Date(), logger = pino({ level: 'silent' }) } = {},
): Promise<FastifyInstance> {
  return buildApp({
    config: {
      // How much work a request is depends on the machine.
      ...readConfig({ WORK_PER_ADDRESS: '0', WORK_PER_KEY: '0' }),
      requireKeyForReads,
      cacheMaxBytes: 0,
    },
    pool,
    feed: new ChangeFeed(pool, () => {}),
    now,
    logger,
  });
}

const SETTINGS = {
  CACHE_MAX_BYTES: '4194304',
  STREAMS_PER_ADDRESS: '20',
  // Tests compare headers; what an address may still ask for differs each time.
  RATE_LIMIT_PER_ADDRESS: '0',
  RATE_LIMIT_PER_KEY: '0',
  // How much work a request is depends on the machine.
  WORK_PER_ADDRESS: '0',
  WORK_PER_KEY: '0',
};

const START = new Date('2026-11-20T16:00:00.000Z');

type Prepared = { template: string; keys: Record<Role, string> };
const prepared = new Map<boolean, Promise<Prepared>>();

/** What every ledger of this worker starts with, made once: cloning it is ten times faster. */
function preparedDatabase(samples: boolean): Promise<Prepared> {
  const known = prepared.get(samples);
  if (known) return known;
  const preparing = prepareDatabase(samples);
  prepared.set(samples, preparing);
  return preparing;
}

async function prepareDatabase(samples: boolean): Promise<Prepared> {
  const template = await createDatabase();
  const pool = openDatabase(template, 1);
  if (samples) await loadSamples(pool, START);
  else
    for (const sample of SAMPLE_SERIES.series)
      await createSeries(pool, parse(newSeries, sample), 'all', START);
  const issue = async (role: Role) =>
    (await issueKey(pool, { name: `${role} desk`, role, expiresAt: null }, START)).key;
  const keys = {
    analyst: await issue('analyst'),
    feed: await issue('feed'),
    admin: await issue('admin'),
  };
  await pool.end();
  return { template, keys };
}

export async function startLedger({
  samples = true,
  followsEvents = true,
  through,
  // Of the examples there are none.
  resolve = async () => [{ address: '93.184.216.34', family: 4 }],
  logger = pino({ level: 'silent' }),
  ...settings
}: Partial<Config> & {
  samples?: boolean;
  followsEvents?: boolean;
  /** Another address of the database, which the service uses. */
  through?: (url: string) => Promise<string>;
  /** How names of webhooks are looked up. */
  resolve?: Resolve;
  logger?: Logger;
} = {}): Promise<TestLedger> {
  const { template, keys } = await preparedDatabase(samples);
  const url = await createDatabase({ from: template });
  const ownerUrl = through ? await through(url) : url;
  const pool = openDatabase(ownerUrl);
  const servicePool = openDatabase(
    through ? serviceUrl(ownerUrl) : throughPooler(serviceUrl(ownerUrl)),
  );
  const clock = { now: new Date(START) };
  const now = () => clock.now;
  const feed = new ChangeFeed(servicePool, () => {});
  if (followsEvents) await feed.start();
  const app = await buildApp({
    config: { ...readConfig(SETTINGS), ...settings },
    pool: servicePool,
    feed,
    now,
    resolve,
    logger,
  });
  const call: TestLedger['call'] = async ({ as, ...options }) => {
    const authorization = as && { authorization: `Bearer ${keys[as]}` };
    const response = await app.inject({
      ...options,
      headers: { ...authorization, ...options.headers },
    });
    assertDescribed(options, response);
    return response;
  };
  return {
    pool,
    servicePool,
    feed,
    app,
    url,
    keys: { ...keys },
    clock,
    call,
    revise: (body, headers = {}) =>
      call({
        method: 'POST',
        url: `/v1/outlooks/${SLUG}/revisions`,
        as: 'analyst',
        headers: { 'content-type': 'application/json', ...headers },
        payload: typeof body === 'string' ? body : JSON.stringify(body),
      }),
    close: async () => {
      await app.close();
      await feed.close();
      await Promise.all([pool.end(), servicePool.end()]);
    },
  };
}
