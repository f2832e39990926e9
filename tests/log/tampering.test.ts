import { generateKeyPairSync } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { entryOf } from '../../src/domain/log-entries.ts';
import { hashLeaf, rootAt, rootOf } from '../../src/domain/merkle-tree.ts';
import {
  checkpointText,
  publicKeyBytes,
  signatureLine,
  type TreeHead,
  vkeyOf,
} from '../../src/domain/signed-note.ts';
import { publishCheckpoint } from '../../src/log/checkpoints.ts';
import { newestGeneration, startFirstGeneration } from '../../src/log/generations.ts';
import { growTree, treeReader } from '../../src/log/tree.ts';
import { type LogVerification, verifyLog } from '../../src/log/verification/verify-log.ts';
import type { Session } from '../../src/postgres/pool.ts';
import { keepBusy } from '../support/busy-ledger.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';

const ORIGIN = 'ledger.example/log/1';
const { privateKey } = generateKeyPairSync('ed25519');

let ledger: TestLedger;
let session: pg.PoolClient;
beforeAll(async () => {
  ledger = await startLedger();
  await keepBusy(ledger);
  await startFirstGeneration(ledger.pool, 'ledger.example', new Date());
  await publishTree(ledger.pool);
  session = await ledger.pool.connect();
});
afterAll(async () => {
  session.release();
  await ledger.close();
});

/** Gives leaves to all events, signs the tree and publishes the checkpoint. */
async function publishTree(pool: pg.Pool): Promise<void> {
  await pool.query('select sequence_events()');
  await growTree(pool);
  const head = await newestGeneration(pool);
  if (!head) throw new Error('the log has no generation');
  await publish(pool, head);
}

async function publish(one: Session, head: TreeHead & { generation: number }): Promise<void> {
  const text = checkpointText(head);
  const note = `${text}\n${signatureLine(text, { name: ORIGIN, privateKey })}\n`;
  const vkeys = [vkeyOf(ORIGIN, publicKeyBytes(privateKey))];
  await publishCheckpoint(one, { ...head, note, vkeys, signedAt: new Date() });
}

/** What the verification says after statements of the database's owner, with all triggers and foreign keys off. */
async function verifyAfter(statements: string): Promise<LogVerification> {
  await session.query('begin');
  try {
    await session.query(`set local session_replication_role = replica; ${statements}`);
    return await verifyLog(session, null);
  } finally {
    await session.query('rollback');
  }
}

test('a ledger with all kinds of writes is intact', async () => {
  const log = await verifyAfter('');
  expect(log.sentences).toEqual([]);
  expect(log).toMatchObject({ faults: [], undigested: 0, erased: 0, erasedEvents: 0 });
  expect(log.rows).toBeGreaterThan(300);
  expect(log.generations).toMatchObject([{ generation: 1, origin: ORIGIN }]);
});

const REWRITTEN = 'is not as it was written';
const MISSING = 'is missing';
const UNRECORDED = 'was written without an event';
const CHANGED = 'was changed, but never is';

const BANDED = `(select id from outlooks where slug = 'banded-1')`;

/** Digests the rows of a table again, of which each statement wrote one. */
function redigest(table: string): string {
  return `update row_digests d set hashes = row_hash(row_salt(d.salt, 0), row_text(t)) from ${table} t
    where d.relation = '${table}' and d.keys = array[row_key(t)]`;
}
/** Lets the openings say what was digested. */
const REOPEN = `update openings o set content = regexp_replace(content, '"root":"[^"]*"', '"root":"' || encode(merkle_root(d.hashes), 'base64') || '"')
  from (select write_id, string_agg(hashes, '' order by number) as hashes from row_digests group by write_id) d
 where d.write_id = o.write_id`;
const RECOMMIT = 'update openings set commitment = commitment_of(salt, content)';

