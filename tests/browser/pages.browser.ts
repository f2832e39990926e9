import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fillLedger } from '../support/outlooks.ts';
import { SLUG } from '../support/ledger.ts';
import { nastyEvidence, nastyOutlook } from '../support/nasty.ts';
import { createOutlook, send } from '../support/requests.ts';
import { findingsOf, type Shown, startShown } from '../support/browser.ts';

let shown: Shown;
beforeAll(async () => {
  shown = await startShown();
  await fillLedger(shown);
});
afterAll(() => shown.close());

const PATH = `/outlooks/${SLUG}`;

describe('an open page', () => {
  test('shows a revision without a reload, and says so', async () => {
    const { page, close } = await shown.open(PATH);
    await page.evaluate(() => Object.assign(globalThis, { isSame: true }));
    await page.waitForFunction(() => document.querySelector('#revise-panel:not([hidden])'));
    const rationale = page.locator('#revise-form textarea[name=rationale]');
    await rationale.fill('I am still writing this');
    const response = await shown.revise({
      probabilities: { bear: 0.31, base: 0.44, bull: 0.25 },
      rationale: 'Seen live.',
    });
    const { version } = response.json<{ version: number }>();
    await page.getByText(`Version ${version} is current: Bear 31%, Base 44%, Bull 25%.`).waitFor();
    expect(await page.locator('#change blockquote').textContent()).toBe('Seen live.');
    expect(await page.evaluate(() => 'isSame' in globalThis)).toBe(true);
    expect(await rationale.inputValue()).toBe('I am still writing this');
    expect(await rationale.evaluate((area) => area === document.activeElement)).toBe(true);
    await close();
  });

  test('shows what the command line publishes', async () => {
    const { page, close } = await shown.open(PATH);
    const command = `revise ${SLUG} --url ${shown.origin} --yes --bear 0.33 --base 0.42 --bull 0.25`;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['cli/bin/outlook.js', ...command.split(' '), '--why', 'From a terminal.'],
      { env: { PATH: process.env['PATH'], OUTLOOK_KEY: shown.keys.analyst } },
    );
    expect(stdout).toMatch(/Published version \d+ of russell-2000-downside\./);
    await page.locator('#change').getByText('From a terminal.').waitFor();
    await close();
  });

  test('of a past version stays the same', async () => {
    const { page, close } = await shown.open(`${PATH}?version=1`);
    expect(await page.locator('#live').getAttribute('data-events')).toBeNull();
    expect(await page.locator('#revise-panel').count()).toBe(0);
    await close();
  });

  test('of the list shows a new outlook', async () => {
    const { page, close } = await shown.open('/');
    await page.waitForTimeout(200);
    const title = 'A case that was not there before';
    const created = await createOutlook(shown, { title, slug: 'not-there-before' });
    expect(created.statusCode).toBe(201);
    await page.getByRole('link', { name: title }).waitFor();
    await close();
  });
});

describe('the sliders', () => {
  test('always sum to 100%, whatever is moved or typed', async () => {
    const { page, close } = await shown.open(PATH);
    await page.waitForFunction(() => document.querySelector('#revise-panel:not([hidden])'));
    const values = () =>
      page.$$eval('#revise-form input[type=range]', (inputs) =>
        inputs.map((input) => Number((input as HTMLInputElement).value)),
      );
    const written = () =>
      page.$$eval('#revise-form input[type=number]', (inputs) =>
        inputs.map((input) => Math.round(Number((input as HTMLInputElement).value) * 100)),
      );
    const expectWhole = async () => {
      const now = await values();
      expect(now.reduce((sum, value) => sum + value, 0)).toBe(10_000);
      expect(await written()).toEqual(now);
    };
    for (const name of ['bear', 'base', 'bull']) {
      const slider = page.locator(`#slider-${name}`);
      await slider.focus();
      for (const key of [
        'ArrowRight',
        'PageUp',
        'Home',
        'PageUp',
        'End',
        'ArrowLeft',
        'PageDown',
      ]) {
        await page.keyboard.press(key);
        await expectWhole();
      }
      const box = await slider.boundingBox();
      if (!box) throw new Error('the slider is not shown');
      for (const share of [0.1, 0.93, 0.4, 0.55]) {
        await page.mouse.click(box.x + box.width * share, box.y + box.height / 2);
        await expectWhole();
      }
      for (const text of ['33.33', '0', '100', '12.5']) {
        await page.locator(`input[name=${name}-percent]`).fill(text);
        await expectWhole();
      }
      await page.locator(`input[name=${name}-percent]`).fill('250');
      const now = await values();
      expect(now.reduce((sum, value) => sum + value, 0)).toBe(10_000);
      await page.locator(`input[name=${name}-percent]`).fill('20');
    }
    await close();
  });
});

