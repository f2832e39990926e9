import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recordExamples } from '../../support/example-run.ts';
import { startLedger, type TestLedger } from '../../support/ledger.ts';
import { componentOf, DOCUMENT, validatorOf } from '../../support/openapi.ts';
import type { Recorded } from '../../support/recorder.ts';

const FILE = new URL('../../../samples/responses.json', import.meta.url);
const HOW_TO = 'Run `npm run openapi:examples`, then `npm run openapi`.';

type Media = { example?: unknown; examples?: Record<string, { value?: unknown }> };
type Response = { content?: Record<string, Media>; $ref?: string };

let ledger: TestLedger;
let recorded: Recorded;
beforeAll(async () => {
  ledger = await startLedger({
    webhookPrivateAddresses: true,
    resolve: async () => [{ address: '127.0.0.1', family: 4 }],
  });
  recorded = await recordExamples(ledger);
  if (process.env['RECORD_EXAMPLES']) writeFileSync(FILE, `${JSON.stringify(recorded, null, 2)}\n`);
});
afterAll(() => ledger.close());

const SHARED = DOCUMENT.components.responses as Record<string, Response>;
const responses = Object.entries(DOCUMENT.paths).flatMap(([path, item]) =>
  Object.entries(item).flatMap(([method, operation]) =>
    Object.entries(operation.responses as Record<string, Response>).flatMap(([status, response]) =>
      Object.entries(componentOf(response, SHARED)?.content ?? {}).map(([type, media]) => ({
        name: `${operation.operationId} ${status} ${type}`,
        place: { path, method, status, type },
        media,
      })),
    ),
  ),
);

const valuesOf = ({ example, examples }: Media): unknown[] => [
  ...(example === undefined ? [] : [example]),
  ...Object.values(examples ?? {}).map(({ value }) => value),
];

test('the examples of responses are what a service answers', () => {
  expect(recorded, HOW_TO).toEqual(JSON.parse(readFileSync(FILE, 'utf8')));
});

describe('in the document', () => {
  test('every response with a body has an example, except binary ones', () => {
    const without = responses
      .filter(({ media, place }) => !/^(image\/|application\/octet-stream)/.test(place.type) && valuesOf(media).length === 0)
      .map(({ name }) => name);
    expect(without, `Add them to tests/support/example-run.ts. ${HOW_TO}`).toEqual([]);
  });

  test('each example is valid', () => {
    for (const { name, place, media } of responses) {
      const validate = validatorOf(place);
      for (const value of valuesOf(media)) {
        expect(validate(value), `${name}: ${JSON.stringify(validate.errors)}`).toBe(true);
      }
    }
  });

  test('the examples of an error have its status', () => {
    for (const { name, place, media } of responses.filter(({ place }) => place.status >= '400')) {
      for (const value of valuesOf(media)) {
        expect([name, value]).toEqual([name, expect.objectContaining({ status: Number(place.status) })]);
      }
    }
  });
});
