import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROLES, type Role } from '../../src/domain/api-keys.ts';
import { fillLedger } from '../support/outlooks.ts';
import { startLedger, type TestLedger } from '../support/ledger.ts';
import { type DocumentedOperation, OPERATIONS, READS } from '../support/operations.ts';
import { send } from '../support/requests.ts';

let ledger: TestLedger;
let closed: TestLedger;
beforeAll(async () => {
  ledger = await startLedger();
  closed = await startLedger({ requireKeyForReads: true });
  for (const each of [ledger, closed]) await fillLedger(each);
});
afterAll(async () => {
  await ledger.close();
  await closed.close();
});

// The required role of each operation, by hand: the document says only that a key is needed.
const ROLE_OF: Record<string, Role | 'any'> = {
  getMe: 'any',
  getInbox: 'any',
  streamInboxEvents: 'any',
  getDeskPolicy: 'any',
  listViews: 'any',
  getView: 'any',
  getViewReceipt: 'any',
  listViewsOfAnalyst: 'any',
  createOutlook: 'analyst',
  reviseOutlook: 'analyst',
  reviseFramework: 'analyst',
  createInstrument: 'analyst',
  patchInstrument: 'analyst',
  addEvidence: 'analyst',
  assessCondition: 'analyst',
  resolveOutlook: 'analyst',
  withdrawOutlook: 'analyst',
  getOwnView: 'analyst',
  getOwnViewReceipt: 'analyst',
  holdView: 'analyst',
  withdrawView: 'analyst',
  publishConsensus: 'analyst',
  openProposal: 'analyst',
  listProposals: 'analyst',
  getProposal: 'analyst',
  editProposal: 'analyst',
  submitProposal: 'analyst',
  approveProposal: 'analyst',
  returnProposal: 'analyst',
  commentProposal: 'analyst',
  discardProposal: 'analyst',
  getOutlookDisclosure: 'analyst',
  discloseOutlook: 'analyst',
  getSeriesDisclosure: 'analyst',
  discloseSeries: 'analyst',
  createSeries: 'feed',
  recordObservations: 'feed',
  getSeriesSource: 'feed',
  setSeriesSource: 'feed',
  removeSeriesSource: 'feed',
  listAudit: 'admin',
  addDesk: 'admin',
  renameDesk: 'admin',
  setDeskPolicy: 'admin',
  changeAnalyst: 'admin',
  issueKey: 'admin',
  listKeys: 'admin',
  getKey: 'admin',
  revokeKey: 'admin',
  createWebhook: 'admin',
  listWebhooks: 'admin',
  getWebhook: 'admin',
  changeWebhook: 'admin',
  rotateWebhookSecret: 'admin',
  deleteWebhook: 'admin',
  listWebhookDeliveries: 'admin',
  testWebhook: 'admin',
};
const KEYED = OPERATIONS.filter(({ access }) => access === 'key');
const call = (at: TestLedger, { method, url }: DocumentedOperation, authorization?: string) =>
  at.call({ method, url, headers: authorization === undefined ? {} : { authorization } });

test('writes and the operations on keys need a key', () => {
  expect(KEYED.map(({ operationId }) => operationId).toSorted()).toEqual(
    Object.keys(ROLE_OF).toSorted(),
  );
});

describe.each(KEYED)('$method $path', (operation) => {
  const needed = ROLE_OF[operation.operationId];

  // A stream that lets a key in goes on until its client leaves.
  test.for(operation.isStream ? [] : ROLES)('under a key of the role %s', async (role) => {
    const answer = await ledger.call({ method: operation.method, url: operation.url, as: role });
    const allowed = role === needed || role === 'admin' || needed === 'any';
    // A proposal also refuses those who are not its author, with a problem of its own.
    expect(answer.body.includes('/problems/forbidden')).toBe(!allowed);
    expect(answer.statusCode).not.toBe(401);
    const hint = ledger.keys[role].slice(0, 8);
    const detail = `This requires a key with the role ${needed === 'admin' ? 'admin' : `${needed} or admin`}; ${hint}… has the role ${role}.`;
    expect(answer.body.includes(detail)).toBe(!allowed);
  });

  test('without a key is refused with the scheme to use', async () => {
    const answer = await call(ledger, operation);
    expect(answer.statusCode).toBe(401);
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="Outlook Ledger"');
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.json()).toMatchObject({
      type: '/problems/unauthorized',
      detail: 'No key was sent. Send it as Authorization: Bearer olk_….',
    });
  });
});

