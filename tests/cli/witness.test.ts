import { createHash } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Note,
  type NoteSignature,
  parseNote,
  parseSignatureLine,
  parseVkey,
  signatureLine,
  verifyCosignature,
  verifySignature,
  type Vkey,
} from '../../src/domain/signed-note.ts';
import { cleanUp, newFolder, outlook, shows } from '../support/outlook-command.ts';
import { newSigner, SignedLog } from '../support/signed-log.ts';
import { createWitness, type RunningWitness, serveWitness } from '../support/witness-command.ts';

const FOLDER_OF = (origin: string) => createHash('sha256').update(origin).digest('hex');

/** A log of its own for each test, all known to the witness. */
const logs = Array.from({ length: 12 }, (_, n) => new SignedLog(newSigner(`log.example/${n}`)));
let unused = 0;
const nextLog = () => logs[unused++] as SignedLog;
const [known] = logs as [SignedLog];

let witness: RunningWitness;
let vkey: Vkey;
beforeAll(async () => {
  const created = await createWitness('witness.example/w1');
  vkey = parseVkey(created.vkey) as Vkey;
  witness = await serveWitness(
    created,
    logs.map((log) => log.vkey),
  );
});
afterAll(cleanUp);

function post(body: string | Uint8Array, to = witness): Promise<Response> {
  return fetch(`${to.url}/add-checkpoint`, { method: 'POST', body: body as BodyInit });
}

/** When the witness cosigned, in seconds; null if it did not. */
async function cosignedAt(response: Response, text: string): Promise<number | null> {
  const line = parseSignatureLine((await response.text()).replace(/\n$/, ''));
  return response.status === 200 && line ? verifyCosignature(text, line, vkey) : null;
}

async function answerOf(response: Response): Promise<{ status: number; body: string }> {
  return { status: response.status, body: await response.text() };
}

/** An answer with this status and a body like this. */
function answer(status: number, body = /./) {
  return { status, body: expect.stringMatching(body) as unknown };
}

describe('outlook witness create', () => {
  test('makes a key that only its user can read, and never a second one', async () => {
    const { folder, vkey } = await createWitness('witness.example/new');
    expect(parseVkey(vkey)).toMatchObject({ name: 'witness.example/new', type: 4 });
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(path.join(folder, 'key.json')).mode & 0o777).toBe(0o600);
    const again = await outlook(['witness', 'create', 'witness.example/new', '--dir', folder]);
    expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('exists') as unknown });
    const listed = await outlook(['witness', 'list', '--dir', folder, '--json']);
    expect(JSON.parse(listed.stdout)).toEqual({ vkey, logs: [] });
  });

  test.each(['', 'two words', 'a+b'])('refuses the name %j', async (name) => {
    const result = await outlook(['witness', 'create', name, '--dir', `${newFolder()}/w`]);
    expect(result).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/name of a witness/) as unknown,
    });
  });
});

describe('outlook witness serve', () => {
  test('refuses a key that others can read, a damaged one, and what is not the vkey of a log', async () => {
    const { folder, vkey } = await createWitness('witness.example/w2');
    const serve = (log: string) =>
      outlook(['witness', 'serve', '--dir', folder, '--port', '0', '--log', log]);
    expect(await serve(vkey)).toMatchObject({ code: 2 });
    expect(await serve('log.example')).toMatchObject({ code: 2 });
    chmodSync(path.join(folder, 'key.json'), 0o644);
    expect((await serve(known.vkey)).stderr).toContain('chmod 600');
    chmodSync(path.join(folder, 'key.json'), 0o600);
    writeFileSync(path.join(folder, 'key.json'), '{}');
    expect((await serve(known.vkey)).stderr).toContain("Can't read the key");
  });
});

