import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT_CODES } from '../../cli/src/errors.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { cleanUp, outlook, preloaded } from '../support/outlook-command.ts';

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

/** The number of writes and refusals in the audit trail. */
async function countAudited(): Promise<number> {
  return (await ledger.pool.query('select from audit_entries')).rows.length;
}

async function listening(server: Server): Promise<string> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const NUMBERS = ['--bear', '0.35', '--base', '0.4', '--bull', '0.25'];

describe('exit code 2, with nothing sent, for', () => {
  const wrong: [what: string, args: string[], message: string][] = [
    ['no command', [], 'Specify a command.'],
    ['an unknown command', ['shwo'], 'Did you mean show?'],
    ['an unknown option', ['list', '--colour'], 'Unknown argument: colour'],
    ['a missing slug', ['show'], 'Not enough non-option arguments'],
    ['an unknown status', ['list', '--status', 'closed'], 'Choices: "open"'],
    ['a number in words', ['list', '--limit', 'ten'], '"ten" is not a number'],
    ['an option given twice', ['list', '--q', 'a', '--q', 'b'], '--q is given more than once'],
    [
      'a version and a time',
      ['show', SLUG, '--version', '1', '--as-of', 'x'],
      'mutually exclusive',
    ],
    ['half a version', ['show', SLUG, '--version', '1.5'], 'whole number'],
    [
      'a missing probability',
      ['revise', SLUG, ...NUMBERS.slice(2), '--why', 'x', '--yes'],
      'Missing required argument: bear',
    ],
    [
      'probabilities beside --reaffirm',
      ['revise', SLUG, ...NUMBERS.slice(2), '--reaffirm', '--why', 'x', '--yes'],
      'leave out --base, --bull',
    ],
    [
      'a missing rationale',
      ['revise', SLUG, ...NUMBERS, '--yes'],
      'Missing required argument: why',
    ],
    [
      'an acknowledgement without a reason',
      ['revise', SLUG, ...NUMBERS, '--why', 'x', '--yes', '--acknowledge', 'rate-relief'],
      'needs the key of a condition and a reason',
    ],
    ['nobody to confirm', ['revise', SLUG, ...NUMBERS, '--why', 'x'], 'Use --yes'],
    ['nobody to confirm a resolution', ['resolve', SLUG], 'Use --yes'],
    ['half a command', ['evidence'], 'Use "evidence list", "evidence add" or "evidence import".'],
    ['an unknown shell', ['completion', 'csh'], 'Choices: "bash"'],
    ['an invalid URL', ['list', '--url', 'ledger.example'], 'must look like https://'],
    ['a URL with a user', ['list', '--url', 'https://a@ledger.example'], 'without a user'],
    ['a URL with a query', ['list', '--url', 'https://ledger.example?a'], 'query or fragment'],
    ['a URL with a password', ['list', '--url', 'https://a:b@ledger.example'], 'without a user'],
    [
      'a missing file',
      ['evidence', 'add', SLUG, '--file', '/nowhere.json'],
      "Can't read /nowhere.json: ENOENT",
    ],
  ];
  test.for(wrong)('%s', async ([, args, message]) => {
    const before = await countAudited();
    const { code, stdout, stderr } = await outlook(args, { url, key: ledger.keys.analyst });
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr).toContain('Run "outlook --help"');
    expect(await countAudited()).toBe(before);
  });
});

test('help explains the exit codes', async () => {
  const { code, stdout, stderr } = await outlook(['--help']);
  expect([code, stderr]).toEqual([0, '']);
  for (const command of ['list', 'revise <slug>', 'watch [slug]', 'completion <shell>'])
    expect(stdout).toContain(`outlook ${command}`);
  expect(stdout).toContain('4 declined');
  expect((await outlook(['revise', '--help'])).stdout).toContain('--acknowledge');
});

