import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { publishSecond } from '../support/outlooks.ts';
import { openSession, refusal } from '../support/plain-sql.ts';
import { event } from '../support/rows.ts';

let ledger: TestLedger;
let owner: pg.Client;
beforeAll(async () => {
  ledger = await startLedger({ followsEvents: false }); // else events have their positions
  owner = await openSession(ledger.url);
  await publishSecond(ledger);
});
afterAll(async () => {
  await owner.end();
  await ledger.close();
});

test.each([
  ['of an unknown kind', event({ kind: `'outlook.erased'` }), 'events_kind'],
  ['of no version', event({ version: 'version + 1' }), 'events_version'],
  [
    'written twice',
    `${event()}; insert into events (kind, outlook_id, version, data, recorded_at)
     select kind, outlook_id, version, data, recorded_at from events where version = 3`,
    'events_once_a_version',
  ],
  ['with a position by hand', event({ position: '1' }), 'events_position'],
  [
    'given its position by hand',
    'update events set position = 1000 where version = 2',
    'events_position',
  ],
  [
    'given its position out of turn',
    `update events set position = 1
     where id = (select max(id) from events)`,
    'events_position',
  ],
  [
    'given a place among others',
    `select sequence_events(); ${event()};
     update events set position = 0 where position is null and outlook_id is not null`,
    'events_position',
  ],
  [
    'of no outlook given a position',
    `update events set position = 1, log_position = 1
     where id = (select min(id) from events where outlook_id is null)`,
    'events_position',
  ],
  [
    'given another place in the log',
    'select sequence_events(); update events set log_position = log_position + 10',
    'events_append_only',
  ],
  [
    'given another position',
    'select sequence_events(); update events set position = position + 10',
    'events_append_only',
  ],
  [
    'taken out of the order',
    'select sequence_events(); update events set position = null',
    'events_append_only',
  ],
  ['altered as it is placed', `update events set position = id, data = '{}'`, 'events_append_only'],
  ['of another version', 'update events set version = 1', 'events_append_only'],
])('an event %s is refused', async (_, statement, rule) => {
  expect(await refusal(owner, statement)).toBe(rule);
});
