import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { afterAll, expect, test } from 'vitest';
import { hashVersion } from '../../src/domain/hash-chain.ts';
import type { Probabilities } from '../../src/domain/probabilities.ts';
import { startFirstGeneration } from '../../src/log/generations.ts';
import { growTree } from '../../src/log/tree.ts';
import { databaseSettings } from '../support/database.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { publish } from '../support/outlooks.ts';
import { openSession } from '../support/plain-sql.ts';
import { cleanUp, run } from '../support/service.ts';

/** How many events the ledger has: revisions, of some outlooks. */
const EVENTS = Number(process.env['VERIFIED_EVENTS'] ?? 1_000_000);
const OUTLOOKS = 20;
const START = Date.parse('2026-11-20T16:00:01.000Z');
/** The most memory that the verification may take, in MiB, however many events there are. */
const MEMORY = 400;

afterAll(cleanUp);

type Chain = {
  id: number;
  slug: string;
  frameworkId: number;
  frameworkHash: string;
  authorId: string;
  version: number;
  hash: string;
};

test(`verify reads ${EVENTS} events in minutes, and its memory stays flat`, async () => {
  const ledger = await startLedger({ followsEvents: false });
  await fill(ledger);
  const { url, pool } = ledger;
  await pool.query('select sequence_events()');
  await startFirstGeneration(pool, 'ledger.example', new Date());
  await pool.query('select sequence_events()');
  await timed('tree', () => growTree(pool));
  await ledger.close();
  const verified = await timed('verification', () => verify(url));
  expect(verified.stdout).toMatch(/^Verified versions: \d+\. All are as the ledger wrote them\.$/m);
  expect(verified.stdout).toMatch(/^Verified rows: \d+\. All are as the log has them\.$/m);
  expect(verified.code).toBe(0);
  expect(verified.peak).toBeLessThan(MEMORY);
});

/** Runs `npm run verify`, and returns the most memory that it took, in MiB. */
async function verify(url: string) {
  const program = run('commands/verify.js', [], databaseSettings(url));
  let peak = 0;
  const isRunning = (pid: number) => {
    const now = residentOf(pid);
    peak = Math.max(peak, now ?? 0);
    return now !== null;
  };
  while (isRunning(program.pid)) await Promise.race([program.ended, delay(100)]);
  const { code } = await program.ended;
  console.info(`${program.stderr()}${program.stdout()}peak memory of the process: ${peak} MiB`);
  return { code, stdout: program.stdout(), peak };
}

function residentOf(pid: number): number | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(status) ?? [];
    return kilobytes === undefined ? null : Math.round(Number(kilobytes) / 1024);
  } catch {
    return null; // it has ended
  }
}

