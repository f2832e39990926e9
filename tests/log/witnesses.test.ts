import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  COSIGNATURE,
  cosignatureLine,
  ED25519,
  parseNote,
  parseSignatureLine,
  parseVkey,
  publicKeyBytes,
  signatureLine,
  verifyCosignature,
  type Vkey,
  vkeyOf,
} from '../../src/domain/signed-note.ts';
import { type Checkpoint, newestCheckpoint, publishCheckpoint } from '../../src/log/checkpoints.ts';
import { cosignaturesOf, newestCosignatures } from '../../src/log/cosignatures.ts';
import { newestGeneration } from '../../src/log/generations.ts';
import { signedNote, type SigningKey } from '../../src/log/signing-key.ts';
import { extendTree } from '../../src/log/tree.ts';
import { Witnesses, type WitnessSettings } from '../../src/log/witnesses.ts';
import { buildApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { ChangeFeed } from '../../src/postgres/change-feed.ts';
import { cleanUp, shows } from '../support/outlook-command.ts';
import { newSigner } from '../support/signed-log.ts';
import {
  closeLog,
  grow,
  HOST,
  type Log,
  newKey,
  openLog,
  removeFiles,
  signOnce,
} from '../support/signing.ts';
import { createWitness, serveWitness } from '../support/witness-command.ts';

const ORIGIN = `${HOST}/log/1`;

let log: Log;
let key: SigningKey;
let logVkey: string;
beforeAll(async () => {
  log = await openLog();
  key = await newKey();
  logVkey = vkeyOf(ORIGIN, key.publicKey);
});
afterAll(async () => {
  cleanUp();
  await closeLog(log);
  removeFiles();
});

/** Lets the log grow, and signs it. */
async function growAndSign(events = 1): Promise<Checkpoint> {
  await grow(log, events);
  await signOnce(log, [key]);
  return newest();
}

async function newest(): Promise<Checkpoint> {
  const checkpoint = await newestCheckpoint(log.pool, 1);
  if (!checkpoint) throw new Error('nothing is signed');
  return checkpoint;
}

const textIn = ({ note }: Checkpoint): string => parseNote(note)?.text ?? '';

function settingsOf(entries: string): readonly WitnessSettings[] {
  return readConfig({ LOG_WITNESSES: entries }).transparencyLog.witnesses;
}

type Line = { level: number; msg: string; witness: string; reason: string };

/** What submits checkpoints to the witnesses of a setting, and its log. */
function submitter(entries: string, more: { timeout?: number; now?: () => Date } = {}) {
  const lines: Line[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as Line);
  const witnesses = new Witnesses({
    pool: log.pool,
    witnesses: settingsOf(entries),
    now: () => new Date(),
    log: pino({}, { write }),
    // Of the examples there are none.
    resolve: async () => [{ address: '93.184.216.34', family: 4 }],
    userAgent: 'Test',
    ...more,
  });
  return { witnesses, lines, faults: () => Object.fromEntries(witnesses.faults) };
}

const cosignedBy = async (name: string) => (await newestCosignatures(log.pool, 1)).get(name);

type Handler = (body: string, response: ServerResponse, request: IncomingMessage) => unknown;

const signer = newSigner('witness.example/fake');
const vkey = vkeyOf(signer.name, publicKeyBytes(signer.privateKey), COSIGNATURE);
const now = () => Math.floor(Date.now() / 1000);

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A witness that answers as a test says. @returns its entry in the setting, and the bodies that it got */
async function fakeWitness(
  handle: Handler,
): Promise<{ entry: string; url: string; bodies: string[] }> {
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    void textOf(request).then((body) => {
      bodies.push(body);
      return handle(body, response, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/w`;
  return { entry: `${vkey} ${url}`, url, bodies };
}

/** The note that a submission ends with. */
const noteIn = (body: string): string => body.slice(body.indexOf('\n\n') + 2);
const signedTextIn = (body: string): string => parseNote(noteIn(body))?.text ?? '';
const cosign: Handler = (body, response) =>
  response.end(`${cosignatureLine(signedTextIn(body), now(), signer)}\n`);
const size = (response: ServerResponse, leaves: number | string, type = 'text/x.tlog.size') =>
  response.writeHead(409, { 'content-type': type }).end(`${leaves}\n`);

describe('LOG_WITNESSES', () => {
  test('names pairs of a vkey and a URL', () => {
    const other = vkeyOf('witness.example/2', publicKeyBytes(signer.privateKey), COSIGNATURE);
    const witnesses = settingsOf(
      `${vkey} https://w.example/a/,\n ${other}   http://127.0.0.1:8787 ,`,
    );
    expect(witnesses.map(({ name, url }) => [name, url.href])).toEqual([
      [signer.name, 'https://w.example/a/add-checkpoint'],
      ['witness.example/2', 'http://127.0.0.1:8787/add-checkpoint'],
    ]);
    expect(settingsOf('')).toEqual([]);
  });

  test.each([
    ['https://w.example', /verifier key/],
    [vkey, /http or https URL/],
    [`${vkey} ftp://w.example`, /http or https URL/],
    [`${vkey} https://user@w.example`, /without a user/],
    [`${vkey} https://w.example?x`, /a query/],
    [`${vkey} https://w.example https://other.example`, /pairs/],
    [`${vkey.replace(/\w\+/, '0+')} https://w.example`, /pairs/],
    [`${vkeyOf('log', publicKeyBytes(signer.privateKey), ED25519)} https://w.example`, /pairs/],
    [`${vkey} https://w.example,${vkey} https://v.example`, /each witness once/],
  ])('refuses %j', (entries, message) => {
    expect(() => settingsOf(entries)).toThrow(message);
    expect(() => settingsOf(entries)).toThrow(/Invalid settings: LOG_WITNESSES must/);
  });
});

