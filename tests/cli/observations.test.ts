import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { LossyProxy } from '../support/lossy-proxy.ts';
import { cleanUp, newFolder, onTerminal, outlook, type Run } from '../support/outlook-command.ts';

const SERIES = 'us-high-yield-spread';

let ledger: TestLedger;
let proxy: LossyProxy;
let url: string;
let key: string;
beforeAll(async () => {
  ledger = await startLedger();
  key = ledger.keys.feed;
  proxy = new LossyProxy(await ledger.app.listen({ host: '127.0.0.1', port: 0 }));
  url = await proxy.listen();
});
afterAll(async () => {
  cleanUp();
  await proxy.close();
  await ledger.close();
});

const DAY = 86_400_000;

/** A CSV of consecutive days, all in the past. */
function daysOf(count: number, value = (index: number) => String(4 + (index % 100) / 100)): string {
  const last = Date.parse('2026-11-19');
  const lines = Array.from({ length: count }, (_, index) => {
    const day = new Date(last - (count - 1 - index) * DAY).toISOString().slice(0, 10);
    return `${day},${value(index)}`;
  });
  return ['date,value', ...lines, ''].join('\n');
}

function fileOf(text: string): string {
  const file = path.join(newFolder(), 'observations.csv');
  writeFileSync(file, text);
  return file;
}

const send = (text: string, ...more: string[]): Promise<Run> =>
  outlook(['observations', 'import', SERIES, fileOf(text), ...more], { url, key });

async function stored(): Promise<number> {
  const { rows } = await ledger.pool.query<{ count: string }>(
    'select count(*) from observations join series on series.id = series_id where series.key = $1',
    [SERIES],
  );
  return Number(rows[0]?.count);
}