describe('add-checkpoint', () => {
  test('cosigns each tree that extends the one before, with the time', async () => {
    const log = nextLog();
    let oldSize = 0;
    for (const size of [1, 1, 2, 255, 256, 257, 700]) {
      const before = Math.floor(Date.now() / 1000);
      log.growTo(size);
      const seconds = await cosignedAt(await post(await log.submission(oldSize)), log.text());
      expect(seconds).toBeGreaterThanOrEqual(before);
      expect(seconds).toBeLessThanOrEqual(Date.now() / 1000);
      oldSize = size;
    }
  });

  test('cosigns an empty tree, but not one with another root', async () => {
    const log = nextLog();
    const lie = `${log.origin}\n0\n${Buffer.alloc(32).toString('base64')}\n`;
    expect(
      await answerOf(await post(`old 0\n\n${lie}\n${signatureLine(lie, log.signer)}\n`)),
    ).toEqual(answer(422));
    expect(await cosignedAt(await post(await log.submission(0)), log.text())).not.toBeNull();
    expect(
      await cosignedAt(await post(await log.growTo(3).submission(0)), log.text()),
    ).not.toBeNull();
  });

  test('cosigns the text with its extension lines', async () => {
    const log = nextLog();
    const text = `${log.growTo(1).text()}an extension\n`;
    expect(
      await cosignedAt(await post(`old 0\n\n${text}\n${signatureLine(text, log.signer)}\n`), text),
    ).not.toBeNull();
  });

  test('400 for a malformed submission', async () => {
    const log = nextLog().growTo(4);
    const good = await log.submission(0);
    const proof = (lines: number) => `${Buffer.alloc(32).toString('base64')}\n`.repeat(lines);
    const note = log.checkpoint();
    const bad = {
      empty: '',
      'no empty line': good.replace('\n\n', '\n'),
      'no size': `\n\n${note}`,
      'leading zero': good.replace('old 0', 'old 00'),
      'negative size': good.replace('old 0', 'old -1'),
      'other word': good.replace('old 0', 'Old 0'),
      'two spaces': good.replace('old 0', 'old  0'),
      'unsafe size': good.replace('old 0', 'old 9999999999999999'),
      '64 hashes': `old 4\n${proof(64)}\n${note}`,
      'short hash': `old 3\n${Buffer.alloc(31).toString('base64')}\n\n${note}`,
      'other base64': `old 3\n${proof(1).replace('A=', 'B=')}\n${note}`,
      'no final newline': good.slice(0, -1),
      'carriage returns': good.replaceAll('\n', '\r\n'),
      'no signature': `old 0\n\n${log.text()}`,
      'signature of one byte': `old 0\n\n${log.text()}\n— ${log.origin} AA==\n`,
      'size with a sign': good.replace('\n4\n', '\n+4\n'),
      'root of 31 bytes': good.replace(
        log.root().toString('base64'),
        Buffer.alloc(31).toString('base64'),
      ),
      'old size beyond the checkpoint': `old 5\n\n${note}`,
    };
    for (const [name, body] of Object.entries(bad)) {
      expect((await post(body)).status, name).toBe(400);
    }
    expect(await answerOf(await post(Buffer.from([0xff, 0x0a, 0x0a, 0xff])))).toEqual(
      answer(400, /UTF-8/),
    );
    expect(await cosignedAt(await post(good), log.text())).not.toBeNull();
  });

  test('404 for an unknown origin, 403 without a valid signature of a trusted key', async () => {
    const stranger = new SignedLog(newSigner('stranger.example')).growTo(1);
    expect(await answerOf(await post(await stranger.submission(0)))).toEqual(answer(404));
    const log = nextLog().growTo(2);
    const posing = new SignedLog(newSigner(log.origin)).growTo(2);
    expect(await answerOf(await post(await posing.submission(0)))).toEqual(answer(403));
    const valid = signatureLine(log.text(), log.signer);
    const invalid = signatureLine('another text\n', log.signer);
    const other = signatureLine(log.text(), posing.signer);
    const body = (...lines: string[]) =>
      `old 0\n\n${log.text()}\n${lines.map((line) => `${line}\n`).join('')}`;
    expect(await answerOf(await post(body(invalid)))).toEqual(answer(403));
    expect(await answerOf(await post(body(valid, invalid)))).toEqual(answer(403));
    // Signatures of unknown keys count for nothing, and are not passed on.
    expect(await cosignedAt(await post(body(other, valid)), log.text())).not.toBeNull();
    const stored = await fetch(`${witness.url}/${FOLDER_OF(log.origin)}/checkpoint`);
    expect(await stored.text()).not.toContain(other);
  });

  test('409 with the cosigned size, as text/x.tlog.size', async () => {
    const log = nextLog().growTo(9);
    const conflict = async (oldSize: number, size: number) => {
      const response = await post(await log.submission(oldSize, size));
      expect(response.headers.get('content-type')).toBe('text/x.tlog.size');
      expect(await answerOf(response)).toEqual(answer(409, /^(0|5)\n$/));
    };
    await conflict(3, 9);
    expect(await cosignedAt(await post(await log.submission(0, 5)), log.text(5))).not.toBeNull();
    await conflict(0, 9);
    await conflict(3, 9);
    await conflict(6, 9);
    await conflict(0, 3); // an earlier checkpoint does not take the witness back
    expect(await cosignedAt(await post(await log.submission(5, 9)), log.text(9))).not.toBeNull();
  });

  test('422 for a proof that does not verify, and for a rewritten tree that the log signed', async () => {
    const log = nextLog().growTo(300);
    expect(
      await answerOf(
        await post(
          (await log.submission(0)).replace(
            'old 0\n',
            `old 0\n${Buffer.alloc(32).toString('base64')}\n`,
          ),
        ),
      ),
    ).toEqual(answer(422));
    expect(
      await cosignedAt(await post(await log.submission(0, 200)), log.text(200)),
    ).not.toBeNull();
    const honest = await log.submission(200);
    const [first = '', hash = ''] = honest.split('\n');
    expect(await answerOf(await post(honest.replace(`${hash}\n`, '')))).toEqual(
      answer(422, /300 leaves extends/),
    );
    expect(
      await answerOf(await post(honest.replace(hash, Buffer.alloc(32).toString('base64')))),
    ).toEqual(answer(422));
    expect(first).toBe('old 200');
    const rewritten = log.forkAt(150).growTo(300, 'rewritten');
    expect(await answerOf(await post(await rewritten.submission(200)))).toEqual(
      answer(422, /300 leaves extends/),
    );
    // Of the cosigned size, the two checkpoints prove the fork. The witness stores the other one.
    expect(await answerOf(await post(await rewritten.submission(200, 200)))).toEqual(
      answer(422, /another root/),
    );
    await shows(witness, 'FORK');
    const folder = path.join(witness.folder, FOLDER_OF(log.origin));
    const file = readdirSync(folder).find((name) => name.startsWith('fork-')) as string;
    expect(readFileSync(path.join(folder, file), 'utf8')).toBe(rewritten.checkpoint(200));
    const { stdout } = await outlook(['witness', 'list', '--dir', witness.folder]);
    expect(stdout).toContain(`${log.origin}: size 200, root ${log.root(200).toString('base64')}`);
    expect(stdout).toContain(file);
    expect(await cosignedAt(await post(honest), log.text())).not.toBeNull();
  });

  test('cosigns one of several submissions at once; two processes on one folder share its state', async () => {
    const log = nextLog().growTo(40);
    const second = await serveWitness(witness, [log.vkey]);
    let size = 0;
    for (const next of [10, 20, 30, 40]) {
      const fork = log.forkAt(size).growTo(next + 1, 'other');
      const bodies = [await log.submission(size, next), await fork.submission(size)];
      const posts = [0, 1, 2, 3, 4, 5].map((n) =>
        post(bodies[n % 2] as string, n < 3 ? witness : second),
      );
      const statuses = (await Promise.all(posts)).map(({ status }) => status);
      const lines = (body: string) =>
        statuses.filter((status, n) => status === 200 && bodies[n % 2] === body);
      expect(
        lines(bodies[0] as string).length === 0 || lines(bodies[1] as string).length === 0,
        statuses.join(),
      ).toBe(true);
      expect(
        statuses.filter((status) => status === 200),
        statuses.join(),
      ).toHaveLength(1);
      if (statuses.findIndex((status) => status === 200) % 2 === 1) break; // the fork won
      size = next;
    }
    second.kill('SIGTERM');
    expect(await second.ended).toMatchObject({ code: 0 });
  });

  test('refuses to sign an earlier time than before, and without a readable record', async () => {
    const log = nextLog().growTo(2);
    expect(await cosignedAt(await post(await log.submission(0, 1)), log.text(1))).not.toBeNull();
    const file = path.join(witness.folder, FOLDER_OF(log.origin), '1.checkpoint');
    const note = readFileSync(file, 'utf8');
    const own = note.trimEnd().split(' ').at(-1) ?? '';
    const later = Buffer.from(own, 'base64');
    later.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 1000) + 3600), 4);
    writeFileSync(file, note.replace(own, later.toString('base64')));
    expect(await answerOf(await post(await log.submission(1)))).toEqual(answer(503, /clock/));
    writeFileSync(file, note.slice(0, 100));
    expect(await answerOf(await post(await log.submission(1)))).toEqual(answer(500));
    writeFileSync(file, note);
    expect(await cosignedAt(await post(await log.submission(1)), log.text())).not.toBeNull();
  });
});

