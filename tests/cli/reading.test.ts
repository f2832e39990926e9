import type { LightMyRequestResponse } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, patchFramework, send } from '../support/requests.ts';
import { cleanUp, onTerminal, outlook, shell } from '../support/outlook-command.ts';

const TITLE = `<script>"It's" 漢字`;
const NASTY = '<script>\u001b[2J\u202e"It\'s" 漢字';

const COLOUR = new RegExp(String.raw`\u001b\[\d+m`, 'g');

let ledger: TestLedger;
let url: string;
beforeAll(async () => {
  ledger = await startLedger();
  const closes = [
    { date: '2026-11-19', value: 2861.99 },
    { date: '2026-11-20', value: 2793.3 },
  ];
  const closesUrl = '/v1/series/rut-close/observations';
  await accepted(send(ledger, 'POST', closesUrl, { observations: closes }, { as: 'feed' }));
  url = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
  ledger.clock.now = new Date('2026-11-21T16:00:00.000Z');
  const probabilities = { bear: 0.35, base: 0.4, bull: 0.25 };
  await ledger.revise({ probabilities, rationale: `Yields jumped.\n${NASTY}` });
  ledger.clock.now = new Date('2026-11-22T16:00:00.000Z');
  await accepted(
    patchFramework(ledger, {
      title: TITLE,
      summary: NASTY,
      rationale: 'Another title.',
    }),
  );
  const slugs = Array.from({ length: 120 }, (_, index) => `outlook-${index + 100}`);
  for (const slug of slugs) await accepted(createOutlook(ledger, { slug }));
});
afterAll(async () => {
  cleanUp();
  await ledger.close();
});

/** Checks that a write was accepted. */
async function accepted(sent: Promise<LightMyRequestResponse>): Promise<void> {
  const { statusCode, body } = await sent;
  expect(statusCode, body).toBeLessThan(300);
}

const read = (...args: string[]) => outlook(args, { url });

/** The response of the API itself. */
async function api(path: string): Promise<unknown> {
  return (await fetch(url + path)).json();
}

const SAME: [args: string[], path: string][] = [
  [['list', '--limit', '3'], '/v1/outlooks?limit=3'],
  [
    ['list', '--status', 'open', '--limit=1', '--sort=slug'],
    '/v1/outlooks?sort=slug&limit=1&status=open',
  ],
  [['show', SLUG], `/v1/outlooks/${SLUG}`],
  [['show', SLUG, '--version', '2'], `/v1/outlooks/${SLUG}/versions/2`],
  [['show', SLUG, '--as-of', '2026-11-20T18:00:00Z'], `/v1/outlooks/${SLUG}/versions/1`],
  [['history', SLUG], `/v1/outlooks/${SLUG}/probabilities`],
  [
    ['history', SLUG, '--from', '2026-11-21T00:00:00Z', '--to', '2026-11-22T00:00:00Z'],
    `/v1/outlooks/${SLUG}/probabilities?from=2026-11-21T00:00:00Z&to=2026-11-22T00:00:00Z`,
  ],
  [['diff', SLUG], `/v1/outlooks/${SLUG}/versions/3/diff`],
  [['diff', SLUG, '1', '--against', '3'], `/v1/outlooks/${SLUG}/versions/1/diff?against=3`],
  [['score', SLUG], `/v1/outlooks/${SLUG}/scores`],
  [['score', SLUG, '--reference', 'previous'], `/v1/outlooks/${SLUG}/scores?reference=previous`],
  [['evidence', 'list', SLUG], `/v1/outlooks/${SLUG}/evidence`],
  [['analysts'], '/v1/analysts'],
];

describe('with --json', () => {
  test.for(SAME)('outlook %j prints what the API says, and nothing else', async ([args, path]) => {
    const { code, stdout, stderr } = await read(...args, '--json');
    expect([code, stderr]).toEqual([0, '']);
    const printed = JSON.parse(stdout) as { nextCursor?: unknown };
    const expected = (await api(path)) as { nextCursor?: unknown; status?: string };
    // A cursor depends on when the first page was read.
    if (printed.nextCursor) expected.nextCursor = printed.nextCursor;
    expect(printed).toEqual(expected);
  });

  test('a list is complete', async () => {
    const { items, nextCursor } = JSON.parse((await read('list', '--json')).stdout) as {
      items: { slug: string }[];
      nextCursor: null;
    };
    expect(new Set(items.map(({ slug }) => slug)).size).toBe(121);
    expect(nextCursor).toBeNull();
    const some = JSON.parse((await read('list', '--limit', '105', '--json')).stdout) as {
      items: unknown[];
    };
    expect(some.items).toEqual(items.slice(0, 105));
  });

  test('a refusal is the problem that the API sent', async () => {
    const { code, stdout, stderr } = await read('show', 'missing', '--json');
    expect([code, stdout]).toEqual([1, '']);
    expect(JSON.parse(stderr)).toEqual(await api('/v1/outlooks/missing'));
  });
});