describe('outlook observations import', () => {
  test('reports all faults of a file by line, and sends nothing', async () => {
    const { code, stdout, stderr } = await send(
      [
        'date,value,provenance,note',
        '2026-11-02,4.1,sourced,"a note',
        'of two lines"',
        '',
        '2026-11-31,4.1,sourced,',
        '2026-11-03,four,sourced,',
        '2026-11-04,,sourced,',
        '2026-11-05,4.1',
        '2026-11-02,4.2,sourced,',
        'yesterday,1e999,sourced,',
        '2026-11-06,9007199254740993,sourced,',
        '2026-11-07,1e-400,sourced,',
      ].join('\r\n'),
    );
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr.split('\n').slice(1, 10)).toEqual([
      '  line 5, column date: "2026-11-31" is not a date like 2026-11-20',
      '  line 6, column value: "four" is not a number like 2793.3; leave out days without a value',
      '  line 7, column value: "" is not a number like 2793.3; leave out days without a value',
      '  line 8: 2 columns, but the header has 4',
      '  line 9, column date: 2026-11-02 is already on line 3',
      '  line 10, column date: "yesterday" is not a date like 2026-11-20',
      '  line 10, column value: "1e999" is beyond ±9007199254740991, up to which numbers are exact; use a larger unit',
      '  line 11, column value: "9007199254740993" is beyond ±9007199254740991, up to which numbers are exact; use a larger unit',
      '  line 12, column value: "1e-400" is too small for a double, which would be 0; write 0 or use a smaller unit',
    ]);
    expect(stderr).toContain('has 9 faults. Nothing was sent');
    expect(await stored()).toBe(0);
    expect(proxy.writes).toEqual([]);
  });

  test.for([
    ['another header', 'day,value\n2026-11-02,4\n', 'must begin with the header date,value'],
    ['no rows', 'date,value\n', 'has no observations'],
    ['nothing', '', 'has no observations'],
    ['a quote that is not closed', 'date,value\n2026-11-02,"4\n', "can't be read"],
  ])('refuses a file with %s', async ([, text = '', message]) => {
    const { code, stderr } = await send(text);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  test('refuses a missing file', async () => {
    const missing = ['observations', 'import', SERIES, '/nowhere.csv'];
    const { code, stderr } = await outlook(missing, { url, key });
    expect(code).toBe(2);
    expect(stderr).toContain('ENOENT');
  });

  test('reports the faults that the service finds by line, too', async () => {
    const { code, stderr } = await send(
      'date,value,provenance,note\n2026-11-02,4,guessed,\n\n2027-01-02,4,,\n',
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(/\n {2}line 2, column provenance: must be/);
    const future = await send('date,value\n2026-11-02,4\n\n2027-01-02,4\n');
    expect(future.stderr).toMatch(/\n {2}line 4, column date: must not be in the future/);
    const unknown = await outlook(
      ['observations', 'import', 'no-such-series', fileOf('date,value\n2026-11-02,4\n')],
      { url, key },
    );
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('(404)') as string });
    expect(await stored()).toBe(0);
  });

  test('sends 20,500 days in three batches, each stored once although responses are lost', async () => {
    proxy.writes.length = 0;
    proxy.losses.push('response lost', 'unavailable');
    const file = daysOf(20_500);
    const { code, stdout } = await send(file);
    expect([code, stdout]).toEqual([0, `${SERIES}: 20500 added, 0 revised, 0 unchanged.\n`]);
    expect(await stored()).toBe(20_500);
    expect(proxy.writes).toHaveLength(5);
    const keys = proxy.writes.map((head) => /^idempotency-key: (.+)$/im.exec(head)?.[1]);
    expect(new Set(keys).size).toBe(3);
  });

  test('can be repeated without a change; --json prints a line for each batch', async () => {
    const { code, stdout } = await send(daysOf(10_500), '--json');
    expect(code).toBe(0);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(lines).toEqual([
      { series: SERIES, added: 0, revised: 0, retracted: 0, unchanged: 10_000, recordedAt: null },
      { series: SERIES, added: 0, revised: 0, retracted: 0, unchanged: 500, recordedAt: null },
    ]);
    const other = (index: number) => (index === 7 ? '9.9' : String(4 + (index % 100) / 100));
    // All other values are those of the 20,500 days, which repeat every hundred.
    expect((await send(daysOf(500, other))).stdout).toContain('0 added, 1 revised, 499 unchanged');
  });

  test('says what is stored if a later batch is refused', async () => {
    const file = daysOf(10_000).trimEnd() + '\n2027-01-05,4\n';
    const { code, stderr } = await send(file);
    expect(code).toBe(1);
    expect(stderr).toContain('The lines before 10002 are stored. Import the whole file again');
    expect(stderr).toContain('line 10002, column date: must not be in the future');
  });

  test('reads the standard input', async () => {
    const { code, stdout } = await outlook(['observations', 'import', SERIES, '-'], {
      url,
      key,
      stdin: '\ufeffdate,value,provenance,note\r\n1950-01-02,4.5,computed,"said ""so"""\r\n',
    });
    expect([code, stdout]).toEqual([0, `${SERIES}: 1 added, 0 revised, 0 unchanged.\n`]);
    const answer = await ledger.call({ url: `/v1/series/${SERIES}/observations?to=1950-12-31` });
    expect(answer.json()).toMatchObject({
      items: [{ date: '1950-01-02', value: 4.5, provenance: 'computed', note: 'said "so"' }],
    });
  });

  test('shows its progress on a terminal', async () => {
    const running = onTerminal(['observations', 'import', SERIES, fileOf(daysOf(10_500))], {
      url,
      key,
    });
    const { code, stdout } = await running.ended;
    expect(code).toBe(0);
    expect(stdout).toContain(`\r${'░'.repeat(30)} 0 of 10500 observations`);
    expect(stdout).toContain(`\r${'█'.repeat(29)}░ 10000 of 10500 observations`);
    expect(stdout).toContain(`\r${'█'.repeat(30)} 10500 of 10500 observations`);
    expect(stdout).toContain('unchanged.');
  });
});
