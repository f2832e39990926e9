import { createHash } from 'node:crypto';
import { RECEIPT_CHECKS, type ReceiptVerification, verifyReceipt } from '@outlook-ledger/client';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ANALYST,
  eventOf,
  OUTLOOK,
  receiptOf,
  type ReceiptOptions,
  type TestReceipt,
  versionOf,
} from '../support/receipts.ts';
import { newSigner } from '../support/sign-log.ts';

const log = newSigner('ledger.example/log/1');
const [first, second] = [newSigner('witness.example/a'), newSigner('witness.example/b')];
const stranger = newSigner('witness.example/stranger');
const SECONDS = Date.parse('2026-11-27T10:00:07Z') / 1_000;

const version = (options: Partial<ReceiptOptions> = {}) => {
  const { row, ...act } = versionOf();
  return receiptOf({ ...act, rows: [row] }, { log, ...options });
};
const cosigned = () =>
  version({
    witnesses: [
      { signer: first, seconds: SECONDS + 5 },
      { signer: second, seconds: SECONDS },
    ],
  });
const verify = (receipt: unknown, trusted = {}) => verifyReceipt(JSON.stringify(receipt), trusted);
const pinned = { vkey: log.vkey };

function resultsOf({ checks }: ReceiptVerification): Record<string, string> {
  return Object.fromEntries(checks.map(({ name, result }) => [name, result]));
}

/** The name of the check that failed, and why. */
async function failureOf(receipt: unknown, trusted = {}): Promise<[string, string]> {
  const text = typeof receipt === 'string' ? receipt : JSON.stringify(receipt);
  const { outcome, checks } = await verifyReceipt(text, trusted);
  expect(outcome).toBe('fails');
  expect(checks.map(({ name }) => name)).toEqual([...RECEIPT_CHECKS]);
  const failed = checks.filter(({ result }) => result === 'failed');
  expect(failed).toHaveLength(1);
  return [failed[0]?.name ?? '', failed[0]?.detail ?? ''];
}

