import { expect } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import type { Role } from '../../src/domain/api-keys.ts';
import type { TestLedger } from './ledger.ts';
import { outlookBody } from './requests.ts';

/** Stands in every text and name of what is internal, and nowhere else. */
export const MARKER = 'xylograph';

/** What the desk `credit` keeps internal. */
export const INTERNAL = {
  slug: `${MARKER}-outlook`,
  continuing: `${MARKER}-next`,
  resolved: `${MARKER}-resolved`,
  series: `${MARKER}-series`,
  condition: `${MARKER}-condition`,
};

/** Adds a desk, by its slug. */
export async function addDesk({ pool }: TestLedger, slug: string): Promise<void> {
  await pool.query('insert into desks (slug, name, created_at) values ($1, $1, now())', [slug]);
}

/** A key that acts for some desks. */
export async function keyFor(
  { pool, clock }: TestLedger,
  role: Role,
  desks: readonly string[],
): Promise<string> {
  const name = `${role} of ${desks.join(' and ')}`;
  return (await issueKey(pool, { name, role, expiresAt: null, desks }, clock.now)).key;
}

/** Marks each text of several words. */
export function marked<Value>(value: Value): Value {
  if (typeof value === 'string') {
    return (value.includes(' ') ? `Xylograph. ${value}` : value) as Value;
  }
  if (Array.isArray(value)) return value.map((one: unknown) => marked(one)) as Value;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, marked(member)]),
  ) as Value;
}

/** Writes as the holder of a key. */
export type Writer = (
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  url: string,
  payload?: object,
) => Promise<Record<string, unknown>>;

export const writerWith =
  ({ app }: TestLedger, key: string): Writer =>
  async (method, url, payload) => {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const headers = { authorization: `Bearer ${key}`, ...(payload && { 'content-type': type }) };
    const response = await app.inject({
      method,
      url,
      headers,
      ...(payload && { payload: JSON.stringify(payload) }),
    });
    expect(response.statusCode, `${method} ${url}: ${response.body}`).toBeLessThan(300);
    return response.body === '' ? {} : response.json<Record<string, unknown>>();
  };

const internal = { desk: 'credit', visibility: 'internal' };

/** An internal outlook with conditions: one with a rule on the internal series, one that an analyst assesses. */
function internalBody(change: Record<string, unknown>): Record<string, unknown> {
  const { slug: _, ...body } = outlookBody();
  const rule = { series: INTERNAL.series, operator: 'lt', threshold: 5, forObservations: 1 };
  return marked({
    ...body,
    headwinds: [],
    invalidationConditions: [
      { key: INTERNAL.condition, invalidates: 'bear', statement: 'It falls below five.', rule },
      { key: 'judged', invalidates: 'bull', statement: 'It is said so.' },
    ],
    ...internal,
    ...change,
  });
}

/**
 * Fills the desk `credit` with what only its keys may see: a series with observations, outlooks with versions, evidence,
 * triggered and assessed conditions, views, a continuation and a resolution.
 * @returns the id of an item of evidence
 */
export async function fillInternally(
  ledger: TestLedger,
  { analyst: write, feed }: { analyst: Writer; feed: Writer },
): Promise<string> {
  const { slug, continuing, resolved, series, condition } = INTERNAL;
  const at = `/v1/outlooks/${slug}`;
  await feed('POST', '/v1/series', {
    key: series,
    name: 'Xylograph. Spreads',
    unit: 'percent',
    frequency: 'daily',
    source: 'Xylograph. A survey',
    ...internal,
  });
  const observe = (date: string, value: number) =>
    feed('POST', `/v1/series/${series}/observations`, {
      observations: [{ date, value, note: 'Xylograph. A note' }],
    });
  await observe('2026-11-18', 6);
  for (const name of [slug, resolved])
    await write('POST', '/v1/outlooks', internalBody({ slug: name }));
  const { id } = await write('POST', `${at}/evidence`, {
    headline: 'Xylograph. Spreads widen',
    summary: 'Xylograph. By much.',
    publisher: 'Xylograph newswire',
    url: 'https://news.example/xylograph',
    publishedAt: '2026-11-19T12:00:00Z',
  });
  await observe('2026-11-19', 4);
  await write('POST', `${at}/revisions`, {
    probabilities: { bear: 0.2, base: 0.45, bull: 0.35 },
    rationale: 'Xylograph. Less likely.',
    evidence: [id],
    acknowledges: [{ condition, reason: 'Xylograph. It fell.' }],
  });
  await write('PATCH', `${at}/framework`, {
    rationale: 'Xylograph. Reworded.',
    title: 'Xylograph. Another title',
  });
  await write('POST', `${at}/conditions/judged/assessments`, {
    state: 'triggered',
    rationale: 'Xylograph. It was said.',
    evidence: [id],
  });
  await write('PUT', `${at}/views/me`, {
    probabilities: { bear: 0.1, base: 0.5, bull: 0.4 },
    rationale: 'Xylograph. A view.',
  });
  const { horizon } = outlookBody() as { horizon: { from: string; to: string } };
  const later = `${Number(horizon.to.slice(0, 4)) + 1}${horizon.to.slice(4)}`;
  await write(
    'POST',
    '/v1/outlooks',
    internalBody({ slug: continuing, continues: slug, horizon: { from: horizon.to, to: later } }),
  );
  await write('POST', `/v1/outlooks/${resolved}/resolution`, {
    outcome: 'bear',
    reason: 'Xylograph. It is plain.',
  });
  await ledger.pool.query('select sequence_events()');
  return String(id);
}
