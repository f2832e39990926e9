import { afterAll, beforeAll, expect, test } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { cleanUp, outlook } from '../support/outlook-command.ts';

const SERIES = 'us-30y-yield';

let ledger: TestLedger;
let url: string;
beforeAll(async () => {
  const { pulls } = readConfig({ PULL_SERIES: 'false' });
  ledger = await startLedger({ pulls });
  url = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  cleanUp();
  await ledger.close();
});

const run = (...args: string[]) => outlook(['source', ...args], { url, key: ledger.keys.feed });

test('sets, shows and removes a source', async () => {
  const set = await run('set', SERIES, '--from', 'fred', '--id', 'DGS30', '--every', '60');
  expect(set).toMatchObject({ code: 0, stderr: '' });
  expect(set.stdout).toMatch(
    /^us-30y-yield: fred DGS30, every 60 minutes\nNext pull: .*\nNo success yet\.\n$/,
  );
  await ledger.pool.query(
    `update series_sources set failures = 2, last_error_at = now(), last_error = 'the server answered 503'`,
  );
  const shown = await run('show', SERIES);
  expect(shown.stdout).toMatch(/\nLast failure: .*, the server answered 503 \(2 in a row\)\n$/);
  const removed = await run('remove', SERIES);
  expect(removed).toMatchObject({ code: 0, stdout: `${SERIES} no longer has a source.\n` });
  expect(await run('show', SERIES)).toMatchObject({ code: 1, stdout: '' });
});

test('describes a file as an import does, and prints JSON', async () => {
  const link = 'https://data.example/yields.csv';
  const described = [
    '--date-column',
    'Tag',
    '--value-column',
    'Wert',
    '--decimal',
    ',',
    '--missing',
    'n/v, -',
  ];
  const set = await run('set', SERIES, '--link', link, ...described, '--json');
  expect(JSON.parse(set.stdout)).toMatchObject({
    kind: 'url',
    url: link,
    file: { dateColumn: 'Tag', valueColumn: 'Wert', decimal: ',', missing: ['n/v', '-'] },
    everyMinutes: 1_440,
  });
});

test('shows what is wrong with a source', async () => {
  const refused = await run('set', SERIES, '--link', 'https://u:p@a.example/?token=hush');
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toContain('/url: must not contain a user or password');
  expect(refused.stderr).not.toContain('hush');
});
