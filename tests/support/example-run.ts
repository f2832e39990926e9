import { expect, vi } from 'vitest';
import { SLUG, type TestLedger } from './ledger.ts';
import { growLog, newSigner, ORIGIN, signLog } from './sign-log.ts';
import { Receiver } from './receiver.ts';
import { type Recorded, Recorder } from './recorder.ts';

const CSV = '?format=csv&limit=2';

/**
 * Uses each operation of the API once, and returns what the service answered: the examples of the OpenAPI document. A new
 * operation gets a line here; `record` fills in the sample's names and the example of the body.
 */
export async function recordExamples(ledger: TestLedger): Promise<Recorded> {
  ledger.clock.now = new Date('2026-11-23T12:00:00.000Z');
  await ledger.app.ready();
  const recorder = new Recorder(ledger);
  await recorder.recordRefusals();
  await useService(recorder);
  await useDesks(recorder);
  await useSeries(recorder);
  const evidence = await useOutlook(recorder);
  await useViews(recorder);
  await useConditions(recorder);
  await recorder.record('getInbox', { as: 'analyst' });
  await readOutlook(recorder, evidence);
  await useAnalysts(recorder);
  await useKeys(recorder);
  await useProposals(recorder);
  await addDesk(recorder);
  await disclose(recorder, ledger);
  await readReceipts(recorder, ledger, evidence);
  // While the service listens, it delivers to webhooks, and asks sources whenever their time has come.
  const origin = await ledger.app.listen({ port: 0, host: '127.0.0.1' });
  await useWebhooks(recorder, ledger);
  await readStreams(recorder, origin, ledger);
  await resolve(recorder, ledger);
  await exportLedger(recorder, ledger);
  return recorder.recorded;
}

type Run = Recorder;

async function useService(run: Run): Promise<void> {
  await run.record('getHealth');
  await run.record('getReadiness');
  await run.record('listProblemTypes');
  await run.record('getProblemType', { path: { code: 'probability-sum' } });
}

/** Notes a few lines of an export: the first, an outlook and the last. */
async function exportLedger(run: Run, { call }: TestLedger): Promise<void> {
  const lines = (await call({ url: '/v1/export' })).body.trimEnd().split('\n');
  const some = [...lines.slice(0, 2), lines.at(-1) ?? ''];
  run.note('exportLedger', '200 application/x-ndjson', some.map((line) => `${line}\n`).join(''));
}

async function useDesks(run: Run): Promise<void> {
  await run.record('listDesks', { query: CSV });
  await run.record('listDesks');
  await run.record('getDesk', { path: { desk: 'main' } });
}

/** After what names no desk: from the second desk on, it has to. */
async function addDesk(run: Run): Promise<void> {
  await run.record('addDesk');
  await run.record('renameDesk', { path: { desk: 'rates' } });
}

/** An outlook and a series of which the sample's names say nothing. */
async function disclose(run: Run, { call }: TestLedger): Promise<void> {
  const internal = { desk: 'rates', visibility: 'internal' };
  const add = (url: string, payload: object) => call({ method: 'POST', url, as: 'admin', payload });
  const series = {
    key: 'funding-survey',
    name: 'Funding survey',
    unit: 'index',
    frequency: 'monthly',
    source: 'The desk',
  };
  await add('/v1/series', { ...series, ...internal });
  const from = { slug: SLUG };
  await add('/v1/outlooks', {
    from,
    slug: 'funding-squeeze',
    rationale: 'A first draft.',
    ...internal,
  });
  const inSeries = { path: { key: 'funding-survey' } };
  const { confirm: ofSeries } = await run.record('getSeriesDisclosure', inSeries);
  await run.record('discloseSeries', { ...inSeries, body: { confirm: ofSeries } });
  const inOutlook = { path: { slug: 'funding-squeeze' } };
  const { confirm } = await run.record('getOutlookDisclosure', inOutlook);
  await run.record('discloseOutlook', { ...inOutlook, body: { confirm } });
}