describe('an analyst', () => {
  test('sees the change before it is posted, and then the version', async () => {
    const { page, close } = await shown.open(PATH);
    await page.waitForFunction(() => document.querySelector('#revise-panel:not([hidden])'));
    await page.locator('input[name=key]').fill(shown.keys.analyst);
    await page.locator('input[name=bear-percent]').fill('40');
    await page.locator('textarea[name=rationale]').fill('Moved by hand.');
    const before = await page.$eval('#revise-form', (form) => ({
      bear: (form as HTMLElement).dataset['bear'],
      version: (form as HTMLElement).dataset['version'],
    }));
    await page.getByRole('button', { name: 'Preview the change' }).click();
    const rows = await page.$$eval('#preview-rows tr', (found) =>
      found.map((row) => [...row.children].map((cell) => cell.textContent)),
    );
    const moved = 4000 - Number(before['bear']);
    expect(rows[0]).toEqual(['Bear', `${Number(before['bear']) / 100}%`, '40%', `+${moved / 100}`]);
    await page
      .getByRole('button', { name: `Publish version ${Number(before['version']) + 1}` })
      .click();
    await page.locator('#change').getByText('Moved by hand.').waitFor();
    const stored = (await shown.call({ url: `/v1/outlooks/${SLUG}` })).json<{
      version: number;
      probabilities: { bear: number };
      rationale: string;
    }>();
    expect([stored.version, stored.probabilities.bear, stored.rationale]).toEqual([
      Number(before['version']) + 1,
      0.4,
      'Moved by hand.',
    ]);
    expect(await page.locator('#preview').isHidden()).toBe(true);
    await close();
  });

  test("reads the service's reason why a revision is refused", async () => {
    const { page, faults } = await shown.open(PATH);
    await page.waitForFunction(() => document.querySelector('#revise-panel:not([hidden])'));
    await page.locator('input[name=key]').fill(shown.keys.analyst);
    await page.locator('textarea[name=rationale]').fill('Nothing changes.');
    await page.getByRole('button', { name: 'Preview the change' }).click();
    await page.getByRole('button', { name: /^Publish version/ }).click();
    const refusal = page.locator('#refusal');
    await refusal.getByText('change something').waitFor();
    expect(await refusal.evaluate((box) => box === document.activeElement)).toBe(true);
    const { detail } = (
      await shown.revise({
        probabilities: (await shown.call({ url: `/v1/outlooks/${SLUG}` })).json<{
          probabilities: object;
        }>().probabilities,
        rationale: 'Nothing changes.',
      })
    ).json<{ detail: string }>();
    expect(await refusal.locator('p').textContent()).toContain(detail);
    await page.locator('#back').click();
    await page.locator('input[name=key]').fill('olk_nobody');
    await page.getByRole('button', { name: 'Preview the change' }).click();
    await page.getByRole('button', { name: /^Publish version/ }).click();
    await refusal.getByText('The key is unknown.').waitFor();
    // A browser tells of each refusal; nothing else went wrong.
    expect(faults.filter((fault) => !/status of (409|401|422)/.test(fault))).toEqual([]);
    await page.context().close();
  });

  test('reaffirms the current probabilities', async () => {
    const { page, close } = await shown.open(PATH);
    await page.waitForFunction(() => document.querySelector('#revise-panel:not([hidden])'));
    await page.locator('input[name=key]').fill(shown.keys.analyst);
    await page.locator('input[name=reaffirm]').check();
    await page.locator('textarea[name=rationale]').fill('We stand by it.');
    await page.getByRole('button', { name: 'Preview the change' }).click();
    expect(await page.locator('#preview-more').textContent()).toContain('Reaffirms');
    await page.getByRole('button', { name: /^Publish version/ }).click();
    await page.locator('#change').getByText('We stand by it.').waitFor();
    const current = await shown.call({ url: `/v1/outlooks/${SLUG}` });
    expect(current.json()).toMatchObject({ change: { kind: 'reaffirmed' } });
    expect(await page.locator('input[name=reaffirm]').isChecked()).toBe(false);
    await close();
  });

  test('is asked to check again if another version came first', async () => {
    const { page, close } = await shown.open(PATH);
    await page.waitForFunction(() => document.querySelector('#revise-panel:not([hidden])'));
    await page.locator('input[name=key]').fill(shown.keys.analyst);
    await page.locator('input[name=bull-percent]').fill('50');
    await page.locator('textarea[name=rationale]').fill('Based on what stood.');
    await page.getByRole('button', { name: 'Preview the change' }).click();
    await shown.revise({
      probabilities: { bear: 0.2, base: 0.5, bull: 0.3 },
      rationale: 'Faster.',
    });
    await page.locator('#refusal').getByText('is current now.').waitFor();
    expect(await page.locator('#preview').isHidden()).toBe(true);
    await page.getByRole('button', { name: 'Preview the change' }).click();
    const cells = await page.$$eval('#preview-rows tr:last-child td', (found) =>
      found.map((cell) => cell.textContent),
    );
    expect(cells).toEqual(['30%', '50%', '+20']);
    await close();
  });
});

