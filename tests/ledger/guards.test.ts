import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { publish, publishSecond } from '../support/outlooks.ts';
import { attempt, openSession, refusal } from '../support/plain-sql.ts';
import { event, outlook, version } from '../support/rows.ts';

// Each statement here differs in one thing from one that the database accepts.

let ledger: TestLedger;
let owner: pg.Client;
beforeAll(async () => {
  ledger = await startLedger();
  owner = await openSession(ledger.url);
  await publishSecond(ledger);
  await publish(ledger, 'other');
});
afterAll(async () => {
  await owner.end();
  await ledger.close();
});

test('a version that breaks no rule is accepted, with its event', async () => {
  expect(await attempt(owner, event())).toBeNull();
});

const othersFramework = `(select max(framework_id) from outlook_versions
  where outlook_id = (select id from outlooks where slug = 'other'))`;

test.each<[string, Record<string, string>, string]>([
  ['a sum of 9,999', { bear_bps: 'bear_bps' }, 'outlook_versions_probabilities_sum_to_1'],
  ['a sum of 10,001', { base_bps: 'base_bps' }, 'outlook_versions_probabilities_sum_to_1'],
  [
    'a sum of 0',
    { bear_bps: '0', base_bps: '0', bull_bps: '0' },
    'outlook_versions_probabilities_sum_to_1',
  ],
  [
    'a negative probability',
    { bear_bps: '-1', base_bps: '7501', bull_bps: '2500' },
    'outlook_versions_probabilities_in_range',
  ],
  [
    'one above 1',
    { bear_bps: '10001', base_bps: '0', bull_bps: '-1' },
    'outlook_versions_probabilities_in_range',
  ],
  ['a gap', { version: 'version + 2' }, 'outlook_versions_gapless'],
  ['a repeat', { version: 'version' }, 'outlook_versions_gapless'],
  [
    'version 1 again',
    { version: '1', kind: `'created'`, previous_hash: 'null' },
    'outlook_versions_gapless',
  ],
  ['version 0', { version: '0' }, 'outlook_versions_gapless'],
  ['a negative version', { version: '-1' }, 'outlook_versions_gapless'],
  ['no version', { version: 'null::int' }, 'outlook_versions_gapless'],
  ['no such outlook', { outlook_id: '-1' }, 'outlook_versions_gapless'],
  ['a wrong previous_hash', { previous_hash: `sha256('other')` }, 'outlook_versions_hash_chain'],
  [
    'the previous_hash of the version before',
    { previous_hash: 'previous_hash' },
    'outlook_versions_hash_chain',
  ],
  ['no previous_hash', { previous_hash: 'null::bytea' }, 'outlook_versions_hash_chain'],
  ['a hash of 31 bytes', { hash: `substr(hash, 2)` }, 'outlook_versions_hash'],
  [
    'an earlier recorded_at',
    { recorded_at: `recorded_at - interval '1 ms'` },
    'outlook_versions_time_order',
  ],
  ['no change', { bear_bps: 'bear_bps', base_bps: 'base_bps' }, 'outlook_versions_change'],
  [
    'the kind "framework" with the same one',
    { kind: `'framework'` },
    'outlook_versions_kind_of_change',
  ],
  ['the kind "created" again', { kind: `'created'` }, 'outlook_versions_created_first'],
  ['an unknown kind', { kind: `'rewritten'` }, 'outlook_versions_kind'],
  [
    "another outlook's framework",
    { kind: `'framework'`, framework_id: othersFramework },
    'outlook_versions_framework',
  ],
  [
    'another framework as new numbers',
    { framework_id: othersFramework },
    'outlook_versions_kind_of_change',
  ],
  ['a blank rationale', { rationale: `E' \\n'` }, 'outlook_versions_rationale'],
  ['no such author', { author_id: 'gen_random_uuid()' }, 'forecasters_analyst_id_analysts_id_fk'],
])('a version with %s is refused', async (_, changes, rule) => {
  expect(await refusal(owner, version(changes))).toBe(rule);
});

test.each(['resolved', 'void', 'withdrawn'])(
  'an outlook that is %s takes no version',
  async (status) => {
    const closing = `alter table outlooks disable trigger guard_outlook;
      update outlooks set status = '${status}'; alter table outlooks enable trigger guard_outlook;`;
    expect(await refusal(owner, closing + version())).toBe('outlook_versions_open');
  },
);

test('of two versions in one statement the second must follow the first', async () => {
  const twice = version().replace(/ where version/, ', generate_series(1, 2) where version');
  expect(await refusal(owner, twice)).toBe('outlook_versions_gapless');
});

test('a version records its own transaction, whatever is sent', async () => {
  await owner.query('begin');
  await owner.query(version({ transaction_id: `'1'` }));
  const { rows } = await owner.query(
    'select transaction_id = pg_current_xact_id() as own from outlook_versions where version = 3',
  );
  await owner.query('rollback');
  expect(rows).toEqual([{ own: true }]);
});

