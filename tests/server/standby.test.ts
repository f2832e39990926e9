import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { cleanUp, run } from '../support/service.ts';
import { useFolder } from '../support/used-folder.ts';

afterAll(cleanUp);

test('on a standby the service does not start and says why, but a ledger can be verified', async () => {
  const used = await useFolder();
  const dataDir = used.copy();
  // Without a primary to follow, the server stays a standby of what it has.
  writeFileSync(path.join(dataDir, 'pg18/standby.signal'), '');
  const service = run('server.js', [], { DATA_DIR: dataDir });
  expect(await service.ended).toEqual({ code: 1, signal: null });
  expect(service.stderr()).toMatch(
    /^Outlook Ledger can't start: [^\n]*it is a standby, which takes no writes: [^\n]*\n$/,
  );
  const verify = run('commands/verify.js', [], { DATA_DIR: dataDir });
  expect([await verify.ended, verify.stderr()]).toEqual([{ code: 0, signal: null }, '']);
});
