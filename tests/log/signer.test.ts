import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rootAt } from '../../src/domain/merkle-tree.ts';
import {
  parseCheckpointText,
  parseNote,
  parseVkey,
  verifySignature,
  vkeyOf,
} from '../../src/domain/signed-note.ts';
import { adoptCheckpoint } from '../../src/log/adopt.ts';
import { newestCheckpoint } from '../../src/log/checkpoints.ts';
import { newestGeneration } from '../../src/log/generations.ts';
import { signingState } from '../../src/log/signer.ts';
import {
  createSigningKey,
  openSigningKeys,
  readSigningKey,
  readState,
  replaceState,
  signedNote,
  type SigningKey,
} from '../../src/log/signing-key.ts';
import { treeReader } from '../../src/log/tree.ts';
import {
  closeLog,
  grow,
  HOST,
  type Log,
  newFile,
  newKey,
  openLog,
  removeFiles,
  signOnce,
} from '../support/signing.ts';

let log: Log;
beforeAll(async () => {
  log = await openLog();
});
afterAll(async () => {
  await closeLog(log);
  removeFiles();
});

const ORIGIN = `${HOST}/log/1`;

async function newest(of: Log = log) {
  const generation = await newestGeneration(of.pool);
  return newestCheckpoint(of.pool, generation?.generation ?? 0);
}

/** The signatures of a note that a key made, by its vkey. */
function isSignedWith(note: string, key: SigningKey, origin = ORIGIN): boolean {
  const parsed = parseNote(note);
  const vkey = parseVkey(vkeyOf(origin, key.publicKey));
  if (!parsed || !vkey) throw new Error('no note, or no vkey');
  return parsed.signatures.some((one) => verifySignature(parsed.text, one, vkey));
}

const stateOf = ({ file }: SigningKey): string => readFileSync(`${file}.state`, 'utf8');