describe('the checkpoint of a log', () => {
  test('has the signatures of the log and of the witness, and is a 404 before', async () => {
    const log = nextLog().growTo(7);
    const url = `${witness.url}/${FOLDER_OF(log.origin)}/checkpoint`;
    expect(await answerOf(await fetch(url))).toEqual(answer(404));
    expect(await cosignedAt(await post(await log.submission(0)), log.text())).not.toBeNull();
    const response = await fetch(url);
    const { text, signatures } = parseNote(await response.text()) as Note;
    expect(text).toBe(log.text());
    expect(signatures).toHaveLength(2);
    const [theirs, ours] = signatures as [NoteSignature, NoteSignature];
    expect(verifySignature(text, theirs, parseVkey(log.vkey) as Vkey)).toBe(true);
    expect(verifyCosignature(text, ours, vkey)).not.toBeNull();
  });

  test('still has what it cosigned after a kill and a restart', async () => {
    const log = new SignedLog(newSigner('restarted.example')).growTo(5);
    const created = await createWitness('witness.example/restarted');
    const first = await serveWitness(created, [log.vkey]);
    await post(await log.submission(0, 3), first);
    first.kill('SIGKILL');
    await first.ended;
    const second = await serveWitness(created, [log.vkey]);
    expect(await answerOf(await post(await log.submission(0), second))).toEqual(
      answer(409, /^3\n$/),
    );
    expect((await post(await log.submission(3), second)).status).toBe(200);
  });
});