test('the README describes each command and each exit code', async () => {
  const readme = readFileSync(new URL('../../cli/README.md', import.meta.url), 'utf8');
  const { stdout } = await outlook(['--help']);
  const commands = [...stdout.matchAll(/^ {2}outlook (\w+)/gm)].map(([, name]) => name);
  expect(commands).toHaveLength(22);
  for (const name of commands) expect(readme).toContain(`\n| \`${name}`);
  const codes = [...readme.matchAll(/^\| (\d) +\|/gm)].map(([, code]) => Number(code));
  expect(codes).toEqual(Object.values(EXIT_CODES));
});

describe('exit code 1', () => {
  test('comes with the title, the detail and each fault', async () => {
    const { code, stdout, stderr } = await outlook(
      ['list', '--sort', 'relevance', '--as-of', 'now'],
      { url },
    );
    expect([code, stdout]).toEqual([1, '']);
    const [title, detail, ...faults] = stderr.trimEnd().split('\n');
    expect(title).toBe('Validation failed (422)');
    expect(detail).toContain('2 fields');
    expect(faults).toEqual([
      expect.stringMatching(/^ {2}\/asOf: must be/),
      expect.stringMatching(/^ {2}\/sort: /),
    ]);
  });

  test('means a write without a key, or with a key of the wrong role', async () => {
    const args = ['revise', SLUG, ...NUMBERS, '--why', 'x', '--yes'];
    expect(await outlook(args, { url })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('(401)'),
    });
    const feed = await outlook(args, { url, key: ledger.keys.feed });
    expect(feed).toMatchObject({ code: 1, stderr: expect.stringContaining('(403)') });
    expect(feed.stderr).not.toContain(ledger.keys.feed);
  });
});

describe('exit code 3, if', () => {
  test('the service is unreachable', async () => {
    const server = createServer();
    const away = await listening(server);
    await new Promise((resolve) => server.close(resolve));
    const { code, stdout, stderr } = await outlook(['list'], { url: away });
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toBe(
      `No response from ${away} (ECONNREFUSED). Is --url correct, and is the service running?\n`,
    );
  });

  const others: [what: string, status: number, body: string, message: string][] = [
    [
      'the service fails',
      500,
      '{"type":"/problems/internal-error","title":"Something \\u001b[2J went wrong","status":500,"detail":"It did."}',
      'Something \\u{1b}[2J went wrong (500)\nIt did.\n',
    ],
    ['a proxy fails', 502, '<h1>Bad gateway</h1>', 'Unexpected response (502)'],
    ['a proxy fails with an empty body', 500, '', 'Unexpected response (500)'],
    ['it redirects', 302, '', 'Unexpected response (302)'],
    ['it is another service', 200, '<h1>Welcome</h1>', 'JSON'],
  ];
  test.for(others)('%s', async ([, status, body, message]) => {
    const server = createServer((_, response) => {
      response.writeHead(status, {
        location: 'http://127.0.0.1:1/',
        'content-type': 'application/problem+json',
      });
      response.end(body);
    });
    const other = await listening(server);
    const { code, stdout, stderr } = await outlook(['list'], { url: other });
    await new Promise((resolve) => server.close(resolve));
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toContain(message);
  });
});

describe('a service that does not respond in time, also after a garbage collection,', () => {
  // Every timeout is a second.
  const env = preloaded(`const { timeout } = AbortSignal;
    AbortSignal.timeout = () => timeout.call(AbortSignal, 1_000);
    setInterval(gc, 50).unref();`);
  let silent: Server;
  let silentUrl: string;
  beforeAll(async () => {
    silent = createServer(({ url }, response) => {
      if (url?.includes('/v1/outlooks?')) response.writeHead(200).write('{'); // and no more
    });
    silentUrl = await listening(silent);
  });
  afterAll(() => {
    silent.closeAllConnections();
    silent.close();
  });

  test('is not waited for', async () => {
    const none = await outlook(['show', SLUG], { url: silentUrl, env });
    expect(none).toMatchObject({ code: 3, stdout: '' });
    expect(none.stderr).toContain(`No response from ${silentUrl}`);
  });

  test('is not waited for after its response has begun', async () => {
    expect(await outlook(['list'], { url: silentUrl, env })).toMatchObject({ code: 3, stdout: '' });
  });

  test('is not waited for by completions', async () => {
    const words = ['--get-yargs-completions', 'outlook', 'show', ''];
    const { code, stdout } = await outlook(words, { url: silentUrl, env });
    expect([code, stdout]).toEqual([0, expect.stringContaining('--json')]);
  });
});

