import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase, databaseSettings, openDatabase } from '../support/database.ts';
import { revise, SLUG } from '../support/http-client.ts';
import {
  cleanUp,
  keysShown,
  newFolder,
  postmasterOf,
  run,
  type Service,
  type Settings,
  startService,
} from '../support/service.ts';

afterAll(cleanUp);

async function keys(settings: Settings, ...args: string[]) {
  const program = run('commands/keys.js', args, settings);
  const { code } = await program.ended;
  return { code, stdout: program.stdout(), stderr: program.stderr() };
}

async function issue(settings: Settings, ...args: string[]): Promise<{ key: string; id: string }> {
  return issuedBy(await keys(settings, 'issue', ...args));
}

function issuedBy({ code, stdout, stderr }: Awaited<ReturnType<typeof keys>>) {
  expect([code, stderr]).toEqual([0, '']);
  const [label, key, ...rest] = stdout.split('\n');
  expect(key).toMatch(/^olk_[A-Za-z0-9_-]{43}$/);
  expect(rest).toEqual(['']);
  expect(label).not.toContain(key);
  return { key: key ?? '', id: /id ([0-9a-f-]{36})/.exec(label ?? '')?.[1] ?? '' };
}

/** The lines of the list: id, hint, role, state, last use, name, desks. */
async function list(settings: Settings): Promise<string[][]> {
  const { code, stdout } = await keys(settings, 'list');
  expect(code).toBe(0);
  return stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split('\t'));
}

const statusWith = async (origin: string, key: string) => {
  const response = await fetch(`${origin}/v1/keys`, {
    headers: { authorization: `Bearer ${key}` },
  });
  return response.status;
};

/** Issues, uses, lists and revokes a key, beside a service that runs on the same database. */
async function tryOn(service: Service, settings: Settings): Promise<string | undefined> {
  const { key, id } = await issue(settings, '--name', 'Small-cap desk', '--role', 'analyst');
  const body = {
    probabilities: { bear: 0.4, base: 0.4, bull: 0.2 },
    rationale: 'Spreads widened.',
  };
  const revised = await revise(service.origin, key, body);
  expect(revised.status).toBe(201);
  expect(revised.body.author.name).toBe('Small-cap desk');
  const entry = (await list(settings)).find(([listed]) => listed === id);
  expect(entry).toEqual([
    id,
    `${key.slice(0, 8)}…`,
    'analyst',
    'active',
    entry?.[4],
    'Small-cap desk',
    'all desks',
  ]);
  expect(Date.parse(entry?.[4] ?? '')).not.toBeNaN();

  expect(await keys(settings, 'revoke', id)).toEqual({
    code: 0,
    stdout: `Revoked ${id}.\n`,
    stderr: '',
  });
  expect(await keys(settings, 'revoke', id)).toMatchObject({ code: 0 });
  expect((await revise(service.origin, key, body)).status).toBe(401);
  return (await list(settings)).find(([listed]) => listed === id)?.[3];
}

