import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { fillLedger } from '../support/outlooks.ts';
import { changeState } from '../support/plain-sql.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { DOCUMENT } from '../support/openapi.ts';
import { READS } from '../support/operations.ts';
import { createOutlook, patchFramework, send, stored } from '../support/requests.ts';

let ledger: TestLedger;
let closed: TestLedger;
let keyUrl = '';
beforeAll(async () => {
  ledger = await startLedger();
  closed = await startLedger({ requireKeyForReads: true });
  for (const each of [ledger, closed]) {
    await fillLedger(each);
    await holdThirdView(each);
  }
  await addInternal(ledger);
  const issued = await send(
    ledger,
    'POST',
    '/v1/keys',
    { name: 'D', role: 'feed' },
    { as: 'admin' },
  );
  keyUrl = String(issued.headers.location);
});
afterAll(async () => {
  await ledger.close();
  await closed.close();
});

/** Everyone reads a consensus of three views, as of the last midnight. */
async function holdThirdView(on: TestLedger): Promise<void> {
  const probabilities = { bear: 0.3, base: 0.4, bull: 0.3 };
  const body = { probabilities, rationale: 'So.' };
  const held = await send(on, 'PUT', `/v1/outlooks/${SLUG}/views/me`, body);
  expect(held.statusCode, held.body).toBe(201);
  on.clock.now = new Date(on.clock.now.getTime() + 86_400_000);
}

/** What a disclosure is for. */
async function addInternal(on: TestLedger): Promise<void> {
  const visibility = 'internal';
  const created = await createOutlook(on, { slug: 'internal-case', visibility });
  const series = { key: 'internal-series', name: 'S', unit: 'index', frequency: 'monthly' };
  const body = { ...series, source: 'The desk', visibility };
  const added = await send(on, 'POST', '/v1/series', body, { as: 'feed' });
  expect([created.statusCode, added.statusCode], added.body).toEqual([201, 201]);
}

const STRONG = /^"[A-Za-z0-9_-]{27}"$/;
const SECRET = 'no-store';
const CURRENT = 'public, no-cache';
const KEYED = 'private, no-cache';
const CACHING: Record<string, string> = {
  getVersion: 'public, max-age=31536000, immutable',
  getDiff: 'public, max-age=31536000, immutable',
  getLogTile: 'public, max-age=31536000, immutable',
  getLogEntries: 'public, max-age=31536000, immutable',
  getCheckpoint: 'public, max-age=1',
  getOwnViewReceipt: SECRET,
  getHealth: SECRET,
  getReadiness: SECRET,
  listKeys: SECRET,
  listAudit: SECRET,
  getKey: SECRET,
  getMe: SECRET,
  getInbox: SECRET,
  getDeskPolicy: SECRET,
  listProposals: SECRET,
  getProposal: SECRET,
  getOwnView: SECRET,
  listWebhooks: SECRET,
  getWebhook: SECRET,
  listWebhookDeliveries: SECRET,
  getSeriesSource: SECRET,
  getOutlookDisclosure: SECRET,
  getSeriesDisclosure: SECRET,
};
const cachingOf = ({ operationId, access }: (typeof READS)[number]): string =>
  CACHING[operationId] ?? (access === 'key' ? KEYED : CURRENT);

/** The export has a weak ETag, and is never whole in memory: tests/api/export.test.ts. */
const WHOLE = READS.filter(({ operationId }) => operationId !== 'exportLedger');

/** Where the sample is not what an operation is for. */
const urlOf = ({ operationId, url }: (typeof READS)[number]): string =>
  ({
    getKey: keyUrl,
    getOutlookDisclosure: '/v1/outlooks/internal-case/disclosure',
    getSeriesDisclosure: '/v1/series/internal-series/disclosure',
  })[operationId] ?? url;