describe('a reader who is using a page', () => {
  const evidence = {
    headline: 'News',
    summary: 'S',
    publisher: 'P',
    publishedAt: '2026-11-20T15:00:00Z',
  };
  const ready = (page: Page) =>
    page.waitForFunction(() => document.querySelector('#revise-panel:not([hidden])'));

  test('keeps focus and open parts while the page updates', async () => {
    const { page, close } = await shown.open(PATH);
    await ready(page);
    await page.locator('input[name=key]').fill(shown.keys.analyst);
    await page.locator('input[name=bear-percent]').fill('44');
    await page.locator('textarea[name=rationale]').fill('Undisturbed.');
    await page.getByRole('button', { name: 'Preview the change' }).click();
    await page.locator('#questions summary').first().click();
    await page.locator('input[name=asOf]').fill('2026-11-19');
    await page.locator('#preview').focus();
    await send(shown, 'POST', `/v1/outlooks/${SLUG}/evidence`, {
      ...evidence,
      headline: 'A new item',
    });
    await page.locator('#evidence').getByText('A new item').waitFor();
    expect(await page.locator('#news').textContent()).toBe('The page was updated.');
    expect(await page.locator('#preview').isVisible()).toBe(true);
    expect(await page.locator('#refusal').textContent()).toBe('');
    expect(await page.locator('#questions details').first().getAttribute('open')).toBe('');
    expect(await page.locator('input[name=asOf]').inputValue()).toBe('2026-11-19');
    await close();
  });

  test('publishes once without a response, and sees nothing untrue afterwards', async () => {
    const { page, faults } = await shown.open(PATH);
    await ready(page);
    let cut = 1;
    await page.route('**/revisions', async (route) => {
      const answer = await route.fetch();
      cut -= 1;
      if (cut >= 0) await route.abort('connectionreset');
      else await route.fulfill({ response: answer });
    });
    const before = Number(await page.locator('#revise-form').getAttribute('data-version'));
    await page.locator('input[name=key]').fill(shown.keys.analyst);
    await page.locator('#slider-bull').focus();
    await page.keyboard.press('ArrowRight');
    await page.locator('#citable input').first().check();
    await page.locator('textarea[name=rationale]').fill('Through a bad line.');
    await page.getByRole('button', { name: 'Preview the change' }).click();
    expect(await page.locator('#preview-more').textContent()).toContain('Cites: ');
    await page.locator('#publish').click();
    await page.locator('#refusal').getByText('There was no response.').waitFor();
    await page.locator('#change').getByText('Through a bad line.').waitFor();
    expect(await page.locator('#preview').isVisible()).toBe(true);
    await page.locator('#publish').press('Enter');
    await page
      .locator('#news')
      .getByText(`You published version ${before + 1}.`)
      .waitFor();
    expect(await page.locator('#refusal').textContent()).toBe('');
    expect(await page.locator('#citable input:checked').count()).toBe(0);
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('revise-title');
    const { version } = (await shown.call({ url: `/v1/outlooks/${SLUG}` })).json<{
      version: number;
    }>();
    expect(version).toBe(before + 1);
    expect(faults.filter((fault) => !fault.includes('ERR_CONNECTION_RESET'))).toEqual([]);
  });

  test('finds the current probabilities after going back', async () => {
    const { page, close } = await shown.open(PATH);
    await ready(page);
    await page.locator('input[name=bear-percent]').fill('77');
    await page.goto(`${shown.origin}/`);
    await page.goBack();
    await ready(page);
    const form = page.locator('#revise-form');
    const values = await page.$$eval('#revise-form input[type=range]', (inputs) =>
      inputs.map((input) => (input as HTMLInputElement).value),
    );
    const shownPoints = await Promise.all(
      ['bear', 'base', 'bull'].map((name) => form.getAttribute(`data-${name}`)),
    );
    const isKept = values[0] === '7700';
    expect(isKept ? values.reduce((sum, value) => sum + Number(value), 0) : values).toEqual(
      isKept ? 10_000 : shownPoints,
    );
    await close();
  });

  test('uses no connection while the page is hidden', async () => {
    const { page, close } = await shown.open(PATH);
    await ready(page);
    const streams = () =>
      page.evaluate(() =>
        (globalThis as unknown as { opened: EventSource[] }).opened.map(
          ({ readyState }) => readyState,
        ),
      );
    await page.evaluate(() => {
      const opened: EventSource[] = [];
      const Native = EventSource;
      Object.assign(globalThis, {
        opened,
        EventSource: class extends Native {
          constructor(url: string) {
            super(url);
            opened.push(this);
          }
        },
      });
      const see = (hidden: boolean) => {
        Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event('visibilitychange'));
      };
      see(false);
      see(true);
    });
    expect(await streams()).toEqual([2]);
    await close();
  });

  test('sees a new chart when closes arrive', async () => {
    const { page, close } = await shown.open(PATH);
    await ready(page);
    const source = () => page.locator('img[src*="kind=drawdown"]').getAttribute('src');
    const before = await source();
    const observations = [{ date: '2026-11-20', value: 2000 }];
    await send(
      shown,
      'POST',
      '/v1/series/rut-close/observations',
      { observations },
      { as: 'feed' },
    );
    await page.locator('#drawdown').getByText('closed at 2,000').waitFor();
    expect(await source()).not.toBe(before);
    await close();
  });

  test('retries if the page could not be loaded', async () => {
    const { page, faults } = await shown.open(PATH);
    await ready(page);
    let failures = 2;
    await page.route(`**${PATH}`, (route) => {
      failures -= 1;
      return failures >= 0 ? route.fulfill({ status: 503, body: '' }) : route.continue();
    });
    await send(shown, 'POST', `/v1/outlooks/${SLUG}/evidence`, {
      ...evidence,
      headline: 'After a while',
    });
    await page.locator('#evidence').getByText('After a while').waitFor();
    expect(faults.filter((fault) => !fault.includes('503'))).toEqual([]);
  });

  test('can zoom in until it is 320 pixels wide', async () => {
    const { page, close } = await shown.open(PATH, { viewport: { width: 320, height: 800 } });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(320);
    await close();
  });
});