type Tampering = [what: string, statements: string, faults: string[]];
const tamperings: Record<string, Tampering[]> = {
  rewrites: [
    ['evidence', `update evidence set headline = 'Never said'`, [`evidence ${REWRITTEN}`]],
    [
      'an observation',
      `update observations set value = value + 0.01 where ctid = (select min(ctid) from observations)`,
      [`observations ${REWRITTEN}`],
    ],
    [
      'a view',
      `update views set bear_bps = bear_bps - 1, base_bps = base_bps + 1 where bear_bps > 0`,
      [`views ${REWRITTEN}`],
    ],
    [
      'the outcome of a resolution',
      `update resolutions set outcome = 'bull' where outcome = 'bear'`,
      [`resolutions ${REWRITTEN}`],
    ],
    [
      'sums of forecasts',
      `update forecast_sums set bear_error = bear_error / 2; update forecast_buckets set bear_weight = 0 where bear_weight > 0;
       update forecast_leads set brier = 0`,
      [
        `forecast_sums ${REWRITTEN}`,
        `forecast_buckets ${REWRITTEN}`,
        `forecast_leads ${REWRITTEN}`,
        'forecast_sums is not what the forecasts sum up to',
        'forecast_buckets is not what the forecasts sum up to',
        'forecast_leads is not what the forecasts sum up to',
      ],
    ],
    [
      'the weights of a pool',
      `update version_views set weight = weight / 2 where weight < 1`,
      [
        `version_views ${REWRITTEN}`,
        'version_views has another weight than its consensus gives it',
      ],
    ],
    [
      'a change of a condition',
      `update condition_changes set reason = 'Never so' where id = (select min(id) from condition_changes)`,
      [`condition_changes ${REWRITTEN}`],
    ],
    [
      'the data of an event',
      `update events set data = '{}' where kind = 'outlook.resolved'`,
      [`events ${REWRITTEN}`],
    ],
    [
      'the name of an instrument',
      `update instruments set name = 'Other'`,
      [`instruments ${REWRITTEN}`],
    ],
    [
      'the name of an analyst',
      `update analysts set name = name || ' II'`,
      [`analysts ${REWRITTEN}`],
    ],
    ['the role of a key', `update api_keys set role = 'admin'`, [`api_keys ${REWRITTEN}`]],
    [
      'an audit entry',
      `update audit_entries set analyst_id = null, role = null, credential = null, address = null where kind = 'write'`,
      [`audit_entries ${REWRITTEN}`],
    ],
  ],
  deletions: [
    ['an item of evidence', `delete from evidence where number = 1`, [`evidence ${MISSING}`]],
    [
      'citations',
      `delete from version_evidence; delete from condition_evidence; delete from resolution_evidence`,
      [
        `version_evidence ${MISSING}`,
        `condition_evidence ${MISSING}`,
        `resolution_evidence ${MISSING}`,
      ],
    ],
    [
      'a view',
      `delete from views where analyst_id = (select min(analyst_id::text)::uuid from views)`,
      [`views ${MISSING}`],
    ],
    ['answers', `delete from condition_answers`, [`condition_answers ${MISSING}`]],
    [
      'audit entries',
      `delete from audit_entries where method = 'DELETE'`,
      [`audit_entries ${MISSING}`],
    ],
    [
      'the newest version',
      `delete from outlook_versions v using outlooks o where o.id = v.outlook_id and o.latest_version = v.version and o.slug = 'banded-1'`,
      [`outlook_versions ${MISSING}`, 'outlooks has a current version that is not its newest one'],
    ],
    [
      'a whole outlook',
      `delete from events where outlook_id = ${BANDED}; delete from outlook_versions where outlook_id = ${BANDED};
       delete from views where outlook_id = ${BANDED}; delete from frameworks where outlook_id = ${BANDED};
       delete from outlooks where id = ${BANDED}`,
      [
        `outlooks ${MISSING}`,
        `outlook_versions ${MISSING}`,
        `events ${MISSING}`,
        'event position has a leaf in the log, but no event',
        'openings is of an event that is missing',
      ],
    ],
  ],
  'rewrites of our own': [
    [
      'a scenario and its band',
      `update scenarios set return_max = return_max + 0.01`,
      [`scenarios ${REWRITTEN}`],
    ],
    [
      'a headwind',
      `update headwinds set title = 'Other' where rank = 1`,
      [`headwinds ${REWRITTEN}`],
    ],
    [
      'a condition',
      `update invalidation_conditions set statement = 'Other'`,
      [`invalidation_conditions ${REWRITTEN}`],
    ],
    [
      'the threshold of a rule',
      `update condition_comparisons set threshold = threshold + 1`,
      [`condition_comparisons ${REWRITTEN}`],
    ],
    [
      'a drawdown label',
      `update drawdown_labels set implication = 'Other'`,
      [`drawdown_labels ${REWRITTEN}`],
    ],
    [
      'when a label changed',
      `update drawdown_changes set day = day - 1`,
      [`drawdown_changes ${REWRITTEN}`],
    ],
    ['a claim', `update evidence_claims set effect = 'weakens'`, [`evidence_claims ${REWRITTEN}`]],
    [
      'what a series is',
      `update series set unit = 'percent' where key = 'rut-close'`,
      [`series ${REWRITTEN}`],
    ],
    [
      'what an outlook is about',
      `update outlooks set horizon_to = horizon_to + 1 where slug = 'banded-2'`,
      [`outlooks ${REWRITTEN}`],
    ],
    [
      'whose identity a token is',
      `update analyst_identities set subject = 'b'`,
      [`analyst_identities ${MISSING}`, `analyst_identities ${UNRECORDED}`],
    ],
    [
      'a revoked key, which opens again',
      `update api_keys set revoked_at = null where revoked_at is not null`,
      [`api_keys ${REWRITTEN}`],
    ],
    [
      'where a webhook sends',
      `update webhooks set url = 'https://other.example/'`,
      [`webhooks ${REWRITTEN}`],
    ],
    [
      'where observations come from',
      `update series_sources set provider_id = 'OTHER'`,
      [`series_sources ${REWRITTEN}`],
    ],
    [
      'what closes contradict',
      `delete from resolution_contradictions where outcome is not null`,
      [`resolution_contradictions ${MISSING}`],
    ],
    [
      'an older framework',
      `update frameworks set disclaimer = 'None'`,
      [`frameworks ${REWRITTEN}`],
    ],
    [
      'the time of a version',
      `update outlook_versions set recorded_at = recorded_at - interval '1 hour' where version = 2`,
      [`outlook_versions ${REWRITTEN}`],
    ],
  ],
  'derived rows': [
    [
      'since when an analyst forecasts',
      `update forecasters set since = since - interval '1 day'`,
      [
        `forecasters ${REWRITTEN}`,
        'forecasters is not whom the versions and views name, or since another time',
      ],
    ],
    [
      'when an observation was superseded',
      `update observations set superseded_at = superseded_at + interval '1 day' where superseded_at is not null`,
      ['observations is not superseded when the next one of its date was recorded'],
    ],
    [
      'when a resolution was superseded',
      `update resolutions set superseded_at = superseded_at + interval '1 day' where number = 1`,
      ['resolutions is not superseded when the next one was recorded'],
    ],
    [
      'the state of a condition',
      `update outlooks set condition_states = '{}' where condition_states <> '{}'`,
      ['outlooks has states of conditions that their changes do not lead to'],
    ],
    [
      'a review that is due',
      `update outlooks set review_reasons = '{}' where review_reasons <> '{}'`,
      ['outlooks has reasons for a review that nothing gives, or lacks some'],
    ],
    [
      'a status',
      `update outlooks set status = 'open' where status = 'resolved'`,
      ['outlooks has a status that contradicts its versions and resolutions'],
    ],
    [
      'a mark',
      `update outlooks set is_contradicted = not is_contradicted`,
      ['outlooks is marked as contradicted by closes, or not, against its resolution'],
    ],
    [
      'the end of a horizon',
      `update outlooks set horizon_ended_at = horizon_ended_at + interval '1 day' where horizon_ended_at is not null`,
      ['outlooks has another end of its horizon than its event says'],
    ],
    [
      'which outlook continues one',
      `update outlooks set continued_by = null`,
      ['outlooks names another outlook that continues it than its event does'],
    ],
    [
      'the current probabilities',
      `update outlooks set bear_bps = base_bps, base_bps = bear_bps where bear_bps <> base_bps`,
      ['outlooks has a current version that is not its newest one'],
    ],
  ],
  additions: [
    [
      'a claim, an observation and a forecaster',
      `insert into evidence_claims select evidence_id, 99, statement, effect, target_kind, target_key, horizon from evidence_claims;
       insert into observations select series_id, date - 400, recorded_at, value, provenance from observations limit 1;
       insert into forecasters select outlook_id, 'view', author_id, recorded_at from outlook_versions where version = 1 on conflict do nothing`,
      [`evidence_claims ${UNRECORDED}`, `observations ${UNRECORDED}`, `forecasters ${UNRECORDED}`],
    ],
    [
      'a webhook that was deleted',
      `insert into webhooks (id, url, secret, position, created_at)
         select keys[1]::uuid, 'https://hooks.desk.example/other', sha256('s'), 1, now() from row_digests
          where relation = 'webhooks' and operation = 'delete'`,
      ['webhooks is there although it was deleted'],
    ],
  ],
  'the log': [
    [
      'a row and its digest',
      `update evidence set headline = 'Never said' where number = 1; ${redigest('evidence')}`,
      ['openings is of other rows than were digested with it'],
    ],
    [
      'a row, its digest and the opening',
      `update evidence set headline = 'Never said' where number = 1; ${redigest('evidence')}; ${REOPEN}`,
      ['openings is not what the log committed to'],
    ],
    [
      'a row, its digest, the opening and its commitment',
      `update evidence set headline = 'Never said' where number = 1; ${redigest('evidence')}; ${REOPEN}; ${RECOMMIT}`,
      ['events is not what its leaf in the log says'],
    ],
    [
      'a leaf',
      `update log_tiles set hashes = overlay(hashes placing sha256('x') from 1) where level = 0 and number = 0`,
      [
        'events is not what its leaf in the log says',
        'log_generations has a head that does not match its leaves',
        'log_checkpoints is of another tree than the log has',
      ],
    ],
    [
      'another digest of a row that never changes',
      `update evidence set headline = 'Never said' where number = 1;
       insert into row_digests select 1 + (select max(write_id) from row_digests), 1, 'evidence', 'update', array[row_key(e)], sha256('s'),
         row_hash(row_salt(sha256('s'), 0), row_text(e)) from evidence e where number = 1 limit 1`,
      [`evidence ${CHANGED}`, 'row_digests is of a write without an event'],
    ],
    [
      'a digest, which is gone',
      `delete from row_digests where relation = 'views'`,
      [`views ${UNRECORDED}`, 'openings is of other rows than were digested with it'],
    ],
    [
      'an opening, which is gone',
      `delete from openings where event_id = (select min(id) from events where kind = 'view.published')`,
      ['openings is missing', 'row_digests is of a write without an event'],
    ],
    [
      'the order of two events',
      `update events set log_position = -1 where coalesce(log_position, position) = 5; update events set log_position = 5 where coalesce(log_position, position) = 6;
       update events set log_position = 6 where log_position = -1`,
      ['events is not what its leaf in the log says'],
    ],
    [
      'what an event was, with its opening',
      `update events set kind = 'outlook.reopened' where kind = 'outlook.resolved'`,
      [`events ${REWRITTEN}`, 'openings does not match its event'],
    ],
    ['tiles, which are gone', `delete from log_tiles`, ['log_tiles is missing or too short']],
    [
      'a tile that is too long',
      `update log_tiles set hashes = hashes || sha256('x')`,
      ['log_tiles has hashes that the tree does not have'],
    ],
    [
      'the head',
      `update log_generations set root = sha256('x')`,
      ['log_generations has a head that does not match its leaves'],
    ],
    [
      'a checkpoint',
      `update log_checkpoints set root = sha256('x')`,
      [
        'log_checkpoints does not match its note',
        'log_checkpoints is of another tree than the log has',
      ],
    ],
    [
      'a signature',
      `update log_checkpoints set note = overlay(note placing 'AA' from length(note) - 20)`,
      ['log_checkpoints has no signature of the key that it names'],
    ],
    [
      'the end of the log',
      `update log_generations set size = size - 1`,
      [
        'log_checkpoints is of a larger tree than the log has',
        'log_tiles has hashes that the tree does not have',
      ],
    ],
    [
      'a key, which is gone, as if it had been deleted',
      `update row_digests set operation = 'delete' where relation = 'api_keys' and keys[1] = (select max(id::text) from api_keys);
       delete from api_keys where id::text = (select max(id::text) from api_keys)`,
      ['api_keys was deleted, but never is'],
    ],
    [
      'that older rows are digested',
      `delete from row_digests where relation = 'views'; insert into digest_progress (relation) values ('views')`,
      ['openings is of other rows than were digested with it'],
    ],
  ],
};

