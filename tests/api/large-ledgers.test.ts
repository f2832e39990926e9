import type { FastifyInstance } from 'fastify';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadSamples } from '../../src/first-start.ts';
import { createDatabase, openDatabase } from '../support/database.ts';
import { buildSilentApp, SLUG } from '../support/ledger.ts';

// Ledgers that are too large to write by requests: SQL copies the sample, with triggers off.

const RANKED = 1_000;
const UNRANKED = 120;
const VERSIONS = 2_400;

let pool: pg.Pool;
let app: FastifyInstance;
beforeAll(async () => {
  pool = openDatabase(await createDatabase(), 1);
  await loadSamples(pool, new Date('2026-11-20T16:00:00.000Z'));
  await pool.query('set session_replication_role = replica');
  await addOutlooks(RANKED + UNRANKED);
  await addVersions(VERSIONS);
  await pool.query('analyze');
  app = await buildSilentApp(pool);
});
afterAll(async () => {
  await app.close();
  await pool.end();
});

/** Each with its own framework, in which "zircon" stands one to seven times; a later one is newer. */
async function addOutlooks(count: number): Promise<void> {
  await copyRows('frameworks', { id: '1 + n', outlook_id: '1 + n', search: SEARCH }, count);
  await copyRows('scenarios', { framework_id: '1 + n' }, count, 'framework_id');
  const at = `s.%I + n * interval '1 minute'`;
  const own = { framework_id: '1 + n' };
  const outlook = {
    id: '1 + n',
    slug: `'outlook-' || n`,
    published_at: at.replace('%I', 'published_at'),
  };
  await copyRows('outlooks', { ...outlook, ...own }, count);
  const version = { outlook_id: '1 + n', recorded_at: at.replace('%I', 'recorded_at') };
  await copyRows('outlook_versions', { ...version, ...own }, count, 'outlook_id');
}
const SEARCH = `to_tsvector('english', repeat('zircon ', 1 + n % 7))`;

/** Of the sample: a minute apart, with three forecasts in turn. It is resolved after them. */
async function addVersions(last: number): Promise<void> {
  const replaced = {
    version: '1 + n',
    kind: `'probabilities'`,
    recorded_at: `s.recorded_at + n * interval '1 minute'`,
    bear_bps: '3000 + 500 * (n % 3)',
    base_bps: '4500 - 500 * (n % 3)',
    hash: `sha256(convert_to('version ' || n, 'UTF8'))`,
    previous_hash: 's.hash',
  };
  await copyRows('outlook_versions', replaced, last - 1, 'outlook_id');
  await pool.query(
    `update outlooks set latest_version = $1, status = 'resolved',
        published_at = (select max(recorded_at) from outlook_versions where outlook_id = 1) where id = 1`,
    [last],
  );
  await pool.query(
    `insert into resolutions (outlook_id, number, outcome, reason, author_id, recorded_at, known_at)
     select 1, 1, 'bear', 'R', author_id, '2026-11-25 00:00Z', '2026-11-25 00:00Z'
       from outlook_versions where outlook_id = 1 and version = 1`,
  );
}

/** @param replaced in SQL over the row `s` of the sample and the number `n` of its copy */
async function copyRows(
  table: string,
  replaced: Record<string, string>,
  count: number,
  key = 'id',
): Promise<void> {
  const { rows } = await pool.query<{ name: string }>(
    `select column_name as name from information_schema.columns
      where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER'`,
    [table],
  );
  const names = rows.map(({ name }) => name);
  await pool.query(
    `insert into ${table} (${names.map((name) => `"${name}"`).join(', ')}) overriding system value
     select ${names.map((name) => replaced[name] ?? `s."${name}"`).join(', ')}
       from (select * from ${table} where ${key} = 1) s cross join generate_series(1, ${count}) n`,
  );
}

type Page<Item> = { items: Item[]; nextCursor: string | null };
type Listed = { slug: string };

async function get(url: string): Promise<{ body: unknown; link: string | undefined }> {
  const answer = await app.inject({ url });
  expect([url, answer.statusCode]).toEqual([url, 200]);
  return { body: answer.json<unknown>(), link: answer.headers['link'] as string | undefined };
}

/** Walks by the links; `between` runs after each page. */
async function walk<Body>(
  url: string,
  between: (pages: number) => Promise<unknown> = async () => {},
): Promise<Body[]> {
  const pages: Body[] = [];
  for (let next: string | undefined = url; next !== undefined;) {
    const { body, link } = await get(next);
    pages.push(body as Body);
    await between(pages.length);
    next = /^<([^>]+)>; rel="next"$/.exec(link ?? '')?.[1];
  }
  return pages;
}