describe('the witnesses of a log', () => {
  test('cosign; one that is down delays nobody, is logged once, and goes on where it was', async () => {
    const created = [
      await createWitness('witness.example/w1'),
      await createWitness('witness.example/w2'),
    ];
    const [first, second] = created as [(typeof created)[0], (typeof created)[0]];
    const up = await serveWitness(first, [logVkey]);
    const down = await serveWitness(second, [logVkey]);
    const entries = `${first.vkey} ${up.url},${second.vkey} ${down.url}`;
    const { witnesses, lines, faults } = submitter(entries);
    await growAndSign(3);
    await witnesses.submit();
    down.kill('SIGKILL');
    await down.ended;
    for (const events of [1, 2, 5]) {
      await growAndSign(events);
      await witnesses.submit();
    }
    const checkpoint = await newest();
    const [cosignature, ...others] = await cosignaturesOf(log.pool, checkpoint);
    expect(others).toEqual([]);
    expect(cosignature?.witness).toBe('witness.example/w1');
    const line = parseSignatureLine(cosignature?.signature ?? '');
    const seconds =
      line && verifyCosignature(textIn(checkpoint), line, parseVkey(first.vkey) as Vkey);
    expect(cosignature?.cosignedAt.getTime()).toBe(Number(seconds) * 1000);
    expect((await cosignedBy('witness.example/w2'))?.size).toBeLessThan(checkpoint.size);
    expect(faults()).toEqual({ 'witness.example/w2': 'the connection was refused' });
    expect(lines.map(({ level, witness, reason }) => [level, witness, reason])).toEqual([
      [40, 'witness.example/w2', 'the connection was refused'],
    ]);
    await serveWitness(second, [logVkey], Number(new URL(down.url).port));
    await witnesses.submit();
    expect((await cosignedBy('witness.example/w2'))?.size).toBe(checkpoint.size);
    expect(faults()).toEqual({});
    expect(lines.at(-1)?.msg).toBe('the witness cosigns again');
    // Of what they cosigned before, nothing is left.
    const { rows } = await log.owner.query('select 1 from log_cosignatures');
    expect(rows).toHaveLength(2);
  });

  test('are sent nothing while the log does not grow, and no empty tree', async () => {
    const { entry, bodies } = await fakeWitness(cosign);
    const { witnesses } = submitter(entry);
    await witnesses.submit();
    await witnesses.submit();
    expect(bodies).toHaveLength(1);
    expect(bodies[0]).toMatch(/^old 0\n\noutlooks\.example\/log\/1\n/);
    const empty = await openLog();
    await signOnce(empty, [await newKey()]);
    const elsewhere = new Witnesses({
      pool: empty.pool,
      witnesses: settingsOf(entry),
      now: () => new Date(),
      log: pino({ level: 'silent' }),
      resolve: async () => [],
      userAgent: 'Test',
    });
    await elsewhere.submit();
    await closeLog(empty);
    expect(bodies).toHaveLength(1);
  });

  test('may know another size than the ledger: the submission is sent once more, from there', async () => {
    const { size: before } = await newest();
    const { size: after } = await growAndSign(4);
    const known = before + 1;
    const { entry, bodies } = await fakeWitness((body, response) =>
      body.startsWith(`old ${known}\n`)
        ? cosign(body, response, null as never)
        : size(response, known),
    );
    const { witnesses, faults } = submitter(entry);
    await witnesses.submit();
    expect(bodies.map((body) => body.split('\n')[0])).toEqual([`old ${before}`, `old ${known}`]);
    expect(faults()).toEqual({});
    expect((await cosignedBy(signer.name))?.size).toBe(after);
  });

  test('may have cosigned a newer checkpoint meanwhile, which anyone may send them', async () => {
    await growAndSign();
    let newer = 0;
    const { entry } = await fakeWitness(async (body, response) => {
      if (newer > 0) return cosign(body, response, null as never);
      newer = (await growAndSign()).size;
      return size(response, newer);
    });
    const { witnesses, lines } = submitter(entry);
    await witnesses.submit();
    expect(lines).toEqual([]);
    expect((await cosignedBy(signer.name))?.size).toBe(newer);
  });
});