describe('as text', () => {
  test('filters are those of the API', async () => {
    const { stdout } = await read(
      'list',
      '--scenario',
      'bear',
      '--min-probability',
      '0.35',
      '--no-review-due',
      '--instrument',
      'RUT',
      '--updated-since',
      '2026-11-21T00:00:00Z',
      '--sort',
      'slug',
    );
    expect(stdout.trim().split('\n')).toHaveLength(2);
    expect(stdout).toMatch(
      new RegExp(`\\n {2}${SLUG} +RUT +0\\.35 +0\\.40 +0\\.25 +open +v3 +2026-11-22\\n`),
    );
    expect((await read('list', '--q', 'nowhereatall')).stdout).toBe('No outlooks match.\n');
  });

  test('an outlook is shown on a page', async () => {
    const { code, stdout } = await read('show', SLUG);
    expect(code).toBe(0);
    expect(stdout).toContain(TITLE);
    expect(stdout).toContain('Summary\n  <script>\\u{1b}[2J\\u{202e}"It\'s" 漢字');
    expect(stdout).toMatch(/ {2}bear {2}█{18}░{32} 0\.35 ·\n {2}base {2}█{20}░{30} 0\.40 ·\n/);
    for (const part of ['Financing stress', 'Fragile balance sheets', 'rate-relief', 'untriggered'])
      expect(stdout).toContain(part);
    expect(stdout).toContain(
      '2793.3 on 2026-11-20, 2.4 % below the peak of 2861.99 on 2026-11-19.',
    );
    expect(stdout).toContain('Version 3 (framework), 2026-11-22 16:00 UTC, by analyst desk:');
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  test('an old version shows its changes, but not the drawdown of today', async () => {
    const { stdout } = await read('show', SLUG, '--version', '2');
    expect(stdout).toContain('0.35 +0.05');
    expect(stdout).toContain('0.40 −0.05');
    expect(stdout).not.toContain('below the peak');
  });

  test('a due review shows its reasons and the triggered condition', async () => {
    const days = ['18', '19', '20'].map((day) => ({ date: `2026-11-${day}`, value: 4.2 }));
    const sent = await send(
      ledger,
      'POST',
      '/v1/series/us-30y-yield/observations',
      {
        observations: days,
      },
      { as: 'feed' },
    );
    expect(sent.statusCode).toBe(200);
    const { stdout } = await read('show', SLUG);
    expect(stdout).toMatch(/Review due\n {2}"rate-relief" is triggered: us-30y-yield was 4\.2/);
    expect(stdout).toMatch(/triggered +bear +rate-relief/);
    expect((await read('list', '--sort', 'slug', '--q', 'russell')).stdout).toContain('review due');
  });

  test('a history shows sparklines and each version', async () => {
    const { stdout } = await read('history', SLUG);
    expect(stdout).toMatch(/ {2}bear {2}▃▃▃\n {2}base {2}▄▄▄\n {2}bull {2}▃▃▃\n/);
    expect(stdout).toMatch(/2 {2}2026-11-21 16:00 UTC {2}0\.35 {2}\+0\.05 {2}0\.40 {2}−0\.05/);
  });

  test('a diff shows what changed, sanitized', async () => {
    const { stdout } = await read('diff', SLUG, '--against', '1');
    expect(stdout).toMatch(/bear {2}0\.30 {2}0\.35 {2}\+0\.05/);
    expect(stdout).toMatch(/~ \/title\n +from Russell 2000: the case.*\n +to <script>"It's"/);
    expect(stdout).toContain('to <script>\\u{1b}[2J');
  });

  test('a terminal gets colours and lines of its width, but no control or bidirectional characters', async () => {
    const page = onTerminal(['show', SLUG], { url, columns: 60 });
    const { code, stdout } = await page.ended;
    expect(code).toBe(0);
    expect(stdout).toContain('\u001b[31m█');
    const bare = stdout.replaceAll(COLOUR, '');
    expect(bare).not.toContain('\u001b');
    expect(bare).not.toContain('\u202e');
    expect(bare.split('\r\n').filter((line) => line.length > 60)).toEqual([]);
  });

  test('NO_COLOR is honoured', async () => {
    const page = onTerminal(['show', SLUG], { url, env: { NO_COLOR: '1' } });
    expect((await page.ended).stdout).not.toContain('\u001b');
  });

  test('a reader that stops early is not an error', async () => {
    const { code, stderr } = await shell('set -o pipefail; "$OUTLOOK" list --json | true', { url });
    expect([code, stderr]).toEqual([0, '']);
  });
});
