import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../cli/src/failures.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { cleanUp, outlook } from '../support/outlook-command.ts';

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

/** How many writes and refusals the service knows of. */
async function audited(): Promise<number> {
  return (await ledger.pool.query('select from audit_entries')).rows.length;
}

async function listening(server: Server): Promise<string> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const NUMBERS = ['--bear', '0.35', '--base', '0.4', '--bull', '0.25'];

describe('a usage error, with nothing sent and exit code 2,', () => {
  const wrong: [why: string, args: string[], told: string][] = [
    ['is no command', [], 'Name a command.'],
    ['is an unknown command', ['shwo'], 'Did you mean show?'],
    ['is an unknown option', ['list', '--colour'], 'Unknown argument: colour'],
    ['is a missing slug', ['show'], 'Not enough non-option arguments'],
    ['is an unknown status', ['list', '--status', 'closed'], 'Choices: "open"'],
    ['is a number that is none', ['list', '--limit', 'ten'], '"ten" is no number'],
    ['is an option given twice', ['list', '--q', 'a', '--q', 'b'], '--q is given more than once'],
    [
      'is a version and a moment',
      ['show', SLUG, '--version', '1', '--as-of', 'x'],
      'mutually exclusive',
    ],
    ['is half a version', ['show', SLUG, '--version', '1.5'], 'whole number'],
    [
      'is a probability left out',
      ['revise', SLUG, ...NUMBERS.slice(2), '--why', 'x', '--yes'],
      'Missing required argument: bear',
    ],
    [
      'is a reason left out',
      ['revise', SLUG, ...NUMBERS, '--yes'],
      'Missing required argument: why',
    ],
    [
      'is an acknowledgement without a reason',
      ['revise', SLUG, ...NUMBERS, '--why', 'x', '--yes', '--acknowledge', 'rate-relief'],
      'takes the key of a condition and why',
    ],
    ['is nobody to ask', ['revise', SLUG, ...NUMBERS, '--why', 'x'], 'say --yes'],
    ['is nobody to ask about a resolution', ['resolve', SLUG], 'say --yes'],
    ['is half a command', ['evidence'], 'Say "evidence list" or "evidence add".'],
    ['is a shell that is unknown', ['completion', 'csh'], 'Choices: "bash"'],
    ['is a URL that is none', ['list', '--url', 'ledger.example'], 'must be one such as https://'],
    ['is a URL with a user', ['list', '--url', 'https://a@ledger.example'], 'without a user'],
    ['is a URL with a query', ['list', '--url', 'https://ledger.example?a'], 'or a query'],
    ['is a URL with a password', ['list', '--url', 'https://a:b@ledger.example'], 'without a user'],
    [
      'is a file that is missing',
      ['evidence', 'add', SLUG, '--file', '/nowhere.json'],
      "can't be read as JSON",
    ],
  ];
  test.for(wrong)('%s', async ([, args, told]) => {
    const before = await audited();
    const { code, stdout, stderr } = await outlook(args, { url, key: ledger.keys.analyst });
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(told);
    expect(stderr).toContain('See outlook --help');
    expect(await audited()).toBe(before);
  });
});

test('help says what the exit codes mean', async () => {
  const { code, stdout, stderr } = await outlook(['--help']);
  expect([code, stderr]).toEqual([0, '']);
  for (const command of ['list', 'revise <slug>', 'watch [slug]', 'completion <shell>'])
    expect(stdout).toContain(`outlook ${command}`);
  expect(stdout).toContain('4 declined');
  expect((await outlook(['revise', '--help'])).stdout).toContain('--acknowledge');
});

test('the README tells of each command and of each exit code', async () => {
  const readme = readFileSync(new URL('../../cli/README.md', import.meta.url), 'utf8');
  const { stdout } = await outlook(['--help']);
  const commands = [...stdout.matchAll(/^ {2}outlook (\w+)/gm)].map(([, name]) => name);
  expect(commands).toHaveLength(12);
  for (const name of commands) expect(readme).toContain(`\n| \`${name}`);
  const codes = [...readme.matchAll(/^\| (\d) +\|/gm)].map(([, code]) => Number(code));
  expect(codes).toEqual(Object.values(EXIT));
});

describe('what is refused has exit code 1, and', () => {
  test('tells the title, the detail and each field', async () => {
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

  test('is a write without a key, or with one of the wrong role', async () => {
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

describe('where no answer comes that counts, with exit code 3,', () => {
  test('the service is out of reach', async () => {
    const server = createServer();
    const away = await listening(server);
    await new Promise((resolve) => server.close(resolve));
    const { code, stdout, stderr } = await outlook(['list'], { url: away });
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toBe(
      `No answer from ${away} (ECONNREFUSED). Is it the right --url, and does the service run?\n`,
    );
  });

  const others: [what: string, status: number, body: string, told: string][] = [
    [
      'the service fails',
      500,
      '{"type":"/problems/internal-error","title":"Something \\u001b[2J went wrong","status":500,"detail":"It did."}',
      'Something \\u{1b}[2J went wrong (500)\nIt did.\n',
    ],
    ['a proxy fails', 502, '<h1>Bad gateway</h1>', 'answered 502, and not as Outlook Ledger does'],
    ['a proxy fails without a word', 500, '', 'answered 500, and not as Outlook Ledger does'],
    ['it is another place', 302, '', 'answered 302, and not as Outlook Ledger does'],
    ['it is another service', 200, '<h1>Welcome</h1>', 'JSON'],
  ];
  test.for(others)('%s', async ([, status, body, told]) => {
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
    expect(stderr).toContain(told);
  });
});

describe('completion', () => {
  test('is a script that each shell can read', async () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { code, stdout, stderr } = await outlook(['completion', shell]);
      expect([code, stderr]).toEqual([0, '']);
      expect(stdout).toContain(`outlook completion ${shell}`);
      const checked = spawnSync(shell, ['-n'], { input: stdout, encoding: 'utf8' });
      if (checked.error && shell !== 'bash') continue; // a shell that is not on this machine
      expect([checked.status, checked.stderr]).toEqual([0, '']);
    }
  });

  const complete = async (words: string[], env: Record<string, string> = {}) => {
    const { code, stdout, stderr } = await outlook(['--get-yargs-completions', ...words], {
      url,
      key: ledger.keys.analyst,
      env,
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

  test('goes by the shell that asks, and not by that of the login', async () => {
    expect(await complete(['outlook', 'sh'], { SHELL: '/bin/zsh' })).toContain('show');
    const zsh = await complete(['outlook', 'sh'], { SHELL: '/bin/bash', COMP_LINE: 'outlook sh' });
    expect(zsh).toContain('show:Show an outlook');
    expect(await complete(['sh'], { SHELL: '/bin/bash' })).toContain('show\tShow an outlook');
  });

  test('carries nothing out, and is silent where the service is away', async () => {
    const words = ['outlook', 'revise', SLUG, ...NUMBERS, '--why', 'x', '--yes', '--'];
    expect(await complete(words)).toContain('--evidence');
    const { rows } = await ledger.pool.query('select latest_version from outlooks');
    expect(rows).toEqual([{ latest_version: 1 }]);
    expect(
      await complete(['outlook', 'show', ''], { OUTLOOK_URL: 'http://127.0.0.1:1' }),
    ).toContain('--json');
  });

  test('offers nothing that a terminal would obey', async () => {
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
