import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cleanUp, freePort, newFolder, until } from '../support/service.ts';
import { findVerifiers, type Verifiers } from './verifiers.ts';
import { LedgerLog } from './ledger-log.ts';

// Receipts that a service gave, by the programs of others and with the service stopped. Two witnesses cosign: that of the
// command line, and litewitness, which the field runs.

const SLUG = 'russell-2000-downside';
const NAMES = ['go', 'python'] as const;

type Witness = { vkey: string; url: string };

const children: { kill: (signal: NodeJS.Signals) => boolean }[] = [];
const receipts: Record<string, string> = {};
let verifiers: Verifiers;
let log: LedgerLog;
let vkey = '';
let witnesses: Witness[] = [];
let checkpointFile = '';

beforeAll(async () => {
  verifiers = await findVerifiers();
  log = await LedgerLog.start();
  vkey = await log.vkey();
  witnesses = [await ownWitness(), ...(verifiers.go ? [await litewitness()] : [])];
  await log.restart({
    LOG_WITNESSES: witnesses.map((witness) => `${witness.vkey} ${witness.url}`).join(','),
  });
  await writeActs();
  await saveReceipts();
  log.service.kill('SIGTERM');
  await log.service.ended;
}, 600_000);
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await cleanUp();
});

test.for(NAMES)('receipts verify without the service, by %s', async (name, { skip }) => {
  const verifier = verifiers[name];
  if (verifier === null) {
    skip(`${name} is not installed`);
    return;
  }
  const vkeys = witnesses.map((witness) => witness.vkey);
  for (const [subject, file] of Object.entries(receipts)) {
    const verdict = await verifier('receipt', file, vkey, ...vkeys);
    expect(verdict, subject).toMatchObject({ report: { witnesses: vkeys.length } });
    expect(verdict).toMatchObject({ report: { subject: expect.stringContaining(SLUG) } });
    expect((verdict as { report: { rows: number } }).report.rows, subject).toBeGreaterThan(0);
  }
});

test.for(NAMES)(
  'whatever of a receipt is changed, it does not verify, by %s',
  async (name, { skip }) => {
    const verifier = verifiers[name];
    if (verifier === null) {
      skip(`${name} is not installed`);
      return;
    }
    const text = readFileSync(receipts['version'] ?? '', 'utf8');
    const receipt = JSON.parse(text) as {
      event: string;
      salt: string;
      proof: string;
      rows: { text: string; salt: string; proof: string[]; index: number }[];
    };
    const [row] = receipt.rows;
    if (!row) throw new Error('the receipt shows no row');
    const others = receipt.rows.slice(1);
    const changed: Record<string, object> = {
      event: { event: receipt.event.replace('"kind":"', '"kind":"x') },
      salt: { salt: Buffer.alloc(32).toString('base64') },
      'text of a row': { rows: [{ ...row, text: row.text.replace('"', "'") }, ...others] },
      'salt of a row': {
        rows: [{ ...row, salt: Buffer.alloc(32, 1).toString('base64') }, ...others],
      },
      'place of a row': { rows: [{ ...row, index: row.index + 1 }, ...others] },
      index: { proof: receipt.proof.replace(/^index (\d+)$/m, 'index 1$1') },
      'size of the tree': { proof: receipt.proof.replace(/^(\d+)$/m, '1$1') },
      signatures: { proof: receipt.proof.replaceAll(/^— .*\n/gm, '') },
    };
    const file = path.join(newFolder(), 'changed.receipt.json');
    for (const [what, change] of Object.entries(changed)) {
      writeFileSync(file, JSON.stringify({ ...receipt, ...change }));
      expect(await verifier('receipt', file, vkey), what).toHaveProperty('fault');
    }
    const [stranger = ''] = (await newWitness('stranger.example/w1')).vkeys;
    expect(await verifier('receipt', receipts['version'] ?? '', vkey, stranger)).toHaveProperty(
      'fault',
    );
  },
);

test('a checkpoint has the cosignature of each witness, with its time, by go', async ({ skip }) => {
  if (verifiers.go === null) {
    skip('go is not installed');
    return;
  }
  for (const witness of witnesses) {
    const verdict = await verifiers.go('cosigned', checkpointFile, vkey, witness.vkey);
    expect(verdict).toHaveProperty('report.seconds');
    const { seconds } = (verdict as { report: { seconds: number } }).report;
    expect(Math.abs(Date.now() / 1000 - seconds)).toBeLessThan(600);
  }
});

/** A program that runs until the tests end, once it has printed what the pattern finds. */
async function start(program: string, args: string[], pattern: RegExp): Promise<RegExpExecArray> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => void (printed += text));
  }
  await until(() => {
    if (child.exitCode !== null) throw new Error(`${program} ended: ${printed}`);
    return pattern.test(printed);
  });
  return pattern.exec(printed) as RegExpExecArray;
}

