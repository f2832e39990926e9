import { mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { JOURNAL, migrationTexts, readMigrations } from '../../src/postgres/migrations.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'outlook-ledger-migrations-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Reads 16 migrations, of which the last is `sql`. */
function readLast(sql: string) {
  mkdirSync(path.join(folder, 'meta'), { recursive: true });
  const entries = Array.from({ length: 16 }, (_, idx) => ({
    idx,
    when: idx,
    tag: `${idx}`,
    breakpoints: true,
  }));
  for (const { tag } of entries) writeFileSync(path.join(folder, `${tag}.sql`), 'select 1');
  writeFileSync(path.join(folder, '15.sql'), sql);
  writeFileSync(path.join(folder, 'meta/_journal.json'), JSON.stringify({ entries }));
  return readMigrations(folder).at(-1);
}

const RUNS = '-- Runs with the release of migration 0014 and later.';

test.each([
  ['nothing', 'alter table t add c int'],
  ['it later', `alter table t add c int;\n${RUNS}`],
  ['less', '-- Runs with the release of migration 0014.'],
  ['a release to come', '-- Runs with the release of migration 0016 and later.'],
])('a migration that says %s is refused', (_, sql) => {
  expect(() => readLast(sql)).toThrow(
    'migration 0015 must start with "-- Runs with the release of migration NNNN and later."',
  );
});

test('a migration says which releases run with it, and whether in a transaction', () => {
  expect(readLast(`${RUNS}\nselect 1`)).toMatchObject({
    runsWith: 14,
    isOutsideTransaction: false,
  });
  expect(readLast(`${RUNS}\n-- Runs outside a transaction.\nselect 1`)).toMatchObject({
    runsWith: 14,
    isOutsideTransaction: true,
  });
});

// A killed start leaves an invalid index, and a backup runs all files in one transaction.
describe.each(JOURNAL.filter(({ isOutsideTransaction }) => isOutsideTransaction))(
  'migration $number, which runs outside a transaction',
  ({ number, statements }) => {
    test('only builds and drops indexes, and can run again', () => {
      const dropped = new Set<string>();
      for (const statement of statements) {
        const sql = statement.replaceAll(/^\s*--.*$/gm, '').trim();
        const drop = /^DROP INDEX CONCURRENTLY IF EXISTS "?(\w+)"?;?$/i.exec(sql);
        const create = /^CREATE (?:UNIQUE )?INDEX CONCURRENTLY "?(\w+)"? ON [^;]*;?$/i.exec(sql);
        expect(drop ?? create, sql).not.toBeNull();
        if (drop?.[1]) dropped.add(drop[1]);
        expect([...dropped], sql).toContain(create?.[1] ?? drop?.[1]);
      }
      expect(migrationTexts()[number]).not.toMatch(/^(CREATE|DROP).*CONCURRENTLY/im);
    });
  },
);

// A new row of such a column would wait for a rewrite of the table under a lock that stops readers.
test.each(JOURNAL.filter(({ runsWith }) => runsWith !== null))(
  'migration $number names no lock and no rewrite that stops readers',
  ({ statements }) => {
    for (const statement of statements) {
      expect(statement).not.toMatch(/^\s*(LOCK|VACUUM FULL|CLUSTER|REINDEX TABLE)\b/im);
      expect(statement).not.toMatch(/ALTER COLUMN \S+ (SET DATA )?TYPE/i);
    }
  },
);
