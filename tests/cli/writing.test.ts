import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, send } from '../support/requests.ts';
import { LossyProxy } from '../support/lossy-proxy.ts';
import { cleanUp, onTerminal, outlook, type Run, shows } from '../support/outlook-command.ts';

const SAMPLE = fileURLToPath(new URL('../../samples/evidence-yield-jump.json', import.meta.url));

let ledger: TestLedger;
let proxy: LossyProxy;
let url: string;
let key: string;
let slug: string;
let created = 0;
beforeAll(async () => {
  ledger = await startLedger();
  ledger.clock.now = new Date('2026-11-21T16:00:00.000Z');
  key = ledger.keys.analyst;
  proxy = new LossyProxy(await ledger.app.listen({ host: '127.0.0.1', port: 0 }));
  url = await proxy.listen();
});
beforeEach(async () => {
  proxy.writes.length = 0;
  slug = `outlook-${(created += 1)}`;
  await createOutlook(ledger, { slug });
});
afterAll(async () => {
  cleanUp();
  await proxy.close();
  await ledger.close();
});

type Outlook = { version: number; probabilities: object; rationale: string; status: string };

async function readCurrent(): Promise<Outlook> {
  return (await ledger.call({ url: `/v1/outlooks/${slug}` })).json<Outlook>();
}

const reviseArgs = (...more: string[]) => [
  'revise',
  slug,
  '--bear',
  '0.35',
  '--base=0.4',
  '--bull',
  '.25',
  '--why',
  'Yields jumped.',
  ...more,
];
const write = (...args: string[]): Promise<Run> => outlook(args, { url, key });

describe('outlook clone', () => {
  test('continues an outlook over the next horizon', async () => {
    const next = `${slug}-next`;
    const horizon = ['--from', '2027-03-31', '--to', '2028-03-31'];
    const odds = ['--bear', '0.2', '--base', '0.5', '--bull', '0.3'];
    const args = ['clone', slug, next, '--continues', ...horizon, ...odds, '--why', 'On.', '--yes'];
    const { code, stdout, stderr } = await write(...args);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`Published ${next}.`);
    expect(stdout).toContain('2027-03-31 to 2028-03-30');
    const created = (await ledger.call({ url: `/v1/outlooks/${next}` })).json<object>();
    expect(created).toMatchObject({
      continues: slug,
      horizon: { from: '2027-03-31', to: '2028-03-31' },
      probabilities: { bear: 0.2, base: 0.5, bull: 0.3 },
      rationale: 'On.',
    });
    expect((await write('show', slug)).stdout).toContain(`continued by ${next}`);
  });

  test('needs all three probabilities, or none, and both ends of a horizon', async () => {
    for (const some of [
      ['--bear', '0.2'],
      ['--from', '2027-03-31'],
    ]) {
      const { code } = await write('clone', slug, 'x', ...some, '--why', 'R', '--yes');
      expect([some, code]).toEqual([some, 2]);
    }
  });
});

test('outlook whoami shows whose key it is', async () => {
  const { code, stdout } = await write('whoami');
  expect(code).toBe(0);
  expect(stdout).toMatch(/^analyst desk\n {2}id: [0-9a-f-]{36}\n {2}role: analyst\n/);
  expect(stdout).toContain('expires: never');
  expect((await outlook(['whoami'], { url })).code).toBe(1);
});