const sample = `where slug = '${SLUG}'`;
test.each([
  ['without a first version', outlook(), 'outlooks_first_version'],
  ['that starts at version 2', outlook({ latest_version: '2' }), 'outlooks_latest_version'],
  ['with a slug of another form', outlook({ slug: `'Not a slug'` }), 'outlooks_slug'],
  ['with a slug that ends in a line feed', outlook({ slug: `E'slug\\n'` }), 'outlooks_slug'],
  ['with a slug of 101 characters', outlook({ slug: `repeat('a', 101)` }), 'outlooks_slug'],
  ['with a slug that is taken', outlook({ slug: 'slug' }), 'outlooks_slug_unique'],
  ['that ends on the day it begins', outlook({ horizon_to: 'horizon_from' }), 'outlooks_horizon'],
  ['that is closed from the start', outlook({ status: `'resolved'` }), 'outlooks_closing'],
  [
    'on no instrument',
    outlook({ instrument_id: '-1' }),
    'outlooks_instrument_id_instruments_id_fk',
  ],
  [
    'moved to another version',
    `update outlooks set latest_version = 1 ${sample}`,
    'outlooks_latest_version',
  ],
  ['moved ahead', `update outlooks set latest_version = 3 ${sample}`, 'outlooks_latest_version'],
  ['dated anew', `update outlooks set published_at = now() ${sample}`, 'outlooks_latest_version'],
  [
    'ascribed to another transaction',
    `update outlooks set transaction_id = '1' ${sample}`,
    'outlooks_latest_version',
  ],
  ['given another slug', `update outlooks set slug = 'else' ${sample}`, 'outlooks_subject_fixed'],
  [
    'given another horizon',
    `update outlooks set horizon_from = horizon_from - 1 ${sample}`,
    'outlooks_subject_fixed',
  ],
  [
    'given another instrument',
    `update outlooks set instrument_id = -1 ${sample}`,
    'outlooks_subject_fixed',
  ],
  ['given another id', `update outlooks set id = default ${sample}`, 'outlooks_subject_fixed'],
  ['closed by hand', `update outlooks set status = 'resolved' ${sample}`, 'outlooks_closing'],
])('an outlook %s is refused', async (_, statement, rule) => {
  expect(await refusal(owner, statement)).toBe(rule);
});

const instrument = (symbol: string, kind: string) =>
  `insert into instruments (symbol, name, kind, created_at) values ('${symbol}', 'Name', '${kind}', now())`;
test.each([
  ['a lower-case symbol', instrument('rut', 'index'), 'instruments_symbol'],
  ['a symbol of 33 characters', instrument('A'.repeat(33), 'index'), 'instruments_symbol'],
  ['an empty symbol', instrument('', 'index'), 'instruments_symbol'],
  ['a symbol that is taken', instrument('RUT', 'index'), 'instruments_symbol_unique'],
  ['an unknown kind', instrument('NEW', 'tulip'), 'instruments_kind'],
])('an instrument with %s is refused', async (_, statement, rule) => {
  expect(await refusal(owner, statement)).toBe(rule);
});

const key = (changes: Record<string, string> = {}) => {
  const columns = {
    analyst_id: 'analyst_id',
    role: `'analyst'`,
    hash: `sha256('new')`,
    hint: `'olk_abcd'`,
    created_at: 'now()',
    ...changes,
  };
  return `insert into api_keys (${Object.keys(columns).join(', ')})
    select ${Object.values(columns).join(', ')} from api_keys where role = 'feed'`;
};
const revoked = `update api_keys set revoked_at = now() where role = 'feed';`;
test.each([
  ['with an unknown role', key({ role: `'owner'` }), 'api_keys_role'],
  ['with a hash of another length', key({ hash: `'olk_plain'` }), 'api_keys_hash'],
  ['with a hash that is taken', key({ hash: 'hash' }), 'api_keys_hash_unique'],
  ['that expires before it is made', key({ expires_at: 'now()' }), 'api_keys_expiry'],
  ['of nobody', key({ analyst_id: 'gen_random_uuid()' }), 'api_keys_analyst_id_analysts_id_fk'],
  [
    'given another role',
    `update api_keys set role = 'admin' where role = 'feed'`,
    'api_keys_fixed',
  ],
  ['given another hash', `update api_keys set hash = sha256('mine')`, 'api_keys_fixed'],
  ['given to another', `update api_keys set analyst_id = gen_random_uuid()`, 'api_keys_fixed'],
  [
    'given more time',
    `update api_keys set expires_at = now() + interval '1 day'`,
    'api_keys_fixed',
  ],
  [
    'revoked and then not',
    `${revoked} update api_keys set revoked_at = null`,
    'api_keys_revocation_final',
  ],
  [
    'revoked at another time',
    `${revoked} update api_keys set revoked_at = '2020-01-01'`,
    'api_keys_revocation_final',
  ],
])('a key %s is refused', async (_, statement, rule) => {
  expect(await refusal(owner, statement)).toBe(rule);
});

test('a key may be used and revoked, and a second one issued', async () => {
  const used = `update api_keys set last_used_at = now();`;
  expect(await attempt(owner, `${key()}; ${used} ${revoked} ${used}`)).toBeNull();
});