async function useSeries(run: Run): Promise<void> {
  await run.record('createInstrument');
  await run.record('listInstruments', { query: CSV });
  await run.record('listInstruments');
  await run.record('createSeries');
  await run.record('listSeries', { query: CSV });
  await run.record('listSeries');
  await run.record('getSeries', { path: { key: 'rut-close' } });
  await run.record('patchInstrument');
  await run.record('getInstrument');
  await run.record('recordObservations', { path: { key: 'rut-close' }, as: 'feed' });
  const yields = { path: { key: 'us-30y-yield' }, as: 'feed', type: 'text/csv' } as const;
  const body = 'date,value\n2026-11-16,4.71\n2026-11-17,4.6\n2026-11-18,4.5\n';
  await run.record('recordObservations', { ...yields, body });
  await run.record('listObservations', { path: { key: 'us-30y-yield' }, query: CSV });
  await run.record('listObservations', { path: { key: 'us-30y-yield' } });
  const path = { key: 'us-10y-yield' };
  await run.record('setSeriesSource', { path, body: 'fred' });
  await run.record('setSeriesSource', {
    path,
    body: { kind: 'fred', id: 'DGS10', everyMinutes: 720 },
  });
  await run.record('getSeriesSource', { path });
}

/** @returns the id of an item of evidence */
async function useOutlook(run: Run): Promise<string> {
  const body = {
    headline: 'Retail sales rose more than expected',
    summary: 'Demand at home held up in the month.',
    publisher: 'A newspaper',
    url: 'https://news.example/retail-sales',
    publishedAt: '2026-11-17T13:30:00Z',
  };
  await run.record('addEvidence', { body, query: '?import=true' });
  await run.record('addEvidence', { body, query: '?import=true' });
  const { id } = await run.record('addEvidence');
  await run.record('reviseOutlook', { body: 'refusedSum', isRefused: true });
  await run.record('reviseOutlook', {
    body: {
      probabilities: { bear: 0.35, base: 0.4, bull: 0.25 },
      rationale:
        'Long-term Treasury yields jumped; financing pressure on small caps rises with them.',
      evidence: [id],
    },
  });
  await run.record('reviseFramework');
  await run.record('createOutlook');
  return String(id);
}

/** Views of one analyst: lists of several are in the order of their ids, which are random. */
async function useViews(run: Run): Promise<void> {
  const { analyst } = await run.record('holdView', { as: 'analyst' });
  await run.record('holdView', {
    as: 'analyst',
    body: { probabilities: { bear: 0.38, base: 0.4, bull: 0.22 }, rationale: 'Spreads came in.' },
  });
  await run.record('getOwnView', { as: 'analyst' });
  await run.record('listViews', { query: CSV });
  await run.record('listViews');
  const path = { analyst: (analyst as { id: string }).id };
  await run.record('getView', { path, query: CSV });
  await run.record('getView', { path });
  await run.record('getConsensus');
  await run.record('publishConsensus');
  await run.record('withdrawView', { as: 'analyst' });
}

async function useConditions(run: Run): Promise<void> {
  const falling = 'date,value\n2026-11-18,4.21\n2026-11-19,4.2\n2026-11-20,4.16\n';
  const yields = { path: { key: 'us-30y-yield' }, as: 'feed', type: 'text/csv' } as const;
  await run.record('recordObservations', { ...yields, body: falling });
  await run.record('assessCondition', { path: { key: 'orders-and-spending' } });
  await run.record('listConditions', { query: '?format=csv' });
  await run.record('listConditions');
  await run.record('getCondition', { path: { key: 'rate-relief' } });
}

