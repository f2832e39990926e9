import {
  type Client,
  createClient,
  type Outlook,
  type Proposal,
  type OutlookDiff,
  type ProbabilityHistory,
  type Problem,
} from '@outlook-ledger/client';
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';

const path = { slug: SLUG };
const sound = { bear: 0.35, base: 0.4, bull: 0.25 };
const rationale = 'Long-term yields jumped.';

let ledger: TestLedger;
let reader: Client;
let analyst: Client;
beforeAll(async () => {
  ledger = await startLedger();
  const baseUrl = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
  reader = createClient({ baseUrl });
  analyst = createClient({ baseUrl, key: ledger.keys.analyst });
});
afterAll(() => ledger.close());

describe('the ledger through the client', () => {
  test('the outlook is typed', async () => {
    const { data, error } = await reader.GET('/v1/outlooks/{slug}', { params: { path } });
    expectTypeOf(data).toEqualTypeOf<Outlook | undefined>();
    expectTypeOf(error).toEqualTypeOf<Problem | undefined>();
    expect(error).toBeUndefined();
    expect(data).toMatchObject({ slug: SLUG, version: 1, instrument: { symbol: 'RUT' } });
  });

  test('a sum that is not 1 comes back as a problem', async () => {
    const { data, error, response } = await analyst.POST('/v1/outlooks/{slug}/revisions', {
      params: { path },
      body: { probabilities: { ...sound, base: 0.45 }, rationale },
    });
    expect([response.status, data]).toEqual([422, undefined]);
    expectTypeOf(error).toEqualTypeOf<Problem | undefined>();
    expect(error).toMatchObject({ type: '/problems/probability-sum', sum: 1.05, excess: 0.05 });
  });

  test('a write without a key is refused', async () => {
    const { error } = await reader.POST('/v1/outlooks/{slug}/revisions', {
      params: { path },
      body: { probabilities: sound, rationale },
    });
    expect(error?.status).toBe(401);
  });

  test('revisions of probabilities and of the framework become versions, unless another came first', async () => {
    const read = await reader.GET('/v1/outlooks/{slug}', { params: { path } });
    const header = { 'If-Match': read.response.headers.get('etag') ?? '' };
    const numbers = await analyst.POST('/v1/outlooks/{slug}/revisions', {
      params: { path, header },
      body: { probabilities: sound, rationale },
    });
    expectTypeOf(numbers.data).toEqualTypeOf<Outlook | Proposal | undefined>();
    expect(numbers.response.status).toBe(201);
    expect(numbers.data).toMatchObject({ version: 2, probabilities: sound });

    const words = { disclaimer: 'Not investment advice.', rationale: 'Add a disclaimer.' };
    const late = await analyst.PATCH('/v1/outlooks/{slug}/framework', {
      params: { path, header },
      body: words,
    });
    expect(late.error?.status).toBe(412);
    const { data } = await analyst.PATCH('/v1/outlooks/{slug}/framework', {
      params: { path },
      body: words,
    });
    expect(data).toMatchObject({ version: 3, disclaimer: words.disclaimer });
  });

  test('versions are read page by page', async () => {
    const versions: number[] = [];
    for (let cursor: string | null | undefined; cursor !== null;) {
      const query: { limit: number; cursor?: string } = { limit: 2, ...(cursor && { cursor }) };
      const { data } = await reader.GET('/v1/outlooks/{slug}/versions', {
        params: { path, query },
      });
      versions.push(...(data?.items ?? []).map(({ version }) => version));
      cursor = data?.nextCursor ?? null;
    }
    expect(versions).toEqual([3, 2, 1]);
  });

  test('the history and a diff have their types', async () => {
    const history = await reader.GET('/v1/outlooks/{slug}/probabilities', { params: { path } });
    expectTypeOf(history.data).toEqualTypeOf<ProbabilityHistory | undefined>();
    expect(history.data?.points.map(({ version, bear }) => [version, bear])).toEqual([
      [1, 0.3],
      [2, 0.35],
      [3, 0.35],
    ]);
    const diff = await reader.GET('/v1/outlooks/{slug}/versions/{version}/diff', {
      params: { path: { ...path, version: 3 }, query: { against: 1 } },
    });
    expectTypeOf(diff.data).toEqualTypeOf<OutlookDiff | undefined>();
    expect(diff.data?.probabilities.totalVariation).toBe(0.05);
    expect(diff.data?.fields.map(({ pointer }) => pointer)).toEqual(['/disclaimer']);
  });

  test('the history is available as CSV', async () => {
    const { data } = await reader.GET('/v1/outlooks/{slug}/probabilities', {
      params: { path },
      headers: { Accept: 'text/csv' },
      parseAs: 'text',
    });
    expectTypeOf(data).toEqualTypeOf<string | undefined>();
    expect(data?.split('\r\n')[0]).toBe('version,publishedAt,bear,base,bull');
  });

  test('a response is available as text', async () => {
    const { data } = await reader.GET('/v1/outlooks', { parseAs: 'text' });
    expectTypeOf(data).toEqualTypeOf<string | undefined>();
    expect(data).toContain(SLUG);
  });
});

/**
 * Calls that the document does not allow. The service rejects them, and so does the compiler: a `@ts-expect-error`
 * above a line that compiles is an error.
 */
const mistakes: Record<string, [status: number, call: () => Promise<{ response: Response }>]> = {
  'an unknown path': [
    404,
    // @ts-expect-error: `versions`
    () => reader.GET('/v1/outlooks/{slug}/version', { params: { path } }),
  ],
  'an unknown method': [
    405,
    // @ts-expect-error: nothing is ever deleted
    () => analyst.DELETE('/v1/outlooks/{slug}', { params: { path } }),
  ],
  'an unknown query parameter': [
    422,
    // @ts-expect-error: `instrument`
    () => reader.GET('/v1/outlooks', { params: { query: { limit: 1, symbol: 'RUT' } } }),
  ],
  'an unknown value of a query parameter': [
    422,
    // @ts-expect-error: `open`, `resolved`, …
    () => reader.GET('/v1/outlooks', { params: { query: { status: 'closed' } } }),
  ],
  'an unknown field': [
    422,
    () =>
      analyst.POST('/v1/outlooks/{slug}/revisions', {
        params: { path },
        // @ts-expect-error: the clock is the service's
        body: { probabilities: sound, rationale, publishedAt: '2026-11-20T16:00:00.000Z' },
      }),
  ],
  'an unknown field of a field': [
    422,
    () =>
      analyst.POST('/v1/outlooks/{slug}/revisions', {
        params: { path },
        // @ts-expect-error: there are three scenarios
        body: { probabilities: { ...sound, crash: 0 }, rationale },
      }),
  ],
  'a missing field': [
    422,
    () =>
      analyst.POST('/v1/outlooks/{slug}/revisions', {
        params: { path },
        // @ts-expect-error: `rationale`
        body: { probabilities: sound },
      }),
  ],
};

test.for(Object.entries(mistakes))('%s is refused', async ([, mistake]) => {
  const [status, call] = mistake;
  expect((await call()).response.status).toBe(status);
});

test('an unknown field of a response does not compile', async () => {
  const { data } = await reader.GET('/v1/outlooks/{slug}', { params: { path } });
  // @ts-expect-error: `title`
  expect(data?.headline).toBeUndefined();
});
