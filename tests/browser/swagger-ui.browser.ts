import { afterAll, beforeAll, expect, test } from 'vitest';
import { SLUG } from '../support/ledger.ts';
import { type Shown, startShown } from '../support/browser.ts';

let shown: Shown;
beforeAll(async () => {
  shown = await startShown();
});
afterAll(() => shown.close());

const STORED = () => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]);
const NOTHING = '[{},{},""]';

test('Swagger UI works with a key, and leaves none behind', async () => {
  const { page, close } = await shown.open('/docs');
  await page.getByRole('button', { name: 'Authorize' }).first().click();
  await page.locator('.auth-container input').fill(shown.keys.admin);
  await page.locator('.auth-btn-wrapper .authorize').click();
  await page.locator('.auth-btn-wrapper .btn-done').click();
  await page.locator('#operations-Keys-listKeys button').first().click();
  const sent = page.waitForResponse((response) => response.url().includes('/v1/keys'));
  await page.locator('#operations-Keys-listKeys .execute').click();
  expect((await sent).status()).toBe(200);
  expect(await page.evaluate(STORED)).toBe(NOTHING);
  await page.reload({ waitUntil: 'load' });
  await page.getByRole('button', { name: 'Authorize' }).first().waitFor();
  expect(await page.locator('.authorization__btn.locked').count()).toBe(0);
  await page.goto(`${shown.origin}/outlooks/${SLUG}`);
  expect(await page.evaluate(STORED)).toBe(NOTHING);
  await close();
});

test('Swagger UI removes the key that an earlier release stored', async () => {
  const { page, close } = await shown.open(`/outlooks/${SLUG}`);
  await page.evaluate(() => {
    localStorage.setItem('authorized', '{"key":{"name":"key","value":"olk_old"}}');
    localStorage.setItem('other', 'stays');
  });
  await page.goto(`${shown.origin}/docs`, { waitUntil: 'load' });
  await page.getByRole('button', { name: 'Authorize' }).first().waitFor();
  expect(await page.evaluate(STORED)).toBe('[{"other":"stays"},{},""]');
  await close();
});