async function readOutlook(run: Run, evidence: string): Promise<void> {
  await run.record('getOutlook', { accept: 'text/markdown' });
  await run.record('getOutlook');
  await run.record('getOutlooks', { query: '?slugs=russell-2000-downside,no-such-outlook' });
  await run.record('listOutlooks', { query: CSV });
  await run.record('listOutlooks');
  await run.record('listVersions', { query: CSV });
  await run.record('listVersions');
  await run.record('getVersion', { accept: 'text/markdown' });
  await run.record('getVersion');
  await run.record('getDiff', { path: { version: '2' } });
  await run.record('getProbabilities', { query: '?format=csv' });
  await run.record('getProbabilities');
  await run.record('listEvidence', { query: CSV });
  await run.record('listEvidence');
  await run.record('getEvidence', { path: { id: evidence } });
  await run.record('getDrawdown');
  await run.record('getClimatology');
  await run.record('getExpectedOutcome');
  for (const operation of ['getAtomFeed', 'getOutlookAtomFeed']) {
    await run.record(operation);
    await run.record(operation, { accept: 'application/xml' });
  }
  for (const operation of ['getJsonFeed', 'getOutlookJsonFeed']) {
    await run.record(operation);
    await run.record(operation, { accept: 'application/json' });
  }
}

/** Receipts need a signed log: it is signed here as by the instance that holds its key. */
async function readReceipts(
  run: Run,
  { pool, clock }: TestLedger,
  evidence: string,
): Promise<void> {
  await growLog(pool, ORIGIN, clock.now);
  await signLog(pool, newSigner());
  await run.record('getLog');
  await run.record('getLogTile', { path: { generation: '1', level: '0', tile: '000.p/5' } });
  await run.record('getLogEntries', { path: { generation: '1', tile: '000.p/5' } });
  await run.record('getCheckpoint', { path: { generation: '1' } });
  await run.record('getVersionReceipt', { path: { version: '2' } });
  await run.record('getEvidenceReceipt', { path: { id: evidence } });
  const { subject } = await run.record('getOwnViewReceipt', { as: 'analyst' });
  const analyst = String(subject).split('/').at(-1) ?? '';
  await run.record('getViewReceipt', { path: { analyst } });
}

async function useAnalysts(run: Run): Promise<void> {
  const me = await run.record('getMe', { as: 'analyst' });
  const analyst = (me['analyst'] ?? me) as { id: string };
  const path = { id: analyst.id };
  await run.record('listAnalysts', { query: CSV });
  await run.record('listAnalysts');
  await run.record('getAnalyst', { path });
  await run.record('listOutlooksOfAnalyst', { path, query: CSV });
  await run.record('listOutlooksOfAnalyst', { path });
  await run.record('listViewsOfAnalyst', { path, query: CSV });
  await run.record('listViewsOfAnalyst', { path });
  const { name } = await run.record('getAnalyst', { path });
  await run.record('changeAnalyst', { path, body: 'rename' });
  await run.record('changeAnalyst', { path, body: { name } });
}

/** Proposes as the analyst, approves as the admin. */
async function useProposals(run: Run): Promise<void> {
  const path = { desk: 'main' };
  await run.record('getDeskPolicy', { path });
  const one = { outlook: 0, revision: 0, framework: 0, resolution: 0, withdrawal: 0, consensus: 1 };
  await run.record('setDeskPolicy', { path, body: { approvals: one, authorMayResolve: true } });
  const { id } = await run.record('openProposal', { as: 'analyst' });
  const of = { path: { id: String(id) }, as: 'analyst' } as const;
  await run.record('editProposal', of);
  await run.record('commentProposal', of);
  await run.record('submitProposal', of);
  await run.record('returnProposal', { path: of.path, body: { draft: 2, reason: 'Say more.' } });
  await run.record('submitProposal', of);
  await run.record('approveProposal', { path: of.path, body: { draft: 2 } });
  await run.record('listProposals', { ...of, query: CSV });
  await run.record('listProposals', of);
  await run.record('getProposal', of);
  await run.record('discardProposal', of);
  await useDirectRequests(run);
  const none = { ...one, consensus: 0 };
  await run.record('setDeskPolicy', { path, body: { approvals: none, authorMayResolve: true } });
}

