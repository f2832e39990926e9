import { expect } from 'vitest';
import { SAMPLE_OUTLOOK } from '../../src/http/openapi/examples.ts';
import { SLUG, type TestLedger } from './ledger.ts';
import { ANALYST_ID, EVIDENCE_ID, PROPOSAL_ID, WEBHOOK_ID } from './operations.ts';
import { bandedScenarios } from './banded.ts';
import type { Outlook } from './chain.ts';
import { createOutlook } from './requests.ts';
import { growLog, newSigner, signLog } from './sign-log.ts';

/** Publishes the sample under other slugs, as its analyst. */
export async function publish(ledger: TestLedger, ...slugs: string[]): Promise<void> {
  for (const slug of slugs) {
    const payload = { ...SAMPLE_OUTLOOK, slug };
    const response = await ledger.call({
      method: 'POST',
      url: '/v1/outlooks',
      as: 'analyst',
      payload,
    });
    expect(response.statusCode, response.body).toBe(201);
  }
}

/** Publishes version 2 of the sample. */
export async function publishSecond(ledger: TestLedger): Promise<void> {
  const probabilities = { bear: 0.35, base: 0.4, bull: 0.25 };
  const response = await ledger.revise({ probabilities, rationale: 'Yields jumped.' });
  expect(response.statusCode, response.body).toBe(201);
}

/** All versions of an outlook, oldest first, each read whole through `read`. */
export async function historyOf(
  slug: string,
  read: (url: string) => Promise<Outlook>,
): Promise<Outlook[]> {
  const newest = await read(`/v1/outlooks/${slug}`);
  const history: Outlook[] = [];
  for (let version = 1; version <= newest.version; version += 1) {
    history.push(await read(`/v1/outlooks/${slug}/versions/${version}`));
  }
  return history;
}

/** Bodies of revisions of which none asks for the same as the one before. */
export function distinctRevision(index: number): { probabilities: object; rationale: string } {
  const bear = (1_000 + index) / 10_000;
  const bull = 0.25;
  const base = (7_500 - 1_000 - index) / 10_000;
  return { probabilities: { bear, base, bull }, rationale: `Revision ${index}.` };
}

/**
 * Gives every table of the ledger a row: version 2 of the sample answers a condition that observations
 * triggered and cites evidence, another condition is assessed, and the index is in a correction.
 */
export async function fillLedger(ledger: TestLedger): Promise<void> {
  const { pool, call } = ledger;
  // In one transaction, as the service writes an item: it has one leaf.
  await pool.query(`begin;
    insert into evidence (id, outlook_id, number, headline, summary, publisher, published_at, tickers,
       author_id, recorded_at)
     select '${EVIDENCE_ID}', o.id, 1, 'Yields jumped', 'By much.', 'A newswire', '2026-11-20T15:00:00Z', '[]',
       v.author_id, '2026-11-20T16:00:00Z'
       from outlooks o join outlook_versions v on v.outlook_id = o.id and v.version = 1
      where o.slug = '${SLUG}';
    insert into evidence_claims (evidence_id, position, statement, effect, target_kind, target_key, horizon)
     values ('${EVIDENCE_ID}', 1, 'More of it.', 'supports', 'scenario', 'bear', 'days');
    commit`);
  await pool.query('insert into search_backlog (framework_id) values (0)');
  await pool.query(`
    insert into analyst_changes (analyst_id, kind, recorded_at)
    select a.id, kind, now() from analysts a, (values (1, 'deactivated'), (2, 'reactivated')) c (number, kind)
     where a.name = 'feed desk' order by number`);
  await pool.query(`
    with internal as (
      insert into series (key, name, unit, frequency, source, created_at, is_internal)
      values ('orders', 'Orders', 'index', 'monthly', 'A survey', now(), true) returning id)
    insert into disclosures (series_id, author_id, recorded_at)
    select internal.id, a.id, now() from internal, (select id from analysts order by created_at limit 1) a`);
  const days = ['2026-11-16', '2026-11-17', '2026-11-18', '2026-11-19'];
  const observe = (series: string, values: number[]) =>
    call({
      method: 'POST',
      url: `/v1/series/${series}/observations`,
      as: 'feed',
      payload: { observations: values.map((value, index) => ({ date: days[index], value })) },
    });
  const answers = [
    await observe('rut-close', [3000, 2700, 2650]),
    await observe('us-30y-yield', [4.2, 4.2, 4.1]),
    await ledger.revise({
      probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
      rationale: 'Yields jumped.',
      evidence: [EVIDENCE_ID],
      acknowledges: [{ condition: 'rate-relief', reason: 'It will not last.' }],
    }),
    // Else an outlook that a test adds would have to answer it at once.
    await observe('us-30y-yield', [4.2, 4.2, 4.1, 4.6]),
    await call({
      method: 'POST',
      url: `/v1/outlooks/${SLUG}/conditions/orders-and-spending/assessments`,
      as: 'analyst',
      payload: { state: 'expired', rationale: 'No longer published.', evidence: [EVIDENCE_ID] },
    }),
  ];
  expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 201, 200, 201]);
  await holdViews(ledger);
  await propose(ledger);
  await resolveAnother(ledger);
  await addWebhook(ledger);
  await growLog(ledger.pool);
  await signLog(ledger.pool, newSigner());
}