describe('hostile clients', () => {
  test('get 404 for other paths, and 405 for other methods', async () => {
    expect(await answerOf(await fetch(`${witness.url}/`))).toEqual(answer(404));
    expect(await answerOf(await fetch(`${witness.url}/${'A'.repeat(64)}/checkpoint`))).toEqual(
      answer(404),
    );
    expect(await answerOf(await fetch(`${witness.url}/../key.json`))).toEqual(answer(404));
    const wrong = await fetch(`${witness.url}/add-checkpoint`);
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST']);
    const put = await fetch(`${witness.url}/${'a'.repeat(64)}/checkpoint`, {
      method: 'PUT',
      body: '',
    });
    expect([put.status, put.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  test('get 413 for bodies that are too large, declared or chunked', async () => {
    expect(await answerOf(await post('x'.repeat(200_000)))).toEqual(answer(413));
    const chunked = fetch(`${witness.url}/add-checkpoint`, {
      method: 'POST',
      body: new Blob(['x'.repeat(200_000)]).stream(),
      duplex: 'half',
    } as RequestInit);
    // The connection may break before all is sent.
    expect(
      await chunked.then(
        ({ status }) => status,
        () => 413,
      ),
    ).toBe(413);
  });

  test('that connect and send nothing do not keep others out', async () => {
    const { port } = new URL(witness.url);
    const idle = Array.from({ length: 600 }, () =>
      connect(Number(port), '127.0.0.1').on('error', () => {}),
    );
    try {
      await Promise.all(
        idle.slice(-50).map((socket) => new Promise((resolve) => socket.once('connect', resolve))),
      );
      const log = nextLog().growTo(1);
      expect(await cosignedAt(await post(await log.submission(0)), log.text())).not.toBeNull();
    } finally {
      for (const socket of idle) socket.destroy();
    }
  });
});