/** Direct requests of a desk whose policy asks for approval: each becomes a proposal. */
async function useDirectRequests(run: Run): Promise<void> {
  const all = { outlook: 1, revision: 1, framework: 1, resolution: 1, withdrawal: 1, consensus: 1 };
  const policy = { approvals: all, authorMayResolve: true };
  await run.record('setDeskPolicy', { path: { desk: 'main' }, body: policy });
  const of = { as: 'analyst' } as const;
  await run.record('createOutlook', { ...of, body: 'clone' });
  await run.record('reviseOutlook', { ...of, body: 'reaffirmation' });
  const acknowledges = ['rate-relief', 'orders-and-spending'].map((condition) => ({
    condition,
    reason: 'It will not last.',
  }));
  const words = { disclaimer: 'No advice.', rationale: 'Lawyers asked for it.', acknowledges };
  await run.record('reviseFramework', { ...of, body: words });
  await run.record('holdView', of);
  await run.record('publishConsensus', {
    ...of,
    body: { rationale: 'The desk agrees.', acknowledges },
  });
  await run.record('withdrawView', of);
  await run.record('withdrawOutlook', of);
  await run.record('resolveOutlook', { ...of, body: 'early' });
}

async function useKeys(run: Run): Promise<void> {
  // The keys of the test are of the same time, so the list would begin with any of them.
  await run.record('issueKey', { body: { name: 'Rates desk', role: 'feed', expiresAt: null } });
  const { id } = await run.record('issueKey');
  const path = { id: String(id) };
  await run.record('listKeys', { query: CSV });
  await run.record('listKeys');
  await run.record('getKey', { path });
  await run.record('revokeKey', { path });
  await run.record('listAudit', { query: CSV });
  await run.record('listAudit');
}

async function useWebhooks(run: Run, { pool }: TestLedger): Promise<void> {
  const receiver = await new Receiver().open();
  const url = receiver.url;
  const { id } = await run.record('createWebhook', { body: { url } });
  const path = { id: String(id) };
  await run.record('testWebhook', { path });
  await run.record('changeWebhook', { path, body: 'enable' });
  await run.record('reviseOutlook', { body: 'reaffirmation' });
  const delivered = async () => {
    const { rows } = await pool.query(
      'select from webhook_deliveries where delivered_at is not null',
    );
    expect(rows).toHaveLength(2);
  };
  await vi.waitFor(delivered, { timeout: 60_000, interval: 100 });
  await run.record('listWebhookDeliveries', { path, query: CSV });
  await run.record('listWebhookDeliveries', { path });
  await run.record('rotateWebhookSecret', { path });
  await run.record('listWebhooks', { query: CSV });
  await run.record('listWebhooks');
  await run.record('getWebhook', { path });
  await run.record('deleteWebhook', { path });
  await receiver.kill();
}

/** How each stream begins that goes on after the first event of the ledger: `stream.opened`, and the second event. */
async function readStreams(run: Run, origin: string, { keys }: TestLedger): Promise<void> {
  for (const [operation, path] of [
    ['streamEvents', '/v1/events'],
    ['streamOutlookEvents', '/v1/outlooks/russell-2000-downside/events'],
    ['streamInboxEvents', '/v1/inbox/events'],
  ] as const) {
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)]);
    const headers = { authorization: `Bearer ${keys.admin}` };
    const response = await fetch(`${origin}${path}?lastEventId=1`, { headers, signal });
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString();
      if (text.split('\n\n').length > 2) break;
    }
    stop.abort();
    const [opened, next] = text.split('\n\n');
    run.note(operation, '200 text/event-stream', `${opened}\n\n${next}\n\n`);
  }
}

async function resolve(run: Run, { pool }: TestLedger): Promise<void> {
  await run.record('resolveOutlook', { body: 'early' });
  await run.record('getResolution');
  await growLog(pool);
  await signLog(pool, newSigner());
  await run.record('getResolutionReceipt');
  await run.record('getScores');
  await run.record('getTrackRecord');
  await run.record('getInstrumentTrackRecord');
  const { author } = await run.record('getOutlook');
  const path = { id: (author as { id: string }).id };
  await run.record('getAnalystTrackRecord', { path });
  await run.record('withdrawOutlook', { path: { slug: 'russell-2000-downside-second-desk' } });
}