describe('what the service says of its witnesses', () => {
  test('GET /v1/log lists them; the newest checkpoint has the cosignatures of its size', async () => {
    const { entry } = await fakeWitness(cosign);
    const { witnesses } = submitter(entry);
    const absent = vkeyOf('witness.example/absent', publicKeyBytes(signer.privateKey), COSIGNATURE);
    const app = await buildApp({
      config: readConfig({
        LOG_WITNESSES: `${entry}, ${absent} https://w.example`,
        CACHE_MAX_BYTES: '0',
      }),
      pool: log.pool,
      feed: new ChangeFeed(log.pool, () => {}),
      now: () => new Date(),
      logger: pino({ level: 'silent' }),
    });
    const { size, note } = await growAndSign();
    const served = async () => (await app.inject({ url: '/log/1/checkpoint' })).body;
    expect(await served()).toBe(note);
    await witnesses.submit();
    const cosignature = await cosignedBy(signer.name);
    expect(await served()).toBe(`${note}${cosignature?.signature}\n`);
    const { body } = await app.inject({ url: '/v1/log' });
    expect((JSON.parse(body) as { witnesses: unknown }).witnesses).toEqual([
      { name: signer.name, vkey, size, cosignedAt: cosignature?.cosignedAt.toISOString() },
      { name: 'witness.example/absent', vkey: absent, size: null, cosignedAt: null },
    ]);
    const next = await growAndSign();
    expect(await served()).toBe(next.note);
    await app.close();
  });

  test('they cosign while it runs, without being asked', async () => {
    const { entry, bodies } = await fakeWitness(cosign);
    const app = await buildApp({
      config: readConfig({ LOG_WITNESSES: entry }),
      pool: log.pool,
      feed: new ChangeFeed(log.pool, () => {}),
      now: () => new Date(),
      logger: pino({ level: 'silent' }),
      signingKeys: [key],
    });
    await grow(log, 1);
    await app.listen({ host: '127.0.0.1', port: 0 });
    await expect.poll(() => bodies.length).toBeGreaterThan(0);
    await expect
      .poll(async () => (await cosignedBy(signer.name))?.size)
      .toBe((await newestGeneration(log.pool))?.size);
    await app.close();
  });
});

