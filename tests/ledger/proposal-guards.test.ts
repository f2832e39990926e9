import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serviceUrl } from '../support/database.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { attempt, openSession, refusal } from '../support/plain-sql.ts';
import { version } from '../support/rows.ts';
import { publishSecond } from '../support/outlooks.ts';

// Each statement here, as the service's role, differs in one thing from one that the database accepts.

let ledger: TestLedger;
let service: pg.Client;
beforeAll(async () => {
  ledger = await startLedger();
  await publishSecond(ledger);
  await ledger.pool.query(`
    insert into desks (slug, name, created_at) values ('credit', 'Credit desk', now());
    insert into analysts (name, created_at) select name, '2026-11-01' from unnest(array['Ann', 'Ben', 'Cay']) as name;
    insert into api_keys (analyst_id, role, hash, hint, created_at)
    select id, 'analyst', sha256(name::bytea), 'olk_' || name, '2026-11-01' from analysts where name in ('Ann', 'Ben');
    insert into api_keys (analyst_id, role, hash, hint, created_at, desk_ids)
    select id, 'analyst', sha256(name::bytea), 'olk_' || name, '2026-11-01', '{2}' from analysts where name = 'Cay'`);
  service = await openSession(serviceUrl(ledger.url));
});
afterAll(async () => {
  await service.end();
  await ledger.close();
});

type Values = Record<string, string>;
const insert = (table: string, values: Values) =>
  `insert into ${table} (${Object.keys(values).join(', ')}) select ${Object.values(values).join(', ')};`;
const outlook = `(select id from outlooks where slug = '${SLUG}')`;
const author = `(select author_id from outlook_versions where version = 2)`;
const called = (name: string) => `(select id from analysts where name = '${name}')`;
const P = `'11111111-1111-4111-8111-111111111111'::uuid`;
const Q = `'22222222-2222-4222-8222-222222222222'::uuid`;

const policy = (change: Values = {}) =>
  insert('desk_policies', {
    desk_id: '1',
    version: '1',
    outlook: '0',
    revision: '1',
    framework: '0',
    resolution: '0',
    withdrawal: '0',
    consensus: '0',
    author_may_resolve: 'true',
    recorded_at: `'2026-11-20'::timestamptz`,
    ...change,
  });
const proposal = (change: Values = {}) =>
  insert('proposals', {
    id: P,
    desk_id: '1',
    kind: `'revision'`,
    outlook_id: outlook,
    author_id: author,
    created_at: `'2026-11-20'::timestamptz`,
    changed_at: `'2026-11-20'::timestamptz`,
    ...change,
  });
const draft = (change: Values = {}) =>
  insert('proposal_drafts', {
    proposal_id: P,
    number: '1',
    body: `'{"rationale": "Why not."}'::json`,
    recorded_at: `'2026-11-20'::timestamptz`,
    ...change,
  });
const step = (number: number, kind: string, change: Values = {}) =>
  insert('proposal_steps', {
    proposal_id: P,
    number: String(number),
    kind: `'${kind}'`,
    draft: '1',
    analyst_id: ['submitted', 'discarded'].includes(kind) ? author : called('Ann'),
    text: ['returned', 'commented'].includes(kind) ? `'Hm.'` : 'null::text',
    base_version: kind === 'submitted' ? '2' : 'null::int',
    recorded_at: `'2026-11-20'::timestamptz`,
    ...change,
  });
const opened = proposal() + draft();
const submitted = opened + step(1, 'submitted');
const approved = submitted + step(2, 'approved');
const published = (change: Values = {}) =>
  `${version({ proposal_id: P, recorded_at: `'2026-11-21'::timestamptz`, ...change })};`;

/** What Postgres says to statements; null if it takes them. */
const refusedBy = async (statements: string) =>
  (await attempt(service, statements))?.message ?? null;

