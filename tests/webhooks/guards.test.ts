import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { WEBHOOK_ID } from '../support/operations.ts';
import { fillLedger } from '../support/outlooks.ts';
import { attempt, openSession, refusal } from '../support/plain-sql.ts';

let ledger: TestLedger;
let owner: pg.Client;
beforeAll(async () => {
  ledger = await startLedger();
  owner = await openSession(ledger.url);
  await fillLedger(ledger);
  await ledger.pool.query('select sequence_events()');
  // Of one outlook, two that wait, of which the first is due.
  await owner.query(`
    insert into webhook_deliveries (webhook_id, position, outlook_id, planned_at, due_at)
    select '${WEBHOOK_ID}', position, outlook_id, now(),
      case when row_number() over (order by position) = 2 then now() end
      from events where outlook_id = 1 order by position offset 1 limit 2`);
});
afterAll(async () => {
  await owner.end();
  await ledger.close();
});

const DELIVERED = `delivered_at is not null`;
const DUE = `due_at is not null`;
const BEHIND = `due_at is null and delivered_at is null`;

/** The third event of the outlook, as a delivery. */
function delivery(changes: Record<string, string> = {}): string {
  const columns = {
    webhook_id: `'${WEBHOOK_ID}'`,
    position: 'position',
    outlook_id: 'outlook_id',
    planned_at: 'now()',
    attempts: '0',
    due_at: 'null::timestamptz',
    delivered_at: 'null::timestamptz',
    ...changes,
  };
  return `insert into webhook_deliveries (${Object.keys(columns).join(', ')})
    select ${Object.values(columns).join(', ')} from events
     where outlook_id = 1 and position > (select max(position) from webhook_deliveries)
     order by position limit 1`;
}

function webhook(changes: Record<string, string> = {}): string {
  const columns = {
    url: `'https://a.example'`,
    secret: `decode(repeat('aa', 24), 'hex')`,
    position: '0',
    created_at: 'now()',
    ...changes,
  };
  return `insert into webhooks (${Object.keys(columns).join(', ')}) values (${Object.values(columns).join(', ')})`;
}

test.each([
  ['a delivery', delivery()],
  ['a webhook', webhook()],
  [
    'a webhook with all there is',
    webhook({
      kinds: `array['view.published']`,
      outlook_id: '1',
      previous_secret: `decode(repeat('aa', 64), 'hex')`,
      previous_secret_until: 'now()',
      disabled_at: 'now()',
      disabled_reason: `'gone'`,
    }),
  ],
  [
    'an attempt that is under way',
    `update webhook_deliveries set attempts = attempts + 1, due_at = now() where ${DUE}`,
  ],
  [
    'a delivery, and the next one due',
    `update webhook_deliveries set attempts = 1, due_at = null, delivered_at = now() where ${DUE}; update webhook_deliveries set due_at = now() where ${BEHIND}`,
  ],
  ['the end of what was delivered', `delete from webhook_deliveries where ${DELIVERED}`],
  ['the end of a webhook, with what waits', `delete from webhooks`],
  ['a position that grows', `update webhooks set position = position + 1`],
])('%s is taken', async (_, statement) => {
  expect(await attempt(owner, statement)).toBeNull();
});