describe('a witness that does not cosign', () => {
  const foreign = newSigner('witness.example/other');
  const later = () => now() + 3_600;
  const longAgo = () => now() - 7 * 86_400;
  const cases: [string, Handler, RegExp][] = [
    ['does not know the log', (_, response) => response.writeHead(404).end(), /404.*verifier key/],
    [
      'does not accept the key',
      (_, response) => response.writeHead(403).end(),
      /403.*verifier key/,
    ],
    ['fails', (_, response) => response.writeHead(500).end(), /^it answered 500$/],
    [
      'redirects',
      (_, response) => response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(),
      /^it answered 307$/,
    ],
    ['always conflicts', (_, response) => size(response, 1), /409 twice/],
    ['conflicts without a size', (_, response) => size(response, 'x'), /409 without the size/],
    [
      'conflicts with HTML',
      (_, response) => size(response, 1, 'text/html'),
      /409 without the size/,
    ],
    ['cosigned more than there is', (_, response) => size(response, 999_999), /went back/],
    ['refuses the proof', (_, response) => response.writeHead(422).end(), /422.*does not extend/],
    ['answers nothing', (_, response) => response.end(), /without a valid cosignature/],
    ['answers nonsense', (_, response) => response.end('— a b c\n—\n\0'), /without a valid/],
    [
      'cosigns another text',
      (_, response) => response.end(`${cosignatureLine('other\n', now(), signer)}\n`),
      /without a valid/,
    ],
    [
      'signs like a log',
      (body, response) => response.end(`${signatureLine(signedTextIn(body), signer)}\n`),
      /without a valid/,
    ],
    [
      'cosigns with another key',
      (body, response) => response.end(`${cosignatureLine(signedTextIn(body), now(), foreign)}\n`),
      /without a valid/,
    ],
    [
      'lives in the future',
      (body, response) => response.end(`${cosignatureLine(signedTextIn(body), later(), signer)}\n`),
      /clock is wrong/,
    ],
    [
      'claims to have cosigned before there was a checkpoint',
      (body, response) =>
        response.end(`${cosignatureLine(signedTextIn(body), longAgo(), signer)}\n`),
      /clock is wrong/,
    ],
    [
      'never stops',
      (_, response) => {
        response.on('error', () => {});
        const more = () => response.write('x'.repeat(10_000), () => !response.destroyed && more());
        more();
      },
      /more than 32768 bytes/,
    ],
    ['breaks off', (_, response) => response.socket?.destroy(), /reset|closed/],
  ];

  test.each(cases)('%s: nothing is stored, and it is logged once', async (_, handle, reason) => {
    await growAndSign();
    const { entry } = await fakeWitness(handle);
    const before = await cosignedBy(signer.name);
    const { witnesses, lines, faults } = submitter(entry);
    await witnesses.submit();
    await witnesses.submit();
    expect(faults()[signer.name]).toMatch(reason);
    expect(await cosignedBy(signer.name)).toEqual(before);
    expect(lines).toHaveLength(1);
    const isFork = /went back/.test(lines[0]?.reason ?? '');
    expect(lines[0]?.level).toBe(isFork ? 50 : 40);
  });

  test('is silent: the submission ends in time, and with the service', async () => {
    await growAndSign();
    const silent = await fakeWitness(() => {});
    const { witnesses, faults } = submitter(silent.entry, { timeout: 200 });
    await witnesses.submit();
    expect(faults()[signer.name]).toBe('no complete response within 0.2 s');
  });

  test('has its valid cosignature among others', async () => {
    const checkpoint = await growAndSign();
    const { entry } = await fakeWitness((body, response) => {
      const text = signedTextIn(body);
      const lines = [
        cosignatureLine(text, now(), foreign),
        cosignatureLine('other\n', now(), signer),
        cosignatureLine(text, now(), signer),
      ];
      response.end(`${lines.join('\n')}\n`);
    });
    const { witnesses, faults } = submitter(entry);
    await witnesses.submit();
    expect(faults()).toEqual({});
    expect((await cosignedBy(signer.name))?.size).toBe(checkpoint.size);
  });

  test('has a public address without TLS', async () => {
    await growAndSign();
    const { witnesses, faults } = submitter(`${vkey} http://witness.example`);
    await witnesses.submit();
    expect(faults()[signer.name]).toMatch(/must be an https URL, because witness\.example is/);
  });
});

describe('a ledger that its owner rewrote, and re-signed with the key of the log', () => {
  /** Rewrites the first event as the owner of the tables, with its triggers off, and builds the tree anew. */
  async function rewrite(forgets: boolean): Promise<void> {
    const client = await log.owner.connect();
    await client.query(`set session_replication_role = replica`);
    await client.query(`update openings set commitment = sha256(random()::text::bytea)
      where event_id = (select id from events where coalesce(log_position, position) = 1)`);
    if (forgets) await client.query('delete from log_cosignatures');
    else
      await client.query(`delete from log_cosignatures where witness <> 'witness.example/honest'`);
    await client.query('delete from log_checkpoints');
    await client.query('delete from log_tiles');
    await client.query(`update log_generations set size = 0, root = sha256('')`);
    await client.query('reset session_replication_role');
    client.release();
    await extendTree(log.pool);
  }

  async function signAnyway(): Promise<void> {
    const head = await newestGeneration(log.pool);
    if (!head) throw new Error('no generation');
    const note = signedNote(head, [key]);
    const checkpoint = { ...head, note, vkeys: [logVkey], signedAt: new Date() };
    await publishCheckpoint(log.pool, checkpoint);
  }

  test('is not cosigned any more, and both sides say why', async () => {
    const created = await createWitness('witness.example/honest');
    const witness = await serveWitness(created, [logVkey]);
    const { witnesses, lines, faults } = submitter(`${created.vkey} ${witness.url}`);
    const honest = await growAndSign(2);
    await witnesses.submit();
    expect((await cosignedBy(created.vkey.split('+')[0] as string))?.size).toBe(honest.size);
    await rewrite(false);
    await grow(log, 3);
    await signAnyway();
    await witnesses.submit();
    expect(faults()['witness.example/honest']).toMatch(/422/);
    expect(lines.map(({ level }) => level)).toEqual([50]);
    // Nor if the ledger claims to have no cosignature yet, or shows the same size.
    await rewrite(true);
    await signAnyway();
    await witnesses.submit();
    expect(faults()['witness.example/honest']).toMatch(/422/);
    expect(await cosignedBy('witness.example/honest')).toBeUndefined();
    await shows(witness, 'Refused outlooks.example/log/1');
  });
});
