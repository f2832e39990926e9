import { runInThisContext } from 'node:vm';
import * as client from '@outlook-ledger/client';
import { transformSync } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { codeBlocksOf, textOf } from '../support/documents.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { growLog, newSigner, ORIGIN, signLog } from '../support/sign-log.ts';

let ledger: TestLedger;
let origin: string;
const signer = newSigner();
beforeAll(async () => {
  ledger = await startLedger();
  await growLog(ledger.pool);
  await signLog(ledger.pool, signer);
  origin = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(() => ledger.close());

/** Runs an example, and returns what it prints. */
async function run(example: string): Promise<string[]> {
  const { code } = transformSync(example, { loader: 'ts', format: 'esm', charset: 'utf8' });
  const body = code
    .replace(/^import .*$/m, 'const { createClient, isProblem, verifyReceipt } = client;')
    .replaceAll('http://127.0.0.1:3000', origin)
    .replaceAll('olk_…', ledger.keys.analyst)
    .replaceAll(`${ORIGIN}+…`, signer.vkey);
  const printed: string[] = [];
  const print = (...values: unknown[]) => {
    const texts = values.map((value) =>
      typeof value === 'string' ? value : JSON.stringify(value),
    );
    printed.push(texts.join(' '));
  };
  const run = runInThisContext(`(async (client, console) => {${body}})`) as (
    ...given: unknown[]
  ) => Promise<void>;
  await run(client, { log: print, error: print });
  return printed;
}

const examplesOf = (document: string) =>
  codeBlocksOf(textOf(document)).flatMap(({ language, text }) => (language === 'ts' ? [text] : []));

const PRINTED = [
  ['The probabilities sum to 1.05, 0.05 too much.'],
  [expect.stringMatching(/^1 0\.3 ./)],
  [
    'resumed', // `0` is the start of the ledger
    expect.stringMatching(/^\d+-[0-9a-f]{8} 1 \{"bear":0\.3,"base":0\.45,"bull":0\.25\}$/),
  ],
  [
    expect.stringMatching(
      /^holds .+ published \/v1\/outlooks\/russell-2000-downside\/versions\/1 /,
    ),
    'true []',
  ],
];

test.each(examplesOf('client/README.md').map((example, index) => ({ example, index })))(
  'example $index of the README of the client works',
  async ({ example, index }) => {
    expect(await run(example)).toEqual(PRINTED[index]);
  },
);

test.each(examplesOf('docs/guides/front-ends.md'))(
  'the example of the guide works',
  async (example) => {
    expect(await run(example)).toEqual(['0.3']);
  },
);