test('without JavaScript everything is readable, and the forms work', async () => {
  const { page, close } = await shown.open(PATH, { javaScriptEnabled: false });
  for (const id of [
    'probabilities',
    'change',
    'history',
    'conditions',
    'drawdown',
    'headwinds',
    'risks',
    'positioning',
    'evidence',
  ]) {
    expect([id, await page.locator(`#${id} h2`).isVisible()]).toEqual([id, true]);
  }
  expect(await page.locator('#revise-panel').isVisible()).toBe(false);
  await page.locator('input[name=against]').fill('1');
  await page.getByRole('button', { name: 'Compare' }).click();
  expect(await page.locator('#diff h2').textContent()).toMatch(/^From version 1 to version \d+$/);
  await page.locator('input[name=asOf]').fill('2026-11-20');
  await page.getByRole('button', { name: 'Show' }).click();
  expect(await page.locator('h1').textContent()).toBe('Russell 2000: the case for more downside');
  await page.getByRole('link', { name: '← Version' }).click();
  expect(new URL(page.url()).searchParams.has('version')).toBe(true);
  await close();
});

test('text of analysts is never markup', async () => {
  const created = await createOutlook(shown, nastyOutlook('nasty'));
  expect([created.statusCode, created.body.slice(0, 2000)]).toEqual([201, expect.anything()]);
  const added = await send(shown, 'POST', '/v1/outlooks/nasty/evidence', nastyEvidence());
  expect([added.statusCode, added.body.slice(0, 1500)]).toEqual([201, expect.anything()]);
  const { slug, title, summary } = created.json<{ slug: string; title: string; summary: string }>();
  for (const path of ['/', `/outlooks/${slug}`]) {
    const { page, close } = await shown.open(path);
    expect(await page.locator('body').innerText()).toContain(title);
    expect(await page.locator('script').count()).toBe(2);
    await close();
  }
  const { page, close } = await shown.open(`/outlooks/${slug}`);
  const shownSummary = (await page.locator('#summary p').allTextContents()).join('\n\n');
  expect(shownSummary).toBe(summary);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
  await close();
});