describe('on the database that DATABASE_URL names', () => {
  let settings: Settings;
  let service: Service;
  beforeAll(async () => {
    settings = databaseSettings(await createDatabase({ empty: true }));
    await list(settings); // before any service has migrated it
    service = await startService({ ...settings, LOAD_SAMPLES: 'true' });
  });

  test('a key opens the running service until it is revoked', async () => {
    await expect(tryOn(service, settings)).resolves.toBe('revoked');
  });

  test.each([
    ['admin', 200],
    ['analyst', 403],
    ['feed', 403],
  ])('a key has the role %s that it was issued with', async (role, status) => {
    const { key } = await issue(settings, '--name', role, '--role', role);
    expect(await statusWith(service.origin, key)).toBe(status);
  });

  test('a second key of one name acts for the same analyst', async () => {
    const first = await issue(settings, '--name', 'Twice', '--role', 'analyst');
    const second = await issue(settings, '--name', 'Twice', '--role', 'analyst');
    const authors = [];
    for (const [index, { key }] of [first, second].entries()) {
      const bear = 0.1 + index / 10;
      const probabilities = { bear, base: 0.7 - index / 10, bull: 0.2 };
      authors.push(
        (await revise(service.origin, key, { probabilities, rationale: 'Why.' })).body.author,
      );
    }
    expect(authors[0]).toEqual({ id: expect.any(String) as string, name: 'Twice' });
    expect(authors[1]).toEqual(authors[0]);
  });

  test('a key opens nothing once it expires', async () => {
    const { at, issued } = await issueForMoments();
    const { key, id } = issuedBy(issued);
    const wait = { interval: 100 };
    await expect.poll(() => statusWith(service.origin, key), wait).toBe(401);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(at));
    expect((await list(settings)).find(([listed]) => listed === id)?.[3]).toBe('expired');
  });

  /** Issues a key that expires as soon as this machine can issue one. */
  async function issueForMoments() {
    for (let seconds = 2; ; seconds *= 2) {
      const at = new Date(Date.now() + seconds * 1_000).toISOString();
      const args = ['--name', 'Temp', '--role', 'admin', '--expires', at];
      const issued = await keys(settings, 'issue', ...args);
      if (!issued.stderr.startsWith('expiresAt must be in the future')) return { at, issued };
    }
  }

  test('the list has every key once, newest first, over more than one page', async () => {
    const before = await list(settings);
    const admin = await issue(settings, '--name', 'Lister', '--role', 'admin');
    const made: string[] = [];
    for (let index = 0; index < 101; index += 1) {
      const response = await fetch(`${service.origin}/v1/keys`, {
        method: 'POST',
        headers: { authorization: `Bearer ${admin.key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ name: `Desk ${index}`, role: 'feed' }),
      });
      made.push(((await response.json()) as { id: string }).id);
    }
    const ids = (await list(settings)).map(([id]) => id);
    expect(ids).toHaveLength(before.length + 102);
    expect(new Set(ids)).toEqual(new Set([...made, admin.id, ...before.map(([id]) => id)]));
  });

  test('an expiry in the past shows the usage, and issues no key', async () => {
    const before = await list(settings);
    const past = ['--expires', '2020-01-01T00:00:00Z'];
    const args = ['issue', '--name', 'Late', '--role', 'admin', ...past];
    const { code, stdout, stderr } = await keys(settings, ...args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^expiresAt must be in the future; the server time is .*\n\nUsage:/);
    expect(await list(settings)).toEqual(before);
  });

  test('a name that looks like another analyst is refused, and names the analyst', async () => {
    await issue(settings, '--name', 'Evening desk', '--role', 'feed');
    const args = ['issue', '--name', 'evening desk', '--role', 'feed'];
    const { code, stdout, stderr } = await keys(settings, ...args);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(
      /^The name "evening desk" looks like that of the analyst "Evening desk" \([0-9a-f-]{36}\)\. .+\n$/,
    );
  });

  test('names of an earlier release that look alike are listed', async () => {
    const none = await keys(settings, 'look-alikes');
    expect(none.stdout).toBe('No two analysts have names that look alike.\n');
    const pool = openDatabase(settings['DATABASE_URL'] ?? '', 1);
    await pool.query(
      `insert into analysts (name, created_at) values ('Old desk', '2020-01-01'), ('old desk', '2020-01-02')`,
    );
    await pool.end();
    const { code, stdout } = await keys(settings, 'look-alikes');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^"old desk" \(.{36}\) looks like "Old desk" \(.{36}\)\.\n$/);
  });

  test('an unknown id is reported', async () => {
    const id = '00000000-0000-4000-8000-000000000000';
    expect(await keys(settings, 'revoke', id)).toEqual({
      code: 1,
      stdout: '',
      stderr: `There is no key "${id}".\n`,
    });
  });
});

test('on the embedded database, with the service running and stopped', async () => {
  const settings = { DATA_DIR: newFolder() };
  const first = await startService(settings);
  const [admin] = keysShown(first.stdout());
  expect(await tryOn(first, settings)).toBe('revoked');
  first.kill('SIGTERM');
  expect((await first.ended).code).toBe(0);

  const { key } = await issue(settings, '--name', 'Night desk', '--role', 'admin');
  const listed = await list(settings);
  expect(listed.map(([, , role, state]) => [role, state])).toEqual([
    ['admin', 'active'],
    ['analyst', 'revoked'],
    ['admin', 'active'],
  ]);
  expect(postmasterOf(settings.DATA_DIR)).toBeNull();

  const next = await startService(settings);
  expect(await statusWith(next.origin, key)).toBe(200);
  expect(await statusWith(next.origin, admin ?? '')).toBe(200);
  expect(next.stdout()).not.toContain('olk_');
  expect((await fetch(`${next.origin}/v1/outlooks/${SLUG}`)).status).toBe(200);
});

test('the last admin key is revoked all the same, with a warning', async () => {
  const settings = { DATABASE_URL: await createDatabase({ empty: true }) };
  const { id } = await issue(settings, '--name', 'Only', '--role', 'admin');
  expect(await keys(settings, 'revoke', id)).toEqual({
    code: 0,
    stdout: `Revoked ${id}.\nIt was the last admin key. Issue another one: npm run keys -- issue --role admin --name NAME\n`,
    stderr: '',
  });
});

test.concurrent.each([
  ['no command', [], 'Name a command.'],
  ['an unknown command', ['delete'], 'Unknown command "delete".'],
  ['no name to erase', ['erase'], 'erase takes one name'],
  ['no name', ['issue', '--role', 'admin'], 'name is required'],
  ['a blank name', ['issue', '--name', ' ', '--role', 'admin'], 'name must not be blank'],
  [
    'a name with space around',
    ['issue', '--name', ' D', '--role', 'feed'],
    'name must be one line',
  ],
  ['no role', ['issue', '--name', 'Desk'], 'role is required'],
  [
    'an unknown role',
    ['issue', '--name', 'Desk', '--role', 'owner'],
    'role must be one of analyst, feed, admin',
  ],
  ['an unknown option', ['issue', '--name', 'Desk', '--role', 'feed', '--forever'], '--forever'],
  [
    'an expiry that is no date',
    ['issue', '--name', 'D', '--role', 'feed', '--expires', 'soon'],
    'expiresAt must be a timestamp such as',
  ],
  ['a word after list', ['list', 'all'], 'all'],
  ['a word after look-alikes', ['look-alikes', 'all'], 'all'],
  ['no id', ['revoke'], 'revoke takes the id of one key'],
  ['two ids', ['revoke', 'a', 'b'], 'revoke takes the id of one key'],
  ['an id that is none', ['revoke', 'olk_abc'], 'revoke takes the id of one key'],
])('%s is answered by the usage', async (_, args, message) => {
  const { code, stdout, stderr } = await keys(
    { DATABASE_URL: 'postgres://127.0.0.1:1/none' },
    ...args,
  );
  expect(code).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toContain(message);
  expect(stderr).toContain('\nUsage:\n  npm run keys -- issue');
});
