import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findingsOf, type Shown, startShown } from '../support/browser.ts';
import { receiptOf, versionOf } from '../support/receipts.ts';
import { newSigner } from '../support/sign-log.ts';

const log = newSigner();
const witness = newSigner('witness.example/a');
const SECONDS = Date.parse('2026-11-27T10:00:07Z') / 1_000;

const receipt = (): string => {
  const { row, ...act } = versionOf();
  return JSON.stringify(
    receiptOf({ ...act, rows: [row] }, { log, witnesses: [{ signer: witness, seconds: SECONDS }] }),
  );
};

let shown: Shown;
let folder: string;
let saved: string;
beforeAll(async () => {
  shown = await startShown();
  folder = mkdtempSync(path.join(tmpdir(), 'verify-'));
  saved = path.join(folder, 'verify.html');
  const response = await fetch(`${shown.origin}/verify.html`);
  if (!response.ok) throw new Error(`the page answers ${response.status}`);
  writeFileSync(saved, await response.text());
});
afterAll(async () => {
  await shown.close();
  rmSync(folder, { recursive: true });
});

async function choose(page: Page, text: string, name = 'v2.receipt.json'): Promise<void> {
  const file = { name, mimeType: 'application/json', buffer: Buffer.from(text) };
  await page.locator('#receipt').setInputFiles(file);
}

const verdict = (page: Page, outcome: string) => page.locator(`#result .verdict.${outcome}`);

describe.each([
  ['as the service serves it', () => '/verify.html'],
  ['as a file, without the service', () => pathToFileURL(saved).href],
])('the page that verifies, %s', (_where, address) => {
  const open = async () => {
    const where = address();
    if (where.startsWith('/')) return shown.open(where);
    // Opened by the browser alone: whatever it loads would fail.
    const opened = await shown.open('/verify.html', { offline: false });
    await opened.page.context().setOffline(true);
    await opened.page.goto(where);
    return opened;
  };

  test('says who said what, since when, and who witnessed it', async () => {
    const { page, close } = await open();
    await page.locator('#vkey').fill(log.vkey);
    await page.locator('#witnesses').fill(`${witness.witnessVkey}\n`);
    await choose(page, receipt());
    await verdict(page, 'holds').waitFor();
    const text = await page.locator('#result').textContent();
    expect(text).toContain('"Ada Analyst" published');
    expect(text).toContain(
      'On record since 2026-11-27 10:00:07 UTC, witnessed by witness.example/a.',
    );
    expect(text).toContain('bear 35%, base 40%, bull 25%');
    expect(text).not.toContain('receipt itself');
    expect(await page.locator('#result td:nth-child(2)').allTextContents()).toEqual(
      Array(6).fill('✓ passed'),
    );
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('result');
    expect(await findingsOf(page)).toEqual([]);
    await close();
  });

  test('says that the key is only the one that the receipt names', async () => {
    const { page, close } = await open();
    await choose(page, receipt());
    await verdict(page, 'holds').waitFor();
    const text = await page.locator('#result').textContent();
    expect(text).toContain('Checked only with the key that the receipt itself names.');
    expect(text).toContain(log.vkey);
    await close();
  });

  test('says why a forged receipt proves nothing', async () => {
    const { page, close } = await open();
    await choose(page, receipt().replace('Ada Analyst', 'Eva Analyst'));
    await verdict(page, 'fails').waitFor();
    expect(await page.locator('#result td:nth-child(2)').allTextContents()).toEqual([
      '✓ passed',
      '✗ failed',
      ...Array<string>(4).fill('– not checked'),
    ]);
    await page.locator('#vkey').fill('nonsense');
    expect(await page.locator('#result').textContent()).toBe('');
    await choose(page, receipt());
    await page.locator('#result').getByText('The key that you gave is not').first().waitFor();
    await close();
  });

  test('takes a file that is dropped', async () => {
    const { page, close } = await open();
    await page.evaluate((text) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([text], 'dropped\u202e.json'));
      document.body.dispatchEvent(
        new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }),
      );
    }, receipt());
    await verdict(page, 'holds').waitFor();
    expect(await page.locator('#chosen').textContent()).toBe('Dropped: dropped\\u{202e}.json');
    await close();
  });
});

test('text in a receipt is shown as text, and can’t reorder other text', async () => {
  const { page, close } = await shown.open('/verify.html');
  const { row, event, ...act } = versionOf();
  const name = '<img src=x onerror=alert(1)>\u202e';
  const by = { ...(event['by'] as object), name };
  const text = JSON.stringify(receiptOf({ ...act, event: { ...event, by }, rows: [row] }, { log }));
  await choose(page, text);
  await verdict(page, 'holds').waitFor();
  expect(await page.locator('#result').textContent()).toContain('onerror=alert(1)>\\u{202e}');
  expect(await page.locator('#result img').count()).toBe(0);
  await choose(page, '{'.repeat(1_000_000));
  await verdict(page, 'fails').waitFor();
  await close();
});

test('without Ed25519, it says that the signature was not checked', async () => {
  const { page, close } = await shown.open('/verify.html');
  await page.evaluate(() => {
    const subtle = crypto.subtle;
    const importKey = subtle.importKey.bind(subtle) as (...given: unknown[]) => Promise<CryptoKey>;
    const importOld = async (...given: unknown[]) => {
      if (given[2] === 'Ed25519') throw new DOMException('unrecognized', 'NotSupportedError');
      return importKey(...given);
    };
    Object.defineProperty(subtle, 'importKey', { value: importOld });
  });
  await page.locator('#vkey').fill(log.vkey);
  await choose(page, receipt());
  await verdict(page, 'unchecked').waitFor();
  const text = await page.locator('#result').textContent();
  expect(text).toContain('Signature not checked: this platform has no Ed25519.');
  expect(text).not.toContain('On record since');
  await close();
});

test('without cryptography, it says that nothing was checked', async () => {
  const { page, close } = await shown.open('/verify.html');
  await page.evaluate(() => Object.defineProperty(crypto, 'subtle', { value: undefined }));
  await choose(page, receipt());
  await verdict(page, 'fails').waitFor();
  expect(await page.locator('#result').textContent()).toContain('Nothing was checked');
  await close();
});