describe.each(WHOLE)('GET $path', (operation) => {
  const read = (headers = {}, method: 'GET' | 'HEAD' = 'GET') =>
    ledger.call({
      method,
      // What anyone may read may be another response with a key.
      ...(operation.access !== 'read' && { as: 'admin' as const }),
      headers,
      url: urlOf(operation),
    });

  test('has a strong ETag of its body, and says who may cache it', async () => {
    const [first, second] = [await read(), await read()];
    expect(first.statusCode).toBe(200);
    expect(first.headers.etag).toMatch(STRONG);
    expect(second.headers.etag).toBe(first.headers.etag);
    expect(first.headers['cache-control']).toBe(cachingOf(operation));
  });

  test('returns 304 to a client that has it: no body, the same ETag and Cache-Control', async () => {
    const whole = await read();
    const etag = String(whole.headers.etag);
    for (const known of [
      etag,
      `W/${etag}`,
      `"other", ${etag}`,
      `W/"a",W/${etag} , "b"`,
      '*',
      ' * ',
    ]) {
      const answer = await read({ 'if-none-match': known });
      expect([known, answer.statusCode, answer.body]).toEqual([known, 304, '']);
      expect(answer.headers.etag).toBe(etag);
      expect(answer.headers['cache-control']).toBe(whole.headers['cache-control']);
      expect(answer.headers['content-type']).toBeUndefined();
      expect(answer.headers['content-length']).toBeUndefined();
    }
  });

  test('returns the body to a client that has another version', async () => {
    const whole = await read();
    const bare = String(whole.headers.etag).slice(1, -1);
    for (const known of ['"other"', bare, `"${bare}x"`, `"x", W/"y"`, '', '"*"', `'${bare}'`]) {
      const answer = await read({ 'if-none-match': known });
      expect([known, answer.statusCode]).toEqual([known, 200]);
      expect(answer.body).toBe(whole.body);
    }
  });

  test('returns 412 to a client that expects another version, and comes before If-None-Match', async () => {
    const etag = String((await read()).headers.etag);
    const others = [
      '"other"',
      `W/${etag}`,
      `"other", W/${etag}`,
      etag.slice(1, -1),
      `${etag.slice(0, -1)}-br"`,
      '',
      '"*"',
    ];
    for (const method of ['GET', 'HEAD'] as const) {
      for (const expected of others) {
        for (const more of [{}, { 'if-none-match': etag }, { 'if-none-match': '*' }]) {
          const refused = await read({ 'if-match': expected, ...more }, method);
          expect([expected, refused.statusCode]).toEqual([expected, 412]);
          expect(refused.headers).toMatchObject({ etag, 'cache-control': SECRET });
          if (method === 'HEAD') continue;
          const code = expected.includes(`W/${etag}`) ? 'weak-etag' : 'precondition-failed';
          expect(refused.json()).toMatchObject({ type: `/problems/${code}` });
        }
      }
    }
  });

  test('returns the body, or a 304, to a client that expects this version', async () => {
    const whole = await read();
    const etag = String(whole.headers.etag);
    for (const expected of [etag, '*', ' * ', `W/"a", "b",${etag}`]) {
      const answer = await read({ 'if-match': expected });
      expect([answer.statusCode, answer.body]).toEqual([200, whole.body]);
      const known = await read({ 'if-match': expected, 'if-none-match': etag });
      expect([known.statusCode, known.headers.etag]).toEqual([304, etag]);
    }
  });

  test('ignores dates and ranges, as it has no Last-Modified and no ranges', async () => {
    const { body } = await read();
    const date = 'Sat, 01 Jan 2000 00:00:00 GMT';
    for (const headers of [
      { 'if-unmodified-since': date },
      { 'if-modified-since': new Date().toUTCString() },
      { range: 'bytes=0-1' },
      { range: 'bytes=0-1', 'if-range': '"other"' },
    ]) {
      const answer = await read(headers);
      expect([answer.statusCode, answer.body]).toEqual([200, body]);
      expect(answer.headers['last-modified'] ?? answer.headers['accept-ranges']).toBeUndefined();
    }
  });

  test('answers HEAD like GET, without the body', async () => {
    const [whole, head] = [await read(), await read({}, 'HEAD')];
    expect([head.statusCode, head.body]).toEqual([200, '']);
    const { date: _, 'x-request-id': __, ...headers } = head.headers;
    expect(whole.headers).toMatchObject(headers);
    expect(head.headers['content-length']).toBe(String(whole.rawPayload.length));
    const known = await read({ 'if-none-match': String(whole.headers.etag) }, 'HEAD');
    expect([known.statusCode, known.headers.etag]).toEqual([304, whole.headers.etag]);
  });
});

/** Whether the document says that it is served as several media types. */
function hasAlternatives(operationId: string): boolean {
  const operations = Object.values(DOCUMENT.paths).flatMap((item) => Object.values(item));
  const { content = {} } =
    operations.find((one) => one.operationId === operationId)?.responses['200'] ?? {};
  return Object.keys(content).length > 1;
}

test.for(READS.filter(({ access }) => access === 'read'))(
  'GET $path depends on the caller: with a key, no shared cache stores it',
  async ({ url, operationId }) => {
    const varies = (answer: { headers: Record<string, unknown> }) =>
      String(answer.headers['vary']).split(', ').toSorted();
    const fields = [
      ...(hasAlternatives(operationId) ? ['Accept'] : []),
      'Accept-Encoding',
      'Authorization',
      'Cookie',
      'Origin',
    ];
    const required = await closed.call({ url, as: 'feed' });
    expect(required.headers['cache-control']).toBe(KEYED);
    expect(varies(required)).toEqual(fields);
    const sent = await ledger.call({ url, as: 'feed' });
    expect(sent.headers['cache-control']).toBe(KEYED);
    expect(varies(sent)).toEqual(fields);
    const keyless = await ledger.call({ url });
    expect(keyless.headers['cache-control']).toBe(CACHING[operationId] ?? CURRENT);
    expect(varies(keyless)).toEqual(fields);
  },
);

