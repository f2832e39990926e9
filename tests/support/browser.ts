import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { expect } from 'vitest';
import type { Config } from '../../src/config.ts';
import { startLedger, type TestLedger } from './ledger.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** A ledger that listens, and a browser to look at it. */
export type Shown = TestLedger & {
  origin: string;
  /** Opens a page and collects its errors; `close` fails if there are any. */
  open: (path: string, options?: BrowserContextOptions) => Promise<Opened>;
};
export type Opened = { page: Page; faults: string[]; close: () => Promise<void> };

export async function startShown(
  options: Partial<Config> & { samples?: boolean } = {},
): Promise<Shown> {
  const ledger = await startLedger(options);
  const origin = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
  const browser = await launch();
  return {
    ...ledger,
    origin,
    open: (path, context) => open(browser, `${origin}${path}`, context),
    close: async () => {
      await browser.close();
      await ledger.close();
    },
  };
}

function launch(): Promise<Browser> {
  const executablePath = process.env['CHROMIUM_PATH'];
  return chromium.launch({
    ...(executablePath ? { executablePath } : { channel: 'chrome' }),
    // A container's root has no user namespaces for its sandbox; nothing but our own pages is opened.
    chromiumSandbox: false,
  });
}

async function open(
  browser: Browser,
  url: string,
  options?: BrowserContextOptions,
): Promise<Opened> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  page.on('dialog', (dialog) => {
    faults.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(url, { waitUntil: 'load' });
  const close = async () => {
    await context.close();
    expect(faults).toEqual([]);
  };
  return { page, faults, close };
}

/** What axe finds on a page, in short. It is put in by the browser's tools, which no policy of the page binds. */
export async function findingsOf(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: {
        run: () => Promise<{
          violations: {
            id: string;
            impact: string;
            nodes: { html: string; failureSummary: string }[];
          }[];
        }>;
      };
    };
    const { violations } = await axe.run();
    return violations.map(({ id, impact, nodes }) => ({
      id,
      impact,
      where: nodes
        .slice(0, 3)
        .map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`),
    }));
  });
  return found.map(({ id, impact, where }) => `${impact} ${id}: ${where.join(' | ')}`);
}