test.each([
  ['the same event twice', delivery({ position: '1' }), 'webhook_deliveries_once'],
  [
    'an event that there is not',
    delivery({ position: '999999' }),
    'webhook_deliveries_position_events_position_fk',
  ],
  [
    'two that are due of one outlook',
    `alter table webhook_deliveries disable trigger user; ${delivery({ due_at: 'now()' })}`,
    'webhook_deliveries_one_due',
  ],
  [
    'one that is due before an older one',
    `update webhook_deliveries set due_at = null where ${DUE}; ${delivery({ due_at: 'now()' })}`,
    'webhook_deliveries_order',
  ],
  [
    'one that is delivered before an older one',
    `update webhook_deliveries set attempts = 1, delivered_at = now() where ${BEHIND}`,
    'webhook_deliveries_order',
  ],
  [
    'one that is delivered and due',
    delivery({ attempts: '1', due_at: 'now()', delivered_at: 'now()', outlook_id: '99' }),
    'webhook_deliveries_delivered_once',
  ],
  [
    'one that is delivered without an attempt',
    delivery({ delivered_at: 'now()', outlook_id: '99' }),
    'webhook_deliveries_delivered_once',
  ],
  [
    'a delivery taken back',
    `update webhook_deliveries set delivered_at = null where ${DELIVERED}`,
    'webhook_deliveries_fixed',
  ],
  [
    'a delivery of another event',
    `update webhook_deliveries set position = 2 where ${DELIVERED}`,
    'webhook_deliveries_fixed',
  ],
  [
    'what waits, of another outlook',
    `update webhook_deliveries set outlook_id = 99 where ${BEHIND}`,
    'webhook_deliveries_fixed',
  ],
  [
    'the end of what is due',
    `delete from webhook_deliveries where ${DUE}`,
    'webhook_deliveries_undelivered',
  ],
  [
    'the end of what waits',
    `delete from webhook_deliveries where ${BEHIND}`,
    'webhook_deliveries_undelivered',
  ],
  ['fewer attempts than none', delivery({ attempts: '-1' }), 'webhook_deliveries_attempts'],
  ['a position that goes back', `update webhooks set position = position - 1`, 'webhooks_position'],
  ['a position below 0', webhook({ position: '-1' }), 'webhooks_from_0'],
  ['a short secret', webhook({ secret: `decode(repeat('aa', 23), 'hex')` }), 'webhooks_secret'],
  ['a long secret', webhook({ secret: `decode(repeat('aa', 65), 'hex')` }), 'webhooks_secret'],
  [
    'a previous secret for ever',
    webhook({ previous_secret: `decode(repeat('aa', 24), 'hex')` }),
    'webhooks_previous_secret',
  ],
  [
    'a short previous secret',
    webhook({ previous_secret: `'\\xaa'`, previous_secret_until: 'now()' }),
    'webhooks_previous_secret',
  ],
  ['another scheme', webhook({ url: `'ftp://a.example'` }), 'webhooks_url'],
  ['a long URL', webhook({ url: `'https://' || repeat('a', 1993)` }), 'webhooks_url'],
  ['an unknown kind', webhook({ kinds: `array['outlook.deleted']` }), 'webhooks_kinds'],
  ['no kinds', webhook({ kinds: `'{}'` }), 'webhooks_kinds'],
  ['a kind that is null', webhook({ kinds: `array['view.published', null]` }), 'webhooks_kinds'],
  ['an empty description', webhook({ description: `''` }), 'webhooks_description'],
  ['disabled without a reason', webhook({ disabled_at: 'now()' }), 'webhooks_disabled'],
  [
    'disabled for another reason',
    webhook({ disabled_at: 'now()', disabled_reason: `'tired'` }),
    'webhooks_disabled',
  ],
  ...(
    [
      ['an attempt 0', { number: '0' }, 'webhook_attempts_number'],
      [
        'an attempt that ended without an answer or a fault',
        { milliseconds: '1' },
        'webhook_attempts_outcome',
      ],
      [
        'a success that was answered 500',
        { milliseconds: '1', status: '500' },
        'webhook_attempts_outcome',
      ],
      ['an answer before the end', { status: '200' }, 'webhook_attempts_outcome'],
      ['a fault before the end', { fault: `'F'` }, 'webhook_attempts_outcome'],
      [
        'a status that there is not',
        { milliseconds: '1', status: '99', fault: `'F'` },
        'webhook_attempts_outcome',
      ],
      [
        'an attempt that ended before it began',
        { milliseconds: '-1', fault: `'F'` },
        'webhook_attempts_milliseconds',
      ],
      ['an empty fault', { milliseconds: '1', fault: `''` }, 'webhook_attempts_fault'],
    ] as [string, Record<string, string>, string][]
  ).map(([name, changes, rule]) => {
    const columns = { delivery_id: 'id', number: '7', started_at: 'now()', ...changes };
    const statement = `insert into webhook_attempts (${Object.keys(columns).join(', ')})
      select ${Object.values(columns).join(', ')} from webhook_deliveries`;
    return [name, statement, rule];
  }),
])('%s is refused', async (_, statement, rule) => {
  expect(await refusal(owner, statement)).toBe(rule);
});
