import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkpointText, signatureLine, type TreeHead } from '../../src/domain/signed-note.ts';
import { newestGeneration, startFirstGeneration } from '../../src/log/generations.ts';
import { growTree } from '../../src/log/tree.ts';
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

const lastLines = (text: string, count: number) => text.trimEnd().split('\n').slice(-count);

describe('npm run verify', () => {
  test('says that an unaltered ledger is intact, while the service runs', async () => {
    const { code, stdout, stderr } = await verify();
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(
      /^Verified versions: 1\. All are as the ledger wrote them\.\nVerified rows: \d+\. All are as the log has them\.\n/,
    );
  });

  test('proves that a noted hash is still in the chain', async () => {
    const { code, stdout } = await verify('--against', noted);
    expect([code, lastLines(stdout, 1)[0]]).toEqual([
      0,
      `${noted} is version 1 of ${SLUG}: nothing up to it was rewritten.`,
    ]);
    const unknown = `sha256:${'0'.repeat(64)}`;
    const missing = await verify('--against', unknown);
    expect([missing.code, lastLines(missing.stdout, 1)[0]]).toEqual([
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
    expect([same.code, lastLines(same.stdout, 1)[0]]).toEqual([
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
    expect(lastLines(lacking.stdout, 4)).toEqual([
      'gone, version 1 of the backup is missing; such versions: 1.',
      `${SLUG}, version 1 of the backup is different; such versions: 1.`,
      `${SLUG}, version 2 of the backup is missing; such versions: 2.`,
      'Versions in the backup: 4. Outlooks that differ from it: 2.',
    ]);

    writeFileSync(changedFile, text.slice(0, -'COMMIT;\n'.length));
    const cut = await verify('--against', changedFile);
    expect([cut.code, cut.stderr]).toEqual([1, 'the file ends before the backup does\n']);
    writeFileSync(changedFile, 'something else');
    expect((await verify('--against', changedFile)).stderr).toMatch(/no backup of this service/);
    expect((await verify('--against', path.join(folder, 'no.sql'))).code).toBe(2);
  });

  test('proves that a noted checkpoint is of the log, or says that it is not', async () => {
    const pool = openDatabase(url, 1);
    await startFirstGeneration(pool, 'ledger.example', new Date());
    await pool.query('select sequence_events()');
    await growTree(pool);
    const head = await newestGeneration(pool);
    await pool.end();
    if (!head) throw new Error('the log has no generation');
    const file = path.join(newFolder(), 'checkpoint');
    const { privateKey } = generateKeyPairSync('ed25519');
    const against = async (noted: TreeHead) => {
      const text = checkpointText(noted);
      const line = signatureLine(text, { name: noted.origin, privateKey });
      writeFileSync(file, `${text}\n${line}\n`);
      const { code, stdout } = await verify('--against', file);
      return [code, lastLines(stdout, 1)[0]];
    };
    const { origin, size } = head;
    expect(await against(head)).toEqual([
      0,
      `The log ${origin} still has the tree of the checkpoint: none of its ${size} leaves was rewritten.`,
    ]);
    expect(await against({ ...head, root: Buffer.alloc(32) })).toEqual([
      1,
      `The log ${origin} has another tree than the checkpoint had at ${size} leaves: it was rewritten since.`,
    ]);
    expect(await against({ ...head, size: size + 1 })).toEqual([
      1,
      `The checkpoint of ${origin} has ${size + 1} leaves, but the log has only ${size}: its end is missing.`,
    ]);
    expect(await against({ ...head, origin: 'other.example/log/1' })).toEqual([
      1,
      'The checkpoint is of the log other.example/log/1, which this ledger does not have.',
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
    expect(stdout).toMatch(
      /^outlook_versions: outlook_id 1, version 1 is not as it was written\. It was written with event \d+ \(outlook\.created of /m,
    );
    expect(stdout).toContain(`${noted} is version 1 of ${SLUG}, whose chain is broken.`);
  });
});