const faultsOf = ({ faults }: LogVerification) =>
  faults.map(({ relation, fault }) => `${relation} ${fault}`);

describe.each(Object.keys(tamperings))('%s', (kind) => {
  const group = tamperings[kind] as Tampering[];
  // Those of other tables are verified at once.
  const isAtOnce = ['rewrites', 'rewrites of our own', 'additions'].includes(kind);
  let allAtOnce: LogVerification | undefined;
  test.each(group)('%s', async (_, statements, faults) => {
    if (isAtOnce) allAtOnce ??= await verifyAfter(group.map(([, each]) => each).join(';'));
    const log = allAtOnce ?? (await verifyAfter(statements));
    expect(faultsOf(log)).toEqual(expect.arrayContaining(faults));
  });
});

test('a fault names its first row, how many more there are, and the event that wrote it', async () => {
  const { rows } = await ledger.pool.query<{ id: string; position: number }>(
    `select v.id, coalesce(e.log_position, e.position) as position from evidence v join events e on e.data->>'id' = v.id::text order by v.id::text collate "C"`,
  );
  const { sentences } = await verifyAfter(`update evidence set headline = 'Never said'`);
  expect(sentences).toEqual([
    expect.stringMatching(
      new RegExp(
        `^evidence: id ${rows[0]?.id} is not as it was written \\(and ${rows.length - 1} more\\)\\. ` +
          `It was written with event ${rows[0]?.position} \\(evidence\\.added of /v1/outlooks/[a-z0-9-]+/evidence/${rows[0]?.id}\\)\\.$`,
      ),
    ),
  ]);
});