describe('a version of a desk with a policy', () => {
  test('is taken with its approval, and moves the proposal on', async () => {
    expect(await refusedBy(policy() + approved + published())).toBeNull();
    expect(
      await refusedBy(`${policy() + approved + published()} do $$ begin
         if (select state from proposals) <> 'published' or (select version from proposal_steps where kind = 'published') <> 3
         then raise 'not published'; end if; end $$`),
    ).toBeNull();
  });

  test.each<[string, string]>([
    ['without a proposal', policy() + approved + published({ proposal_id: 'null::uuid' })],
    ['of one that is only submitted', policy() + submitted + published()],
    ['with too few approvals', policy({ revision: '2' }) + approved + published()],
    [
      'after the policy was raised',
      policy() + approved + policy({ version: '2', revision: '2' }) + published(),
    ],
    ['by another author', policy() + approved + published({ author_id: called('Ben') })],
    [
      'of another kind',
      policy({ withdrawal: '1' }) +
        approved +
        published({ kind: `'withdrawn'`, bear_bps: 'bear_bps', base_bps: 'base_bps' }),
    ],
    [
      'for another version',
      policy() +
        opened +
        step(1, 'submitted', { base_version: '1' }) +
        step(2, 'approved') +
        published(),
    ],
    ['of an older draft', policy() + approved + draft({ number: '2' }) + published()],
  ])('%s is refused', async (_, statements) => {
    expect(await refusal(service, statements)).toBe('outlook_versions_unapproved');
  });

  test('twice is refused', async () => {
    const twice =
      policy() +
      approved +
      published() +
      version({
        version: 'version + 2',
        bear_bps: 'bear_bps + 2',
        base_bps: 'base_bps - 2',
        previous_hash: `sha256('next')`,
        hash: `sha256('later')`,
        proposal_id: P,
        recorded_at: `'2026-11-21'::timestamptz`,
      });
    expect(await refusal(service, twice)).toBe('outlook_versions_of_proposal');
  });

  test('with the approval of another outlook is refused', async () => {
    const other = `insert into outlooks (slug, instrument_id, horizon_from, horizon_to, published_at)
      select 'another', instrument_id, horizon_from, horizon_to, published_at from outlooks where slug = '${SLUG}';`;
    const id = `(select id from outlooks where slug = 'another')`;
    const statements = `${policy() + other}${proposal({ outlook_id: id })}${draft()}${step(1, 'submitted')}${step(2, 'approved')}${published()}`;
    expect(await refusal(service, statements)).toBe('outlook_versions_unapproved');
  });

  test('before its time is refused', async () => {
    const late = { publish_at: `'2026-11-22'::timestamptz` };
    const timed = proposal() + draft(late) + step(1, 'submitted') + step(2, 'approved');
    expect(await refusal(service, policy() + timed + published())).toBe('proposals_embargo');
    expect(
      await refusedBy(policy() + timed + published({ recorded_at: `'2026-11-22'::timestamptz` })),
    ).toBeNull();
  });

  test('is taken without a proposal if the policy asks for none', async () => {
    expect(await refusedBy(policy({ revision: '0', framework: '1' }) + version())).toBeNull();
    expect(await refusedBy(policy({ desk_id: '2' }) + version())).toBeNull();
  });

  test('with approvals by two, where the policy asks for two, is taken', async () => {
    expect(
      await refusedBy(
        policy({ revision: '2' }) +
          approved +
          step(3, 'approved', { analyst_id: called('Ben') }) +
          published(),
      ),
    ).toBeNull();
  });
});

describe('a policy', () => {
  test.each<[string, string, string]>([
    ['with a gap', policy({ version: '2' }), 'desk_policies_gapless'],
    ['of six approvals', policy({ outlook: '6' }), 'desk_policies_approvals'],
    ['of a desk that is unknown', policy({ desk_id: '9' }), 'desk_policies_desk_id_desks_id_fk'],
  ])('%s is refused', async (_, statements, rule) => {
    expect(await refusal(service, statements)).toBe(rule);
  });
});

