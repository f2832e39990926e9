import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { cleanUp, outlook } from '../support/outlook-command.ts';
import { findProgram } from '../support/programs.ts';
import { send } from '../support/requests.ts';

// What the real pandas and fredapi write is imported as it is. PYTHON names an interpreter that has both; otherwise they are
// installed from PyPI into an environment of their own.

const PACKAGES = ['pandas==3.1.1', 'fredapi==0.5.2'];
const run = promisify(execFile);
const folder = mkdtempSync(path.join(tmpdir(), 'outlook-ledger-python-'));

async function findPython(): Promise<string | null> {
  const python = process.env['PYTHON'] ?? findProgram('python3');
  if (python === null) return null;
  const hasPackages = (program: string) => run(program, ['-c', 'import pandas, fredapi']);
  try {
    await hasPackages(python);
    return python;
  } catch {
    const home = path.join(folder, 'venv');
    const own = path.join(home, 'bin/python');
    try {
      await run(python, ['-m', 'venv', home]);
      await run(own, ['-m', 'pip', 'install', '--quiet', ...PACKAGES], { timeout: 600_000 });
      await hasPackages(own);
      return own;
    } catch (error) {
      console.warn((error as Error).message);
      return null;
    }
  }
}

const python = await findPython();
if (python === null) console.warn('SKIPPED: no Python with pandas and fredapi; set PYTHON');

/** FRED's API as its documentation says it answers fred/series/observations, in XML; the values are invented. */
function fredStandIn(): Server {
  return createServer((_request, response) => {
    const observations = [
      ['2026-11-24', '4.61'],
      ['2026-11-25', '4.58'],
      ['2026-11-26', '.'],
      ['2026-11-27', '4.6'],
    ].map(
      ([date, value]) =>
        `<observation realtime_start="2026-11-28" realtime_end="2026-11-28" date="${date}" value="${value}"/>`,
    );
    response.setHeader('content-type', 'text/xml; charset=UTF-8');
    response.end(
      `<?xml version="1.0" encoding="utf-8" ?><observations units="lin" output_type="1" file_type="xml" count="4" offset="0" limit="100000">${observations.join('')}</observations>`,
    );
  });
}

let ledger: TestLedger;
let url: string;
let fred: Server;
let count = 0;
beforeAll(async () => {
  ledger = await startLedger({ samples: false });
  ledger.clock.now = new Date('2026-11-30T16:00:00.000Z');
  url = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
  fred = fredStandIn();
  await new Promise<void>((resolve) => fred.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  cleanUp();
  fred.close();
  await ledger.close();
  rmSync(folder, { recursive: true, force: true });
});

const DAYS = [
  ['2026-11-24', 4.61],
  ['2026-11-25', 4.58],
  ['2026-11-27', 4.6],
];

/** What a program of Python writes to the file `out`. */
async function written(program: string): Promise<string> {
  const out = path.join(folder, `${(count += 1)}.csv`);
  const script = path.join(folder, `${count}.py`);
  writeFileSync(script, `out = ${JSON.stringify(out)}\n${program}`);
  await run(python ?? '', [script]);
  return out;
}

const FRAME = `import pandas as pd
days = pd.to_datetime(["2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27"])
values = [4.61, 4.58, float("nan"), 4.6]
`;

const fredapi = () => `from fredapi import Fred
Fred.root_url = "http://127.0.0.1:${(fred.address() as AddressInfo).port}/fred"
series = Fred(api_key="0" * 32).get_series("DGS30")
`;

const EXPORTS: [string, () => string, string[]][] = [
  ['a series of fredapi', () => `${fredapi()}series.to_csv(out)`, []],
  [
    'a named series of fredapi',
    () => `${fredapi()}series.rename("DGS30").rename_axis("date").to_csv(out)`,
    [],
  ],
  [
    'a frame with a missing day',
    () => `${FRAME}pd.DataFrame({"date": days, "value": values}).to_csv(out, index=False)`,
    [],
  ],
  [
    'a frame with numbered rows',
    () => `${FRAME}pd.DataFrame({"Date": days, "DGS30": values}).to_csv(out)`,
    [],
  ],
  [
    'a frame by its days, missing ones as NaN',
    () => `${FRAME}pd.DataFrame({"DGS30": values}, index=days).to_csv(out, na_rep="NaN")`,
    [],
  ],
  [
    'a frame with a time zone',
    () =>
      `${FRAME}pd.Series(values, index=days.tz_localize("America/New_York"), name="Close").rename_axis("Date").to_csv(out)`,
    ['format', 'yahoo'],
  ],
  [
    'a frame in the German way',
    () =>
      `${FRAME}pd.DataFrame({"Wert": values}, index=days).rename_axis("Datum").to_csv(out, sep=";", decimal=",", date_format="%d.%m.%Y")`,
    [],
  ],
  [
    'a compressed frame',
    () => `${FRAME}pd.DataFrame({"value": values}, index=days).to_csv(out, compression="gzip")`,
    [],
  ],
];

async function newSeries(): Promise<string> {
  const key = `python-${(count += 1)}`;
  const series = { key, name: 'N', unit: 'percent', frequency: 'daily', source: 'S' };
  await send(ledger, 'POST', '/v1/series', series, { as: 'feed' });
  return key;
}

async function stored(key: string): Promise<[string, number][]> {
  const answer = await ledger.call({ url: `/v1/series/${key}/observations` });
  const { items } = answer.json<{ items: { date: string; value: number }[] }>();
  return items.map(({ date, value }) => [date, value]);
}

describe.skipIf(python === null)('what Python writes', () => {
  test.for(EXPORTS)(
    '%s is imported as it is, by the API and the command line',
    async ([, program, [name, value]]) => {
      const file = await written(program());
      const [byApi, byCommand] = [await newSeries(), await newSeries()];
      const payload = readFileSync(file);
      const answer = await ledger.call({
        method: 'POST',
        url: `/v1/series/${byApi}/observations${name === undefined ? '' : `?${name}=${value}`}`,
        as: 'feed',
        headers: {
          'content-type': 'text/csv',
          ...(payload[0] === 0x1f && { 'content-encoding': 'gzip' }),
        },
        payload,
      });
      expect(answer.json(), payload.toString()).toMatchObject({ added: 3, skipped: 1 });
      const options = value === undefined ? [] : ['--from', value];
      const command = ['observations', 'import', byCommand, file, ...options];
      const { code, stderr } = await outlook(command, { url, key: ledger.keys.feed });
      expect([code, stderr]).toEqual([0, '']);
      expect([await stored(byApi), await stored(byCommand)]).toEqual([DAYS, DAYS]);
    },
  );
});
