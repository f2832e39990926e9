import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { receiptOf, versionOf } from '../support/receipts.ts';
import { growLog, newSigner, signLog } from '../support/sign-log.ts';

// Another language with its standard library opens and recomputes a receipt, from the file alone.

const SCRIPT = fileURLToPath(new URL('receipt.py', import.meta.url));
const hasPython = spawnSync('python3', ['--version']).status === 0;
if (!hasPython) console.warn('There is no python3: no receipt is recomputed in Python.');

const log = newSigner();
const folder = mkdtempSync(path.join(tmpdir(), 'python-receipt-'));
afterAll(() => rmSync(folder, { recursive: true }));

function recompute(receipt: string): { status: number | null; stdout: string; stderr: string } {
  const file = path.join(folder, 'receipt.json');
  writeFileSync(file, receipt);
  return spawnSync('python3', [SCRIPT, file], { encoding: 'utf8' });
}

describe.skipIf(!hasPython)('Python recomputes', () => {
  let ledger: TestLedger;
  beforeAll(async () => {
    ledger = await startLedger();
    const probabilities = { bear: 0.35, base: 0.4, bull: 0.25 };
    await ledger.revise({ probabilities, rationale: 'Renditen: +0,4 % — “jumped” 漢字' });
    await growLog(ledger.pool);
    await signLog(ledger.pool, log);
  });
  afterAll(() => ledger.close());

  test.each([1, 2])('the receipt of version %i', async (version) => {
    const url = `/v1/outlooks/${SLUG}/versions/${version}`;
    const { body } = await ledger.call({ url: `${url}/receipt` });
    const { stdout, stderr } = recompute(body);
    expect(stderr).toBe('');
    const published = (await ledger.call({ url })).json<{
      rationale: string;
      author: { id: string; name: string };
      hash: string;
    }>();
    const { event, rows } = JSON.parse(stdout) as {
      event: object;
      rows: { table: string; row: object }[];
    };
    expect(event).toMatchObject({ subject: url, by: { id: published.author.id } });
    expect(rows.find(({ table }) => table === 'outlook_versions')?.row).toMatchObject({
      rationale: published.rationale,
      hash: published.hash.replace('sha256:', '\\x'),
    });
  });

  test('no receipt with another name, row or document', () => {
    const { row, ...act } = versionOf();
    const text = JSON.stringify(receiptOf({ ...act, rows: [row] }, { log, size: 300, index: 256 }));
    expect(recompute(text).status).toBe(0);
    for (const [from, to] of [
      ['Ada', 'Eva'],
      ['\\"bear_bps\\":\\"3500\\"', '\\"bear_bps\\":\\"3501\\"'],
      ['\\"bear\\":3500', '\\"bear\\":3501'],
    ] as const) {
      expect(text).toContain(from);
      const { status, stderr } = recompute(text.replace(from, to));
      expect([status, stderr.includes('AssertionError')]).toEqual([1, true]);
    }
  });
});
