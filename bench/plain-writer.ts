// The cost of a revision without HTTP: a loop of the statements that the service runs for one, on a pool like the
// service's, without decisions and responses.
import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { connect, inTransaction } from '../src/postgres/pool.ts';
import type { Connection } from '../src/postgres/embedded/server.ts';
import { appendAuditRows, auditRows, localWrite } from '../src/access/audit-log.ts';
import { APPEND_VERSIONS } from '../src/ledger/append-version.ts';
import { LOCK_HEADS } from '../src/ledger/locked-outlooks.ts';
import { keyHash } from '../src/domain/api-keys.ts';
import { type Figures, percentiles } from './figures.ts';
import { FIND_KEYS } from '../src/access/api-keys.ts';
import { type BasisPoints, PLAIN_SPLITS, RATIONALE } from './revision-bodies.ts';
import { answerJobs } from './workers.ts';

export type PlainJob = {
  connection: Connection;
  /** The key that each revision looks up. */
  key: string;
  /** The slugs that each loop revises in turn. */
  dealt: string[][];
  seconds: number;
  /** Seconds of warm-up, which are not counted. */
  warmUp: number;
};

// Includes the audit entry, so that it has every statement that the service needs.
const APPEND = {
  name: 'append-audited',
  text: APPEND_VERSIONS.text.replace(/^with /, `with audit as (${appendAuditRows('$3')}), `),
};

/** The default of DATABASE_POOL_MAX. */
const POOL_MAX = 10;

answerJobs(async (job: PlainJob): Promise<Figures> => {
  const pool = connect({ ...job.connection, max: POOL_MAX }, () => {});
  try {
    await reviseFor(pool, job, job.warmUp);
    return await reviseFor(pool, job, job.seconds);
  } finally {
    await pool.end();
  }
});

async function reviseFor(
  pool: pg.Pool,
  { key, dealt }: PlainJob,
  seconds: number,
): Promise<Figures> {
  const latencies: number[] = [];
  const hash = keyHash(key);
  const cpu = process.cpuUsage();
  const began = performance.now();
  const ends = began + seconds * 1000;
  const loop = async (slugs: string[]) => {
    for (let turn = 0; performance.now() < ends; turn += 1) {
      const from = performance.now();
      await revise(pool, hash, slugs[turn % slugs.length] ?? '');
      latencies.push(performance.now() - from);
    }
  };
  await Promise.all(dealt.map(loop));
  const elapsed = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  const requests = latencies.length;
  return {
    requests,
    rate: (requests * 1000) / elapsed,
    ...percentiles(latencies),
    cpu: (user + system) / 1000 / requests,
    generator: (user + system) / 1000 / elapsed,
  };
}

type Standing = BasisPoints & { id: number; version: number; framework_id: number; hash: string };

async function revise(pool: pg.Pool, keyHash: Buffer, slug: string): Promise<void> {
  const keys = await pool.query<{ analystId: string }>({ ...FIND_KEYS, values: [[keyHash]] });
  const author = keys.rows[0]?.analystId;
  await inTransaction(pool, async (session) => {
    const { rows } = await session.query<Standing>({ ...LOCK_HEADS, values: [[slug]] });
    const standing = rows[0];
    if (!standing) throw new Error(`there is no outlook "${slug}"`);
    const [first, second] = PLAIN_SPLITS;
    const next = standing.bear === first.bear && standing.base === first.base ? second : first;
    const version = { outlook_id: standing.id, version: standing.version + 1 };
    const row = {
      ...version,
      kind: 'probabilities',
      framework_id: standing.framework_id,
      ...next,
      author_id: author,
      rationale: RATIONALE,
      recorded_at: new Date(),
      hash: randomBytes(32).toString('hex'),
      previous_hash: standing.hash.slice('sha256:'.length),
    };
    const data = { kind: 'probabilities', probabilities: next, deltas: next };
    const event = { ...version, kind: 'outlook.version.published', data };
    const subject = `/v1/outlooks/${slug}/versions/${row.version}`;
    const about = { subject, summary: 'Published the version' };
    const audit = localWrite(`/v1/outlooks/${slug}/revisions`, about, row.recorded_at);
    await session.query({
      ...APPEND,
      values: [JSON.stringify([row]), JSON.stringify([event]), auditRows([audit])],
    });
  });
}
