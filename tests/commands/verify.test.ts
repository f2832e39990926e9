import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase, databaseSettings, openDatabase } from '../support/database.ts';
import { SLUG } from '../support/ledger.ts';
import { cleanUp, run, type Service, startService } from '../support/service.ts';

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
