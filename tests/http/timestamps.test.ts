import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { DOCUMENT } from '../support/openapi.ts';
import { createOutlook, faultsOf, send } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  ledger.clock.now = new Date('2026-11-20T16:00:00.123Z');
  await createOutlook(ledger, { slug: 'later' });
  ledger.clock.now = new Date('2026-11-20T18:00:00Z');
});
afterAll(() => ledger.close());

type Parameter = { name: string; in: string; schema?: { format?: string } };
const parametersOf = (operation: unknown): Parameter[] =>
  (operation as { parameters?: Parameter[] } | undefined)?.parameters ?? [];

type Spelling = { text: string; iso: string };
/** The same moment as programs write it, with what it is cut to. */
const SPELLINGS: Record<string, Spelling> = {
  'Python, datetime.isoformat': {
    text: '2026-11-20T17:00:00.123456+01:00',
    iso: '2026-11-20T16:00:00.123Z',
  },
  'Go, RFC3339Nano': { text: '2026-11-20T16:00:00.1239999Z', iso: '2026-11-20T16:00:00.123Z' },
  'Java, Instant': { text: '2026-11-20T16:00:00.123999999Z', iso: '2026-11-20T16:00:00.123Z' },
  '.NET, round trip': { text: '2026-11-20T16:00:00.1230000Z', iso: '2026-11-20T16:00:00.123Z' },
  'one digit': { text: '2026-11-20T16:00:00.1Z', iso: '2026-11-20T16:00:00.100Z' },
};

describe.each(Object.entries(SPELLINGS))('%s', (_, { text, iso }) => {
  test('is cut to the millisecond in a body', async () => {
    const evidence = {
      headline: 'H',
      summary: 'S',
      publisher: 'P',
      publishedAt: text,
    };
    const added = await send(ledger, 'POST', `/v1/outlooks/${SLUG}/evidence`, evidence);
    expect(added.statusCode).toBe(201);
    expect(added.json()).toMatchObject({ publishedAt: iso });
  });

  test('is cut to the millisecond in every query', async () => {
    const sent = encodeURIComponent(text);
    const state = async (moment: string) => {
      const { statusCode } = await ledger.call({ url: `/v1/outlooks/later?asOf=${moment}` });
      return statusCode;
    };
    expect(await state(sent)).toBe(await state(iso));
    for (const [path, { get }] of Object.entries(DOCUMENT.paths)) {
      for (const part of parametersOf(get)) {
        if (part.in !== 'query' || part.schema?.format !== 'date-time') continue;
        const url = path
          .replace('{slug}', SLUG)
          .replace('{symbol}', 'RUT')
          .replace('{key}', 'rut-close')
          .replace('{id}', '00000000-0000-4000-8000-000000000000')
          .replace('{analyst}', '00000000-0000-4000-8000-000000000000');
        const answer = await ledger.call({ url: `${url}?${part.name}=${sent}`, as: 'admin' });
        const faults = answer.statusCode === 422 ? faultsOf(answer.json()) : {};
        expect([path, faults[`/${part.name}`]]).toEqual([path, undefined]);
      }
    }
  });
});

test('a timestamp before 1970 is cut downwards, too', async () => {
  const evidence = { headline: 'H', summary: 'S', publisher: 'P' };
  const url = `/v1/outlooks/${SLUG}/evidence`;
  const publishedAt = '1969-12-31T23:59:59.999999Z';
  const added = await send(ledger, 'POST', url, { ...evidence, publishedAt });
  expect(added.json()).toMatchObject({ publishedAt: '1969-12-31T23:59:59.999Z' });
});

test('a timestamp without an offset is refused in a body as in a query', async () => {
  const detail = 'must be a timestamp with an offset, such as 2026-11-20T16:31:00Z';
  const evidence = { headline: 'H', summary: 'S', publisher: 'P' };
  const url = `/v1/outlooks/${SLUG}/evidence`;
  const publishedAt = '2026-11-19T10:00:00.123456';
  const refused = await send(ledger, 'POST', url, { ...evidence, publishedAt });
  expect(faultsOf(refused.json())).toEqual({ '/publishedAt': detail });
  const read = await ledger.call({ url: `/v1/outlooks/${SLUG}?asOf=${publishedAt}` });
  expect(faultsOf(read.json())).toEqual({ '/asOf': detail });
});