describe('a key is refused', () => {
  const MALFORMED = 'The Authorization header must be "Bearer", a space and a key (olk_…).';
  const key = `olk_${'a'.repeat(43)}`;
  test.for([
    ['unknown', `Bearer ${key}`, 'The key is unknown.'],
    ['of another scheme', `Basic ${key}`, MALFORMED],
    ['without a scheme', key, MALFORMED],
    ['without a key', 'Bearer', MALFORMED],
    ['of another form', 'Bearer sk_live_123', MALFORMED],
    ['with more behind it', `Bearer ${key} ${key}`, MALFORMED],
    ['in quotes', `Bearer "${key}"`, MALFORMED],
    ['longer than any', `Bearer olk_${'a'.repeat(201)}`, MALFORMED],
    ['empty', '', MALFORMED],
  ] as const)('that is %s', async ([, authorization, detail]) => {
    for (const operation of KEYED) {
      const answer = await call(ledger, operation, authorization);
      expect(answer.statusCode).toBe(401);
      expect(answer.json()).toMatchObject({ detail });
    }
  });

  test('from the instant at which it expires', async () => {
    const expiresAt = '2026-11-20T17:00:00.000Z';
    const issued = await send(
      ...([ledger, 'POST', '/v1/keys', { name: 'D', role: 'admin', expiresAt }] as const),
      { as: 'admin' },
    );
    const { key } = issued.json<{ key: string }>();
    const statusAt = async (moment: string) => {
      ledger.clock.now = new Date(moment);
      return ledger.call({ url: '/v1/keys', headers: { authorization: `Bearer ${key}` } });
    };
    expect((await statusAt('2026-11-20T16:59:59.999Z')).statusCode).toBe(200);
    const refused = await statusAt(expiresAt);
    expect(refused.statusCode).toBe(401);
    expect(refused.json()).toMatchObject({
      detail: `The key ${key.slice(0, 8)}… expired at ${expiresAt}.`,
    });
  });

  test('before its body is read', async () => {
    for (const { method, url } of KEYED.filter((one) => one.method !== 'GET')) {
      const headers = { 'content-type': 'application/json' };
      for (const payload of ['{', '', 'x'.repeat(2_000_000)]) {
        const answer = await ledger.call({ method, url, headers, payload });
        expect(answer.statusCode).toBe(401);
      }
    }
  });
});

test.for(['bearer', 'BEARER', 'Bearer ', 'Bearer   '])(
  'the scheme may be written %j',
  async (scheme) => {
    const authorization = `${scheme} ${ledger.keys.admin}  `;
    const answer = await ledger.call({ url: '/v1/keys', headers: { authorization } });
    expect(answer.statusCode).toBe(200);
  },
);

describe('reads', () => {
  const open = READS.filter(({ access }) => access === 'read');

  test.for(open)('of $path need no key, but refuse a wrong one', async (operation) => {
    // The sample has too few views for the public consensus.
    const status = operation.operationId === 'getConsensus' ? 404 : 200;
    expect((await call(ledger, operation)).statusCode).toBe(status);
    expect((await call(ledger, operation, 'Bearer nonsense')).statusCode).toBe(status);
    expect((await call(ledger, operation, `Bearer olk_${'a'.repeat(43)}`)).statusCode).toBe(401);
  });

  test.for(open)(
    'of $path need a key of any role if the service requires one',
    async (operation) => {
      expect((await call(closed, operation)).statusCode).toBe(401);
      expect((await call(closed, operation, 'Bearer nonsense')).statusCode).toBe(401);
      for (const role of ROLES) {
        expect((await closed.call({ url: operation.url, as: role })).statusCode).toBe(200);
      }
    },
  );

  test('of a missing outlook reveal nothing without a key', async () => {
    for (const url of ['/v1/outlooks/nowhere', '/v1/outlooks?nonsense=1', '/v1/instruments/NONE']) {
      expect((await closed.call({ url })).statusCode).toBe(401);
    }
  });

  test.for(READS.filter(({ access }) => access === 'public'))(
    'of $path never need a key',
    async (operation) => {
      expect((await call(closed, operation)).statusCode).toBe(200);
    },
  );
});
