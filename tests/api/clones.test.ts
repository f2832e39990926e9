import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { createOutlook, faultsOf, outlookBody, send, stored } from '../support/requests.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  ledger.clock.now = new Date('2026-11-20T16:30:00.000Z');
  const probabilities = { bear: 0.35, base: 0.4, bull: 0.25 };
  await ledger.revise({ probabilities, rationale: 'Yields jumped.' });
});
afterAll(() => ledger.close());

type Outlook = Record<string, unknown> & { slug: string };
let count = 0;
let slug = '';
beforeEach(() => {
  count += 1;
  slug = `clone-${count}`;
});

const read = async (path: string): Promise<Outlook> =>
  (await ledger.call({ url: `/v1/outlooks/${path}` })).json<Outlook>();
const post = (body: object, headers: Record<string, string> = {}) =>
  send(ledger, 'POST', '/v1/outlooks', body, { headers });
const LATER = { from: '2027-03-31', to: '2028-03-31' };

/** The members that describe the view, without those of the version. */
function content(outlook: Outlook): object {
  const {
    slug: _,
    version: __,
    publishedAt: ___,
    rationale: ____,
    hash: _____,
    previousHash: ______,
    change: _______,
    ...rest
  } = outlook;
  return rest;
}

describe('a clone', () => {
  test('has all of the current version but its history, and is a new forecast', async () => {
    ledger.clock.now = new Date('2026-11-21T09:00:00.000Z');
    const created = await post({ from: { slug: SLUG }, slug, rationale: 'Ours.' });
    expect(created.statusCode, created.body).toBe(201);
    const [source, clone] = [await read(SLUG), await read(slug)];
    expect(content(clone)).toEqual(content(source));
    expect(clone).toMatchObject({
      version: 1,
      publishedAt: '2026-11-21T09:00:00.000Z',
      rationale: 'Ours.',
      previousHash: null,
      change: { kind: 'created', previousVersion: null, deltas: null },
      continues: null,
      continuedBy: null,
    });
    expect(created.headers.location).toBe(`/v1/outlooks/${slug}`);
    expect(created.json()).toEqual(clone);
  });

  test('of an older version has its probabilities, and the members that the request has', async () => {
    const created = await post({
      from: { slug: SLUG, version: 1 },
      slug,
      title: 'Another title',
      methodology: null,
      headwinds: [],
      horizon: LATER,
      rationale: 'Ours.',
    });
    expect(created.statusCode, created.body).toBe(201);
    const [source, clone] = [await read(`${SLUG}/versions/1`), created.json<Outlook>()];
    expect(clone).toMatchObject({
      title: 'Another title',
      methodology: null,
      headwinds: [],
      horizon: LATER,
      probabilities: { bear: 0.3, base: 0.45, bull: 0.25 },
      scenarios: source['scenarios'],
      continues: null,
    });
  });

  test('is refused with all faults of its source or of its members', async () => {
    const before = await stored(ledger);
    const faults = async (body: object) => {
      const answer = await post(body);
      expect(answer.statusCode).toBe(422);
      return faultsOf(answer.json());
    };
    const rationale = 'R';
    expect(await faults({ from: { slug: 'none' }, slug, rationale })).toEqual({
      '/from/slug': 'names no outlook',
    });
    expect(await faults({ from: { slug: SLUG, version: 9 }, slug, rationale })).toEqual({
      '/from/version': 'is no version of this outlook',
    });
    expect(Object.keys(await faults({ from: { slug: 'A', version: 0, at: 1 }, slug }))).toEqual([
      '/from/slug',
      '/from/version',
      '/from/at',
    ]);
    expect(await faults({ from: SLUG, slug, rationale })).toEqual({
      '/from': 'must be an object, not text',
    });
    expect(await faults({ from: null, slug, rationale })).toEqual({
      '/from': 'must be an object, not null',
    });
    expect(
      await faults({ from: { slug: SLUG }, slug: 'No', colour: 'red', horizon: { from: 'x' } }),
    ).toEqual({
      '/slug': expect.stringContaining('must be words'),
      '/colour': expect.stringContaining('unknown property "colour"'),
      '/horizon/from': expect.stringContaining('must be a valid date'),
      '/horizon/to': 'is required',
      '/rationale': 'is required',
    });
    const probabilities = { bear: 0.35, base: 0.45, bull: 0.25 };
    const sum = await post({ from: { slug: SLUG }, slug, rationale, probabilities });
    expect(sum.json()).toMatchObject({ type: '/problems/probability-sum', excess: 0.05 });
    const taken = await post({ from: { slug: SLUG }, slug: SLUG, rationale });
    expect([taken.statusCode, taken.json<{ type: string }>().type]).toEqual([
      409,
      '/problems/slug-taken',
    ]);
    expect(await stored(ledger)).toEqual({ ...before, audit_entries: expect.anything() });
  });

  test('is made once, however often the request is sent', async () => {
    const body = { from: { slug: SLUG }, slug, rationale: 'Ours.' };
    const headers = { 'idempotency-key': `"${slug}"` };
    const first = await post(body, headers);
    await ledger.revise({ reaffirm: true, rationale: 'Meanwhile.' });
    const second = await post(body, headers);
    expect([first.statusCode, second.statusCode]).toEqual([201, 201]);
    expect(second.rawPayload.equals(first.rawPayload)).toBe(true);
  });

  test('of an outlook whose horizon is over needs another horizon', async () => {
    const { now } = ledger.clock;
    ledger.clock.now = new Date('2027-04-01T00:00:00.000Z');
    const body = { from: { slug: SLUG }, slug, rationale: 'Ours.' };
    const refused = await post(body);
    expect(faultsOf(refused.json())).toEqual({
      '/horizon/to': expect.stringContaining('must be after 2027-04-01'),
    });
    expect((await post({ ...body, horizon: LATER })).statusCode).toBe(201);
    ledger.clock.now = now;
  });
});