/** A policy that asks for nothing, and a withdrawal that its author proposed and discarded. */
async function propose({ pool }: TestLedger): Promise<void> {
  await pool.query(`
    insert into desk_policies (desk_id, version, outlook, revision, framework, resolution, withdrawal, consensus,
      author_may_resolve, recorded_at) values (1, 1, 0, 0, 0, 0, 0, 0, true, now());
    with proposed as (
      insert into proposals (id, desk_id, kind, outlook_id, author_id, created_at, changed_at)
      select '${PROPOSAL_ID}', 1, 'withdrawal', o.id, v.author_id, now(), now()
        from outlooks o join outlook_versions v on v.outlook_id = o.id and v.version = 1 where o.slug = '${SLUG}'
      returning id)
    insert into proposal_drafts (proposal_id, number, body, note, recorded_at)
    select id, 1, '{"rationale": "The index ends."}', 'Is it so?', now() from proposed;
    insert into proposal_steps (proposal_id, number, kind, draft, analyst_id, text, recorded_at)
    select id, 1, 'discarded', 1, author_id, 'It goes on.', now() from proposals`);
}

/** Views of the sample: an analyst's of a known id, and an admin's. */
async function holdViews({ pool, call }: TestLedger): Promise<void> {
  await pool.query(
    `insert into analysts (id, name, created_at) values ($1, 'Another desk', now())`,
    [ANALYST_ID],
  );
  await pool.query(
    `insert into analyst_identities (issuer, subject, analyst_id) values ('https://id.example', 'a', $1)`,
    [ANALYST_ID],
  );
  await pool.query(
    `insert into views (outlook_id, analyst_id, version, bear_bps, base_bps, bull_bps, rationale, recorded_at)
     select id, $1, 1, 4000, 4000, 2000, 'More so.', published_at from outlooks where slug = $2`,
    [ANALYST_ID, SLUG],
  );
  const url = `/v1/outlooks/${SLUG}/views/me`;
  const payload = { probabilities: { bear: 0.2, base: 0.5, bull: 0.3 }, rationale: 'Less so.' };
  const held = await call({ method: 'PUT', url, as: 'admin', payload });
  expect(held.statusCode, held.body).toBe(201);
}

/** Another outlook, whose second version is the consensus of a view, and that is resolved, against closes of later. */
async function resolveAnother(ledger: TestLedger): Promise<void> {
  const slug = 'resolved-case';
  const scenarios = bandedScenarios({ low: -0.1, high: 0.1 });
  const created = await createOutlook(ledger, { slug, scenarios });
  expect(created.statusCode, created.body).toBe(201);
  const send = (method: 'POST' | 'PUT', path: string, payload: object) =>
    ledger.call({ method, url: `/v1/outlooks/${slug}${path}`, as: 'analyst', payload });
  const probabilities = { bear: 0.4, base: 0.4, bull: 0.2 };
  const cited = await send('POST', '/evidence', {
    headline: 'H',
    summary: 'S',
    publisher: 'P',
    publishedAt: '2026-11-20T15:00:00Z',
  });
  const { id } = cited.json<{ id: string }>();
  const { now } = ledger.clock;
  const answers = [
    await send('PUT', '/views/me', { probabilities, rationale: 'R' }),
    await send('POST', '/consensus', { rationale: 'R' }),
  ];
  // Late enough for a forecast to be current at a tenth of the horizon.
  ledger.clock.now = new Date(now.getTime() + 40 * 86_400_000);
  answers.push(await send('POST', '/resolution', { outcome: 'bear', reason: 'R', evidence: [id] }));
  ledger.clock.now = now;
  expect(answers.map(({ statusCode, body }) => [statusCode, statusCode < 300 || body])).toEqual([
    [201, true],
    [201, true],
    [201, true],
  ]);
  await ledger.pool.query(
    `insert into resolution_contradictions (outlook_id, number, recorded_at, outcome, start_date, start_value,
       end_date, end_value)
     select id, 1, now(), 'bull', '2026-03-30', 100, '2027-03-30', 120 from outlooks where slug = $1`,
    [slug],
  );
}

/** A webhook that got the first event and has been disabled since. */
async function addWebhook({ pool }: TestLedger): Promise<void> {
  await pool.query('select sequence_events()');
  await pool.query(
    `insert into webhooks (id, url, secret, position, created_at, disabled_at, disabled_reason)
     values ($1, 'https://hooks.desk.example/ledger', decode(repeat('5e', 32), 'hex'), 1, now(), now(), 'asked')`,
    [WEBHOOK_ID],
  );
  // Never due, so that no test asks a provider.
  await pool.query(
    `insert into series_sources (series_id, kind, provider_id, host, every_minutes, set_at, due_at)
     select id, 'fred', 'RU2000PR', 'fred', 1440, now(), '9000-01-01' from series where key = 'rut-close'`,
  );
  await pool.query(
    `with delivered as (
       insert into webhook_deliveries (webhook_id, position, outlook_id, planned_at, attempts, delivered_at)
       select $1, position, outlook_id, now(), 1, now() from events
        where outlook_id is not null order by position limit 1 returning id)
     insert into webhook_attempts (delivery_id, number, started_at, milliseconds, status)
     select id, 1, now(), 12, 204 from delivered`,
    [WEBHOOK_ID],
  );
}
