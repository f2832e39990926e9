import { verifyReceipt } from '@outlook-ledger/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Receipt } from '../../src/log/receipts.ts';
import { checkReceipt } from '../support/check-receipt.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, patchFramework, send } from '../support/requests.ts';
import { growLog, newSigner, ORIGIN, signLog } from '../support/sign-log.ts';

const BASE = `/v1/outlooks/${SLUG}`;
const signer = newSigner();
const [alice, bob] = [newSigner('witness.example/alice'), newSigner('witness.example/bob')];
const COSIGNED = new Date('2026-11-21T09:00:00.000Z');

let ledger: TestLedger;
let tampered = 0;
beforeAll(async () => {
  ledger = await startLedger();
});
afterAll(() => ledger.close());

const get = (url: string, options: object = {}) => ledger.call({ url, as: 'feed', ...options });

/** Gets all that was written into the log, and signs it. */
async function sign(...witnesses: { signer: typeof alice; at: Date }[]): Promise<number> {
  await growLog(ledger.pool);
  return signLog(ledger.pool, signer, witnesses);
}

async function receiptOf(url: string, options: object = {}): Promise<Receipt> {
  const answer = await get(`${url}/receipt`, options);
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json<Receipt>();
}

const witnesses = [alice.witnessVkey, bob.witnessVkey];

/** Gets a receipt and checks it, by the client too. */
async function checked(url: string, options: object = {}) {
  const receipt = await receiptOf(url, options);
  await requireVerified(receipt);
  return checkReceipt(receipt, signer.vkey, witnesses);
}

async function requireVerified(receipt: Receipt): Promise<void> {
  // The client takes a named witness for one whose cosignature is required.
  const named = witnesses.filter((vkey) => receipt.proof.includes(`— ${vkey.split('+', 1)[0]} `));
  const verification = await verifyReceipt(JSON.stringify(receipt), {
    vkey: signer.vkey,
    witnesses: named.length > 0 ? named : undefined,
  });
  expect(verification, JSON.stringify(verification.checks)).toMatchObject({
    outcome: 'holds',
    isKeyPinned: true,
  });
}

/** How many rows of each table a receipt shows. */
function tablesOf(rows: { table: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { table } of rows) counts[table] = (counts[table] ?? 0) + 1;
  return counts;
}

/** Changes what is guarded, with the triggers off. */
async function asOwner(statement: string): Promise<void> {
  const session = await ledger.pool.connect();
  try {
    await session.query('set session_replication_role = replica');
    const { rowCount } = await session.query(statement);
    expect(rowCount).toBeGreaterThan(0);
  } finally {
    await session.query('reset session_replication_role');
    session.release();
  }
}

const probabilities = (bear: number) => ({ bear, base: 0.4, bull: 0.6 - bear });
const revise = async (bear: number, more: object = {}) => {
  const body = { probabilities: probabilities(bear), rationale: `Bear at ${bear}.`, ...more };
  const answer = await ledger.revise(body);
  expect(answer.statusCode, answer.body).toBe(201);
  return answer.json<{ version: number; author: { id: string; name: string }; hash: string }>();
};

test('without a signed checkpoint there are no receipts', async () => {
  const answer = await get(`${BASE}/versions/1/receipt`);
  expect(answer.statusCode).toBe(404);
  expect(answer.json()).toMatchObject({ type: '/problems/no-signed-log' });
});