describe('axe finds nothing on', () => {
  const PHONE = { viewport: { width: 390, height: 844 } };
  const DARK = { colorScheme: 'dark' as const };
  test.each([
    ['the list', '/', {}],
    ['the list, dark', '/', DARK],
    ['an outlook', PATH, {}],
    ['an outlook, dark', PATH, DARK],
    ['an outlook on a phone', PATH, PHONE],
    ['an outlook on a phone, dark', PATH, { ...PHONE, ...DARK }],
    ['a comparison', `${PATH}?version=2&against=1`, {}],
    ['a past version', `${PATH}?version=1`, {}],
    ['a resolved outlook', '/outlooks/resolved', {}],
    ['nothing found', '/?q=zebra', {}],
  ])('%s', async (_name, path, options) => {
    if (path.endsWith('/resolved')) await resolveOne();
    const { page, close } = await shown.open(path, options);
    expect(await findingsOf(page)).toEqual([]);
    await close();
  });

  test('a missing page', async () => {
    const { page } = await shown.open('/outlooks/nowhere');
    expect(await page.locator('h1').textContent()).toBe('Not found');
    expect(await findingsOf(page)).toEqual([]);
  });
});

async function resolveOne(): Promise<void> {
  await createOutlook(shown, { slug: 'resolved', title: 'A case that came to its end' });
  const body = { outcome: 'bear', realisedReturn: -0.2, reason: 'It fell by a fifth.' };
  const path = '/v1/outlooks/resolved/resolution';
  const { statusCode } = await send(shown, 'POST', path, body, { as: 'analyst' });
  expect(statusCode).toBe(201);
}

test('if reads need a key, a browser asks for it and the page works with it', async () => {
  const closed = await startShown({ requireKeyForReads: true });
  try {
    const refused = await fetch(`${closed.origin}${PATH}`, { headers: { accept: 'text/html' } });
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
      401,
      'Bearer realm="Outlook Ledger", Basic realm="Outlook Ledger", charset="UTF-8"',
    ]);
    const httpCredentials = { username: 'me', password: closed.keys.feed };
    const { page, close } = await closed.open(PATH, { httpCredentials });
    await page.waitForFunction(() =>
      [...document.querySelectorAll('img')].every(
        (image) => image.complete && image.naturalWidth > 0,
      ),
    );
    await closed.revise({
      probabilities: { bear: 0.2, base: 0.55, bull: 0.25 },
      rationale: 'Live, too.',
    });
    await page.locator('#change').getByText('Live, too.').waitFor();
    await close();
  } finally {
    await closed.close();
  }
});