test('a ledger older than its log: rows not digested yet are counted, and verified later', async () => {
  await session.query('begin');
  try {
    await session.query(`set local session_replication_role = replica;
      delete from row_digests; delete from openings; delete from log_checkpoints; delete from log_tiles; delete from log_generations;
      insert into digest_progress (relation) select tgrelid::regclass::text from pg_trigger
       where tgname = 'digest' and tgrelid not in ('events'::regclass, 'log_generations'::regclass);
      set local session_replication_role = origin`);
    const before = await verifyLog(session, null);
    expect(before.sentences).toEqual([]);
    expect(before.undigested).toBeGreaterThan(200);
    await session.query(
      'select open_late_events(1, (select max(coalesce(log_position, position)) from events))',
    );
    let isMore = true;
    while (isMore) {
      const { rows } = await session.query<{ more: boolean }>(
        'select digest_existing_rows(40) as more',
      );
      await session.query('set constraints all immediate; set constraints all deferred');
      isMore = rows[0]?.more === true;
    }
    const after = await verifyLog(session, null);
    expect(after.sentences).toEqual([]);
    expect(after.undigested).toBe(0);
  } finally {
    await session.query('rollback');
  }
});

describe('an erased name', () => {
  const ERASE = `insert into erasures (analyst_id, recorded_at) select id, now() from analysts where name = 'Another desk';
    set constraints all immediate`;
  const verifyErased = async (statements: string) => {
    await session.query('begin');
    try {
      await session.query(`${ERASE}; set local session_replication_role = replica; ${statements}`);
      return await verifyLog(session, null);
    } finally {
      await session.query('rollback');
    }
  };

  test('is no fault: what was erased is counted', async () => {
    const log = await verifyErased('');
    expect(log.sentences).toEqual([]);
    expect(log.erasedEvents).toBeGreaterThan(0);
    expect(log.erased).toBeGreaterThan(1);
  });

  test('hides no rewritten row, and no opening that goes missing', async () => {
    const log = await verifyErased(
      `update views set rationale = 'Never said'; update row_digests set salt = null where relation = 'views';
       update openings set salt = null, content = null where event_id = (select max(event_id) from openings)`,
    );
    expect(faultsOf(log)).toEqual([
      'openings is gone without an erasure',
      'views lost the salt of its digest without an erasure',
    ]);
  });

  // As its owner could in the transaction that erases: the log takes what is digested in it.
  test.each([
    [
      'rewritten row',
      `update evidence set headline = 'Never said'; update row_digests set salt = null where relation = 'evidence';
       select append_digest('evidence', 'update', array[row_key(t)], sha256('s'), row_hash(row_salt(sha256('s'), 0), row_text(t))) from evidence t`,
      ['evidence lost the salt of its digest without an erasure'],
    ],
    [
      'deleted row',
      `delete from resolution_evidence; update row_digests set salt = null, keys = array_fill('erased'::text, array[cardinality(keys)])
        where relation = 'resolution_evidence'`,
      ['resolution_evidence is missing'],
    ],
    [
      'opening of another author',
      `insert into erased_openings (event_id, erasure_id, content)
       select o.event_id, e.id, o.content from openings o, erasures e where o.content like '%"by":{%'
        order by o.event_id limit 1;
       update openings o set salt = null, content = null from erased_openings e
        where e.event_id = o.event_id and o.content is not null;
       select append_digest('erased_openings', 'insert', array[row_key(t)], sha256('s'), row_hash(row_salt(sha256('s'), 0), row_text(t)))
         from erased_openings t where t.content like '%"by":{"id":"________-____-____-____-____________","name"%'`,
      ['openings was erased, but not by the erasure of its author'],
    ],
  ])('hides no %s', async (_, statements, faults) => {
    await session.query('begin');
    try {
      await session.query(`insert into erasures (analyst_id, recorded_at) select id, now() from analysts where name = 'Another desk';
        set local session_replication_role = replica; ${statements};
        set local session_replication_role = origin; set constraints all immediate`);
      expect(faultsOf(await verifyLog(session, null))).toEqual(faults);
    } finally {
      await session.query('rollback');
    }
  });
});

