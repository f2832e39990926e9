import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readFileSync } from 'node:fs';
import { commitmentOf, entryOf } from '../../src/domain/log-entries.ts';
import {
  EMPTY_ROOT,
  hashLeaf,
  inclusionProof,
  verifyInclusion,
} from '../../src/domain/merkle-tree.ts';
import { newestCheckpoint } from '../../src/log/checkpoints.ts';
import { newestGeneration } from '../../src/log/generations.ts';
import { lockLog } from '../../src/log/locks.ts';
import {
  isStartInterrupted,
  planGeneration,
  publishLastSigned,
  allowSigning,
  startGeneration,
} from '../../src/log/new-generation.ts';
import { readState, type SigningKey } from '../../src/log/signing-key.ts';
import { treeReader } from '../../src/log/tree.ts';
import { inTransaction } from '../../src/postgres/pool.ts';
import {
  closeLog,
  grow,
  HOST,
  type Log,
  newKey,
  openLog,
  removeFiles,
  reopenLog,
  signOnce,
} from '../support/signing.ts';

/** A ledger, and a copy of it from before its last signature: what a restore, or a failover that lost commits, leaves. */
let lost: Log;
let log: Log;
let key: SigningKey;
let last: { size: number; root: Buffer };
let published: number;

beforeAll(async () => {
  key = await newKey();
  const before = await openLog();
  await grow(before, 3);
  await signOnce(before, [key]);
  published = (await newestCheckpoint(before.pool, 1))?.size ?? 0;
  await grow(before, 2); // these leaves are in the copy, but were not signed yet
  await closeLog(before);
  log = await openLog(before.url);
  lost = await reopenLog(before.url);
  await grow(lost, 2);
  await signOnce(lost, [key]);
  const generation = await newestGeneration(lost.pool);
  last = { size: generation?.size ?? 0, root: generation?.root ?? EMPTY_ROOT };
});
afterAll(async () => {
  await Promise.all([lost, log].map(closeLog));
  removeFiles();
});

async function plan(of: Log) {
  const current = await newestGeneration(of.pool);
  if (!current) throw new Error('the log has no generation');
  return { current, plan: await planGeneration(of.pool, current, { keys: [key], host: HOST }) };
}

async function startNext(of: Log): Promise<void> {
  const { current, plan: next } = await plan(of);
  const now = new Date();
  await inTransaction(of.pool, async (session) => {
    await lockLog(session);
    await publishLastSigned(session, current, next, { keys: [key], now });
    await startGeneration(session, next, now);
  });
}