describe('the file of a key', () => {
  test('is made once, for its user alone, and read again', async () => {
    const file = newFile();
    const made = await openSigningKeys({ keyFiles: [file], makesKey: true });
    const read = await openSigningKeys({ keyFiles: [file], makesKey: true });
    expect(read[0]?.publicKey).toEqual(made[0]?.publicKey);
    expect([file, `${file}.state`].map((one) => statSync(one).mode & 0o777)).toEqual([
      0o600, 0o600,
    ]);
    await expect(createSigningKey(file, null)).rejects.toThrow('exists already');
  });

  test('gets no state file from a try to create it again', async () => {
    const key = await newKey();
    rmSync(`${key.file}.state`);
    const head = { origin: ORIGIN, size: 0, root: EMPTY };
    await expect(createSigningKey(key.file, head)).rejects.toThrow('exists already');
    await expect(readState(key)).rejects.toThrow('is missing');
  });

  test('may not be named twice', async () => {
    const { file } = await newKey();
    const link = `${file}.link`;
    symlinkSync(file, link);
    const opening = openSigningKeys({ keyFiles: [file, link], makesKey: false });
    await expect(opening).rejects.toThrow('is the same key');
  });

  test('is not replaced silently if it is lost', async () => {
    const key = await newKey();
    await replaceState(
      key,
      stateOf(key),
      signedNote({ origin: ORIGIN, size: 0, root: EMPTY }, [key]),
    );
    rmSync(key.file);
    const opening = openSigningKeys({ keyFiles: [key.file], makesKey: true });
    await expect(opening).rejects.toThrow('is gone, but its state file is there');
  });

  test('may be one of openssl, and nothing else', async () => {
    const file = newFile();
    const pemOf = (type: 'ed25519' | 'ed448') =>
      generateKeyPairSync(type as 'ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
    const reason = async (content: string | Buffer, mode = 0o600) => {
      writeFileSync(file, content);
      chmodSync(file, mode);
      return readSigningKey(file).then(
        () => null,
        (error: Error) => error.message.replace(file, 'FILE'),
      );
    };
    expect(await reason(pemOf('ed25519'))).toBeNull();
    expect(await reason(pemOf('ed25519'), 0o640)).toMatch(
      'open to other users (mode 0640): run chmod 600',
    );
    expect(await reason(pemOf('ed25519'), 0o604)).toMatch('open to other users (mode 0604)');
    expect(await reason(pemOf('ed448'))).toBe(
      'the signing key FILE is of the type ed448, not Ed25519',
    );
    const { publicKey } = generateKeyPairSync('ed25519');
    const spki = createPublicKey(publicKey.export({ type: 'spki', format: 'pem' }));
    expect(await reason(spki.export({ type: 'spki', format: 'pem' }))).toMatch(
      'is not a private key in PEM',
    );
    expect(await reason('secret')).toBe(
      'the signing key FILE is not a private key in PEM without a passphrase',
    );
    rmSync(file);
    await expect(readSigningKey(file)).rejects.toThrow('does not exist');
  });
});

const EMPTY = Buffer.from('47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=', 'base64');

test('a checkpoint has the head of the tree, one signature and no other lines', async () => {
  const key = await newKey();
  await grow(log, 2);
  expect(await signingState(log.pool, null)).toEqual({ state: 'unsigned' });
  const signer = await signOnce(log, [key]);
  expect(await signingState(log.pool, signer)).toEqual({ state: 'signing' });
  expect(await signingState(log.pool, null)).toEqual({ state: 'signed-elsewhere' });
  const generation = await newestGeneration(log.pool);
  const checkpoint = await newest();
  expect(generation?.size).toBeGreaterThanOrEqual(3);
  expect(checkpoint).toMatchObject({ size: generation?.size, root: generation?.root });
  const [text = '', signatures = ''] = checkpoint?.note.split('\n\n') ?? [];
  expect(text.split('\n')).toEqual([
    ORIGIN,
    String(generation?.size),
    generation?.root.toString('base64'),
  ]);
  expect(signatures.split('\n')).toHaveLength(2);
  expect(isSignedWith(checkpoint?.note ?? '', key)).toBe(true);
  expect(checkpoint?.vkeys).toEqual([vkeyOf(ORIGIN, key.publicKey)]);
  expect(stateOf(key)).toBe(checkpoint?.note);
  expect(statSync(`${key.file}.state`).mode & 0o777).toBe(0o600);
});

/** A log of its own, signed with a key of its own. */
async function signedLog(events = 3): Promise<{ log: Log; key: SigningKey }> {
  const own = await openLog();
  const key = await newKey();
  await grow(own, events);
  expect((await signOnce(own, [key])).fault).toBeNull();
  return { log: own, key };
}

describe('without its state file', () => {
  test.each([
    ['lost', null],
    ['cut off', `${ORIGIN}\n`],
    ['empty', ''],
    ['of nothing, although the log is signed', 'Nothing is signed yet.\n'],
    ['of another key', 'other'],
  ])('%s, a key signs nothing until the newest checkpoint is adopted', async (_, content) => {
    const { log: own, key } = await signedLog();
    try {
      const before = await newest(own);
      if (content === null) rmSync(`${key.file}.state`);
      else if (content !== 'other') writeFileSync(`${key.file}.state`, content);
      else {
        const head = parseCheckpointText(parseNote(stateOf(key))?.text ?? '');
        if (head) writeFileSync(`${key.file}.state`, signedNote(head, [await newKey()]));
      }
      await grow(own, 1);
      const refusing = await signOnce(own, [key]);
      expect(refusing.fault).toMatchObject({
        state: 'no-state',
        reason: expect.stringContaining('docs/operate/runbooks/log-key.md') as string,
      });
      expect(await newest(own)).toEqual(before);
      const generation = await newestGeneration(own.pool);
      if (!generation) throw new Error('no generation');
      expect(await adoptCheckpoint(own.pool, generation, key, false)).toBe(before?.size);
      expect(stateOf(key)).toBe(before?.note);
      expect(await adoptCheckpoint(own.pool, generation, key, false)).toBeNull();
      expect((await signOnce(own, [key])).fault).toBeNull();
      expect((await newest(own))?.size).toBe((before?.size ?? 0) + 1);
    } finally {
      await closeLog(own);
    }
  });

  test('a new key adopts the checkpoint of another only if it replaces that', async () => {
    const { log: own } = await signedLog();
    const next = await newKey();
    await grow(own, 1);
    expect((await signOnce(own, [next])).fault?.state).toBe('no-state');
    const generation = await newestGeneration(own.pool);
    if (!generation) throw new Error('no generation');
    const refusal = 'another key signed the newest checkpoint';
    await expect(adoptCheckpoint(own.pool, generation, next, false)).rejects.toThrow(refusal);
    expect(await adoptCheckpoint(own.pool, generation, next, true)).toBe(generation.size - 1);
    expect((await signOnce(own, [next])).fault).toBeNull();
    expect((await newest(own))?.vkeys).toEqual([vkeyOf(ORIGIN, next.publicKey)]);
    await closeLog(own);
  });
});

test('a checkpoint that was signed but not published before a crash is published', async () => {
  const { log: own, key } = await signedLog();
  await grow(own, 1);
  const head = await newestGeneration(own.pool);
  if (!head) throw new Error('no generation');
  const note = signedNote(head, [key]);
  await replaceState(key, stateOf(key), note);
  expect((await signOnce(own, [key])).fault).toBeNull();
  expect(await newest(own)).toMatchObject({ size: head.size, note });
  await closeLog(own);
});

test('while one key replaces another, both sign; then the new one goes on alone', async () => {
  const { log: own, key: old } = await signedLog();
  const signed = (await readState(old)).head;
  const next = await createSigningKey(newFile(), signed);
  await grow(own, 1);
  expect((await signOnce(own, [next, old])).fault).toBeNull();
  const both = await newest(own);
  expect([next, old].map((key) => isSignedWith(both?.note ?? '', key))).toEqual([true, true]);
  expect(both?.vkeys).toEqual([next, old].map(({ publicKey }) => vkeyOf(ORIGIN, publicKey)));
  expect([stateOf(next), stateOf(old)]).toEqual([both?.note, both?.note]);
  await grow(own, 1);
  expect((await signOnce(own, [next])).fault).toBeNull();
  const alone = await newest(own);
  expect([next, old].map((key) => isSignedWith(alone?.note ?? '', key))).toEqual([true, false]);
  await closeLog(own);
});

test('two processes with one key never sign two trees of one size', async () => {
  const key = await newKey();
  const logs = [await openLog(), await openLog()];
  const published = new Map<string, string>();
  const forked = new Set<number>();
  for (let round = 0; round < 15; round += 1) {
    await Promise.all(logs.map((one) => grow(one, 1)));
    // Two signers of each ledger, and two ledgers of one origin.
    const signers = await Promise.all([...logs, ...logs].map((one) => signOnce(one, [key])));
    for (const [index, { fault }] of signers.entries()) {
      if (fault !== null) forked.add(index % 2);
    }
    for (const checkpoint of await Promise.all(logs.map(newest))) {
      if (!checkpoint) continue;
      const { size, root } = checkpoint;
      const known = published.get(String(size)) ?? root.toString('hex');
      expect(root.toString('hex')).toBe(known);
      published.set(String(size), known);
    }
  }
  expect(published.size).toBeGreaterThan(5);
  const signers = await Promise.all(logs.map((one) => newest(one)));
  expect(signers.filter((one) => one !== null)).toHaveLength(1);
  expect(forked.size).toBe(1);
  expect(existsSync(`${key.file}.state.next`)).toBe(false);
  await Promise.all(logs.map(closeLog));
});

test('a draft of a process that died delays the next checkpoint, and no more', async () => {
  const { log: own, key } = await signedLog();
  await grow(own, 1);
  const before = await newest(own);
  writeFileSync(`${key.file}.state.next`, 'half');
  await signOnce(own, [key]);
  expect(await newest(own)).toEqual(before);
  const long = new Date(Date.now() - 60_000);
  (await import('node:fs')).utimesSync(`${key.file}.state.next`, long, long);
  await signOnce(own, [key]);
  expect((await signOnce(own, [key])).fault).toBeNull();
  expect((await newest(own))?.size).toBe((before?.size ?? 0) + 1);
  await closeLog(own);
});

test('a draft from before the clock was put back', async () => {
  const { log: own, key } = await signedLog();
  await grow(own, 1);
  const before = await newest(own);
  const draft = `${key.file}.state.next`;
  writeFileSync(draft, 'half');
  const future = new Date(Date.now() + 3_600_000);
  utimesSync(draft, future, future);
  await signOnce(own, [key]);
  expect((await signOnce(own, [key])).fault).toBeNull();
  expect((await newest(own))?.size).toBe((before?.size ?? 0) + 1);
  await closeLog(own);
});

test('tiles that were changed are not signed', async () => {
  const { log: own, key } = await signedLog();
  const before = await newest(own);
  await own.owner.query(`set session_replication_role = replica;
    update log_tiles set hashes = overlay(hashes placing '\\x00'::bytea from 33 for 1) where level = 0;
    reset session_replication_role`);
  await own.owner.query('select 1');
  const refusing = await signOnce(own, [key]);
  expect(refusing.fault?.state).toBe('forked');
  expect(await newest(own)).toEqual(before);
  await closeLog(own);
});

test('the tree of each published size is the one that its checkpoint has', async () => {
  const { log: own, key } = await signedLog();
  const roots = new Map<number, Buffer>();
  for (let round = 0; round < 5; round += 1) {
    await grow(own, round);
    expect((await signOnce(own, [key])).fault).toBeNull();
    const checkpoint = await newest(own);
    if (checkpoint) roots.set(checkpoint.size, checkpoint.root);
  }
  const read = treeReader(own.pool, 1);
  for (const [size, root] of roots) expect(await rootAt(size, read)).toEqual(root);
  expect(roots.size).toBe(5);
  await closeLog(own);
});
