import type pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { verifyLedger } from '../../src/ledger/verification.ts';
import type { LedgerClient } from '../../src/postgres/client.ts';
import { openDatabase as openService } from '../../src/postgres/database.ts';
import { inTransaction } from '../../src/postgres/pool.ts';
import { createDatabase, openDatabase, serviceUrl, throughPort } from '../support/database.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { findPgbouncer, type Pooler, type PoolMode, startPgbouncer } from '../support/pgbouncer.ts';
import { openSession } from '../support/plain-sql.ts';

const REVISION = { probabilities: { bear: 0.35, base: 0.4, bull: 0.25 }, rationale: 'Why.' };
const PROGRAM = findPgbouncer();
const OWNER = decodeURIComponent(new URL(inject('serverUrl')).username);

describe.skipIf(PROGRAM === null).each<PoolMode>(['session', 'transaction'])(
  'behind pgbouncer in %s mode (skipped where it is not installed)',
  (mode) => {
    let pooler: Pooler;
    const pooled = (url: string) => throughPort(url, pooler.port);
    beforeAll(async () => {
      const { username, password } = new URL(serviceUrl(inject('serverUrl')));
      pooler = await startPgbouncer(PROGRAM ?? '', {
        mode,
        serverUrl: inject('serverUrl'),
        users: { [username]: password, [OWNER]: '' },
      });
    });
    afterAll(() => pooler.stop());

    const open: (() => Promise<void>)[] = [];
    afterEach(async () => {
      for (const close of open.splice(0)) await close();
    });
    async function ledgerBehind(): Promise<TestLedger> {
      const ledger = await startLedger({ through: async (url) => pooled(url) });
      open.push(ledger.close);
      return ledger;
    }

    test('a ledger revises, reads, follows events and is verified', async () => {
      const ledger = await ledgerBehind();
      const client = (await ledger.servicePool.connect()) as pg.PoolClient & LedgerClient;
      expect(client.isPooled).toBe(true);
      client.release();
      const positions: number[] = [];
      ledger.feed.follow({
        onEvents: (events) => positions.push(...events.map(({ position }) => position)),
        onLost: () => {},
        onCurrent: () => {},
      });
      const before = ledger.feed.position ?? 0;
      const answers = await Promise.all(
        [0.31, 0.32, 0.33, 0.34].map((bear) =>
          ledger.revise({ ...REVISION, probabilities: { bear, base: 0.75 - bear, bull: 0.25 } }),
        ),
      );
      expect(answers.map(({ statusCode }) => statusCode)).toEqual([201, 201, 201, 201]);
      await expect.poll(() => positions).toEqual([1, 2, 3, 4].map((step) => before + step));
      expect(await verifyLedger(ledger.servicePool)).toMatchObject({ faults: [] });
    });

    test('what one instance writes the other serves', async () => {
      const ledger = await ledgerBehind();
      const pool = openDatabase(pooled(serviceUrl(ledger.url)), 3);
      open.push(() => pool.end());
      await ledger.revise(REVISION);
      const { rows } = await pool.query<{ bear: number }>(
        `select bear_bps as bear from outlooks where slug = 'russell-2000-downside'`,
      );
      expect(rows).toEqual([{ bear: 3500 }]);
    });

    test('nothing stays behind on the connections of the server', async () => {
      const url = await createDatabase();
      const before = await stateOf(pooled(url));
      const pool = openDatabase(pooled(url), 1); // gets the same connection of the server
      await pool.query({ name: 'named', text: 'select $1::int', values: [1] });
      await inTransaction(pool, (session) => session.query('select 1'));
      await expect(pool.query('select 1/0')).rejects.toThrow('division by zero');
      await pool.end();
      expect(await stateOf(pooled(url))).toEqual(before);
    });

    test('a statement outside a transaction is whole, alone, and under the settings of the service', async () => {
      const url = await createDatabase();
      const owner = await openSession(url);
      open.push(() => owner.end());
      await owner.query(`alter database ${new URL(url).pathname.slice(1)} set datestyle to 'German';
        create table kept (n int)`);
      const pool = openDatabase(pooled(url), 1);
      open.push(() => pool.end());
      const client = await pool.connect();
      // Without waiting, as the change feed sends a notice while it reads.
      const all = await Promise.allSettled([
        client.query('insert into kept values (1)'),
        client.query('select 1/0'),
        client.query('insert into kept values (2)'),
        client.query<{ day: string; isolation: string; limit: string }>(
          `select date '2026-03-31' as day, current_setting('statement_timeout') as limit, current_setting('transaction_isolation') as isolation`,
        ),
      ]);
      client.release();
      expect(all.map(({ status }) => status)).toEqual([
        'fulfilled',
        'rejected',
        'fulfilled',
        'fulfilled',
      ]);
      expect(all[3]).toMatchObject({
        value: { rows: [{ day: '2026-03-31', limit: '15s', isolation: 'read committed' }] },
      });
      expect((await owner.query('select n from kept order by n')).rows).toEqual([
        { n: 1 },
        { n: 2 },
      ]);
    });

    test('migrations run, also twice at once, and a later start does not wait for them', async () => {
      const url = await createDatabase({ empty: true });
      const start = async () => {
        const database = await openService(
          {
            databaseUrl: pooled(serviceUrl(url)),
            directDatabaseUrl: null,
            databaseMigrationUrl: pooled(url),
            dataDir: '',
            databasePoolMax: 2,
          },
          {
            onPrivilegedRole: () => {},
            onNotice: (line) => notices.push(line),
            onMigration: () => {},
            onConnectionError: () => {},
            onEmbeddedLog: () => {},
            onEmbeddedExit: () => {},
          },
        );
        await database.close();
      };
      const notices: string[] = [];
      await Promise.all([start(), start()]);
      await start();
      expect(notices.filter((line) => line.includes('pooler'))).toHaveLength(3);
    });
  },
);

/** What sessions leave on a connection of the server, as the next one finds it. */
async function stateOf(url: string): Promise<unknown> {
  const next = await openSession(url);
  try {
    const { rows } = await next.query(
      `select pg_backend_pid() as pid, (select json_object_agg(name, setting) from pg_settings where name <> 'application_name') as settings,
        (select count(*) from pg_prepared_statements) as statements, array(select pg_listening_channels()) as channels,
        (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks`,
    );
    return rows;
  } finally {
    await next.end();
  }
}
