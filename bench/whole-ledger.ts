import type pg from 'pg';
import type { Report } from './ledger.ts';
import { seed } from './seed.ts';

/** How much a ledger holds. */
export type Size = {
  outlooks: number;
  /** Versions of each outlook. */
  versions: number;
  observations: number;
};

/** The outlook that has much of everything: as many versions as the ledger has outlooks. */
export const LONG = 'long-1';
export const SERIES = 100;
export const INSTRUMENTS = 1_000;
export const ANALYSTS = 50;

/**
 * Fills a ledger with rows in every table that grows: outlooks with versions, events, evidence, views, changes of
 * conditions and of drawdowns; series, instruments, keys, webhooks with deliveries, and the audit trail. A tenth of the
 * outlooks is resolved. Triggers are off, except for resolutions.
 */
export async function fillLedger(client: pg.Client, size: Size, report: Report): Promise<void> {
  await client.query('set synchronous_commit = off');
  const groups = [
    { prefix: 'outlook', count: size.outlooks - 2, versions: size.versions },
    { prefix: 'long', count: 1, versions: size.outlooks },
  ];
  await seed(client, groups, report);
  await client.query('set session_replication_role = replica');
  for (const [what, statement] of Object.entries(statements(size))) {
    const began = Date.now();
    const { rowCount } = await client.query(statement);
    report(`${what}: ${rowCount ?? 0} rows in ${((Date.now() - began) / 1000).toFixed(1)} s`);
  }
  await client.query('set session_replication_role = origin');
  await resolveTenth(client, report);
  await client.query('set session_replication_role = replica');
  await client.query(POSITIONS);
  await client.query('vacuum (freeze, analyze)');
  await client.query('checkpoint');
}

/** Of the outlooks that are copies; the long one gets `long` of what the others get `few` of. */
const each = (few: number, long: number) =>
  `(select o.*, s.k from outlooks o
      cross join lateral generate_series(1, case o.slug when '${LONG}' then ${long} else ${few} end) s (k)
     where o.slug like 'outlook-%' or o.slug = '${LONG}')`;
/** A UUID of version 4 in form (RFC 9562), and the same on each run. */
const uuidOf = (kind: string, id: string) =>
  `overlay(overlay(md5('${kind}' || ${id}) placing '4' from 13) placing '8' from 17)::uuid`;
const recently = `date_trunc('milliseconds', now()) - interval '30 minutes'`;