describe('a receipt that holds', () => {
  test('of a version says who said what, and when', async () => {
    const result = await verify(version(), pinned);
    expect(result).toMatchObject({
      outcome: 'holds',
      isKeyPinned: true,
      onRecord: null,
      sentence: `"Ada Analyst" published /v1/outlooks/${OUTLOOK}/versions/2 at 2026-11-27 10:00:00 UTC. In the log ledger.example/log/1 of the service; time by its own clock.`,
      caveats: [],
      log: { origin: log.name, size: 11, index: 6, vkey: log.vkey },
      said: {
        event: { subject: `/v1/outlooks/${OUTLOOK}/versions/2`, by: ANALYST, digestedAt: null },
        version: { rationale: 'Long-term yields jumped.' },
        facts: [
          { label: 'Title', text: 'The case for more downside' },
          { label: 'Instrument', text: 'RUT' },
          { label: 'Summary', text: 'Yields.' },
          { label: 'Probabilities', text: 'bear 35%, base 40%, bull 25%' },
          { label: 'Kind', text: 'probabilities' },
          { label: 'Rationale', text: 'Long-term yields jumped.' },
        ],
      },
    });
    expect(resultsOf(result)).toEqual({
      form: 'passed',
      inclusion: 'passed',
      signature: 'passed',
      witnesses: 'skipped',
      rows: 'passed',
      documents: 'passed',
    });
  });

  test('of a withdrawal does not read as that of a forecast', async () => {
    const { row, documents, ...act } = versionOf();
    const json = documents[0]?.json.replace('"kind":"probabilities"', '"kind":"withdrawn"') ?? '';
    const hash = `\\x${createHash('sha256').update(json).digest('hex')}`;
    const rows = [{ ...row, row: { ...row.row, hash, kind: 'withdrawn' } }];
    const receipt = receiptOf({ ...act, rows, documents: [{ of: 'version', json }] }, { log });
    const result = await verify(receipt, pinned);
    expect(result.sentence).toContain(`"Ada Analyst" withdrew the outlook by ${act.subject} at`);
    expect(result).toMatchObject({
      said: { facts: expect.arrayContaining([{ label: 'Kind', text: 'withdrawn' }]) as object },
    });
  });

  test.each([
    [{ outcome: 'bear', reopens: 'false' }, 'bear'],
    [{ reopens: 'false' }, 'void'],
    [{ reopens: 'true' }, 'reopened'],
  ])('of a resolution %o says that it is %s', async (more, outcome) => {
    const subject = `/v1/outlooks/${OUTLOOK}/resolution`;
    const times = { author_id: ANALYST.id, recorded_at: '2026-11-27 10:00:00.123+00' };
    const rows = [
      { table: 'resolutions', row: { outlook_id: '1', number: '1', ...times, ...more } },
    ];
    const receipt = receiptOf(
      { subject, event: eventOf(subject, 'outlook.resolved'), rows },
      { log },
    );
    expect(await verify(receipt, pinned)).toMatchObject({
      said: { facts: [{ label: 'Outcome', text: outcome }] },
    });
  });

  test('tells a name that reads as a sentence from the verdict', async () => {
    const name = 'Eve" published it. On record since 2020-01-01, witnessed by a.example. Ada';
    const { event, row, ...act } = versionOf();
    const by = { ...ANALYST, name };
    const result = await verify(
      receiptOf({ ...act, event: { ...event, by }, rows: [row] }, { log }),
    );
    expect(result.sentence).toContain(`"${name.replace('"', '\\"')}" published /v1/`);
  });

  test('may be given as a parsed object', async () => {
    expect((await verifyReceipt(version(), pinned)).outcome).toBe('holds');
  });

  test('says that the key is only the one it names', async () => {
    const result = await verify(version());
    expect(result).toMatchObject({ outcome: 'holds', isKeyPinned: false });
    expect(result.sentence).toContain('Checked only with the key that the receipt itself names.');
    expect(result).toHaveProperty('caveats.0', expect.stringContaining(log.vkey));
  });

  test('takes the earliest time of the witnesses that the reader knows', async () => {
    const witnesses = [first.witnessVkey, second.witnessVkey];
    const result = await verify(cosigned(), { ...pinned, witnesses });
    expect(result.sentence).toContain(
      'On record since 2026-11-27 10:00:07 UTC, witnessed by witness.example/b, witness.example/a.',
    );
    expect(result).toMatchObject({
      caveats: [],
      onRecord: { since: '2026-11-27T10:00:07.000Z', arePinned: true },
    });
    expect(await verify(cosigned(), { ...pinned, witnesses: [first.witnessVkey] })).toMatchObject({
      onRecord: { since: '2026-11-27T10:00:12.000Z', witnesses: [{ name: first.name }] },
    });
  });

  test('says that its witnesses are known from itself alone', async () => {
    const result = await verify(cosigned(), pinned);
    expect(result.sentence).toContain('witness.example/a (known from the receipt alone)');
    expect(result).toMatchObject({ onRecord: { arePinned: false } });
  });

  test('names the witnesses that are missing', async () => {
    const receipt = version({
      witnesses: [{ signer: first, seconds: SECONDS }],
      missing: [second],
    });
    expect(await verify(receipt, pinned)).toMatchObject({
      caveats: [
        'The keys of the witnesses come from the receipt itself as well.',
        'Without a cosignature of witness.example/b.',
      ],
    });
  });

  test.each([
    [1, 0],
    [2, 1],
    [255, 254],
    [256, 255],
    [257, 256],
    [1_000, 511],
  ])('in a log of %i entries at %i', async (size, index) => {
    expect((await verify(version({ size, index }), pinned)).outcome).toBe('holds');
  });

  test('hides the rows of others in the same transaction', async () => {
    const strangers = [3, 4, 5].map((number) => versionOf(`other-${number}`, number).row);
    const receipt = version({ strangers });
    expect((await verify(receipt, pinned)).outcome).toBe('holds');
    expect(JSON.stringify(receipt)).not.toContain('other-');
  });

  test('of an item of evidence, a view and a resolution', async () => {
    const id = '0192f0c1-0000-7000-8000-00000000000e';
    const recorded_at = '2026-11-27 10:00:00.123+00';
    const author = { author_id: ANALYST.id, recorded_at };
    const acts: [path: string, kind: string, rows: [string, Record<string, string>][]][] = [
      [
        `evidence/${id}`,
        'evidence.added',
        [
          ['evidence', { id, ...author, headline: 'Yields jump' }],
          ['evidence_claims', { evidence_id: id, position: '0' }],
        ],
      ],
      [
        `views/${ANALYST.id}`,
        'view.published',
        [['views', { outlook_id: '1', analyst_id: ANALYST.id, version: '1', recorded_at }]],
      ],
      [
        'resolution',
        'outlook.resolved',
        [
          ['resolutions', { outlook_id: '1', number: '1', ...author, outcome: 'bear' }],
          ['resolution_evidence', { outlook_id: '1', number: '1', position: '0' }],
        ],
      ],
    ];
    for (const [path, kind, rows] of acts) {
      const subject = `/v1/outlooks/${OUTLOOK}/${path}`;
      const tables = rows.map(([table, row]) => ({ table, row }));
      const receipt = receiptOf({ subject, event: eventOf(subject, kind), rows: tables }, { log });
      const result = await verify(receipt, pinned);
      expect(result).toMatchObject({ outcome: 'holds', said: { rows: tables } });
    }
  });

  test('of a ledger that is older than its log says since when it is in the log', async () => {
    const { row, event, ...act } = versionOf();
    const late = { ...event, late: true, digestedAt: '2026-12-01T00:00:00.000Z' };
    const digested = { ...eventOf('outlook_versions', 'rows.digested'), by: null };
    const later = [{ event: { ...digested, at: '2026-12-01T00:00:01.000Z' }, rows: [row] }];
    const receipt = receiptOf({ ...act, event: late, rows: [], later }, { log });
    expect(await verify(receipt, pinned)).toMatchObject({
      outcome: 'holds',
      caveats: [
        'The log took it up later than it was written, at 2026-12-01 00:00:00 UTC.',
        'Rows of outlook_versions: in the log since 2026-12-01 00:00:01 UTC.',
      ],
    });
  });

  test('without a key is not called one that holds', async () => {
    const result = await verify({ ...version(), vkey: null });
    expect(result).toMatchObject({ outcome: 'unchecked', log: { vkey: null } });
    expect(resultsOf(result)).toMatchObject({ signature: 'skipped', rows: 'passed' });
    expect(result.sentence).toContain('Signature not checked');
  });
});