describe('a search with more than 1,000 matches', () => {
  const numberOf = ({ slug }: Listed) => Number(slug.slice('outlook-'.length));
  const walkSearch = async (query: string, between?: (pages: number) => Promise<unknown>) => {
    const pages = await walk<Page<Listed>>(`/v1/outlooks?q=zircon&${query}`, between);
    return pages.flatMap(({ items }) => items.map(numberOf));
  };
  const all = Array.from({ length: RANKED + UNRANKED }, (_, index) => index + 1);
  const newestFirst = (a: number, b: number) => b - a;
  const byRank = (a: number, b: number) => (b % 7) - (a % 7) || newestFirst(a, b);
  const ranked = all.filter((n) => n > UNRANKED).sort(byRank);
  const unranked = all.filter((n) => n <= UNRANKED).sort(newestFirst);

  test.each([100, 40])(
    'ranks the newest, and shows the others after them, %i a page',
    async (limit) => {
      expect(await walkSearch(`limit=${limit}`)).toEqual([...ranked, ...unranked]);
    },
  );

  test('skips and repeats none while outlooks leave the matches', async () => {
    const [gone, kept] = [ranked.slice(300, 310), unranked.at(-1)];
    const slugs = [...gone, unranked[3]].map((n) => `outlook-${n}`);
    const setStatus = (status: string) =>
      pool.query('update outlooks set status = $1 where slug = any($2)', [status, slugs]);
    const found = await walkSearch('limit=100&status=open', async (pages) =>
      pages === 2 ? setStatus('void') : null,
    );
    await setStatus('open');
    const left = [...ranked, ...unranked].filter((n) => !slugs.includes(`outlook-${n}`));
    expect(found).toEqual(left);
    expect(found.at(-1)).toBe(kept);
  });

  test('is the same as of a time at which all had their versions', async () => {
    const found = await walkSearch('limit=100&asOf=2026-11-24T00:00:00Z');
    expect(found).toEqual([...ranked, ...unranked]);
  });
});

describe('the scores of an outlook with more than 1,000 versions', () => {
  type Scored = {
    version: number;
    share: number;
    scores: { brier: number };
    skill: { brier: number | null };
  };
  type Scores = { outlook: Record<string, unknown>; versions: Scored[]; nextCursor: string | null };
  const url = `/v1/outlooks/${SLUG}/scores`;

  test('have pages of 1,000, each with the scores of all versions', async () => {
    const pages = await walk<Scores>(url);
    expect(pages.map(({ versions }) => versions.length)).toEqual([1_000, 1_000, 400]);
    const numbers = pages.flatMap(({ versions }) => versions.map(({ version }) => version));
    expect(numbers).toEqual(Array.from({ length: VERSIONS }, (_, index) => index + 1));
    for (const { outlook } of pages) expect(outlook).toEqual(pages[0]?.outlook);
    expect(pages.map(({ nextCursor }) => nextCursor === null)).toEqual([false, false, true]);
  });

  test('are the means of the versions, by the time that each was current', async () => {
    const pages = await walk<Scores>(`${url}?limit=700`);
    const versions = pages.flatMap((page) => page.versions);
    const sum = (of: (one: Scored) => number) =>
      versions.reduce((total, one) => total + of(one), 0);
    const coverage = sum(({ share }) => share);
    const outlook = pages[0]?.outlook;
    expect(outlook?.['coverage']).toBeCloseTo(coverage, 12);
    const mean = sum(({ share, scores }) => share * scores.brier) / coverage;
    expect(outlook?.['mean']).toMatchObject({ brier: expect.closeTo(mean, 12) as number });
  });

  test('compare each version with the one before, also across pages', async () => {
    const whole = await walk<Scores>(`${url}?reference=previous`);
    const small = await walk<Scores>(
      `${url}?reference=previous&limit=333&asOf=2026-11-25T12:00:00Z`,
    );
    const versionsOf = (pages: Scores[]) => pages.flatMap(({ versions }) => versions);
    expect(versionsOf(small)).toEqual(versionsOf(whole));
    const without = versionsOf(whole).filter(({ skill }) => skill.brier === null);
    expect(without.map(({ version }) => version)).toEqual([1]);
    expect(small[5]?.outlook).toEqual(whole[0]?.outlook);
  });

  test('a cursor of another reference is refused', async () => {
    const body = (await get(url)).body as Scores;
    const answer = await app.inject({ url: `${url}?reference=previous&cursor=${body.nextCursor}` });
    expect(answer.statusCode).toBe(422);
  });

  test('a page beyond the last version is empty', async () => {
    const body = (await get(`${url}?limit=1000&asOf=2026-11-20T16:00:00Z`)).body as Scores;
    expect(body.versions.map(({ version }) => version)).toEqual([1]);
    expect(body.nextCursor).toBeNull();
  });
});
