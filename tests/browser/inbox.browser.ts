import { afterAll, beforeAll, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { type Shown, startShown } from '../support/browser.ts';
import { SLUG } from '../support/ledger.ts';

let shown: Shown;
let keys: { ada: string; ben: string };
beforeAll(async () => {
  shown = await startShown();
  const issue = async (name: string) => {
    const request = { name, role: 'analyst', expiresAt: null } as const;
    return (await issueKey(shown.pool, request, shown.clock.now)).key;
  };
  keys = { ada: await issue('Ada'), ben: await issue('Ben') };
});
afterAll(() => shown.close());

async function propose(rationale: string): Promise<string> {
  const response = await shown.call({
    method: 'POST',
    url: '/v1/proposals',
    headers: { authorization: `Bearer ${keys.ada}`, 'content-type': 'application/json' },
    payload: JSON.stringify({
      kind: 'revision',
      outlook: SLUG,
      body: { probabilities: { bear: 0.35, base: 0.4, bull: 0.25 }, rationale },
      submit: true,
    }),
  });
  return response.json<{ id: string }>().id;
}

test('an analyst reads the inbox, returns a proposal and approves the next one', async () => {
  await propose('<img src=x onerror=alert(1)> jumped');
  const { page, faults, close } = await shown.open('/inbox');
  await page.locator('input[name=key]').fill('olk_wrong');
  await page.getByRole('button', { name: 'Show what waits' }).click();
  await page.locator('#refusal p').waitFor();
  // Chromium reports each response that is an error.
  expect(faults.splice(0)).toEqual([expect.stringContaining('401')]);
  await page.locator('input[name=key]').fill(keys.ben);
  await page.getByRole('button', { name: 'Show what waits' }).click();
  await page.getByRole('heading', { name: 'To approve (1)' }).waitFor();
  expect(await page.locator('#refusal p').count()).toBe(0);
  await page.locator('[data-proposal]').click();
  await page.getByRole('cell', { name: '<img src=x onerror=alert(1)> jumped' }).waitFor();
  expect(await page.locator('#changes tr').first().innerText()).toContain('0.35');
  await page.locator('textarea[name=words]').fill('What is this?');
  await page.getByRole('button', { name: 'Return' }).click();
  await page.getByText('You returned draft 1.').waitFor();
  await page.getByText('Nothing waits for you.').waitFor();
  // The next one comes without a reload.
  await propose('Yields jumped.');
  await page.getByRole('heading', { name: 'To approve (1)' }).waitFor();
  await page.locator('[data-proposal]').click();
  await page.getByRole('cell', { name: 'Yields jumped.' }).waitFor();
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.getByText('You approved draft 1.').waitFor();
  const current = await shown.call({ url: `/v1/outlooks/${SLUG}` });
  expect(current.json()).toMatchObject({ version: 2, approvedBy: [{ name: 'Ben' }] });
  const kept = await page.evaluate(() => [
    localStorage.length,
    sessionStorage.length,
    document.cookie,
  ]);
  expect(kept).toEqual([0, 0, '']);
  await close();
});