/** What a forger would write in the place of a receipt's own. */
type Change = (receipt: TestReceipt) => object;

/** Changes the first row that a receipt shows. */
const row =
  (change: (row: TestReceipt['rows'][0], receipt: TestReceipt) => object): Change =>
  (receipt) => ({ rows: [{ ...receipt.rows[0], ...change(receipt.rows[0], receipt) }] });

const proof =
  (from: string | RegExp, to: string): Change =>
  (receipt) => ({ proof: receipt.proof.replace(from, to) });

const documents =
  (change: (documents: TestReceipt['documents']) => object[]): Change =>
  (receipt) => ({ documents: change(receipt.documents) });

const CHANGES: [what: string, check: string, change: Change][] = [
  ['another name', 'inclusion', ({ event }) => ({ event: event.replace('Ada', 'Eva') })],
  ['another time', 'inclusion', ({ event }) => ({ event: event.replace('10:00', '09:00') })],
  ['another salt', 'inclusion', ({ rows }) => ({ salt: rows[0].salt })],
  ['another place', 'inclusion', proof('index 6', 'index 5')],
  ['an index beyond it', 'inclusion', proof('index 6', 'index 11')],
  ['a shorter proof', 'inclusion', proof(/(index 6\n)[^\n]+\n/, '$1')],
  ['another size', 'signature', proof('\n11\n', '\n12\n')],
  ['a forged signature', 'signature', proof(/(log\/1 \S{30})\S{4}/, '$1AAAA')],
  ['no signature of the key', 'signature', proof('— ledger', '— other')],
  ['a forged cosignature', 'witnesses', proof(/(example\/a \S{30})\S{4}/, '$1AAAA')],
  ['another rationale', 'rows', row(({ text }) => ({ text: text.replace('jumped', 'fell') }))],
  ['another row salt', 'rows', row((_, { salt }) => ({ salt }))],
  ['a row at another place', 'rows', row(() => ({ index: 1 }))],
  ['no row', 'rows', () => ({ rows: [] })],
  ['a row twice', 'rows', ({ rows }) => ({ rows: [...rows, ...rows] })],
  [
    'another document',
    'documents',
    documents(([one, ...more]) => [{ ...one, json: one.json.replace('jumped', 'fell') }, ...more]),
  ],
  ['another framework', 'documents', documents(([one]) => [one, { of: 'framework', json: '{}' }])],
  ['no document', 'documents', documents(() => [])],
  ['a document twice', 'documents', documents((all) => [...all, ...all])],
];