describe('outlook revise', () => {
  test('publishes the given probabilities', async () => {
    const { code, stdout, stderr } = await write(...reviseArgs('--yes'));
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`Published version 2 of ${slug}.`);
    expect(stdout).toMatch(/bear {2}0\.30 {2}0\.35 {2}\+0\.05/);
    expect(await readCurrent()).toMatchObject({
      version: 2,
      probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
      rationale: 'Yields jumped.',
    });
  });

  test('reaffirms the current probabilities', async () => {
    const args = ['revise', slug, '--reaffirm', '--why', 'Earnings change nothing.', '--yes'];
    const { code, stdout, stderr } = await write(...args);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`Published version 2 of ${slug}.`);
    expect(await readCurrent()).toMatchObject({
      version: 2,
      change: { kind: 'reaffirmed' },
      rationale: 'Earnings change nothing.',
    });
  });

  test('takes a text that begins with a hyphen after an equals sign', async () => {
    const args = [
      'revise',
      slug,
      '--bear=.35',
      '--base=.4',
      '--bull=.25',
      '--why=- Yields.',
      '--yes',
    ];
    expect(await write(...args)).toMatchObject({ code: 0 });
    expect(await readCurrent()).toMatchObject({ rationale: '- Yields.' });
  });

  test('prints the version with --json', async () => {
    const { stdout, stderr } = await write(...reviseArgs('--yes', '--json'));
    expect([JSON.parse(stdout), stderr]).toEqual([await readCurrent(), '']);
  });

  test('cites evidence, and acknowledges a triggered condition', async () => {
    const added = await write('evidence', 'add', slug, '--file', SAMPLE, '--json');
    const { id } = JSON.parse(added.stdout) as { id: string };
    const assessed = await send(
      ledger,
      'POST',
      `/v1/outlooks/${slug}/conditions/domestic-breadth/assessments`,
      { state: 'triggered', rationale: 'Breadth is back.' },
    );
    expect(assessed.statusCode).toBe(201);
    const unanswered = await write(...reviseArgs('--yes'));
    expect(unanswered.code).toBe(1);
    expect(unanswered.stderr).toContain('A triggered condition needs an answer (422)');
    expect(unanswered.stderr).toContain(
      '  /probabilities/bear: analyst desk assessed "domestic-breadth" as triggered',
    );
    const { code, stdout } = await write(
      ...reviseArgs('--yes', '--json', '--evidence', id),
      '--acknowledge',
      'domestic-breadth=Spreads say x=y.',
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      evidence: [{ id }],
      answers: [{ condition: 'domestic-breadth', way: 'acknowledged', reason: 'Spreads say x=y.' }],
    });
  });

  test('is refused if the sum is wrong', async () => {
    const { code, stderr } = await write(
      ...reviseArgs('--yes').map((arg) => (arg === '.25' ? '.3' : arg)),
    );
    expect(code).toBe(1);
    expect(stderr).toContain('1.05, which is 0.05 too much');
    expect(await readCurrent()).toMatchObject({ version: 1 });
  });

  test('shows the changes and asks; yes publishes them', async () => {
    const running = onTerminal(reviseArgs(), { url, key });
    await shows(running, 'Publish version 2?');
    expect(running.stdout()).toMatch(/base.{0,9} {2}0\.45 {2}0\.40 {2}−0\.05/);
    expect(running.stdout()).toContain('rationale: Yields jumped.');
    expect(await readCurrent()).toMatchObject({ version: 1 });
    running.type('y');
    const { code, stdout } = await running.ended;
    expect(code).toBe(0);
    expect(stdout).toContain(`Published version 2 of ${slug}.`);
    expect(await readCurrent()).toMatchObject({ version: 2 });
  });

  test.for([
    ['no', 'n'],
    ['Enter', '\r'],
    ['Ctrl-C', '\u0003'],
  ])('%s publishes nothing, and exits with 4', async ([, typed = '']) => {
    const running = onTerminal(reviseArgs(), { url, key });
    await shows(running, 'Publish version 2?');
    running.type(typed);
    const { code, stdout } = await running.ended;
    expect(code).toBe(4);
    expect(stdout).toContain('Nothing was sent.');
    expect(await readCurrent()).toMatchObject({ version: 1 });
  });

  test('is refused if another version was published meanwhile', async () => {
    const running = onTerminal(reviseArgs(), { url, key });
    await shows(running, 'Publish version 2?');
    const probabilities = { bear: 0.2, base: 0.5, bull: 0.3 };
    await send(ledger, 'POST', `/v1/outlooks/${slug}/revisions`, { probabilities, rationale: 'R' });
    running.type('y');
    const { code, stdout } = await running.ended;
    expect(code).toBe(1);
    expect(stdout).toContain('The resource has changed since you read it (412)');
    expect(await readCurrent()).toMatchObject({ version: 2, probabilities });
  });

  test('is sent again if the response is lost, and publishes one version', async () => {
    proxy.losses.push('response lost', 'unavailable', 'in flight', 'response lost');
    const { code, stdout, stderr } = await write(...reviseArgs('--yes', '--json'));
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ version: 2 });
    expect(stderr).toContain('Trying again');
    expect(await readCurrent()).toMatchObject({ version: 2 });
    expect(proxy.writes).toHaveLength(5);
    const keys = proxy.writes.map((head) => /^idempotency-key: (.+)$/im.exec(head)?.[1]);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^"[0-9a-f-]{36}"$/);
    expect(proxy.writes[0]).toMatch(/^if-match: "/im);
  });

  test('that never gets a response says that it may have succeeded', async () => {
    proxy.losses.push(...Array.from({ length: 6 }, () => 'response lost' as const));
    const { code, stderr } = await write(...reviseArgs('--yes'));
    expect(code).toBe(3);
    expect(stderr).toContain('may or may not have been made');
    expect(await readCurrent()).toMatchObject({ version: 2 });
  });
});

