import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { REQUEST_EXAMPLES } from '../../src/http/openapi/examples.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { OPERATIONS, READS } from '../support/operations.ts';
import { MERGE_PATCH } from '../support/requests.ts';
import { growLog } from '../support/sign-log.ts';

// Whatever is sent, there is no 500, `call` checks each response against its schema, and refused requests
// store nothing.

/** How many times as many requests as usual are sent (vitest.faults.config.ts). */
const FACTOR = Number(process.env['FUZZ_FACTOR'] ?? 1);
let sent = 0;

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  await growLog(ledger.pool); // as the service does from its start; before that, its log answers 503
});
afterAll(async () => {
  if (FACTOR > 1) process.stdout.write(`${sent} requests were sent\n`);
  await ledger.close();
});

let countQuery = '';
beforeAll(async () => {
  const { rows } = await ledger.pool.query<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = 'public' order by 1`,
  );
  const counts = rows.map(({ name }) => `'${name} ' || (select count(*) from "${name}")`);
  countQuery = `select concat_ws(', ', ${counts.join(', ')}) as counts`;
});

/** How many rows all tables have. Planning the query takes longer than running it: it is named. */
async function countRows(): Promise<string> {
  const query = { name: 'count-rows', text: countQuery };
  const { rows } = await ledger.pool.query<{ counts: string }>(query);
  return rows[0]?.counts ?? '';
}

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type Change = { at: number; what: 'delete' | 'replace' | 'rename' | 'repeat' | 'wrap'; odd: Json };

const NAMES = [
  '',
  '__proto__',
  'constructor',
  'toString',
  'a/b~c',
  '0',
  '\u0000',
  '\ud800',
  'bear',
];
const NUMBERS = [
  -0,
  -1,
  0.1,
  0.30000000000000004,
  1,
  1.5,
  35,
  101,
  1e4,
  2 ** 31,
  2 ** 53,
  1e21,
  1e308,
];
const DAYS = ['2026-02-29', '0000-01-01', '9999-12-31', '2026-03-31T00:00:00Z', '-000001-01-01'];
const MOMENTS = [
  '9999-12-31T23:59:59-23:59',
  '2027-01-01T00:00:00.000000001Z',
  '2026-11-20T16:00Z',
];
const TEXTS = [
  '',
  ' ',
  '\u0085',
  'a\u0000',
  '\udc00',
  '\u{10ffff}',
  'A',
  'RUT',
  'javascript:1',
  'x'.repeat(301),
];
const deep = (levels: number, leaf: Json): Json =>
  Array.from({ length: levels }).reduce<Json>(
    (inner, _, index) => (index % 2 ? [inner] : { bear: inner }),
    leaf,
  );

const odd: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(null, true, [], {}, ...NUMBERS, ...TEXTS, ...DAYS, ...MOMENTS),
  fc.string({ unit: 'binary' }),
  fc.double().map((value) => (Number.isFinite(value) ? value : null)),
  fc.jsonValue() as fc.Arbitrary<Json>,
  fc.nat(300).map((levels) => deep(levels, null)),
  fc.nat(150).map((length) => Array.from({ length }, () => 'x')),
);
const change: fc.Arbitrary<Change> = fc.record({
  at: fc.nat(),
  what: fc.constantFrom('delete', 'replace', 'rename', 'repeat', 'wrap'),
  odd,
});

type Place = { holder: Json[] | { [name: string]: Json }; name: string };

function places(value: Json): Place[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, child]) => [
    { holder: value, name },
    ...places(child),
  ]);
}

/** Changes a body at one of its places, in place. */
function apply(body: Json, { at, what, odd: value }: Change): void {
  const all = places(body);
  const place = all[at % Math.max(all.length, 1)];
  if (!place) return;
  const { holder, name } = place;
  const members = holder as Record<string, Json>;
  const put = (key: string, member: Json) =>
    Object.defineProperty(members, key, {
      value: member,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  const own = members[name] ?? null;
  if (what === 'replace') put(name, value);
  if (what === 'wrap') put(name, [own, { own }]);
  if (what === 'repeat' && Array.isArray(holder)) holder.push(structuredClone(own), own);
  if (what === 'rename' && !Array.isArray(holder)) put(NAMES[at % NAMES.length] ?? '', own);
  if (what !== 'delete' && what !== 'rename') return;
  if (Array.isArray(holder)) holder.splice(Number(name), 1);
  else delete members[name];
}

/** Text of a body as clients garble it. */
const garbled = (text: string) =>
  fc.oneof(
    fc.constant(text),
    fc.nat(text.length).map((end) => text.slice(0, end)),
    fc
      .tuple(fc.nat(text.length), fc.string({ unit: 'binary' }))
      .map(([at, more]) => text.slice(0, at) + more + text.slice(at)),
    fc
      .constantFrom('1e999', 'NaN', '-0', '0.30000000000000000001')
      .map((number) => text.replace(/\d+\.\d+/, number)),
  );

const WRITES = OPERATIONS.filter(({ operationId }) => operationId in REQUEST_EXAMPLES).map(
  ({ method, url, operationId }) => {
    const examples = Object.values(REQUEST_EXAMPLES[operationId] ?? {});
    return { method, url, operationId, bodies: examples.map(({ value }) => value as Json) };
  },
);

describe.each(WRITES)('$operationId', ({ method, url, bodies }) => {
  const type = method === 'PATCH' ? MERGE_PATCH : 'application/json';
  const write = async (payload: string, headers = {}): Promise<number> => {
    const options = { method, url, payload, headers: { 'content-type': type, ...headers } };
    const { statusCode } = await ledger.call({ ...options, as: 'admin' });
    sent += 1;
    const rows = await countRows();
    if (statusCode >= 400) expect([payload, rows]).toEqual([payload, before ?? rows]);
    before = rows;
    return statusCode;
  };
  let before: string | null = null;

  test('has no 500 for bodies that are nearly right', async () => {
    const statuses = new Set<number>();
    const changes = fc.array(change, { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...bodies), changes, async (body, made) => {
        const copy = structuredClone(body);
        for (const one of made) apply(copy, one);
        const status = await write(JSON.stringify(copy));
        expect(status).toBeLessThan(500);
        statuses.add(status);
      }),
      { numRuns: 200 * FACTOR },
    );
    // A body without members has nothing to get wrong.
    const hasMembers = bodies.some((body) => Object.keys(body as object).length > 0);
    expect(hasMembers ? [...statuses] : [422]).toContain(422);
  });

  test('has no 500 for garbled bodies', async () => {
    const texts = fc.constantFrom(...bodies).chain((body) => garbled(JSON.stringify(body)));
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        expect(await write(text)).toBeLessThan(500);
      }),
      { numRuns: 50 * FACTOR },
    );
  });

  test('has no 500 for bodies of any JSON', async () => {
    await fc.assert(
      fc.asyncProperty(odd, async (body) => {
        expect(await write(JSON.stringify(body))).toBeLessThan(500);
      }),
      { numRuns: 50 * FACTOR },
    );
  });

  test('has no 500 for odd headers', async () => {
    const text = fc.string({
      unit: fc.constantFrom('"', '*', '/', ',', ';', '=', 'W', ' ', '\t', '\\', 'x'),
    });
    const headers = fc.record(
      {
        'if-match': text,
        'content-type': text,
        accept: text,
        'x-request-id': text,
        'idempotency-key': text,
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(headers, async (sent) => {
        expect(await write(JSON.stringify(bodies[0]), sent)).toBeLessThan(500);
      }),
      {
        numRuns: 50 * FACTOR,
      },
    );
  });
});

describe.each(READS)('$operationId', ({ path, url }) => {
  const read = async (at: string, headers = {}) => {
    sent += 1;
    return (await ledger.call({ url: at, as: 'admin', headers })).statusCode;
  };
  const escaped = fc.oneof(
    fc.string({ unit: 'binary' }).map((text) => encodeURIComponent(text.toWellFormed())),
    fc.stringMatching(/^[!-~]*$/).map((text) => text.replaceAll(/[#?]/g, '')),
    fc.constantFrom('%00', '%', '%E0%A4%A', '%ED%A0%80', '%2F', SLUG, 'RUT', '1'),
  );
  const pair = fc.tuple(
    fc.oneof(escaped, fc.constantFrom('limit', 'cursor', 'status', 'instrument')),
    escaped,
  );
  const query = fc
    .array(pair, { maxLength: 4 })
    .map((pairs) => pairs.map((one) => one.join('=')).join('&'));

  test('has no 500 for odd queries, paths and headers', async () => {
    const tag = fc.string({ unit: fc.constantFrom('"', '*', '/', ',', 'W', ' ', 'x') });
    await fc.assert(
      fc.asyncProperty(query, tag, async (sent, known) => {
        expect(await read(`${url}?${sent}`, { 'if-none-match': known })).toBeLessThan(500);
      }),
      { numRuns: 40 * FACTOR },
    );
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(escaped), async (parts) => {
        const at = path.replace(/\{\w+\}/g, () => String(parts.next().value));
        expect(await read(at)).toBeLessThan(500);
      }),
      { numRuns: path.includes('{') ? 60 * FACTOR : 1 },
    );
  });
});

test('what odd bodies stored is complete and can be read', async () => {
  const list = await ledger.call({ url: '/v1/outlooks?limit=100' });
  for (const { slug } of list.json<{ items: { slug: string }[] }>().items) {
    expect((await ledger.call({ url: `/v1/outlooks/${slug}` })).statusCode).toBe(200);
    expect((await ledger.call({ url: `/v1/outlooks/${slug}/versions?limit=100` })).statusCode).toBe(
      200,
    );
  }
});