describe('a signed log', () => {
  beforeAll(() => sign());

  test('proves version 1 with its outlook and framework, and the documents behind the hashes', async () => {
    const receipt = await receiptOf(`${BASE}/versions/1`);
    const { event, rows, documents, later } = checkReceipt(receipt, signer.vkey);
    await requireVerified(receipt);
    expect(event).toMatchObject({
      v: 1,
      kind: 'outlook.created',
      subject: `${BASE}/versions/1`,
      at: '2026-11-20T16:00:00.000Z',
      by: { name: 'Sample desk' },
    });
    const outlook = (await get(`${BASE}/versions/1`)).json<Record<string, never>>();
    expect(tablesOf(rows)).toEqual({
      outlooks: 1,
      outlook_versions: 1,
      frameworks: 1,
      scenarios: 3,
      headwinds: outlook['headwinds']?.['length'],
      drawdown_labels: outlook['drawdownLabels']?.['length'],
      invalidation_conditions: outlook['invalidationConditions']?.['length'],
      condition_comparisons: expect.any(Number) as number,
    });
    expect(rows[0]).toMatchObject({ table: 'outlooks', row: { slug: SLUG } });
    expect(documents['version']).toMatchObject({ slug: SLUG, version: 1, previousHash: null });
    expect(documents['framework']).toMatchObject({ title: outlook['title'] });
    expect(later).toEqual([]);
    expect(receipt).toMatchObject({ origin: ORIGIN, generation: 1, missingWitnesses: [] });
  });

  test('is a file that caches ask for again', async () => {
    const answer = await get(`${BASE}/versions/1/receipt`);
    const named = {
      'content-type': 'application/json; charset=utf-8',
      'content-disposition': `attachment; filename="${SLUG}-v1.receipt.json"`,
    };
    expect(answer.headers).toMatchObject({ ...named, 'cache-control': 'private, no-cache' });
    const unkeyed = await get(`${BASE}/versions/1/receipt`, { as: undefined });
    expect(unkeyed.headers).toMatchObject({ ...named, 'cache-control': 'public, no-cache' });
    const headers = { 'if-none-match': String(answer.headers['etag']) };
    expect((await get(`${BASE}/versions/1/receipt`, { headers })).statusCode).toBe(304);
    const head = await get(`${BASE}/versions/1/receipt`, { method: 'HEAD' });
    expect([head.statusCode, head.body]).toEqual([200, '']);
  });

  test('proves a revision only once a checkpoint covers it', async () => {
    const { version, author, hash } = await revise(0.31);
    const early = await get(`${BASE}/versions/${version}/receipt`);
    expect(early.statusCode).toBe(503);
    expect(early.headers['retry-after']).toBe('1');
    expect(early.json()).toMatchObject({ type: '/problems/receipt-not-ready' });
    await growLog(ledger.pool); // in the tree, but not signed
    expect((await get(`${BASE}/versions/${version}/receipt`)).statusCode).toBe(503);
    await signLog(ledger.pool, signer);
    const { event, rows, documents } = await checked(`${BASE}/versions/${version}`);
    expect(event['by']).toEqual(author);
    expect(tablesOf(rows)).toEqual({ outlook_versions: 1 });
    expect(rows[0]?.row).toMatchObject({ bear_bps: '3100', rationale: 'Bear at 0.31.' });
    expect(documents['version']).toMatchObject({ probabilities: { bear: 3100 } });
    expect(hash).toBe(`sha256:${rows[0]?.row['hash']?.slice(2)}`);
  });

  test('proves evidence with its claims, and the versions that cite it', async () => {
    const added = await send(ledger, 'POST', `${BASE}/evidence`, {
      headline: 'Sales rose',
      summary: 'S',
      publisher: 'P',
      url: 'https://news.example/1',
      publishedAt: '2026-11-17T13:30:00Z',
      claims: [
        {
          statement: 'Demand holds.',
          effect: 'weakens',
          target: { kind: 'scenario', key: 'bear' },
          horizon: 'months',
        },
      ],
    });
    expect(added.statusCode, added.body).toBe(201);
    const { id } = added.json<{ id: string }>();
    const { version } = await revise(0.3, { evidence: [id] });
    await sign();
    const evidence = await checked(`${BASE}/evidence/${id}`);
    expect(tablesOf(evidence.rows)).toEqual({ evidence: 1, evidence_claims: 1 });
    expect(evidence.rows[0]?.row).toMatchObject({ id, headline: 'Sales rose' });
    const citing = await checked(`${BASE}/versions/${version}`);
    expect(tablesOf(citing.rows)).toEqual({ outlook_versions: 1, version_evidence: 1 });
    const answer = await get(`${BASE}/evidence/${id}/receipt`);
    expect(answer.headers['content-disposition']).toContain(
      `"${SLUG}-evidence-${id}.receipt.json"`,
    );
  });

  test('proves each version of a view, its withdrawal, and the consensus that pools it', async () => {
    const hold = (bear: number) =>
      send(ledger, 'PUT', `${BASE}/views/me`, {
        probabilities: probabilities(bear),
        rationale: `View ${bear}.`,
      });
    const { analyst } = (await hold(0.2)).json<{ analyst: { id: string } }>();
    await hold(0.25);
    const pooled = await send(ledger, 'POST', `${BASE}/consensus`, { rationale: 'Pooled.' });
    expect(pooled.statusCode, pooled.body).toBe(201);
    const withdrawn = await ledger.call({
      method: 'DELETE',
      url: `${BASE}/views/me`,
      as: 'analyst',
    });
    expect(withdrawn.statusCode).toBe(200);
    await sign();
    const url = `${BASE}/views/${analyst.id}`;
    const newest = await checked(url);
    expect(newest.event).toMatchObject({ kind: 'view.withdrawn', subject: url, by: analyst });
    expect(newest.rows.map(({ row }) => row['version'])).toEqual(['3']);
    const first = checkReceipt(
      (await get(`${url}/receipt?version=1`)).json<Receipt>(),
      signer.vkey,
    );
    expect(first.rows).toEqual([
      {
        table: 'views',
        row: expect.objectContaining({ bear_bps: '2000', rationale: 'View 0.2.' }) as object,
      },
    ]);
    const own = await get(`${BASE}/views/me/receipt`, { as: 'analyst' });
    expect(own.json()).toEqual(await receiptOf(url));
    expect(own.headers).toMatchObject({
      'cache-control': 'no-store',
      'content-disposition': `attachment; filename="${SLUG}-view-${analyst.id}-v3.receipt.json"`,
    });
    for (const of of ['me', analyst.id]) {
      const unkeyed = await get(`${BASE}/views/${of}/receipt`, { as: undefined });
      expect(unkeyed.statusCode).toBe(401);
    }
    const { version } = pooled.json<{ version: number }>();
    const consensus = await checked(`${BASE}/versions/${version}`);
    expect(tablesOf(consensus.rows)).toEqual({ outlook_versions: 1, version_views: 1 });
  });

  test('proves a new framework with the version that published it', async () => {
    const patched = await patchFramework(ledger, { title: 'Another title', rationale: 'Clearer.' });
    expect(patched.statusCode, patched.body).toBe(201);
    const { version } = patched.json<{ version: number }>();
    const { version: plain } = await revise(0.29);
    await sign();
    const { rows, documents } = await checked(`${BASE}/versions/${version}`);
    expect(tablesOf(rows)).toMatchObject({ outlook_versions: 1, frameworks: 1, scenarios: 3 });
    expect(tablesOf(rows)).not.toHaveProperty('outlooks');
    expect(documents['framework']).toMatchObject({ title: 'Another title' });
    const next = await checked(`${BASE}/versions/${plain}`);
    expect(tablesOf(next.rows)).toEqual({ outlook_versions: 1 });
    expect(next.documents['framework']).toEqual(documents['framework']);
  });

  test('proves resolutions and their corrections', async () => {
    const slug = 'resolved-early';
    expect((await createOutlook(ledger, { slug })).statusCode).toBe(201);
    const url = `/v1/outlooks/${slug}/resolution`;
    await send(ledger, 'POST', url, { outcome: 'void', reason: 'By mistake.' });
    const reopened = { outcome: 'reopened', supersedes: 1, reason: 'Taken back.' };
    const answer = await send(ledger, 'POST', url, reopened);
    expect(answer.statusCode, answer.body).toBe(201);
    await sign();
    const newest = await checked(url);
    expect(newest.event).toMatchObject({ kind: 'outlook.reopened', subject: url });
    expect(newest.rows).toMatchObject([{ row: { number: '2', reopens: 'true' } }]);
    const first = await get(`${url}/receipt?number=1`);
    expect(first.headers['content-disposition']).toContain(`"${slug}-resolution-1.receipt.json"`);
    const { rows } = checkReceipt(first.json<Receipt>(), signer.vkey);
    expect(rows.map(({ row }) => row['reason'])).toEqual(['By mistake.']);
  });

  test.each([
    '/v1/outlooks/no-such-outlook/versions/1',
    `${BASE}/versions/999`,
    `${BASE}/resolution`,
    `${BASE}/evidence/016d28b9-0db9-42d9-ba83-9f320b0c00e5`,
    `${BASE}/views/016d28b9-0db9-42d9-ba83-9f320b0c00e5`,
  ])('there is no receipt of %s', async (url) => {
    const answer = await get(`${url}/receipt`);
    expect(answer.statusCode).toBe(404);
    expect(answer.json()).toMatchObject({ type: '/problems/not-found' });
  });

  test('says nothing of revisions in the same transaction', async () => {
    const slugs = ['grouped-a', 'grouped-b', 'grouped-c'];
    for (const slug of slugs) await createOutlook(ledger, { slug });
    const secret = (slug: string) => `Known to ${slug} alone.`;
    await Promise.all(
      slugs.map((slug) =>
        send(ledger, 'POST', `/v1/outlooks/${slug}/revisions`, {
          probabilities: probabilities(0.22),
          rationale: secret(slug),
        }),
      ),
    );
    await sign();
    const { rows: shared } = await ledger.pool.query(
      `select p.write_id from events e join openings p on p.event_id = e.id
        where e.kind = 'outlook.version.published' and e.version = 2
          and e.outlook_id in (select id from outlooks where slug like 'grouped-%')
        group by 1 having count(*) > 1`,
    );
    expect(shared).not.toEqual([]);
    for (const slug of slugs) {
      const receipt = await receiptOf(`/v1/outlooks/${slug}/versions/2`);
      const { rows, event } = checkReceipt(receipt, signer.vkey);
      expect(rows.map(({ row }) => row['rationale'])).toEqual([secret(slug)]);
      expect(event.rows.count).toBeGreaterThan(1);
      const text = JSON.stringify(receipt);
      expect(slugs.filter((other) => text.includes(other))).toEqual([slug]);
    }
  });

  test('takes the checkpoint with the most cosignatures, else the newest', async () => {
    const { version } = await revise(0.27);
    const size = await sign({ signer: alice, at: COSIGNED }, { signer: bob, at: COSIGNED });
    const { version: next } = await revise(0.26);
    await sign({ signer: alice, at: new Date('2026-11-22T09:00:00.000Z') });
    const { version: last } = await revise(0.25);
    const newest = await sign();
    const both = await checked(`${BASE}/versions/${version}`);
    expect(both.size).toBe(size);
    const seconds = COSIGNED.getTime() / 1000;
    expect(both.cosigned).toEqual({ [alice.name]: seconds, [bob.name]: seconds });
    expect(Object.keys((await checked(`${BASE}/versions/${next}`)).cosigned)).toEqual([alice.name]);
    expect(await checked(`${BASE}/versions/${last}`)).toMatchObject({ size: newest, cosigned: {} });
  });

  test('the receipt of an erased opening is 410', async () => {
    const { version } = await revise(0.24);
    await sign();
    await asOwner(
      `update openings set salt = null, content = null
        where event_id = (select max(id) from events where kind = 'outlook.version.published')`,
    );
    const answer = await get(`${BASE}/versions/${version}/receipt`);
    expect(answer.statusCode).toBe(410);
    expect(answer.json()).toMatchObject({ type: '/problems/opening-erased' });
  });

  const OF_WRITE = 'using openings p where p.event_id = $2 and d.write_id = p.write_id';
  test.each([
    ['a row', `update outlook_versions set rationale = 'Rewritten.' where version = $1`],
    [
      'an opening',
      `update openings set content = replace(content, 'desk', 'dusk') where event_id = $2`,
    ],
    ['a commitment', `update openings set commitment = sha256('') where event_id = $2`],
    [
      'an opening with its commitment',
      `update openings set salt = sha256(''), commitment = commitment_of(sha256(''), content)
        where event_id = $2`,
    ],
    [
      'a version without a digest',
      `delete from row_digests d ${OF_WRITE} and relation = 'outlook_versions'`,
    ],
    [
      'the digests of a write',
      `update row_digests d set hashes = sha256('') || substr(d.hashes, 33)
      from openings p where p.event_id = $2 and d.write_id = p.write_id and relation <> 'outlook_versions'`,
    ],
  ])('no receipt proves %s that the owner rewrote', async (_, statement) => {
    tampered += 1;
    const { version } = await revise(0.2 + tampered / 100);
    await sign();
    const { rows } = await ledger.pool.query<{ id: number }>(
      `select max(id) as id from events where kind = 'outlook.version.published'`,
    );
    await asOwner(statement.replace('$1', String(version)).replace('$2', String(rows[0]?.id)));
    const answer = await get(`${BASE}/versions/${version}/receipt`);
    expect(answer.statusCode, answer.body).toBe(409);
    expect(answer.json()).toMatchObject({ type: '/problems/record-altered' });
  });
});

