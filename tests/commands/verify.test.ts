import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase, databaseSettings, openDatabase } from '../support/database.ts';
import { SLUG } from '../support/ledger.ts';
import { cleanUp, newFolder, run, type Service, startService } from '../support/service.ts';

afterAll(cleanUp);

let url = '';
let service: Service;
let noted = '';
beforeAll(async () => {
  url = await createDatabase();
  service = await startService({ ...databaseSettings(url), LOAD_SAMPLES: 'true' });
  const response = await fetch(`${service.origin}/v1/outlooks/${SLUG}`);
  noted = ((await response.json()) as { hash: string }).hash;
});

async function verify(...args: string[]) {
  const program = run('commands/verify.js', args, databaseSettings(url));
  const { code } = await program.ended;
  return { code, stdout: program.stdout(), stderr: program.stderr() };
}

describe('npm run verify', () => {
  test('says that an unaltered ledger is intact, while the service runs', async () => {
    expect(await verify()).toEqual({
      code: 0,
      stdout: 'Verified versions: 1. All are as the ledger wrote them.\n',
      stderr: '',
    });
  });

  test('proves that a noted hash is still in the chain', async () => {
    const { code, stdout } = await verify('--against', noted);
    expect([code, stdout.split('\n')[1]]).toEqual([
      0,
      `${noted} is version 1 of ${SLUG}: nothing up to it was rewritten.`,
    ]);
    const unknown = `sha256:${'0'.repeat(64)}`;
    const missing = await verify('--against', unknown);
    expect([missing.code, missing.stdout.split('\n')[1]]).toEqual([
      1,
      `No version has the hash ${unknown}.`,
    ]);
  });

  test('names what of a backup the ledger lacks, and takes more than the backup has', async () => {
    const folder = newFolder();
    const file = path.join(folder, 'ledger.sql');
    const { ended } = run('commands/backup.js', [file], databaseSettings(url));
    expect((await ended).code).toBe(0);
    const same = await verify('--against', file);
    expect([same.code, same.stdout.split('\n')[1]]).toEqual([
      0,
      'Versions in the backup: 1. The ledger has all of them.',
    ]);

    // A backup of a time at which this ledger had another version 1, two more, and another outlook.
    const text = readFileSync(file, 'utf8');
    const row = /^COPY public.outlook_versions .*\n(.*)\n/m.exec(text)?.[1] ?? '';
    const outlook = /^COPY public.outlooks .*\n(.*)\n/m.exec(text)?.[1] ?? '';
    const cells = row.split('\t');
    const columns = (/^COPY public.outlook_versions \((.*)\)/m.exec(text)?.[1] ?? '').split(', ');
    const changed = (values: Record<string, string>) =>
      cells.map((cell, index) => values[columns[index] ?? ''] ?? cell).join('\t');
    const rows = [
      changed({ hash: String.raw`\\x${'ab'.repeat(32)}` }),
      changed({ version: '2' }),
      changed({ version: '3' }),
      changed({ outlook_id: '9999' }),
    ];
    const other = outlook.replace(/^\d+/, '9999').replace(SLUG, 'gone');
    const changedFile = path.join(folder, 'other.sql');
    writeFileSync(
      changedFile,
      text.replace(row, rows.join('\n')).replace(outlook, `${outlook}\n${other}`),
    );
    const lacking = await verify('--against', changedFile);
    expect(lacking.code).toBe(1);
    expect(lacking.stdout.split('\n').slice(1)).toEqual([
      'gone, version 1 of the backup is missing; such versions: 1.',
      `${SLUG}, version 1 of the backup is different; such versions: 1.`,
      `${SLUG}, version 2 of the backup is missing; such versions: 2.`,
      'Versions in the backup: 4. Outlooks that differ from it: 2.',
      '',
    ]);

    writeFileSync(changedFile, text.slice(0, -'COMMIT;\n'.length));
    const cut = await verify('--against', changedFile);
    expect([cut.code, cut.stderr]).toEqual([1, 'the file ends before the backup does\n']);
    writeFileSync(changedFile, 'something else');
    expect((await verify('--against', changedFile)).stderr).toMatch(/no backup of this service/);
    expect((await verify('--against', path.join(folder, 'no.sql'))).code).toBe(2);
  });

  test.each([['--against', 'sha256:1'], ['--against'], ['--everything'], ['now']])(
    'explains itself to %s %s',
    async (...args) => {
      const { code, stdout, stderr } = await verify(...args);
      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toContain('Usage:');
    },
  );

  test('names the altered version, and trusts no hash after it', async () => {
    const pool = openDatabase(url, 1);
    await pool.query('set session_replication_role = replica');
    await pool.query(`update outlook_versions set rationale = 'Never said'`);
    await pool.end();
    const { code, stdout } = await verify('--against', noted);
    expect(code).toBe(1);
    expect(stdout).toMatch(
      new RegExp(`^${SLUG}, version 1 has the hash ${noted}, but its content has sha256:\\w+\\.\n`),
    );
    expect(stdout).toContain(`${noted} is version 1 of ${SLUG}, whose chain is broken.`);
  });
});
