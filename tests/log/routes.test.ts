import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFirstGeneration } from '../../src/log/generations.ts';
import { extendTree, growTree } from '../../src/log/tree.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { checkTiles } from '../support/naive-log.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

const get = (path: string, headers: Record<string, string> = {}) =>
  ledger.call({ url: `/log/1/${path}`, headers });

const read = async (path: string) => {
  const response = await get(path);
  expect(response.statusCode, path).toBe(200);
  expect(response.headers['content-type'], path).toBe('application/octet-stream');
  return response.rawPayload;
};

const state = async () => (await ledger.call({ url: '/v1/log' })).json();

/** Extends the tree to exactly this size. */
async function growTo(size: number): Promise<void> {
  const { size: now } = await state();
  const wanted = size - now;
  if (wanted > 0) {
    await ledger.pool.query(
      `insert into events (kind, outlook_id, version, data, recorded_at)
        select 'evidence.added', 1, 1, '{}', now() from generate_series(1, ${wanted})`,
    );
    await ledger.pool.query('select sequence_events()');
    await extendTree(ledger.servicePool, wanted);
  }
  expect(await state()).toMatchObject({ size });
}

test('before the first generation, the log is not there yet', async () => {
  const response = await ledger.call({ url: '/v1/log' });
  expect(response.statusCode).toBe(503);
  expect(response.headers['retry-after']).toBe('1');
  expect((await get('tile/0/000.p/1')).statusCode).toBe(404);
});

describe('a log that is not signed', () => {
  beforeAll(() => startFirstGeneration(ledger.servicePool, 'outlooks.example', ledger.clock.now));

  test('says what it is', async () => {
    expect(await state()).toEqual({
      generation: 1,
      origin: 'outlooks.example/log/1',
      size: 0,
      root: '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
      signed: false,
      checkpoint: null,
      vkey: null,
      witnesses: [],
      generations: [
        {
          generation: 1,
          origin: 'outlooks.example/log/1',
          startedAt: ledger.clock.now.toISOString(),
          agreedSize: null,
          statement: null,
        },
      ],
      rowsFirstDigestedAt: null,
    });
  });

  test.each([0, 1, 255, 256, 257, 600])(
    'of %i leaves can be recomputed from its entries',
    async (size) => {
      await growTo(size);
      const { root } = await state();
      const entries = await checkTiles(read, size, Buffer.from(root, 'base64'));
      for (const entry of entries) {
        expect(entry.toString()).toMatch(/^\{"v":1,"commitment":"[\w+/]{43}="\}$/);
      }
      const widths = [size % 256, Math.floor(size / 256)];
      for (const [level, width] of widths.entries()) {
        const number = level === 0 ? `00${Math.floor(size / 256)}` : '000';
        const path = `tile/${level}/${number}`;
        expect((await get(`${path}.p/${width + 1}`)).statusCode).toBe(404);
        expect((await get(path)).statusCode).toBe(404);
      }
    },
  );

  test('keeps the narrower tiles of smaller trees', async () => {
    const full = await read('tile/0/000');
    expect(full).toHaveLength(8192);
    for (const width of [1, 13, 255]) {
      expect(await read(`tile/0/000.p/${width}`)).toEqual(full.subarray(0, 32 * width));
    }
    // As clients send it that were generated from the document.
    expect(await read('tile/0/000.p%2F13')).toEqual(full.subarray(0, 32 * 13));
    const bundle = await read('tile/entries/000');
    const part = await read('tile/entries/000.p/13');
    expect(part).toEqual(bundle.subarray(0, part.length));
  });

  test('may be stored by any cache for good', async () => {
    for (const path of ['tile/0/000', 'tile/0/001.p/3', 'tile/1/000.p/2', 'tile/entries/001']) {
      const { headers, rawPayload } = await get(path);
      expect(headers['cache-control']).toBe('public, max-age=31536000, immutable');
      const etag = String(headers.etag);
      expect((await get(path, { 'if-none-match': etag })).statusCode).toBe(304);
      const head = await ledger.call({ method: 'HEAD', url: `/log/1/${path}` });
      expect(head.headers).toMatchObject({ 'content-length': String(rawPayload.length), etag });
    }
    const missing = await get('tile/0/009');
    expect(missing.headers['cache-control']).toBe('no-store');
    expect(missing.json()).toMatchObject({ type: '/problems/not-found', status: 404 });
  });

  test('compresses entries, and no hashes', async () => {
    const gzip = { 'accept-encoding': 'gzip' };
    const entries = await get('tile/entries/000', gzip);
    expect(entries.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(entries.rawPayload)).toEqual(await read('tile/entries/000'));
    const hashes = await get('tile/0/000', gzip);
    expect(hashes.headers['content-encoding']).toBeUndefined();
    expect(hashes.rawPayload).toHaveLength(8192);
  });

  test.each([
    'tile/0/0',
    'tile/0/0000',
    'tile/00/000',
    'tile/0/x000/000',
    'tile/0/000/',
    'tile/0/000.p/0',
    'tile/0/000.p/01',
    'tile/0/000.p/256',
    'tile/0/000.p/-1',
    'tile/0/000.p',
    'tile/0/002.p/89',
    'tile/64/000',
    'tile/2/000.p/1',
    'tile/data/000',
    'tile/entries/0',
    'tile/entries/x999/x999/x999/x999/999',
    'tile/0',
    'tile',
    'tiles/0/000',
    'entries/000',
  ])('has nothing at %s', async (path) => {
    const response = await get(path);
    expect(response.statusCode).toBe(404);
    expect(response.json()).toMatchObject({ status: 404 });
  });

  test.each(['0', '2', '01', '1.0', '99999999999999999999', 'one', '%00', '1%00'])(
    'has no generation %s',
    async (generation) => {
      for (const path of ['tile/0/000', 'checkpoint']) {
        const { statusCode } = await ledger.call({ url: `/log/${generation}/${path}` });
        expect(statusCode, path).toBe(404);
      }
    },
  );

  test('takes no query and no other method', async () => {
    expect((await get('tile/0/000?width=3')).statusCode).toBe(422);
    const posted = await ledger.call({ method: 'POST', url: '/log/1/tile/0/000' });
    expect(posted.statusCode).toBe(405);
  });
});