async function timed<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
  const began = performance.now();
  const result = await work();
  console.info(`${what}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return result;
}

/** Adds versions and their events by COPY, and what the triggers would have written with them. */
async function fill(ledger: TestLedger): Promise<void> {
  await publish(ledger, ...Array.from({ length: OUTLOOKS - 1 }, (_, index) => `outlook-${index}`));
  await ledger.pool.query('select sequence_events()');
  const owner = await openSession(ledger.url);
  await owner.query('set session_replication_role = replica; set synchronous_commit = off');
  const { rows: chains } = await owner.query<Chain>(
    `select o.id::int, o.slug, o.framework_id::int as "frameworkId", 'sha256:' || encode(f.hash, 'hex') as "frameworkHash",
        v.author_id as "authorId", 1 as version, 'sha256:' || encode(o.hash, 'hex') as hash
       from outlooks o join frameworks f on f.id = o.framework_id join outlook_versions v on v.outlook_id = o.id and v.version = 1`,
  );
  await timed('COPY', () => copyVersions(owner, chains));
  await timed('digests and openings', () => owner.query(DIGEST));
  await owner.query('vacuum (analyze)');
  await owner.end();
}

async function copyVersions(owner: pg.Client, chains: Chain[]): Promise<void> {
  const columns = `outlook_id, version, kind, framework_id, bear_bps, base_bps, bull_bps, author_id, rationale,
    recorded_at, hash, previous_hash`;
  const copy = (table: string, lines: Iterable<string>) =>
    pipeline(Readable.from(lines), owner.query(copyFrom(`copy ${table} from stdin`)));
  await copy(`outlook_versions (${columns})`, versionLines(chains));
  await owner.query(`
    insert into events (kind, outlook_id, version, data, recorded_at, position, log_position)
    select 'outlook.version.published', v.outlook_id, v.version, jsonb_build_object('kind', v.kind,
          'probabilities', jsonb_build_object('bear', v.bear_bps / 10000.0, 'base', v.base_bps / 10000.0, 'bull', v.bull_bps / 10000.0),
          'deltas', jsonb_build_object('bear', (v.bear_bps - b.bear_bps) / 10000.0, 'base', (v.base_bps - b.base_bps) / 10000.0,
            'bull', (v.bull_bps - b.bull_bps) / 10000.0)), v.recorded_at,
        (select max(position) from events) + row_number() over (order by v.version, v.outlook_id),
        (select max(log_position) from events) + row_number() over (order by v.version, v.outlook_id)
      from outlook_versions v
      join outlook_versions b on b.outlook_id = v.outlook_id and b.version = v.version - 1
     order by v.version, v.outlook_id;
    update outlooks o set latest_version = v.version, published_at = v.recorded_at, hash = v.hash,
        bear_bps = v.bear_bps, base_bps = v.base_bps, bull_bps = v.bull_bps
      from (select distinct on (outlook_id) * from outlook_versions order by outlook_id, version desc) v
     where v.outlook_id = o.id`);
}

function* versionLines(chains: Chain[]): Generator<string> {
  for (let index = 0; index < EVENTS; index += 1) {
    const chain = chains[index % chains.length] as Chain;
    chain.version += 1;
    const bear = 3_000 + (chain.version % 2);
    const points = { bear, base: 7_500 - bear, bull: 2_500 };
    const previousHash = chain.hash;
    const publishedAt = new Date(START + index * 10);
    const rationale = `Revision ${index}.`;
    const kind = 'probabilities';
    const probabilities = points as unknown as Probabilities;
    chain.hash = hashVersion({
      ...chain,
      kind,
      publishedAt,
      rationale,
      probabilities,
      previousHash,
    });
    yield `${[
      chain.id,
      chain.version,
      kind,
      chain.frameworkId,
      ...Object.values(points),
      chain.authorId,
      rationale,
      publishedAt.toISOString(),
      bytea(chain.hash),
      bytea(previousHash),
    ].join('\t')}\n`;
  }
}

const bytea = (hash: string) => `\\\\x${hash.slice('sha256:'.length)}`;

/** A write for each version, with its row. */
const DIGEST = `
  set timezone = 'UTC'; set datestyle = 'ISO'; set work_mem = '256MB';
  create temporary table written as
  select e.id, e.recorded_at, o.slug, e.version, v.author_id, a.name,
      (select max(write_id) from row_digests) + row_number() over (order by e.position) as write_id,
      row_key(v) as version_key, sha256(int8send(e.id)) as version_salt,
      row_hash(row_salt(sha256(int8send(e.id)), 0), row_text(v)) as version_hash
    from events e join outlook_versions v on v.outlook_id = e.outlook_id and v.version = e.version
    join outlooks o on o.id = e.outlook_id join analysts a on a.id = v.author_id
   where e.kind = 'outlook.version.published';
  insert into row_digests
  select write_id, 1, 'outlook_versions', 'insert', array[version_key], version_salt, version_hash from written;
  insert into openings (event_id, write_id, salt, content, commitment)
  select id, write_id, version_salt, content, commitment_of(version_salt, content)
    from (select *, '{"at":"' || to_char(recorded_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '","by":{"id":"' || author_id || '","name":'
        || to_json(name) || '},"kind":"outlook.version.published","rows":{"count":1,"root":"'
        || encode(version_hash, 'base64') || '"},"subject":"/v1/outlooks/' || slug
        || '/versions/' || version || '","v":1}' as content from written) w;
  select setval('writes_id_seq', (select max(write_id) from row_digests))`;
