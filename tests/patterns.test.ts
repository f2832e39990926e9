import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Token, tokenizer, tokTypes } from 'acorn';
import { check } from 'recheck';
import { expect, test } from 'vitest';

// No text that a client sends may keep a pattern busy for longer than its length warrants.

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Every regular expression of the service, and of the command line. */
const PATTERNS = ['dist', 'cli/dist']
  .flatMap((folder) =>
    readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
      path.join(folder, name),
    ),
  )
  .filter((name) => name.endsWith('.js'))
  .flatMap((name) => {
    const code = readFileSync(path.join(ROOT, name), 'utf8');
    const tokens = [...tokenizer(code, { ecmaVersion: 'latest', sourceType: 'module' })];
    return (tokens as (Token & { value?: unknown })[])
      .filter(({ type }) => type === tokTypes.regexp)
      .map(({ value }) => ({ name, ...(value as { pattern: string; flags: string }) }));
  });

test('the patterns are found', () => {
  expect(PATTERNS.length).toBeGreaterThan(40);
});

test.each(PATTERNS)('/$pattern/$flags of $name takes time in line with its text', async (one) => {
  const { status } = await check(one.pattern, one.flags, { timeout: 150_000 });
  expect(status).toBe('safe');
});

test('a pattern that does not would be noticed', async () => {
  expect((await check('^(a+)+$', '')).status).toBe('vulnerable');
  expect((await check('T\\S* \\d$', '')).status).toBe('vulnerable');
});
