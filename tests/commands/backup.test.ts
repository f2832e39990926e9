import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { get, revise, SLUG } from '../support/http-client.ts';
import { cleanUp, newFolder, run, startService } from '../support/service.ts';
import { stopService, type UsedFolder, useFolder } from '../support/used-folder.ts';

afterAll(cleanUp);

let used: UsedFolder;
let file = '';
beforeAll(async () => {
  used = await useFolder();
  file = path.join(newFolder(), 'ledger.sql');
});

async function program(name: string, args: string[], settings: Record<string, string>) {
  const started = run(name, args, settings);
  const { code } = await started.ended;
  return { code, stdout: started.stdout(), stderr: started.stderr() };
}

describe('npm run backup and npm run restore', () => {
  test('bring the embedded ledger to another folder, with its keys', async () => {
    const from = { DATA_DIR: used.copy() };
    const service = await startService(from);
    const { body } = await revise(service.origin, used.key, {
      probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
      rationale: 'Yields jumped.',
    });
    const taken = await program('commands/backup.js', [file], from);
    expect([taken.code, taken.stderr]).toEqual([0, '']);
    expect(taken.stdout).toMatch(/^Wrote \d+ rows to .*ledger\.sql\.\n$/);
    await stopService(service, from.DATA_DIR);

    const to = { DATA_DIR: newFolder() };
    const restored = await program('commands/restore.js', [file], to);
    expect([restored.code, restored.stderr]).toEqual([0, '']);
    expect(restored.stdout).toContain('Verified versions: 2. All are as the ledger wrote them.');
    const again = await program('commands/restore.js', [file], to);
    expect([again.code, again.stdout]).toEqual([1, '']);
    expect(again.stderr).toMatch(/^the database is not empty[^\n]*\n$/);

    const next = await startService(to);
    expect(next.stdout()).not.toContain('olk_');
    expect(await get(next.origin, `/v1/outlooks/${SLUG}`)).toEqual(body);
    const more = await revise(next.origin, used.key, {
      probabilities: { bear: 0.4, base: 0.35, bull: 0.25 },
      rationale: 'More of it.',
    });
    expect([more.status, more.body.version]).toEqual([201, 3]);
    await stopService(next, to.DATA_DIR);
  });

  test.each(['commands/backup.js', 'commands/restore.js'])('%s explains itself', async (name) => {
    for (const args of [[], ['a', 'b'], ['--all']]) {
      const { code, stdout, stderr } = await program(name, args, { DATA_DIR: newFolder() });
      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toContain('Usage:');
    }
  });
});
