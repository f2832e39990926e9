import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SAMPLE_OUTLOOK } from '../../../src/http/openapi/examples.ts';
import { PROPOSAL_EXAMPLES } from '../../../src/http/openapi/proposal-examples.ts';
import { startLedger, type TestLedger } from '../../support/ledger.ts';
import { componentOf, DOCUMENT } from '../../support/openapi.ts';

let ledger: TestLedger;
beforeAll(async () => {
  ledger = await startLedger({ requireKeyForReads: true });
});
afterAll(() => ledger.close());

type Operation = {
  operationId: string;
  tags: string[];
  summary: string;
  description: string;
  requestBody?: { content: Record<string, { examples: Record<string, { value: unknown }> }> };
  parameters?: Parameter[];
  responses: Record<string, Described>;
};
type Described = { description: string; $ref?: string };
type Parameter = {
  name: string;
  description: string;
  $ref?: string;
  example?: string | number;
  schema: Record<string, unknown>;
};
const document = DOCUMENT as unknown as {
  tags: { name: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, Record<string, unknown>>;
    parameters: Record<string, Parameter>;
    responses: Record<string, Described>;
  };
};
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item).map(
    ([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const,
  ),
);

test('the committed document equals the served one, which is public', async () => {
  await ledger.app.ready();
  expect(ledger.app.swagger()).toEqual(DOCUMENT);
  const served = await ledger.call({ url: '/openapi.json' });
  expect(served.json()).toEqual(DOCUMENT);
  expect(served.headers['content-type']).toBe('application/json; charset=utf-8');
  expect(served.headers['cache-control']).toBe('public, no-cache');
  const again = { 'if-none-match': String(served.headers.etag) };
  expect((await ledger.call({ url: '/openapi.json', headers: again })).statusCode).toBe(304);
});

describe('the document', () => {
  test.for(operations)(
    '%s has an id, one known tag, a summary and a description',
    ([, operation]) => {
      expect(operation.operationId).toMatch(/^[a-z][A-Za-z]+$/);
      expect(document.tags.map(({ name }) => name)).toContain(operation.tags[0]);
      expect(operation.tags).toHaveLength(1);
      expect(operation.summary).toMatch(/^\S.+$/);
      expect(operation.description).toMatch(/^\S/);
      for (const response of Object.values(operation.responses)) {
        expect(componentOf(response, document.components.responses)?.description).toMatch(/^\S/);
      }
    },
  );

  test.for(operations)('%s describes its parameters, each with an example', ([, operation]) => {
    for (const parameter of operation.parameters ?? []) {
      const { name, description, ...rest } =
        componentOf(parameter, document.components.parameters) ?? parameter;
      const { enum: values, default: initial, type, examples } = rest.schema;
      const isShown = [rest.example, rest.schema['example'], values, initial, examples].some(
        (value) => value !== undefined,
      );
      expect([name, description]).toEqual([name, expect.stringMatching(/^\S/)]);
      expect([name, isShown || type === 'boolean']).toEqual([name, true]);
    }
  });

  test('says what a server sends and takes, as the service does', () => {
    const { IdempotencyKey } = document.components.parameters;
    const isKey = new RegExp(String(IdempotencyKey?.schema['pattern']));
    expect(['"a"', 'a', '"a b"', 'a b', '""', ''].map((key) => isKey.test(key))).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
    const { servers } = document as unknown as { servers: { url: string }[] };
    expect(servers.map(({ url }) => url)).toEqual(['http://127.0.0.1:3000', '/']);
  });

  test('names each operation once', () => {
    const ids = operations.map(([, { operationId }]) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('has one component for each concept, each described', () => {
    const { schemas } = document.components;
    for (const [name, schema] of Object.entries(schemas)) {
      expect([name, typeof schema['description']]).toEqual([name, 'string']);
    }
  });

  test('has no missing and no unused components', () => {
    const text = JSON.stringify(document);
    const referred = [...text.matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)];
    expect([...new Set(referred.map(([, name]) => String(name)))].toSorted()).toEqual(
      Object.keys(document.components.schemas).toSorted(),
    );
  });

  test('allows additional members in responses, and none in requests', () => {
    const { schemas } = document.components;
    const closedTo = (name: string) => schemas[name]?.['additionalProperties'];
    for (const name of ['Outlook', 'OutlookSummary', 'Problem', 'Key', 'Scenario']) {
      expect([name, closedTo(name)]).toEqual([name, undefined]);
    }
    for (const name of [
      'OutlookInput',
      'RevisionInput',
      'FrameworkPatch',
      'KeyInput',
      'ScenarioInput',
    ]) {
      expect([name, closedTo(name)]).toEqual([name, false]);
    }
  });
});

test('each example of a body gets its documented response, in the order of a tour', async () => {
  const own = await startLedger();
  const firm = await startLedger();
  const urls: Record<string, string> = {
    createInstrument: '/v1/instruments',
    createOutlook: '/v1/outlooks',
    issueKey: '/v1/keys',
    createWebhook: '/v1/webhooks',
    reviseOutlook: '/v1/outlooks/russell-2000-downside/revisions',
    reviseFramework: '/v1/outlooks/russell-2000-downside/framework',
    addEvidence: '/v1/outlooks/russell-2000-downside/evidence',
    assessCondition:
      '/v1/outlooks/russell-2000-downside/conditions/orders-and-spending/assessments',
    createSeries: '/v1/series',
    setSeriesSource: '/v1/series/us-30y-yield/source',
    recordObservations: '/v1/series/rut-close/observations',
    patchInstrument: '/v1/instruments/RUT',
    holdView: '/v1/outlooks/russell-2000-downside/views/me',
    publishConsensus: '/v1/outlooks/russell-2000-downside/consensus',
    resolveOutlook: '/v1/outlooks/russell-2000-downside-second-desk/resolution',
    withdrawOutlook: '/v1/outlooks/russell-2000-downside-second-desk/withdrawal',
  };
  const ofFirm = await startFirm(firm);
  const methods: Record<string, 'PATCH' | 'PUT'> = {
    reviseFramework: 'PATCH',
    changeAnalyst: 'PATCH',
    renameDesk: 'PATCH',
    setDeskPolicy: 'PUT',
    editProposal: 'PUT',
    changeWebhook: 'PATCH',
    patchInstrument: 'PATCH',
    holdView: 'PUT',
    setSeriesSource: 'PUT',
  };
  own.clock.now = new Date('2026-11-23T12:00:00.000Z');
  const answered: Record<string, number> = {};
  for (const [, { operationId, requestBody }] of operations) {
    for (const [type, { examples }] of Object.entries(requestBody?.content ?? {})) {
      for (const [name, { value }] of Object.entries(examples)) {
        const url = ofFirm[operationId];
        const answer = await (url === undefined ? own : firm).call({
          method: methods[operationId] ?? 'POST',
          // Nobody approves or returns a proposal of their own.
          as: /^(approve|return)Proposal$/.test(operationId) ? 'analyst' : 'admin',
          url: url ?? String(urls[operationId]),
          payload: typeof value === 'string' ? value : JSON.stringify(value),
          headers: { 'content-type': type },
        });
        answered[`${operationId} ${name}`] = answer.statusCode;
        if (operationId === 'createWebhook')
          urls['changeWebhook'] = String(answer.headers.location);
      }
    }
  }
  expect(answered).toEqual({
    'addDesk rates': 201,
    'renameDesk rates': 200,
    'setDeskPolicy fourEyes': 200,
    'changeAnalyst rename': 200,
    'changeAnalyst deactivate': 200,
    'openProposal revision': 201,
    'openProposal withdrawal': 201,
    'editProposal draft': 200,
    'submitProposal submission': 200,
    'approveProposal approval': 200,
    'returnProposal words': 200,
    'commentProposal comment': 200,
    'discloseOutlook disclosure': 409,
    'discloseSeries disclosure': 409,
    'addEvidence brief': 201,
    'addEvidence news': 201,
    'assessCondition triggered': 201,
    'createSeries yield': 201,
    'holdView view': 201,
    'publishConsensus linear': 201,
    'resolveOutlook closes': 422,
    'resolveOutlook corrected': 201,
    'resolveOutlook early': 201,
    'withdrawOutlook withdrawal': 201,
    'patchInstrument closes': 200,
    'setSeriesSource fred': 201,
    'setSeriesSource url': 200,
    'recordObservations closes': 200,
    'recordObservations csv': 200,
    'createInstrument instrument': 201,
    'createOutlook clone': 201,
    'createOutlook rollover': 201,
    'createOutlook russell2000': 201,
    'changeWebhook enable': 200,
    'changeWebhook kinds': 200,
    'createWebhook all': 201,
    'createWebhook versions': 201,
    'issueKey analyst': 201,
    'reviseFramework withProbabilities': 201,
    'reviseFramework wording': 201,
    'reviseOutlook reaffirmation': 201,
    'reviseOutlook refusedSum': 422,
    'reviseOutlook revision': 201,
  });
  await own.close();
  await firm.close();
});

/**
 * What a second desk, a policy and proposals need: analysts to approve, three proposals for the sample and something internal.
 * From the second desk on, what is new has to name its own, so a ledger has either these or the other examples.
 * @returns the URLs of the operations
 */
async function startFirm(firm: TestLedger): Promise<Record<string, string>> {
  firm.clock.now = new Date('2026-11-23T12:00:00.000Z');
  const add = async (url: string, body: object) => {
    const added = await firm.call({ method: 'POST', url, as: 'admin', payload: body });
    expect(added.statusCode, added.body).toBe(201);
    return added.json<{ id: string; analystId: string }>();
  };
  const [leaver] = [
    await add('/v1/keys', { name: 'Ada', role: 'analyst' }),
    await add('/v1/keys', { name: 'Ben', role: 'analyst' }),
    await add('/v1/keys', { name: 'Cleo', role: 'analyst' }),
  ];
  const { openProposal } = PROPOSAL_EXAMPLES;
  const [edited, approved, returned] = [
    await add('/v1/proposals', openProposal.revision.value),
    await add('/v1/proposals', openProposal.withdrawal.value),
    await add('/v1/proposals', openProposal.withdrawal.value),
  ].map(({ id }) => `/v1/proposals/${id}`);
  const visibility = 'internal';
  await add('/v1/outlooks', { ...SAMPLE_OUTLOOK, slug: 'internal-case', visibility });
  const series = { key: 'survey', name: 'Survey', unit: 'index', frequency: 'monthly' };
  await add('/v1/series', { ...series, source: 'The desk', visibility });
  return {
    addDesk: '/v1/desks',
    renameDesk: '/v1/desks/rates',
    setDeskPolicy: '/v1/desks/main/policy',
    changeAnalyst: `/v1/analysts/${leaver.analystId}`,
    openProposal: '/v1/proposals',
    editProposal: `${edited}/draft`,
    submitProposal: `${edited}/submission`,
    approveProposal: `${approved}/approvals`,
    returnProposal: `${returned}/return`,
    commentProposal: `${edited}/comments`,
    discloseOutlook: '/v1/outlooks/internal-case/disclosure',
    discloseSeries: '/v1/series/survey/disclosure',
  };
}
