import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { cleanUp, newFolder, onTerminal, outlook, shows } from '../support/outlook-command.ts';

let ledger: TestLedger;
let url: string;
beforeAll(async () => {
  ledger = await startLedger();
  url = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  cleanUp();
  await ledger.close();
});

const ADD = ['evidence', 'add', SLUG, '--headline', 'H', '--summary', 'S', '--publisher', 'P'];
const WRITE = [...ADD, '--published-at', '2026-11-20T12:00:00Z'];

/** A home folder with a key file of this mode. */
function homeWith(key: string, mode: number): string {
  const home = newFolder();
  mkdirSync(path.join(home, '.config/outlook'), { recursive: true });
  const file = path.join(home, '.config/outlook/key');
  writeFileSync(file, `${key}\n`);
  chmodSync(file, mode);
  return home;
}

describe('outlook login', () => {
  test('stores a piped key where only this user and the other commands can read it', async () => {
    const home = newFolder();
    const { code, stdout, stderr } = await outlook(['login'], {
      env: { HOME: home },
      stdin: `${ledger.keys.analyst}\n`,
    });
    const file = path.join(home, '.config/outlook/key');
    expect([code, stdout, stderr]).toEqual([
      0,
      `Stored the key in ${file}. Only you can read it.\n`,
      '',
    ]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(path.dirname(file)).mode & 0o777).toBe(0o700);
    expect(await outlook(WRITE, { url, env: { HOME: home } })).toMatchObject({ code: 0 });
  });

  test('uses XDG_CONFIG_HOME, and replaces a file that others can read', async () => {
    const folder = newFolder();
    const env = { XDG_CONFIG_HOME: folder };
    const file = path.join(folder, 'outlook/key');
    mkdirSync(path.dirname(file));
    writeFileSync(file, 'old', { mode: 0o644 });
    const { stdout } = await outlook(['login', '--json'], { env, stdin: ledger.keys.analyst });
    expect(JSON.parse(stdout)).toEqual({ path: file });
    expect(readFileSync(file, 'utf8')).toBe(`${ledger.keys.analyst}\n`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(path.dirname(file))).toEqual(['key']);
  });

  test('does not show what is typed on a terminal', async () => {
    const home = newFolder();
    const login = onTerminal(['login'], { env: { HOME: home } });
    await shows(login, 'Key');
    login.type(`${ledger.keys.analyst}\r`);
    const { code, stdout } = await login.ended;
    expect(code).toBe(0);
    expect(stdout).not.toContain(ledger.keys.analyst.slice(4, 12));
    expect(stdout).not.toMatch(/[▪•*]/); // nor how long it is
    const stored = readFileSync(path.join(home, '.config/outlook/key'), 'utf8');
    expect(stored).toBe(`${ledger.keys.analyst}\n`);
  });

  test('stores nothing after Ctrl-C', async () => {
    const home = newFolder();
    const login = onTerminal(['login'], { env: { HOME: home } });
    await shows(login, 'Key');
    login.type('olk_half\u0003');
    expect((await login.ended).code).toBe(4);
    expect(readdirSync(home)).toEqual([]);
  });

  test.for(['', 'two words', 'olk_\u0000', 'line\nline'])('refuses %j', async (stdin) => {
    const home = newFolder();
    const { code, stderr } = await outlook(['login'], { env: { HOME: home }, stdin });
    expect(code).toBe(2);
    expect(stderr).toContain('The input does not contain a valid key');
    expect(readdirSync(home)).toEqual([]);
  });
});

describe('the key file', () => {
  test.for([0o640, 0o604, 0o666, 0o700])('with mode %o is refused', async (mode) => {
    const home = homeWith(ledger.keys.analyst, mode);
    const { code, stdout, stderr } = await outlook(WRITE, { url, env: { HOME: home } });
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(`has mode 0${mode.toString(8)}, but must have 0600`);
    expect(stderr).toContain(`chmod 600 '${home}/.config/outlook/key'`);
    expect(stderr).not.toContain(ledger.keys.analyst);
  });

  test('is not read if OUTLOOK_KEY is set', async () => {
    const home = homeWith('wrong', 0o666);
    const env = { HOME: home };
    expect(await outlook(WRITE, { url, env, key: ledger.keys.analyst })).toMatchObject({ code: 0 });
  });

  test.runIf(process.getuid?.() === 0)('of another user is refused', async () => {
    const home = homeWith(ledger.keys.analyst, 0o600);
    chownSync(path.join(home, '.config/outlook/key'), 65_534, 65_534);
    const { code, stderr } = await outlook(WRITE, { url, env: { HOME: home } });
    expect(code).toBe(2);
    expect(stderr).toContain('belongs to another user');
  });

  test('without a key is refused, and its content is not shown', async () => {
    const home = homeWith('two words', 0o600);
    const { code, stderr } = await outlook(['list'], { url, env: { HOME: home } });
    expect(code).toBe(2);
    expect(stderr).toContain('does not contain a valid key');
    expect(stderr).not.toContain('two words');
  });
});

describe('the key', () => {
  test('is not sent unencrypted to another machine', async () => {
    const { code, stderr } = await outlook(['list', '--url', 'http://ledger.example'], {
      key: ledger.keys.analyst,
    });
    expect(code).toBe(2);
    expect(stderr).toContain('The key was not sent to http://ledger.example');
    const near = await outlook(['list', '--url', url.replace('127.0.0.1', 'localhost')], {
      key: ledger.keys.analyst,
    });
    expect(near.stderr).not.toContain('not sent');
  });

  test('is not an option, because others could see it', async () => {
    const { code, stderr } = await outlook([...WRITE, '--key', ledger.keys.analyst], { url });
    expect(code).toBe(2);
    expect(stderr).toContain('Unknown argument: key');
  });
});