describe('a step', () => {
  test.each<[string, string, string]>([
    [
      'of approval by the author',
      submitted + step(2, 'approved', { analyst_id: author }),
      'proposal_steps_own',
    ],
    ['of approval twice', approved + step(3, 'approved'), 'proposal_steps_twice'],
    [
      'of approval by an analyst of another desk',
      submitted + step(2, 'approved', { analyst_id: called('Cay') }),
      'proposal_steps_desk',
    ],
    [
      'of approval of an older draft',
      submitted +
        draft({ number: '2' }) +
        step(2, 'submitted', { draft: '2' }) +
        step(3, 'approved'),
      'proposal_steps_draft',
    ],
    ['of approval before it is submitted', opened + step(1, 'approved'), 'proposal_steps_order'],
    [
      'of approval of a changed draft',
      submitted + draft({ number: '2' }) + step(2, 'approved', { draft: '2' }),
      'proposal_steps_order',
    ],
    [
      'of return by the author',
      submitted + step(2, 'returned', { analyst_id: author }),
      'proposal_steps_own',
    ],
    [
      'of return without words',
      submitted + step(2, 'returned', { text: 'null::text' }),
      'proposal_steps_words',
    ],
    [
      'of submission by somebody else',
      opened + step(1, 'submitted', { analyst_id: called('Ann') }),
      'proposal_steps_author',
    ],
    [
      'of submission without a version',
      opened + step(1, 'submitted', { base_version: 'null::int' }),
      'proposal_steps_base',
    ],
    [
      'of publication by hand',
      approved + step(3, 'published', { analyst_id: 'null::uuid', version: '3' }),
      'proposal_steps_published',
    ],
    [
      'of publication by somebody',
      approved + step(3, 'published', { version: '3' }),
      'proposal_steps_published',
    ],
    [
      'by nobody',
      submitted + step(2, 'approved', { analyst_id: 'null::uuid' }),
      'proposal_steps_desk',
    ],
    ['with a gap', submitted + step(3, 'approved'), 'proposal_steps_gapless'],
    [
      'on what is discarded',
      opened + step(1, 'discarded') + step(2, 'commented'),
      'proposal_steps_settled',
    ],
    [
      'on what is published',
      approved + published() + step(4, 'commented'),
      'proposal_steps_settled',
    ],
    ['of another kind', opened + step(1, 'blessed'), 'proposals_state'],
  ])('%s is refused', async (_, statements, rule) => {
    expect(await refusal(service, statements)).toBe(rule);
  });

  test('of return makes earlier approvals void', async () => {
    const again =
      approved + step(3, 'returned', { analyst_id: called('Ben') }) + step(4, 'submitted');
    expect(await refusal(service, policy() + again + published())).toBe(
      'outlook_versions_unapproved',
    );
    expect(await refusedBy(policy() + again + step(5, 'approved') + published())).toBeNull();
  });
});

describe('a proposal', () => {
  test.each<[string, string, string]>([
    ['without a draft', proposal(), 'proposals_first_draft'],
    ['of another desk than its outlook', proposal({ desk_id: '2' }) + draft(), 'proposals_desk'],
    [
      'of a new outlook that names one',
      proposal({ kind: `'outlook'` }) + draft(),
      'proposals_outlook',
    ],
    ['that starts approved', proposal({ state: `'approved'` }) + draft(), 'proposals_state'],
    [
      'that is moved by hand',
      `${submitted} update proposals set state = 'approved'`,
      'proposals_state',
    ],
    ['with a gap between drafts', opened + draft({ number: '3' }), 'proposal_drafts_gapless'],
    [
      'with a draft after it was discarded',
      opened + step(1, 'discarded') + draft({ number: '2' }),
      'proposal_drafts_settled',
    ],
    [
      'with a body that is a list',
      proposal() + draft({ body: `'[]'::json` }),
      'proposal_drafts_body',
    ],
    ['with a blank note', proposal() + draft({ note: `' '` }), 'proposal_drafts_note'],
  ])('%s is refused', async (_, statements, rule) => {
    expect(await refusal(service, statements)).toBe(rule);
  });

  test('with the id of another one is refused', async () => {
    expect(await refusedBy(opened + proposal({ id: Q }) + draft({ proposal_id: Q }))).toBeNull();
    expect(await refusal(service, opened + proposal())).toBe('proposals_pkey');
  });
});