describe('a receipt fails', () => {
  test.each(CHANGES)('with %s, by its %s', async (_what, check, change) => {
    const trusted = { ...pinned, witnesses: [first.witnessVkey] };
    const receipt = cosigned();
    expect((await failureOf({ ...receipt, ...change(receipt) }, trusted))[0]).toBe(check);
  });

  test('of another log, or signed by another key', async () => {
    const other = newSigner('other.example/log/1');
    const [check, why] = await failureOf(version(), { vkey: other.vkey });
    expect([check, why]).toEqual([
      'signature',
      'It is of the log ledger.example/log/1, but the key is that of other.example/log/1.',
    ]);
    const namesake = newSigner(log.name);
    expect(await failureOf(version(), { vkey: namesake.vkey })).toEqual([
      'signature',
      'The key of the log did not sign its checkpoint.',
    ]);
    expect((await failureOf(version(), { vkey: first.witnessVkey }))[1]).toContain('you gave');
    expect((await failureOf(version(), { vkey: 'nonsense' }))[1]).toContain('you gave');
  });

  test('if none of the witnesses that the reader knows cosigned it', async () => {
    const witnesses = [stranger.witnessVkey];
    expect(await failureOf(cosigned(), { ...pinned, witnesses })).toEqual([
      'witnesses',
      'None of the witnesses that you gave cosigned it.',
    ]);
  });

  test('with a cosignature from the future', async () => {
    const receipt = version({
      witnesses: [{ signer: first, seconds: (Date.now() / 1_000 + 1e6) | 0 }],
    });
    expect((await failureOf(receipt, pinned))[1]).toContain('dated in the future');
  });

  test('with the row of another act in the same transaction', async () => {
    const own = versionOf();
    const { row } = versionOf('other', 2);
    const alone = receiptOf({ ...own, rows: [row] }, { log });
    expect((await failureOf(alone, pinned))[0]).toBe('documents');
    const beside = receiptOf(
      { ...own, rows: [own.row, { ...row, row: { ...row.row, version: '3' } }] },
      { log },
    );
    expect((await failureOf(beside, pinned))[1]).toContain('is not of /v1/outlooks/');
    const documents = versionOf('other', 2).documents;
    const swapped = receiptOf({ ...own, documents, rows: [row] }, { log });
    expect(await failureOf(swapped, pinned)).toEqual([
      'documents',
      'Its version is of another outlook.',
    ]);
  });

  test('with the row of an act of the same moment that another entry has', async () => {
    const recorded_at = '2026-11-27 10:00:00.123+00';
    const viewOf = (slug: string, outlook_id: string, bear_bps: string) => {
      const subject = `/v1/outlooks/${slug}/views/${ANALYST.id}`;
      const row = { outlook_id, analyst_id: ANALYST.id, version: '1', bear_bps, recorded_at };
      const event = eventOf(subject, 'view.published');
      return { subject, event, rows: [{ table: 'views', row }] };
    };
    const [own, other] = [viewOf(OUTLOOK, '1', '1000'), viewOf('another', '2', '9000')];
    const swapped = receiptOf({ ...own, rows: [], later: [other] }, { log });
    expect(await failureOf(swapped, pinned)).toEqual([
      'form',
      'Its rows are in another entry, though its event is not older than the log.',
    ]);
    const event = { ...own.event, late: true, digestedAt: '2026-12-01T00:00:00.000Z' };
    const late = receiptOf({ ...own, event, rows: [], later: [other] }, { log });
    expect(await failureOf(late, pinned)).toEqual([
      'form',
      'Its laterEntries[0] is not one that digested rows of before the log.',
    ]);
  });

  test.each([
    ['evidence', { id: '0192f0c1-0000-7000-8000-00000000000e', outlook_id: '1' }],
    ['views', { outlook_id: '1', analyst_id: ANALYST.id, version: '2', bear_bps: '9000' }],
    ['resolutions', { outlook_id: '1', number: '1', outcome: 'bear' }],
    ['outlook_versions', { outlook_id: '1', version: '1', framework_id: '7' }],
    ['condition_changes', { outlook_id: '1', version: '2', state: 'triggered' }],
  ])('with a row of %s of the same outlook, from another act', async (table, row) => {
    const { row: own, ...act } = versionOf();
    const receipt = receiptOf({ ...act, rows: [own, { table, row }] }, { log });
    expect(await failureOf(receipt, pinned)).toEqual([
      'rows',
      `A row of ${table} is not of ${act.subject}.`,
    ]);
  });

  test.each([
    ['publishedAt', '2020-01-01T00:00:00.000Z'],
    ['previousHash', `sha256:${'b'.repeat(64)}`],
  ])('if its version states another %s than its row', async (name, value) => {
    const { row, documents, ...act } = versionOf();
    const document = JSON.parse(documents[0]?.json ?? '') as Record<string, unknown>;
    const json = JSON.stringify({ ...document, [name]: value });
    const hash = `\\x${createHash('sha256').update(json).digest('hex')}`;
    const rows = [{ ...row, row: { ...row.row, hash } }];
    const others = documents.slice(1);
    const receipt = receiptOf(
      { ...act, rows, documents: [{ of: 'version', json }, ...others] },
      { log },
    );
    expect((await failureOf(receipt, pinned))[0]).toBe('documents');
  });

  test('if its event and its row name different authors', async () => {
    const { row, event, ...act } = versionOf();
    const by = { ...ANALYST, id: '0192f0c1-0000-7000-8000-000000000002' };
    const receipt = receiptOf({ ...act, event: { ...event, by }, rows: [row] }, { log });
    expect((await failureOf(receipt, pinned))[1]).toContain('another author');
  });

  test('if its event and its row name different times', async () => {
    const { row, event, ...act } = versionOf();
    const late = { ...event, at: '2026-11-26T10:00:00.123Z' };
    const receipt = receiptOf({ ...act, event: late, rows: [row] }, { log });
    expect((await failureOf(receipt, pinned))[1]).toContain('another time');
  });

  test('if its subject is not that of its event', async () => {
    const receipt = { ...version(), subject: `/v1/outlooks/${OUTLOOK}/versions/3` };
    expect(await failureOf(receipt, pinned)).toEqual(['form', 'Its event has another subject.']);
  });

  test('if a later entry is of another checkpoint', async () => {
    const other = version();
    const receipt = { ...version(), laterEntries: [other] };
    expect(await failureOf(receipt, pinned)).toEqual([
      'form',
      'Its proofs have different checkpoints.',
    ]);
  });
});