test('the ETag of an outlook changes with each version; that of a version never', async () => {
  await createOutlook(ledger, { slug: 'changing' });
  const etags = async () =>
    Promise.all(
      ['', '/versions', '/versions/1'].map(
        async (part) => (await ledger.call({ url: `/v1/outlooks/changing${part}` })).headers.etag,
      ),
    );
  const [current, list, first] = await etags();
  await patchFramework(ledger, { rationale: 'R', title: 'Another' }, { slug: 'changing' });
  const [newCurrent, newList, sameFirst] = await etags();
  expect(newCurrent).not.toBe(current);
  expect(newList).not.toBe(list);
  expect(sameFirst).toBe(first);
});

describe.each(['revision', 'patch'] as const)('If-Match guards a %s', (kind) => {
  let slug = '';
  let count = 0;
  beforeEach(async () => {
    slug = `${kind}-${(count += 1)}`;
    await createOutlook(ledger, { slug });
  });

  const etagOf = async () =>
    String((await ledger.call({ url: `/v1/outlooks/${slug}` })).headers.etag);
  const write = (header: string, bear = 0.35) => {
    const headers = { 'if-match': header };
    const probabilities = { bear, base: 0.4, bull: Math.round(6000 - bear * 10_000) / 10_000 };
    const body = { rationale: 'R', probabilities };
    return kind === 'patch'
      ? patchFramework(ledger, body, { slug, headers })
      : send(ledger, 'POST', `/v1/outlooks/${slug}/revisions`, body, { headers });
  };

  test.for([
    ['the ETag that stands', (etag: string) => etag],
    ['a list that has it', (etag: string) => `"other", W/"weak", ${etag}`],
    ['a star', () => '*'],
  ] as const)('%s lets it through', async ([, header]) => {
    expect((await write(header(await etagOf()))).statusCode).toBe(201);
  });

  test.for([
    ['another ETag', () => '"other"'],
    ['another weak ETag', () => 'W/"other"'],
    ['a list without it', (etag: string) => `"other", "${etag.slice(2)}`],
    ['no ETag at all', (etag: string) => etag.slice(1, -1)],
    ['nothing', () => ''],
  ] as const)('%s is refused with the one that stands', async ([, header]) => {
    const etag = await etagOf();
    const before = await stored(ledger);
    const refused = await write(header(etag));
    expect(refused.statusCode).toBe(412);
    expect(refused.headers.etag).toBe(etag);
    expect(refused.json()).toMatchObject({
      type: '/problems/precondition-failed',
      detail: `The current ETag is ${etag}.`,
    });
    expect(await stored(ledger)).toEqual(before);
  });

  test.for([
    ['its weak twin', (etag: string) => `W/${etag}`],
    ['its weak twin in a coding', (etag: string) => `W/${etag.slice(0, -1)}-gzip"`],
    ['a list with its weak twin', (etag: string) => `"other", W/${etag}`],
  ] as const)('%s is refused as weakened by a proxy, not as changed', async ([, header]) => {
    const etag = await etagOf();
    const before = await stored(ledger);
    const refused = await write(header(etag));
    expect([refused.statusCode, refused.headers.etag]).toEqual([412, etag]);
    const { type, title, detail } = refused.json<Record<string, string>>();
    expect(type).toBe('/problems/weak-etag');
    expect(title).toBe('The ETag in If-Match is weak');
    expect(detail).toContain('Nothing has changed since you read it');
    expect(detail).toContain(`Send it without W/: ${etag}`);
    expect(await stored(ledger)).toEqual(before);
    expect((await write(etag)).statusCode).toBe(201);
  });

  test('the ETag of a creation and of each revision allows the next, once', async () => {
    let etag = await etagOf();
    for (const bear of [0.1, 0.2, 0.3]) {
      const written = await write(etag, bear);
      expect(written.statusCode).toBe(201);
      expect((await write(etag, 0.5)).statusCode).toBe(412);
      etag = String(written.headers.etag);
    }
  });

  test('of ten at once with one ETag, one succeeds', async () => {
    const etag = await etagOf();
    const bears = Array.from({ length: 10 }, (_, index) => (index + 1) / 100);
    const statuses = (await Promise.all(bears.map((bear) => write(etag, bear)))).map(
      ({ statusCode }) => statusCode,
    );
    expect(statuses.toSorted((a, b) => a - b)).toEqual([201, ...Array<number>(9).fill(412)]);
  });
});

test('the ETag of an outlook that was closed since is stale', async () => {
  const url = `/v1/outlooks/${SLUG}`;
  const { headers } = await ledger.call({ url });
  await changeState(ledger.pool, `status = 'void'`, `slug = '${SLUG}'`);
  const known = { 'if-none-match': String(headers.etag) };
  const status = async () => (await ledger.call({ url, headers: known })).statusCode;
  await expect.poll(status).toBe(200);
});

// At the end, because the audit trail records the 401 some seconds later, and others count what is stored.
test('refusals may not be cached and have no ETag', async () => {
  for (const url of ['/v1/outlooks/nowhere', '/v1/outlooks?x=1', '/v1/keys', '/nowhere']) {
    const { headers } = await ledger.call({ url, headers: { 'if-none-match': '*' } });
    expect([headers['cache-control'], headers.etag]).toEqual([SECRET, undefined]);
  }
});