describe('a ledger that was rewritten consistently, and signed again', () => {
  const REWRITE = `
    update evidence set headline = 'Never said' where number = 1; ${redigest('evidence')}; ${REOPEN}; ${RECOMMIT};
    delete from log_checkpoints`;

  /** Rebuilds the only tile, and signs the new tree. */
  async function signAgain(): Promise<TreeHead> {
    const { rows } = await session.query<{ commitment: Buffer }>(
      'select commitment from openings o join events e on e.id = o.event_id where coalesce(e.log_position, e.position) <= (select size from log_generations) order by coalesce(e.log_position, e.position)',
    );
    const leaves = rows.map(({ commitment }) => hashLeaf(entryOf(commitment)));
    const head = { origin: ORIGIN, size: leaves.length, root: rootOf(leaves) };
    await session.query('update log_tiles set hashes = $1', [Buffer.concat(leaves)]);
    await session.query('update log_generations set root = $1', [head.root]);
    await publish(session, { generation: 1, ...head });
    return head;
  }

  test('is caught by a checkpoint that somebody noted', async () => {
    const noted = await newestGeneration(ledger.pool);
    if (!noted) throw new Error('the log has no generation');
    const earlier = { ...noted, size: 3, root: await rootAt(3, treeReader(ledger.pool, 1)) };
    await session.query('begin');
    try {
      expect((await verifyLog(session, noted)).noted).toBe('same');
      await session.query(`set local session_replication_role = replica; ${REWRITE}`);
      const head = await signAgain();
      const log = await verifyLog(session, noted);
      expect(log.sentences).toEqual([]);
      expect([log.noted, head.size]).toEqual(['different', noted.size]);
      expect((await verifyLog(session, head)).noted).toBe('same');
      // What was written before the evidence is as it was.
      expect((await verifyLog(session, earlier)).noted).toBe('same');
      expect((await verifyLog(session, { ...head, size: head.size + 1 })).noted).toBe('larger');
      expect((await verifyLog(session, { ...head, origin: 'other' })).noted).toBe('unknown-origin');
    } finally {
      await session.query('rollback');
    }
  });
});