describe('a ledger that went back', () => {
  test('may have forgotten a generation that its key knows no more: the operator names a later one', async () => {
    const current = await newestGeneration(log.pool);
    if (!current) throw new Error('the log has no generation');
    const forgetful = { keys: [await newKey()], host: HOST };
    expect(await planGeneration(log.pool, current, forgetful)).toMatchObject({ generation: 2 });
    expect(await planGeneration(log.pool, current, { ...forgetful, least: 3 })).toMatchObject({
      generation: 3,
      origin: `${HOST}/log/3`,
      afterPosition: published,
    });
    expect(await planGeneration(log.pool, current, { ...forgetful, least: 1 })).toMatchObject({
      generation: 2,
    });
  });

  test('is not signed, whether its tree is smaller than what was signed or has other leaves', async () => {
    const state = readFileSync(`${key.file}.state`, 'utf8');
    const smaller = await signOnce(log, [key]);
    expect(smaller.fault).toEqual({
      state: 'forked',
      reason: `The log has ${last.size - 2} leaves, and ${last.size} were signed: the ledger went back to an earlier state; see docs/operate/runbooks/log-forked.md`,
    });
    for (const events of [2, 3]) {
      await grow(log, events);
      expect((await signOnce(log, [key])).fault).toMatchObject({
        state: 'forked',
        reason: expect.stringContaining(
          `The first ${last.size} leaves of the log are not`,
        ) as string,
      });
    }
    expect(readFileSync(`${key.file}.state`, 'utf8')).toBe(state);
    expect((await newestCheckpoint(log.pool, 1))?.size).toBe(published);
  });

  test('goes on in a new generation, whose leaf 0 says what it follows', async () => {
    const { plan: next } = await plan(log);
    expect(next).toEqual({
      previous: { ...last, origin: `${HOST}/log/1`, agreed: published },
      generation: 2,
      origin: `${HOST}/log/2`,
      afterPosition: published,
    });
    await startNext(log);

    // The process dies before it tells the key: nothing is signed, and the command goes on from here.
    await grow(log, 0);
    expect((await signOnce(log, [key])).fault?.state).toBe('forked');
    const current = await newestGeneration(log.pool);
    if (!current) throw new Error('no generation');
    expect(await isStartInterrupted(log.pool, current, [key])).toBe(true);
    await allowSigning(current.origin, [key]);
    expect((await readState(key)).head).toEqual({
      origin: `${HOST}/log/2`,
      size: 0,
      root: EMPTY_ROOT,
    });

    await grow(log, 1);
    expect((await signOnce(log, [key])).fault).toBeNull();
    const checkpoint = await newestCheckpoint(log.pool, 2);
    const { rows } = await log.pool.query<{ salt: Buffer; content: string }>(
      'select salt, content from log_generations where generation = 2',
    );
    const [statement = { salt: EMPTY_ROOT, content: '' }] = rows;
    expect(JSON.parse(statement.content)).toEqual({
      after: published,
      at: expect.any(String) as string,
      kind: 'log.generation.started',
      previous: {
        agreed: published,
        origin: `${HOST}/log/1`,
        root: last.root.toString('base64'),
        size: last.size,
      },
      v: 1,
    });
    const size = checkpoint?.size ?? 0;
    const leafHash = hashLeaf(entryOf(commitmentOf(statement.salt, statement.content)));
    const proof = await inclusionProof(0, size, treeReader(log.pool, 2));
    expect(
      verifyInclusion({ index: 0, size, leafHash, proof, root: checkpoint?.root ?? EMPTY_ROOT }),
    ).toBe(true);
    const { rows: events } = await log.pool.query<{ count: number }>(
      'select max(coalesce(log_position, position)) as count from events',
    );
    expect(size).toBe((events[0]?.count ?? 0) - published + 1);
  });

  test('keeps the last checkpoint of the old generation, and gets no other', async () => {
    expect((await newestCheckpoint(log.pool, 1))?.size).toBe(published);
    const insert = `insert into log_checkpoints (generation, size, root, note, vkeys, signed_at)
      values (1, $1, $2, 'x', '{}', now())`;
    await expect(log.pool.query(insert, [published + 1, last.root])).rejects.toThrow(
      'a checkpoint is of the tree of the newest generation',
    );
    await expect(
      log.pool.query('delete from log_checkpoints where generation = 1'),
    ).rejects.toThrow('the newest checkpoint stays');
  });

  test('never reuses the number of a generation, even if the ledger has lost it', async () => {
    // The key has signed generation 2, of which the other ledger knows nothing.
    expect((await signOnce(lost, [key])).fault).toMatchObject({
      state: 'forked',
      reason: expect.stringContaining(`The key last signed the log ${HOST}/log/2`) as string,
    });
    const { plan: next } = await plan(lost);
    const size = (await newestCheckpoint(log.pool, 2))?.size;
    expect(next).toMatchObject({
      previous: { origin: `${HOST}/log/2`, size, agreed: 0 },
      generation: 3,
      origin: `${HOST}/log/3`,
      afterPosition: 0,
    });
    await startNext(lost);
    await allowSigning(next.origin, [key]);
    await grow(lost, 1);
    expect((await signOnce(lost, [key])).fault).toBeNull();
    const { rows: events } = await lost.pool.query<{ count: number }>(
      'select max(coalesce(log_position, position)) as count from events',
    );
    expect((await newestCheckpoint(lost.pool, 3))?.size).toBe((events[0]?.count ?? 0) + 1);
  });

  test('agrees on the leaves of a later generation if it went back within that', async () => {
    const size = (await newestCheckpoint(lost.pool, 3))?.size ?? 0;
    const { plan: next } = await plan(lost);
    expect(next).toMatchObject({
      previous: { origin: `${HOST}/log/3`, size, agreed: size },
      generation: 4,
      afterPosition: size - 1,
    });
  });
});
