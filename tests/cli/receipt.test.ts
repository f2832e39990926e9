import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ReceiptVerification } from '@outlook-ledger/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { cleanUp, newFolder, outlook } from '../support/outlook-command.ts';
import { send } from '../support/requests.ts';
import { growLog, newSigner, signLog } from '../support/sign-log.ts';

const signer = newSigner();
const [witness, stranger] = [newSigner('witness.example/a'), newSigner('witness.example/b')];
const COSIGNED = new Date('2026-11-20T17:00:00.000Z');

let ledger: TestLedger;
let url: string;
let folder: string;
let evidence: string;
beforeAll(async () => {
  folder = newFolder();
  ledger = await startLedger();
  const probabilities = { bear: 0.35, base: 0.4, bull: 0.25 };
  await ledger.revise({ probabilities, rationale: 'Yields jumped.' });
  const item = {
    headline: 'News',
    summary: 'S',
    publisher: 'P',
    publishedAt: '2026-11-20T15:00:00Z',
  };
  const added = await send(ledger, 'POST', `/v1/outlooks/${SLUG}/evidence`, item);
  evidence = added.json<{ id: string }>().id;
  const view = { probabilities, rationale: 'Mine.' };
  await send(ledger, 'PUT', `/v1/outlooks/${SLUG}/views/me`, view);
  await growLog(ledger.pool);
  await signLog(ledger.pool, signer, [{ signer: witness, at: COSIGNED }]);
  // Last, because a service that listens starts a log of its own, unless there is one.
  url = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  cleanUp();
  await ledger.close();
});

const inFolder = (name: string) => path.join(folder, name);
const save = (...args: string[]) =>
  outlook(['receipt', 'save', SLUG, ...args], { url, key: ledger.keys.analyst });
/** Without a service: nothing listens there. */
const verify = (file: string, ...args: string[]) =>
  outlook(['receipt', 'verify', file, ...args], { url: 'http://127.0.0.1:9' });
const json = async (file: string, ...args: string[]) => {
  const { stdout } = await verify(file, '--json', ...args);
  return JSON.parse(stdout) as ReceiptVerification;
};

describe('a saved receipt', () => {
  test.for([
    ['the newest version', [], 'versions/2'],
    ['a version', ['1'], 'versions/1'],
    ['an item of evidence', ['--evidence=EVIDENCE'], 'evidence/EVIDENCE'],
    ['a view', ['--view'], 'views/'],
  ] as const)('of %s verifies offline', async ([name, args, subject]) => {
    const given = args.map((arg) => arg.replace('EVIDENCE', evidence));
    const file = inFolder(`${name}.json`);
    const saved = await save(...given, '-o', file);
    expect(saved).toMatchObject({ code: 0, stderr: '' });
    expect(saved.stdout).toContain('outlook receipt verify');
    const verified = await json(file, '--vkey', signer.vkey, '--witness', witness.witnessVkey);
    expect(verified, verified.sentence).toMatchObject({
      outcome: 'holds',
      isKeyPinned: true,
      onRecord: { since: COSIGNED.toISOString(), witnesses: [{ name: witness.name }] },
      said: {
        event: {
          subject: expect.stringContaining(subject.replace('EVIDENCE', evidence)) as string,
          by: { name: expect.any(String) as string },
        },
      },
    });
  });

  test('is printed for people', async () => {
    const { code, stdout } = await verify(
      inFolder('a version.json'),
      '--vkey',
      signer.vkey,
      '--witness',
      witness.witnessVkey,
    );
    expect(code).toBe(0);
    const text = stdout.replaceAll(/\s+/g, ' ');
    expect(text).toContain('The receipt holds.');
    expect(text).toContain(`published /v1/outlooks/${SLUG}/versions/1 at 2026-11-20 16:00:00 UTC.`);
    expect(text).toContain(
      'On record since 2026-11-20 17:00:00 UTC, witnessed by witness.example/a',
    );
    expect(text).toContain('bear 30%, base 45%, bull 25%');
  });

  test('has the name that the service gives it, and is not replaced', async () => {
    const { stdout } = await save('--output', '-');
    expect(JSON.parse(stdout)).toMatchObject({ v: 1, generation: 1 });
    const file = inFolder('a version.json');
    const before = readFileSync(file, 'utf8');
    const again = await save('1', '-o', file);
    expect(again).toMatchObject({ code: 2, stdout: '' });
    expect(again.stderr).toContain('it is there already');
    expect(readFileSync(file, 'utf8')).toBe(before);
  });

  test('without a key from elsewhere, it says so', async () => {
    const receipt = JSON.parse(readFileSync(inFolder('a version.json'), 'utf8')) as object;
    const file = inFolder('own key.json');
    writeFileSync(file, JSON.stringify({ ...receipt, vkey: signer.vkey }));
    const { code, stdout } = await verify(file);
    expect(code).toBe(0);
    const text = stdout.replaceAll(/\s+/g, ' ');
    expect(text).toContain('Checked only with the key that the receipt itself names.');
    expect(text).toContain('Anyone can make such a receipt');
  });
});

describe('a receipt that does not hold exits with 1', () => {
  test.for<[string, (text: string) => string, string[]]>([
    ['the inclusion', (text) => text.replace('outlook.created', 'outlook.updated'), []],
    ['a row', (text) => text.replace('\\"bear_bps\\":\\"3000\\"', '\\"bear_bps\\":\\"3001\\"'), []],
    ['the log', (text) => text, ['--vkey', newSigner('other.example/log').vkey]],
    ['the witnesses', (text) => text, ['--witness', stranger.witnessVkey]],
    ['the form', () => '{}', []],
    ['JSON', () => 'not JSON \u001b[2J', []],
  ])('for %s', async ([name, change, args]) => {
    const file = inFolder(`${name} is wrong.json`);
    writeFileSync(file, change(readFileSync(inFolder('a version.json'), 'utf8')));
    const vkey = args.includes('--vkey') ? [] : ['--vkey', signer.vkey];
    const { code, stdout, stderr } = await verify(file, ...vkey, ...args);
    expect([code, stderr]).toEqual([1, '']);
    expect(stdout).toContain('The receipt proves nothing.');
    expect(stdout).not.toContain('\u001b[2J');
  });
});

describe('a wrong command exits with 2', () => {
  test.for([
    ['two subjects', ['save', SLUG, '1', '--resolution']],
    ['two items', ['save', SLUG, '--evidence=a', '--evidence=b']],
    ['a key that is none', ['verify', 'any.json', '--vkey', 'ledger.example+1+A']],
    ['a witness as the log', ['verify', 'any.json', '--vkey', witness.witnessVkey]],
    ['a log as a witness', ['verify', 'any.json', '--witness', signer.vkey]],
    ['no file', ['verify', '/no/such/file']],
  ] as const)('for %s', async ([, args]) => {
    const { code, stdout } = await outlook(['receipt', ...args], { url });
    expect([code, stdout]).toEqual([2, '']);
  });
});

test('a subject without a receipt is refused by the service', async () => {
  const { code, stderr } = await save('--resolution');
  expect(code).toBe(1);
  expect(stderr).toContain('(404)');
});
