import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { issueKey } from '../../src/access/api-keys.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { send } from '../support/requests.ts';
import {
  cleanUp,
  newFolder,
  onTerminal,
  outlook,
  type Run,
  shows,
} from '../support/outlook-command.ts';

let ledger: TestLedger;
let url: string;
let keys: { ada: string; ben: string };
beforeAll(async () => {
  ledger = await startLedger();
  const issue = async (name: string) => {
    const request = { name, role: 'analyst', expiresAt: null } as const;
    return (await issueKey(ledger.pool, request, ledger.clock.now)).key;
  };
  keys = { ada: await issue('Ada'), ben: await issue('Ben') };
  const approvals = {
    outlook: 0,
    revision: 1,
    framework: 0,
    resolution: 1,
    withdrawal: 0,
    consensus: 0,
  };
  const policy = { approvals, authorMayResolve: true };
  const set = await send(ledger, 'PUT', '/v1/desks/main/policy', policy, { as: 'admin' });
  if (set.statusCode !== 200) throw new Error(set.body);
  url = await ledger.app.listen({ host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  cleanUp();
  await ledger.close();
});

const as = (who: 'ada' | 'ben', ...args: string[]): Promise<Run> =>
  outlook(args, { url, key: keys[who] });
const REVISION = ['--bear', '0.35', '--base', '0.4', '--bull', '0.25', '--why', 'Yields jumped.'];
const idIn = ({ stdout }: Run) => /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(stdout)?.[0] ?? 'no id';

test('a proposal is drafted, returned, sent again and approved', async () => {
  const drafted = await as('ada', 'propose', 'revision', SLUG, ...REVISION, '--draft');
  expect([drafted.code, drafted.stderr]).toEqual([0, '']);
  const id = idIn(drafted);
  expect(drafted.stdout).toContain(`Draft 1 of proposal ${id} is stored.`);
  const sent = await as('ada', 'propose', 'revision', SLUG, ...REVISION, '--proposal', id);
  expect(sent.stdout).toContain('waits for approval: 0 of 1');
  const inbox = await as('ben', 'inbox');
  expect(inbox.stdout).toContain('To approve (1)\n');
  expect(inbox.stdout).toContain('revision by Ada');
  const returned = await as('ben', 'return', id, '--reason', 'Which yields?');
  expect(returned.stdout).toContain('Ben: Which yields?');
  expect((await as('ada', 'inbox', '--kind', 'returned')).stdout).toContain('Ben: Which yields?');
  const again = await as('ada', 'propose', 'revision', SLUG, ...REVISION, '--proposal', id);
  expect(again.code).toBe(0);
  const old = await as('ben', 'approve', id, '--draft', '2', '--yes');
  expect([old.code, old.stdout]).toEqual([1, '']);
  expect(old.stderr).toContain('Draft 3 is the newest one');
  const approving = onTerminal(['approve', id], { url, key: keys.ben });
  await shows(approving, 'Approve draft 3?');
  expect(approving.stdout()).toContain('0.30  0.35  +0.05');
  expect(approving.stdout()).toContain('Ben returned draft 2');
  approving.type('y');
  const { code, stdout } = await approving.ended;
  expect(code).toBe(0);
  expect(stdout).toContain(`version 2 of ${SLUG}`);
  expect((await as('ada', 'show', SLUG)).stdout).toContain('approved by Ben');
});

test('a revision that needs approval says that it is a proposal', async () => {
  const args = [
    'revise',
    SLUG,
    '--bear',
    '0.3',
    '--base',
    '0.45',
    '--bull',
    '0.25',
    '--why',
    'Back.',
  ];
  const { code, stdout } = await as('ada', ...args, '--yes');
  expect(code).toBe(0);
  expect(stdout).toMatch(/^Proposal [0-9a-f-]{36} waits for approval: 0 of 1/);
  expect(stdout).not.toContain('Published');
});

test('--json prints what the API answers, and a refusal is a problem', async () => {
  const list = JSON.parse((await as('ben', 'inbox', '--json')).stdout) as {
    items: { proposal: string }[];
    counts: Record<string, number>;
  };
  expect(list.counts).toMatchObject({ 'to-approve': 1, returned: 0 });
  const [{ proposal: id } = { proposal: '' }] = list.items;
  const own = await as('ada', 'approve', id, '--yes', '--json');
  expect([own.code, JSON.parse(own.stderr)]).toMatchObject([1, { type: '/problems/own-proposal' }]);
  expect((await as('ada', 'return', id)).code).toBe(2);
  expect((await as('ben', 'approve', id)).code).toBe(2); // there is no terminal to ask on
  expect((await as('ben', 'approve', id, '--draft', '1.5', '--yes')).code).toBe(2);
});

test('what a file proposes is tried out, and its faults are named', async () => {
  const file = path.join(newFolder(), 'patch.json');
  writeFileSync(file, '{"disclaimer": "For information only."}');
  const refused = await as('ada', 'propose', 'framework', SLUG, '--file', file);
  expect([refused.code, refused.stdout]).toEqual([1, '']);
  expect(refused.stderr).toContain('/body/rationale');
  const kept = await as('ada', 'propose', 'framework', SLUG, '--file', file, '--draft');
  expect(kept.code).toBe(0);
  expect(kept.stdout).toContain('warning: /body/rationale');
});