describe('outlook evidence add', () => {
  const sample = JSON.parse(readFileSync(SAMPLE, 'utf8')) as {
    headline: string;
    claims: unknown[];
  };

  test('takes a file, which options override', async () => {
    const { code, stdout } = await write(
      'evidence',
      'add',
      slug,
      '--file',
      SAMPLE,
      '--headline',
      'Other',
      '--json',
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ headline: 'Other', sentiment: { score: -0.15 } });
    expect((JSON.parse(stdout) as typeof sample).claims).toHaveLength(sample.claims.length);
  });

  test('takes the standard input, and prints the id to cite', async () => {
    const { code, stdout } = await outlook(['evidence', 'add', slug, '--file', '-'], {
      url,
      key,
      stdin: JSON.stringify(sample),
    });
    expect(code).toBe(0);
    expect(stdout).toContain(`Added: ${sample.headline}`);
    const [, id = ''] = /--evidence ([0-9a-f-]{36})/.exec(stdout) ?? [];
    const { stdout: list } = await write('evidence', 'list', slug);
    expect(list).toContain(id);
  });

  test('takes options alone, and reports everything that is missing', async () => {
    const { code, stderr } = await write('evidence', 'add', slug, '--headline', 'H');
    expect(code).toBe(1);
    for (const pointer of ['/summary', '/publisher', '/publishedAt'])
      expect(stderr).toContain(`\n  ${pointer}: `);
  });

  test.for(['[1]', '"text"', '{', ''])('refuses a file with %j', async (stdin) => {
    const options = { url, key, stdin };
    const { code, stderr } = await outlook(['evidence', 'add', slug, '--file', '-'], options);
    expect(code).toBe(2);
    expect(stderr).toMatch(/JSON/);
  });

  test('adds one item if the response is lost', async () => {
    proxy.losses.push('response lost');
    expect((await write('evidence', 'add', slug, '--file', SAMPLE)).code).toBe(0);
    const { stdout } = await write('evidence', 'list', slug, '--json');
    expect((JSON.parse(stdout) as { items: unknown[] }).items).toHaveLength(1);
  });
});

describe('outlook resolve and outlook score', () => {
  test('a given outcome resolves it, and its versions are scored', async () => {
    await write(...reviseArgs('--yes'));
    const early = await write('resolve', slug, '--outcome', 'bear', '--yes');
    expect(early.code).toBe(1);
    expect(early.stderr).toContain('The resolution needs a reason (422)');
    const { code, stdout } = await write(
      'resolve',
      slug,
      '--outcome',
      'bear',
      '--reason',
      'It fell.',
      '--return',
      '-0.2',
      '--yes',
    );
    expect(code).toBe(0);
    expect(stdout).toBe(
      `${slug} is resolved: bear (resolution 1).\n  return: -20.00 %\n  It fell.\n`,
    );
    expect(await readCurrent()).toMatchObject({ status: 'resolved' });
    const scores = (await write('score', slug)).stdout;
    expect(scores).toContain(`${slug}, resolved: bear`);
    expect(scores).toMatch(
      /\n +1 {2}0\.30 {2}0\.45 {2}0\.25 .* 0\.755 {2}1\.204 {2}\d\.\d{3} {2}-0\.13[23]\n/,
    );
    expect(scores).toMatch(/\n +2 {2}0\.35 {2}0\.40 {2}0\.25 .* 0\.645 /);
    expect((await write('show', slug)).stdout).toContain('resolved: bear');
  });

  test('a no resolves nothing', async () => {
    const running = onTerminal(['resolve', slug, '--outcome', 'void', '--reason', 'R'], {
      url,
      key,
    });
    await shows(running, 'Resolve this outlook?');
    expect(running.stdout()).toContain('outcome: void');
    running.type('n');
    expect((await running.ended).code).toBe(4);
    expect(await readCurrent()).toMatchObject({ status: 'open' });
  });

  test('without an outcome, the closes decide', async () => {
    const scenarios = {
      bear: { returnBand: { max: -0.1 } },
      base: { returnBand: { min: -0.1, max: 0.1 } },
      bull: { returnBand: { min: 0.1 } },
    };
    const patch = { scenarios, rationale: 'Bands.' };
    const patched = await send(ledger, 'PATCH', `/v1/outlooks/${slug}/framework`, patch);
    expect(patched.statusCode).toBe(201);
    const now = ledger.clock.now;
    ledger.clock.now = new Date('2027-04-02T16:00:00.000Z');
    const observations = [
      { date: '2026-03-30', value: 2500 },
      { date: '2027-03-30', value: 2000 },
    ];
    const closes = '/v1/series/rut-close/observations';
    const sent = await send(ledger, 'POST', closes, { observations }, { as: 'feed' });
    expect(sent.statusCode).toBe(200);
    const { code, stdout, stderr } = await write('resolve', slug, '--yes', '--json');
    ledger.clock.now = now;
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toMatchObject({
      resolution: { outcome: 'bear', closes: { end: { date: '2027-03-30', value: 2000 } } },
    });
  });
});
