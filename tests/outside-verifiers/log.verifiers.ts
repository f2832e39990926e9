import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cleanUp, newFolder } from '../support/service.ts';
import { findVerifiers, type Verifiers } from './verifiers.ts';
import { MemoryLog } from './memory-log.ts';
import { LedgerLog } from './ledger-log.ts';

/** Around the widths of tiles, and some between. The last has two full levels. */
const SIZES = [0, 1, 2, 255, 256, 257, 511, 512, 4_099, 65_535, 65_536, 65_537];
/** Each size but the empty one with each that is smaller. */
const PAIRS = ((SIZES.length - 1) * (SIZES.length - 2)) / 2;

let verifiers: Verifiers;
beforeAll(async () => {
  verifiers = await findVerifiers();
}, 600_000);
afterAll(cleanUp);

const NAMES = ['go', 'python'] as const;

describe.each(NAMES)('a log in memory, by %s', (name) => {
  let log: MemoryLog;
  beforeAll(async () => {
    log = await MemoryLog.start();
  });
  afterAll(() => log.stop());

  const verify = async (): Promise<object> => {
    const sizes = SIZES.filter((size) => size <= log.size).map(String);
    const args = [log.prefix, log.vkey, ...(name === 'go' ? sizes : [])];
    return (await verifiers[name]?.('log', ...args)) ?? {};
  };

  test('verifies at each size, and each size extends those before', async ({ skip }) => {
    const verifier = verifiers[name];
    if (verifier === null) {
      skip(`${name} is not installed`);
      return;
    }
    const folder = newFolder();
    const saved: string[] = [];
    for (const size of SIZES) {
      log.growTo(size);
      expect(await verify(), `size ${size}`).toMatchObject({ report: { size } });
      saved.push(path.join(folder, String(size)));
      writeFileSync(saved.at(-1) ?? '', log.checkpoint());
    }
    const verdict = await verifier('extends', log.prefix, log.vkey, ...saved);
    expect(verdict).toEqual({ report: { checkpoints: SIZES.length, proofs: PAIRS } });
  });

  test('a bit that was changed anywhere is seen', async ({ skip }) => {
    if (verifiers[name] === null) {
      skip(`${name} is not installed`);
      return;
    }
    log.growTo(SIZES.at(-1) ?? 0);
    expect(await verify()).toHaveProperty('report');
    for (const path of [
      'checkpoint',
      'tile/0/000',
      'tile/0/255',
      'tile/0/256.p/1',
      'tile/1/000',
      'tile/2/000.p/1',
      'tile/entries/000',
      'tile/entries/128',
      'tile/entries/256.p/1',
    ]) {
      let wasServed = false;
      log.tamper = (served, body) => {
        if (served !== path) return body;
        wasServed = true;
        const changed = Buffer.from(body);
        const at = changed.length - 2;
        changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
        return changed;
      };
      const verdict = await verify();
      expect(verdict, path).toHaveProperty('fault');
      expect(wasServed, path).toBe(true);
    }
    log.tamper = (_, body) => body;
  });

  test('another key, or a checkpoint of another tree, is refused', async ({ skip }) => {
    const verifier = verifiers[name];
    if (verifier === null) {
      skip(`${name} is not installed`);
      return;
    }
    const other = await MemoryLog.start();
    other.growTo(300);
    const sizes = name === 'go' ? ['300'] : [];
    expect(await verifier('log', log.prefix, other.vkey, ...sizes)).toHaveProperty('fault');
    log.tamper = (served, body) =>
      served === 'checkpoint' ? Buffer.from(other.checkpoint()) : body;
    expect(await verifier('log', log.prefix, other.vkey, ...sizes)).toHaveProperty('fault');
    log.tamper = (_, body) => body;
    other.stop();
  });
});

describe('the log of a service', () => {
  let log: LedgerLog;
  beforeAll(async () => {
    log = await LedgerLog.start();
  }, 300_000);

  test('verifies while it grows from its first events to 65,537', async ({ skip }) => {
    if (verifiers.go === null && verifiers.python === null) {
      skip('no verifier is installed');
      return;
    }
    const folder = newFolder();
    const saved: string[] = [];
    for (const size of [await log.size(), ...SIZES.filter((size) => size >= 255)]) {
      saved.push(path.join(folder, String(size)));
      writeFileSync(saved.at(-1) ?? '', await log.growTo(size));
    }
    const sizes = SIZES.map(String);
    const last = SIZES.at(-1) ?? 0;
    const vkey = await log.vkey();
    const found = await verifiers.go?.('log', log.prefix, vkey, ...sizes);
    if (found) console.info('go:', JSON.stringify(found));
    const whole = { report: { size: last, entries: last, sizes: SIZES.length } };
    expect(found ?? whole).toMatchObject(whole);
    const audited = await verifiers.python?.('log', log.prefix, vkey);
    if (audited) console.info('python:', JSON.stringify(audited));
    const complete = { report: { size: last, bundles: 257 } };
    expect(audited ?? complete).toMatchObject(complete);
    for (const name of NAMES) {
      const verdict = await verifiers[name]?.('extends', log.prefix, vkey, ...saved);
      const proofs = (saved.length * (saved.length - 1)) / 2;
      const agreed = { report: { checkpoints: saved.length, proofs } };
      expect(verdict ?? agreed).toEqual(agreed);
    }
  });
});