describe("a GET's body that is posted back", () => {
  test('gets one error, which says how to clone', async () => {
    const outlook = await read(SLUG);
    for (const body of [outlook, { ...outlook, slug, from: { slug: SLUG } }]) {
      const refused = await post(body);
      expect(refused.statusCode).toBe(422);
      const { errors } = refused.json<{ errors: { pointer: string; detail: string }[] }>();
      expect(errors).toHaveLength(1);
      expect(errors[0]?.pointer).toBe('');
      expect(errors[0]?.detail).toContain('has members that only responses have: status, review,');
      const [sent = ''] = /\{"from": \{.*\}/.exec(errors[0]?.detail ?? '') ?? [];
      expect(JSON.parse(sent)).toEqual({
        from: { slug: body.slug, version: outlook['version'] },
        slug: 'a-new-slug',
        rationale: '…',
      });
    }
  });

  test('a single member of a response is an unknown property as any other', async () => {
    const refused = await post({ ...outlookBody({ slug }), status: 'open' });
    expect(faultsOf(refused.json())).toEqual({
      '/status': expect.stringContaining('unknown property "status"'),
    });
  });

  test('what is no object is refused as before', async () => {
    for (const body of ['[]', '"text"', 'null', '1']) {
      const refused = await send(ledger, 'POST', '/v1/outlooks', body);
      expect([body, refused.statusCode]).toEqual([body, 422]);
    }
  });
});

describe('an outlook that continues another', () => {
  const roll = (from: string, change: object = {}) =>
    post({
      from: { slug: from },
      continues: from,
      slug,
      horizon: LATER,
      rationale: 'On.',
      ...change,
    });

  test('and the one that it continues name each other', async () => {
    await createOutlook(ledger, { slug: `${slug}-old` });
    const old = `${slug}-old`;
    await read(old); // kept from here on
    const moment = new Date(ledger.clock.now);
    ledger.clock.now = new Date(moment.getTime() + 60_000);
    const created = await roll(old);
    expect(created.statusCode, created.body).toBe(201);
    expect(created.json()).toMatchObject({ continues: old, continuedBy: null, version: 1 });
    expect(await read(old)).toMatchObject({ continues: null, continuedBy: slug, version: 1 });
    expect(await read(`${old}/versions/1`)).toMatchObject({ continuedBy: null });
    expect(await read(`${slug}/versions/1`)).toMatchObject({ continues: old });
    expect(await read(`${old}?asOf=${moment.toISOString()}`)).toMatchObject({ continuedBy: null });
    expect(await read(`${old}?asOf=${ledger.clock.now.toISOString()}`)).toMatchObject({
      continuedBy: slug,
    });
    const batch = await ledger.call({ url: `/v1/batch/outlooks?slugs=${old},${slug}` });
    expect(batch.json<{ items: Outlook[] }>().items).toEqual([await read(old), await read(slug)]);
    for (const [name, text] of [
      [old, `Continued by ${slug}`],
      [slug, `Continues ${old}`],
    ] as const) {
      const page = await ledger.call({ url: `/outlooks/${name}` });
      expect(page.body.replaceAll(/<[^>]+>/g, '')).toContain(text);
      const article = await ledger.call({ url: `/v1/outlooks/${name}?format=md` });
      expect(article.body.replaceAll('\\', '')).toContain(text);
    }
  });

  test('an event tells followers of the older one', async () => {
    await createOutlook(ledger, { slug: `${slug}-old` });
    await roll(`${slug}-old`);
    const { rows } = await ledger.pool.query<{ kind: string; data: object }>(
      `select kind, data from events where outlook_id = (select id from outlooks where slug = $1) order by id`,
      [`${slug}-old`],
    );
    expect(rows.at(-1)).toEqual({
      kind: 'outlook.state.changed',
      data: { status: 'open', reviewReasons: [], continuedBy: slug },
    });
  });

  test('changes the ETag of the older one, which then guards revisions', async () => {
    const old = `${slug}-old`;
    await createOutlook(ledger, { slug: old });
    const etag = async () =>
      String((await ledger.call({ url: `/v1/outlooks/${old}` })).headers.etag);
    const before = await etag();
    const revise = (bear: number, ifMatch: string) =>
      send(
        ledger,
        'POST',
        `/v1/outlooks/${old}/revisions`,
        { probabilities: { bear, base: 0.75 - bear, bull: 0.25 }, rationale: 'R' },
        { headers: { 'if-match': ifMatch } },
      );
    expect((await revise(0.2, before)).statusCode).toBe(201);
    const second = await etag();
    await roll(old);
    const third = await etag();
    expect(third).not.toBe(second);
    expect((await revise(0.25, second)).statusCode).toBe(412);
    const revised = await revise(0.25, third);
    expect(revised.statusCode, revised.body).toBe(201);
    expect(revised.json()).toMatchObject({ version: 3, continuedBy: slug });
    expect(revised.headers.etag).toBe(await etag());
  });

  test('is named by a revision that waited for it', async () => {
    const old = `${slug}-old`;
    await createOutlook(ledger, { slug: old });
    const session = await ledger.pool.connect();
    try {
      await session.query('begin');
      // As the trigger does for an outlook that is being created.
      await session.query('set local session_replication_role = replica');
      await session.query('update outlooks set continued_by = $1 where slug = $2', [SLUG, old]);
      const revising = send(ledger, 'POST', `/v1/outlooks/${old}/revisions`, {
        probabilities: { bear: 0.2, base: 0.5, bull: 0.3 },
        rationale: 'R',
      });
      await vi.waitFor(async () => {
        const { rows } = await ledger.pool.query(
          `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
        );
        expect(rows).not.toEqual([]);
      });
      await session.query('commit');
      expect((await revising).json()).toMatchObject({ version: 2, continuedBy: SLUG });
    } finally {
      session.release();
    }
    expect(await read(old)).toMatchObject({ version: 2, continuedBy: SLUG });
  });

  test('may be another one later, which the older one then names', async () => {
    const old = `${slug}-old`;
    await createOutlook(ledger, { slug: old });
    expect((await roll(old, { slug: `${slug}-first` })).statusCode).toBe(201);
    expect((await roll(old)).statusCode).toBe(201);
    expect(await read(old)).toMatchObject({ continuedBy: slug });
  });

  test('may continue a closed outlook, and need not be its clone', async () => {
    const old = `${slug}-old`;
    await createOutlook(ledger, { slug: old });
    const resolved = await send(ledger, 'POST', `/v1/outlooks/${old}/resolution`, {
      outcome: 'void',
      reason: 'R',
    });
    expect(resolved.statusCode, resolved.body).toBe(201);
    const created = await createOutlook(ledger, { slug, continues: old, horizon: LATER });
    expect(created.statusCode, created.body).toBe(201);
    expect(await read(old)).toMatchObject({ status: 'void', continuedBy: slug });
  });

  test('is refused unless it is on the same instrument and ends later', async () => {
    const faults = async (change: object) => {
      const answer = await createOutlook(ledger, { slug, ...change });
      expect(answer.statusCode).toBe(422);
      return faultsOf(answer.json());
    };
    expect(await faults({ continues: 'none' })).toEqual({
      '/continues': '"none" is unknown; send the slug of an existing outlook',
    });
    expect(await faults({ continues: SLUG, instrument: 'XXX' })).toEqual({
      '/instrument': expect.stringContaining('"XXX" is unknown'),
      '/horizon/to': expect.stringContaining('must be after 2027-03-31'),
    });
    await send(ledger, 'POST', '/v1/instruments', { symbol: 'SPX', name: 'S', kind: 'index' });
    expect(await faults({ continues: SLUG, instrument: 'SPX', horizon: LATER })).toEqual({
      '/instrument': expect.stringContaining('must be RUT'),
    });
    expect(await faults({ continues: slug })).toEqual({
      '/continues': expect.stringContaining('is unknown'),
    });
    expect(Object.keys(await faults({ continues: 7 }))).toEqual(['/continues']);
  });

  test('improves no track record', async () => {
    const record = async () => (await ledger.call({ url: '/v1/track-record' })).json<object>();
    const { counts: _, ...before } = (await record()) as { counts: object };
    await createOutlook(ledger, { slug: `${slug}-old` });
    await roll(`${slug}-old`);
    const { counts: __, ...after } = (await record()) as { counts: object };
    expect(after).toEqual(before);
  });
});

describe('PostgreSQL refuses', () => {
  const insert = (columns: string, values: string) => `insert into outlooks
    (slug, instrument_id, horizon_from, horizon_to, published_at, ${columns})
    select 'by-hand', instrument_id, horizon_from, horizon_to + 1, published_at, ${values}
      from outlooks where slug = '${SLUG}'`;
  test.each([
    ['an outlook that continues itself', insert('continues_id', `currval('outlooks_id_seq')`)],
    ['one that nobody has', insert('continues_id', '0')],
    ['one that starts continued', insert('continued_by', `'x'`)],
    ['an earlier end', insert('continues_id', 'id').replace('horizon_to + 1', 'horizon_to')],
    ['another link', `update outlooks set continues_id = 1 where slug = '${SLUG}'`],
    ['a link by hand', `update outlooks set continued_by = 'x' where slug = '${SLUG}'`],
  ])('%s', async (_, statement) => {
    await expect(ledger.pool.query(statement)).rejects.toThrow(/outlooks_|violates/);
  });
});