describe('any input gets a result', () => {
  const text = () => JSON.stringify(version());
  const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);

  test.each<[what: string, receipt: () => string]>([
    ['nothing', () => ''],
    ['no JSON', () => '{"v":1'],
    ['a list', () => '[]'],
    ['null', () => 'null'],
    ['another form', () => text().replace('"v":1,', '"v":2,')],
    ['a name twice', () => text().replace('{', '{"subject":"/v1/outlooks/x/versions/1",')],
    ['a name twice, escaped', () => text().replace('{', '{"s\\u0075bject":"",')],
    [
      'a name twice in a row',
      () => text().replaceAll('\\"row\\":{', '\\"row\\":{\\"kind\\":\\"created\\",'),
    ],
    ['100,000 levels', () => deep(100_000)],
    ['100,000 levels within', () => text().replace('{', `{"x":${deep(100_000)},`)],
    ['a huge number', () => text().replace(/"index":0/, '"index":1e400')],
    ['a fraction', () => text().replace(/"index":0/, '"index":0.5')],
    ['a negative number', () => text().replace(/"index":0/, '"index":-1')],
    ['a huge index', () => text().replace('index 6', `index ${'9'.repeat(400)}`)],
    ['an index with a zero', () => text().replace('index 6', 'index 06')],
    ['a huge size', () => text().replace('\\n11\\n', `\\n${'9'.repeat(20)}\\n`)],
    [
      '64 hashes',
      () => text().replace('index 6\\n', `index 6\\n${`${'A'.repeat(43)}=\\n`.repeat(64)}`),
    ],
    ['unpadded base64', () => text().replace(/"salt":"(\S{43})=/, '"salt":"$1')],
    [
      'a sentence as the name of a witness',
      () =>
        text().replace('"missingWitnesses":[]', '"missingWitnesses":["nobody. All cosigned it"]'),
    ],
    ['a lone surrogate', () => text().replace('Ada', '\\ud800')],
    [
      'a salt of 31 bytes',
      () => text().replace(/"salt":"\S{44}"/, `"salt":"${'A'.repeat(40)}AA=="`),
    ],
  ])('%s', async (_what, receipt) => {
    expect((await failureOf(receipt(), pinned))[0]).toBe('form');
  });

  test('base64 that is not its one spelling', async () => {
    const receipt = version();
    const bytes = Buffer.from(receipt.salt, 'base64');
    const last = receipt.salt.at(-2) ?? '';
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
    const other = `${receipt.salt.slice(0, -2)}${alphabet[alphabet.indexOf(last) + 1]}=`;
    expect(Buffer.from(other, 'base64')).toEqual(bytes);
    expect((await failureOf({ ...receipt, salt: other }, pinned))[0]).toBe('form');
  });

  test('values that are not JSON', async () => {
    const circle: { self?: object } = {};
    circle.self = circle;
    for (const value of [undefined, circle, 1n, () => 1, Symbol('s'), new Date(), Number.NaN]) {
      expect((await verifyReceipt(value, pinned)).outcome).toBe('fails');
    }
  });

  test('any JSON', async () => {
    await fc.assert(
      fc.asyncProperty(fc.json({ maxDepth: 5 }), async (json) => {
        expect((await verifyReceipt(json)).outcome).toBe('fails');
      }),
      { numRuns: 300 },
    );
  });

  test('a receipt with any value in any place', async () => {
    const receipt = cosigned();
    // What is left over is not proven, and not said.
    const { generation: _, vkey: __, witnesses: ___, missingWitnesses: ____, ...proven } = receipt;
    const trusted = { ...pinned, witnesses: [first.witnessVkey, second.witnessVkey] };
    const names = fc.constantFrom(...Object.keys(proven));
    await fc.assert(
      fc.asyncProperty(names, fc.jsonValue(), async (name, value) => {
        fc.pre(JSON.stringify(value) !== JSON.stringify(receipt[name]));
        expect((await verifyReceipt({ ...receipt, [name]: value }, trusted)).outcome).toBe('fails');
      }),
      { numRuns: 300 },
    );
  });

  test('a receipt with any character changed does not say anything else', async () => {
    const text = JSON.stringify(cosigned());
    const trusted = { ...pinned, witnesses: [first.witnessVkey, second.witnessVkey] };
    const original = await verifyReceipt(text, trusted);
    const place = fc.integer({ min: 0, max: text.length - 1 });
    await fc.assert(
      fc.asyncProperty(place, fc.string({ maxLength: 2 }), async (at, put) => {
        const other = text.slice(0, at) + put + text.slice(at + 1);
        const result = await verifyReceipt(other, trusted);
        if (result.outcome === 'fails' || original.outcome !== 'holds') return;
        expect([result.said, result.log]).toEqual([original.said, original.log]);
        // Anyone can take a cosignature away; the others stay what they are.
        expect(original.onRecord?.witnesses).toEqual(
          expect.arrayContaining(result.onRecord?.witnesses ?? []),
        );
      }),
      { numRuns: 500 },
    );
  });

  test('names of kinds and tables that every object has', async () => {
    for (const word of ['constructor', '__proto__', 'toString']) {
      const { row, event, ...act } = versionOf();
      const receipt = receiptOf({ ...act, event: { ...event, kind: word }, rows: [row] }, { log });
      expect((await verify(receipt, pinned)).sentence).toContain('"Ada Analyst" wrote /v1/');
      const alien = { table: word, row: { outlook_id: '2' } };
      const mixed = receiptOf({ ...act, event, rows: [row, alien] }, { log });
      expect((await failureOf(mixed, pinned))[0]).toBe('rows');
    }
  });
});