const OUTLOOK = path.resolve(import.meta.dirname, '../../cli/bin/outlook.js');

/** Makes the key of a witness of the command line. */
async function newWitness(name: string): Promise<{ dir: string; vkeys: string[] }> {
  const dir = path.join(newFolder(), 'witness');
  const args = [OUTLOOK, 'witness', 'create', name, '--dir', dir];
  const [vkey] = await start(process.execPath, args, /\S+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{44}/);
  return { dir, vkeys: [vkey] };
}

async function ownWitness(): Promise<Witness> {
  const { dir, vkeys } = await newWitness('own.example/w1');
  const args = [OUTLOOK, 'witness', 'serve', '--dir', dir, '--log', vkey, '--port', '0'];
  const [, url = ''] = await start(process.execPath, args, /listens at (\S+)/);
  return { vkey: vkeys[0] ?? '', url };
}

/** Starts litewitness, with an ssh agent that holds its key, and tells it of the log. */
async function litewitness(): Promise<Witness> {
  const folder = newFolder();
  const [socket, database] = ['agent.sock', 'witness.db'].map((name) => path.join(folder, name));
  const name = 'lite.example/w1';
  const verifier = path.join(verifiers.programs, 'verifier');
  const [shown] = await start(verifier, ['agent', socket ?? '', name], /\{.*\}/);
  const key = JSON.parse(shown) as { fingerprint: string; vkey: string };
  const address = `127.0.0.1:${await freePort()}`;
  const flags = { name, db: database, key: key.fingerprint, 'ssh-agent': socket, listen: address };
  const args = Object.entries(flags).flatMap(([flag, value]) => [`-${flag}`, value ?? '']);
  await start(path.join(verifiers.programs, 'litewitness'), args, /verifier key/);
  const known = await verifiers.go?.('know', database ?? '', vkey);
  expect(known).toHaveProperty('report.origin');
  return { vkey: key.vkey, url: `http://${address}` };
}

async function call(method: string, url: string, body?: object): Promise<Response> {
  const response = await fetch(log.service.origin + url, {
    method,
    headers: {
      authorization: `Bearer ${log.key}`,
      ...(body && { 'content-type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${url}: ${await response.text()}`);
  return response;
}

const BASE = `/v1/outlooks/${SLUG}`;
const PATHS: Record<string, string> = {
  'version 1': `${BASE}/versions/1`,
  version: `${BASE}/versions/2`,
  view: `${BASE}/views/me`,
  resolution: `${BASE}/resolution`,
};

/** Writes one of each act that has a receipt. */
async function writeActs(): Promise<void> {
  const probabilities = { bear: 0.5, base: 0.35, bull: 0.15 };
  await call('POST', `${BASE}/revisions`, { probabilities, rationale: 'Yields rose.' });
  const evidence = await call('POST', `${BASE}/evidence`, {
    headline: 'Sales rose',
    summary: 'S',
    publisher: 'P',
    url: 'https://news.example/1',
    publishedAt: '2026-11-17T13:30:00Z',
    claims: [
      {
        statement: 'Demand holds.',
        effect: 'weakens',
        target: { kind: 'scenario', key: 'bear' },
        horizon: 'months',
      },
    ],
  });
  const { id } = (await evidence.json()) as { id: string };
  PATHS['evidence'] = `${BASE}/evidence/${id}`;
  await call('PUT', `${BASE}/views/me`, { probabilities, rationale: 'As above.' });
  await call('POST', `${BASE}/resolution`, { outcome: 'void', reason: 'By mistake.' });
}

/** Saves the receipts once each witness has cosigned a checkpoint that covers them. */
async function saveReceipts(): Promise<void> {
  const folder = newFolder();
  for (const [name, url] of Object.entries(PATHS)) {
    const file = path.join(folder, `${name}.receipt.json`);
    await until(async () => {
      const response = await fetch(`${log.service.origin}${url}/receipt`, {
        headers: { authorization: `Bearer ${log.key}` },
      });
      if (!response.ok) return false;
      const text = await response.text();
      writeFileSync(file, text);
      return (JSON.parse(text) as { missingWitnesses: string[] }).missingWitnesses.length === 0;
    });
    receipts[name] = file;
  }
  const { proof } = JSON.parse(readFileSync(receipts['version'] ?? '', 'utf8')) as {
    proof: string;
  };
  checkpointFile = path.join(folder, 'checkpoint');
  writeFileSync(checkpointFile, proof.slice(proof.indexOf('\n\n') + 2));
}