test('a signed log serves what its newest checkpoint covers', async () => {
  const { size, root } = await state();
  await ledger.pool.query(
    `insert into log_checkpoints (generation, size, root, note, vkeys, signed_at)
      values (1, $1, $2, 'note', '{vkey}', now())`,
    [size, Buffer.from(root, 'base64')],
  );
  await ledger.pool.query(
    `insert into events (kind, outlook_id, version, data, recorded_at)
      select 'evidence.added', 1, 1, '{}', now() from generate_series(1, 5)`,
  );
  await ledger.pool.query('select sequence_events()');
  await growTree(ledger.servicePool);
  expect(await state()).toMatchObject({
    size,
    root,
    signed: true,
    checkpoint: '/log/1/checkpoint',
    vkey: 'vkey',
  });
  const width = size % 256;
  for (const kind of ['0', 'entries']) {
    expect((await get(`tile/${kind}/002.p/${width}`)).statusCode).toBe(200);
    const beyond = await get(`tile/${kind}/002.p/${width + 1}`);
    expect(beyond.statusCode).toBe(404);
    expect(beyond.json().detail).toContain(`has ${size} leaves`);
  }
});

test('is open to all where reads need a key', async () => {
  const closed = await startLedger({ requireKeyForReads: true, followsEvents: false });
  try {
    await startFirstGeneration(closed.servicePool, null, closed.clock.now);
    await closed.pool.query('select sequence_events()');
    await growTree(closed.servicePool);
    expect((await closed.call({ url: '/v1/outlooks' })).statusCode).toBe(401);
    const { size } = (await closed.call({ url: '/v1/log' })).json();
    expect(size).toBeGreaterThan(5);
    for (let turn = 0; turn < 2; turn += 1) {
      const tile = await closed.call({ url: `/log/1/tile/entries/000.p/${size}` });
      expect(tile.statusCode).toBe(200);
      expect(tile.headers['cache-control']).toBe('public, max-age=31536000, immutable');
      expect(tile.headers.vary).not.toContain('Authorization');
    }
  } finally {
    await closed.close();
  }
});

test('an instance without the key serves of a log that has a second generation only what is signed', async () => {
  await ledger.pool.query(
    `insert into log_generations (generation, origin, started_at, after_position, previous_size, previous_root, salt,
       content, commitment)
     values (2, 'outlooks.example/log/2', now(), 300, 300, sha256(''), sha256('salt'),
       '{"previous":{"agreed":300}}', sha256('commitment'))`,
  );
  await ledger.pool.query('select sequence_events()');
  await growTree(ledger.servicePool);
  expect(await state()).toMatchObject({ generation: 2, signed: false, size: 0 });
  const serves = async (generation: number) =>
    (await ledger.call({ url: `/log/${generation}/tile/0/000.p/7` })).statusCode;
  expect(await serves(1)).toBe(200);
  expect(await serves(2)).toBe(404);
  // A restore of a backup from before the log: what was signed of generation 1 was of another tree.
  await ledger.pool.query(`set session_replication_role = replica; delete from log_checkpoints;
    reset session_replication_role`);
  expect((await ledger.call({ url: '/log/1/tile/0/000.p/8' })).statusCode).toBe(404);
});