describe('completion', () => {
  // A slow machine gets as long as it needs.
  const noTimeouts = preloaded('AbortSignal.timeout = () => new AbortController().signal;');

  test('prints a script that each shell can read', async () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { code, stdout, stderr } = await outlook(['completion', shell]);
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout).toContain(`outlook completion ${shell}`);
      const checked = spawnSync(shell, ['-n'], { input: stdout, encoding: 'utf8' });
      if (checked.error && shell !== 'bash') continue; // not installed on this machine
      expect([checked.status, checked.stderr]).toEqual([0, '']);
    }
  });

  const complete = async (words: string[], env: Record<string, string> = {}) => {
    const { code, stdout, stderr } = await outlook(['--get-yargs-completions', ...words], {
      url,
      key: ledger.keys.analyst,
      env: { ...noTimeouts, ...env },
    });
    expect([code, stderr]).toEqual([0, '']);
    return stdout.trimEnd().split('\n');
  };

  test('offers commands, options, values and outlooks', async () => {
    expect(await complete(['outlook', ''])).toEqual(expect.arrayContaining(['list', 'revise']));
    expect(await complete(['outlook', 'list', '--'])).toEqual(
      expect.arrayContaining(['--instrument', '--json']),
    );
    expect(await complete(['outlook', 'list', '--sort', ''])).toContain('relevance');
    expect(await complete(['outlook', 'show', ''])).toEqual([SLUG]);
    expect(await complete(['outlook', 'evidence', 'add', 'russ'])).toEqual([SLUG]);
    expect(await complete(['outlook', 'show', SLUG, '--'])).toContain('--version');
  });

  test('goes by the shell that asks, not by the login shell', async () => {
    expect(await complete(['outlook', 'sh'], { SHELL: '/bin/zsh' })).toContain('show');
    const zsh = await complete(['outlook', 'sh'], { SHELL: '/bin/bash', COMP_LINE: 'outlook sh' });
    expect(zsh).toContain('show:Show an outlook');
    expect(await complete(['sh'], { SHELL: '/bin/bash' })).toContain('show\tShow an outlook');
  });

  test('runs no command, and prints no error if the service is unreachable', async () => {
    const words = ['outlook', 'revise', SLUG, ...NUMBERS, '--why', 'x', '--yes', '--'];
    expect(await complete(words)).toContain('--evidence');
    const { rows } = await ledger.pool.query('select latest_version from outlooks');
    expect(rows).toEqual([{ latest_version: 1 }]);
    expect(
      await complete(['outlook', 'show', ''], { OUTLOOK_URL: 'http://127.0.0.1:1' }),
    ).toContain('--json');
  });

  test('offers nothing that controls a terminal', async () => {
    const items = [{ slug: 'good' }, { slug: 'g\u001b[2J' }, { slug: 'g\nx' }];
    const server = createServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ items, nextCursor: null }));
    });
    const other = await listening(server);
    expect(await complete(['outlook', 'show', 'g'], { OUTLOOK_URL: other })).toEqual(['good']);
    await new Promise((resolve) => server.close(resolve));
  });

  test('works in bash', async () => {
    const { stdout: script } = await outlook(['completion', 'bash']);
    const asked = `outlook() { printf '%s\\n' show score; }
${script}
COMP_WORDS=(outlook s); COMP_CWORD=1; _outlook_yargs_completions; echo "\${COMPREPLY[@]}"`;
    const { stdout, status } = spawnSync('bash', ['-c', asked], { encoding: 'utf8' });
    expect([status, stdout]).toEqual([0, 'show score\n']);
  });
});