function statements({ outlooks, observations }: Size): Record<string, string> {
  const long = Math.round(outlooks / 5);
  return {
    series: `insert into series (key, name, unit, frequency, source, created_at)
      select 'series-' || n, 'Series ' || n, 'index', 'daily', 'Exchange', ${recently}
        from generate_series(1, ${SERIES}) n`,
    instruments: `insert into instruments (symbol, name, kind, created_at, closes_id)
      select 'INST' || n, 'Instrument ' || n, 'equity', ${recently}, s.id
        from generate_series(1, ${INSTRUMENTS}) n join series s on s.key = 'series-' || (1 + n % ${SERIES})`,
    observations: `insert into observations (series_id, date, recorded_at, value, provenance)
      select s.id, current_date - d, ${recently} - d * interval '1 day', 100 + (s.id * 7 + d * 13) % 31, 'sourced'
        from generate_series(${Math.ceil(observations / SERIES)}, 1, -1) d, series s where s.key like 'series-%'`,
    analysts: `insert into analysts (id, name, created_at)
      select ${uuidOf('analyst', 'n')}, 'Analyst ' || n, ${recently} from generate_series(1, ${ANALYSTS}) n`,
    outlooks: `update outlooks o set instrument_id = i.id,
        horizon_from = case when o.id % 10 = 0 then current_date - 3 else horizon_from end,
        horizon_to = case when o.id % 10 = 0 then current_date + 1 else horizon_to end
       from instruments i where i.symbol = 'INST' || (1 + o.id % ${INSTRUMENTS}) and o.slug like 'outlook-%'`,
    words: `update frameworks set search = search
        || setweight(to_tsvector('simple', 'rare' || id % 5000 || ' twentieth' || id % 20), 'B')`,
    evidence: `insert into evidence (id, outlook_id, number, headline, summary, publisher, published_at, tickers,
        author_id, recorded_at)
      select ${uuidOf('evidence', `o.id || '-' || o.k`)}, o.id, o.k, e.headline || ' ' || o.k, e.summary, e.publisher,
        e.published_at, e.tickers, e.author_id, ${recently}
        from ${each(2, long)} o, (select * from evidence limit 1) e`,
    claims: `insert into evidence_claims (evidence_id, position, statement, effect, target_kind, target_key, horizon)
      select e.id, c.position, c.statement, c.effect, c.target_kind, c.target_key, c.horizon
        from evidence e, (select * from evidence_claims limit 2) c
       where e.id = ${uuidOf('evidence', `e.outlook_id || '-' || e.number`)}`,
    citations: `insert into version_evidence (outlook_id, version, position, evidence_id)
      select e.outlook_id, e.number + 1, 0, e.id from evidence e
       where e.id = ${uuidOf('evidence', `e.outlook_id || '-' || e.number`)}`,
    views: `insert into views (outlook_id, analyst_id, version, bear_bps, base_bps, bull_bps, rationale, recorded_at)
      select o.id, ${uuidOf('analyst', `1 + (o.id + o.k) % ${ANALYSTS}`)}, 1 + (o.k - 1) / ${ANALYSTS}, 2500, 5000, 2500,
        'Margins hold.', ${recently} + o.k * interval '1 millisecond'
        from ${each(3, long)} o`,
    forecasters: `insert into forecasters (outlook_id, source, analyst_id, since)
      select outlook_id, 'view', analyst_id, recorded_at from views where version = 1
      union all
      select outlook_id, 'version', author_id, recorded_at from outlook_versions where version = 1
      on conflict do nothing`,
    conditions: `insert into condition_changes (outlook_id, key, state, cause, invalidates, version, reason, observations,
        recorded_at)
      select o.id, 'rate-relief', case o.k % 2 when 1 then 'triggered' else 'untriggered' end, 'observations', 'bear', 1,
        'The yield fell.', '[]', ${recently} + o.k * interval '1 millisecond'
        from ${each(2, 2 * (long >> 1))} o order by o.id, o.k`,
    answers: `insert into condition_answers (change_id, outlook_id, version, way)
      select id, outlook_id, 2, 'weight' from condition_changes where state = 'triggered'`,
    drawdowns: `insert into drawdown_changes (outlook_id, version, label, depth, day, recorded_at)
      select o.id, 1, case o.k % 2 when 1 then 'correction' end, 0.12, current_date - 1, ${recently} from ${each(1, long)} o`,
    keys: `insert into api_keys (analyst_id, role, hash, hint, created_at, issued_with)
      select ${uuidOf('analyst', `1 + n % ${ANALYSTS}`)}, 'analyst', sha256(n::text::bytea), 'olk_abcd', ${recently}, 'LOCAL'
        from generate_series(1, ${Math.ceil(outlooks / 10)}) n`,
    audit: `insert into audit_entries (recorded_at, kind, analyst_id, role, credential, method, path, status, address,
        subject, summary)
      select ${recently}, 'write', ${uuidOf('analyst', `1 + n % ${ANALYSTS}`)}, 'analyst', 'olk_abcd', 'POST',
        '/v1/outlooks/outlook-' || n || '/revisions', 201, '192.0.2.1', '/v1/outlooks/outlook-' || (n % ${outlooks}) || '/versions/2',
        'Published version 2.'
        from generate_series(1, ${5 * outlooks}) n`,
    refusals: `insert into audit_entries (recorded_at, kind, method, path, status, problem, detail, address)
      select ${recently}, 'refusal', 'POST', '/v1/outlooks', 401, 'unauthorized', 'No key.', '192.0.2.1'
        from generate_series(1, ${outlooks}) n`,
    events: EVENTS,
    webhooks: `insert into webhooks (url, secret, position, created_at, disabled_at, disabled_reason)
      select 'https://example.com/' || n, sha256('secret'), (select max(position) from events), ${recently}, ${recently}, 'asked'
        from generate_series(1, 100) n`,
    deliveries: `insert into webhook_deliveries (id, webhook_id, position, outlook_id, planned_at, attempts, delivered_at)
      select ${uuidOf('delivery', 'e.position')}, w.id, e.position, e.outlook_id, ${recently}, 1, ${recently}
        from (select id from webhooks where url = 'https://example.com/1') w,
          (select * from events order by position desc limit ${5 * outlooks}) e`,
    attempts: `insert into webhook_attempts (delivery_id, number, started_at, milliseconds, status)
      select id, 1, planned_at, 12, 200 from webhook_deliveries`,
  };
}

/** An event for each version; the sample's comes first and has one. */
const EVENTS = `
  insert into events (kind, outlook_id, version, data, recorded_at, position)
  select case v.version when 1 then 'outlook.created' else 'outlook.version.published' end, v.outlook_id, v.version,
    jsonb_build_object('kind', v.kind, 'deltas', null, 'probabilities',
      jsonb_build_object('bear', v.bear_bps / 1e4, 'base', v.base_bps / 1e4, 'bull', v.bull_bps / 1e4)),
    v.recorded_at, last.position + row_number() over (order by v.recorded_at, v.outlook_id, v.version)
    from outlook_versions v, (select max(position) as position from events) last
   where v.outlook_id > 1`;

/** Places the events that triggers wrote. */
const POSITIONS = `
  update events e set position = last.position + numbered.n
    from (select id, row_number() over (order by id) as n from events where position is null) numbered,
      (select max(position) as position from events) last
   where e.id = numbered.id`;

/** Through the triggers, which sum up the forecasts. */
async function resolveTenth(client: pg.Client, report: Report): Promise<void> {
  const began = Date.now();
  for (let part = 0; part < 100; part += 1) {
    await client.query(
      `insert into resolutions (outlook_id, number, outcome, reason, author_id, recorded_at)
       select o.id, 1, (array['bear', 'base', 'bull'])[1 + o.id / 10 % 3], 'Benchmark.', v.author_id,
          ${recently} + interval '20 minutes'
         from outlooks o join outlook_versions v on v.outlook_id = o.id and v.version = 1
        where o.slug like 'outlook-%' and o.id % 10 = 0 and o.id / 10 % 100 = ${part}`,
    );
    // The keys of an empty table are checked by reading all of it, until Postgres learns that it has grown.
    if (part === 0) await client.query('analyze');
  }
  report(`resolved a tenth in ${((Date.now() - began) / 1000).toFixed(1)} s`);
}