test('a record has its receipt in the generation of the log that has its leaf', async () => {
  const { version: before } = await revise(0.41);
  const size = await sign();
  const next = newSigner('ledger.example/log/2');
  await ledger.pool.query(
    `insert into log_generations (generation, origin, started_at, after_position, previous_size,
        previous_root, salt, content, commitment)
      select 2, $1, now(), size, size, root, sha256('s'), '{}', commitment_of(sha256('s'), '{}')
        from log_generations where generation = 1 and size = $2`,
    [next.name, size],
  );
  const { version: after } = await revise(0.42);
  await growLog(ledger.pool);
  await signLog(ledger.pool, next);
  const receipt = await receiptOf(`${BASE}/versions/${after}`);
  expect(receipt).toMatchObject({ generation: 2, origin: next.name, vkey: next.vkey });
  expect(checkReceipt(receipt, next.vkey).rows).toMatchObject([{ row: { bear_bps: '4200' } }]);
  const earlier = await checked(`${BASE}/versions/${before}`);
  expect(earlier).toMatchObject({ origin: ORIGIN, size, rows: [{ row: { bear_bps: '4100' } }] });
});

test('in a ledger older than its log, receipts say when their rows were first digested', async () => {
  const older = await startLedger();
  try {
    await older.pool.query('begin');
    await older.pool.query(`set local session_replication_role = replica`);
    await older.pool.query('delete from openings');
    await older.pool.query(
      `insert into digest_progress (relation) select distinct relation from row_digests
        where relation <> 'events'`,
    );
    await older.pool.query('delete from row_digests');
    await older.pool.query('commit');
    const url = `${BASE}/versions/1/receipt`;
    await growLog(older.pool);
    // A witness that is gone since: its checkpoint covers the act, not the rows.
    await signLog(older.pool, signer, [{ signer: alice, at: COSIGNED }]);
    const early = await older.call({ url });
    expect(early.statusCode, early.body).toBe(503); // its rows are not digested yet
    for (;;) {
      const { rows } = await older.pool.query<{ more: boolean }>(
        'select digest_existing_rows(100) as more',
      );
      if (!rows[0]?.more) break;
    }
    await growLog(older.pool);
    await signLog(older.pool, signer);
    const answer = await older.call({ url });
    expect(answer.statusCode, answer.body).toBe(200);
    await requireVerified(answer.json<Receipt>());
    const { event, rows, later, documents } = checkReceipt(answer.json<Receipt>(), signer.vkey);
    expect(event).toMatchObject({
      kind: 'outlook.created',
      at: '2026-11-20T16:00:00.000Z',
      late: true,
      by: { name: 'Sample desk' },
    });
    expect(rows).toEqual([]);
    expect(new Set(later.map(({ event: { kind } }) => kind))).toEqual(new Set(['rows.digested']));
    expect(tablesOf(later.flatMap((entry) => entry.rows))).toMatchObject({
      outlooks: 1,
      outlook_versions: 1,
      frameworks: 1,
      scenarios: 3,
    });
    expect(documents['version']).toMatchObject({ version: 1 });
  } finally {
    await older.close();
  }
});

test('if reads need a key, so do receipts', async () => {
  const keyed = await startLedger({ requireKeyForReads: true });
  try {
    await growLog(keyed.pool);
    await signLog(keyed.pool, signer);
    const url = `${BASE}/versions/1/receipt`;
    expect((await keyed.call({ url })).statusCode).toBe(401);
    const answer = await keyed.call({ url, as: 'feed' });
    expect(answer.statusCode, answer.body).toBe(200);
    expect(answer.headers).toMatchObject({
      'cache-control': 'private, no-cache',
      vary: expect.stringContaining('Authorization') as string,
    });
    checkReceipt(answer.json<Receipt>(), signer.vkey);
  } finally {
    await keyed.close();
  }
});
