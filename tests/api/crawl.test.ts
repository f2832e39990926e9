import type { LightMyRequestResponse } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EventClient } from '../support/event-client.ts';
import {
  addDesk,
  fillInternally,
  INTERNAL,
  keyFor,
  MARKER,
  type Writer,
  writerWith,
} from '../support/internal-world.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { ANALYST_ID, EVIDENCE_ID, WEBHOOK_ID } from '../support/operations.ts';
import { distinctRevision, fillLedger } from '../support/outlooks.ts';
import { MERGE_PATCH, outlookBody } from '../support/requests.ts';

// Reads whatever a caller can read who may not see the internal outlooks and series of the desk `credit`: before there are
// any, and after. Nothing changes, and no word of them shows.

/** What a URL may name: something public, something internal, or nothing. */
type Names = { slug: string; key: string; condition: string; evidence: string; analyst: string };

const PUBLIC: Names = {
  slug: SLUG,
  key: 'us-30y-yield',
  condition: 'rate-relief',
  evidence: EVIDENCE_ID,
  analyst: ANALYST_ID,
};
// As long as the internal names, so that lengths are the same, too.
const UNKNOWN: Names = {
  slug: 'nonexisting-thing',
  key: 'nonexisting-stuff',
  condition: 'nonexisting-state',
  evidence: '00000000-0000-4000-8000-0000000fffff',
  analyst: '00000000-0000-4000-8000-0000000ffffe',
};

/** The URLs of an operation, for what they name. */
type Crawl = (names: Names) => string[];

const OF_OUTLOOK =
  (path: string, ...queries: string[]): Crawl =>
  ({ slug }) =>
    ['', ...queries].map((query) => `/v1/outlooks/${slug}${path}${query}`);
const nothing: Crawl = () => [];
const LISTED = ['?limit=1', '?format=csv'];
const listed =
  (path: string): Crawl =>
  () =>
    ['', ...LISTED].map((query) => path + query);
const RECORD = [
  '',
  '?reference=climatology',
  '?asOf=2026-11-20T16:00:00Z',
  '?from=2026-01-01',
  '?instrument=RUT',
];

/** Each read of the API: a new one has to be here. */
const READS: Record<string, Crawl> = {
  getOutlook: OF_OUTLOOK('', '?asOf=2026-11-20T16:00:00Z', '?minVersion=1', '?format=markdown'),
  listOutlooks: ({ slug, analyst }) =>
    [
      '',
      ...LISTED,
      ...['slug', 'publishedAt', '-publishedAt'].map((sort) => `?sort=${sort}&limit=100`),
      ...[
        MARKER,
        'xylo*',
        `-${MARKER}`,
        `"${MARKER} a"`,
        `${MARKER} or small`,
        slug,
        'small',
        '-small',
      ].flatMap((q) =>
        ['relevance', 'slug'].map((sort) => `?q=${encodeURIComponent(q)}&sort=${sort}`),
      ),
      `?author=${analyst}`,
      `?author=${encodeURIComponent('analyst of credit')}`,
      '?status=open',
      '?status=resolved',
      '?reviewDue=true',
      '?reviewDue=false',
      '?awaitingResolution=true',
      '?contradicted=false',
      '?scenario=bear&minProbability=0.1',
      '?updatedSince=2026-11-01T00:00:00Z',
      '?horizonEndsAfter=2026-01-01',
      '?outcome=bear',
      '?instrument=RUT',
      '?asOf=2026-11-20T16:00:00Z',
      '?asOf=2026-11-20T16:00:00Z&sort=slug&status=open',
    ].map((query) => `/v1/outlooks${query}`),
  getOutlooks: ({ slug }) => [`/v1/batch/outlooks?slugs=${SLUG},${slug}`],
  listVersions: OF_OUTLOOK('/versions', ...LISTED),
  getVersion: OF_OUTLOOK('/versions/1', '?format=markdown'),
  getDiff: OF_OUTLOOK('/versions/2/diff?against=1'),
  getProbabilities: OF_OUTLOOK('/probabilities', '?format=csv'),
  getChart: ({ slug }) =>
    ['', '?kind=history', '?kind=drawdown', '?kind=calibration', '?version=1'].map(
      (query) => `/v1/outlooks/${slug}/chart.svg${query}`,
    ),
  listEvidence: OF_OUTLOOK('/evidence', ...LISTED),
  getEvidence: ({ slug, evidence }) => [
    `/v1/outlooks/${slug}/evidence/${evidence}`,
    `/v1/outlooks/${SLUG}/evidence/${evidence}`,
  ],
  listViews: OF_OUTLOOK('/views'),
  getOwnView: OF_OUTLOOK('/views/me'),
  getView: ({ slug, analyst }) => [`/v1/outlooks/${slug}/views/${analyst}`],
  listAnalysts: listed('/v1/analysts'),
  getAnalyst: ({ analyst }) => [`/v1/analysts/${analyst}`],
  listOutlooksOfAnalyst: ({ analyst }) => LISTED.map((q) => `/v1/analysts/${analyst}/outlooks${q}`),
  listViewsOfAnalyst: ({ analyst }) => [`/v1/analysts/${analyst}/views`],
  getConsensus: OF_OUTLOOK('/consensus', '?weights=skill'),
  listConditions: OF_OUTLOOK('/conditions', '?format=csv'),
  getCondition: ({ slug, condition }) => [
    `/v1/outlooks/${slug}/conditions/${condition}`,
    `/v1/outlooks/${SLUG}/conditions/${condition}`,
  ],
  getDrawdown: OF_OUTLOOK('/drawdown'),
  getClimatology: OF_OUTLOOK('/climatology'),
  getResolution: OF_OUTLOOK('/resolution'),
  getVersionReceipt: OF_OUTLOOK('/versions/1/receipt'),
  getResolutionReceipt: OF_OUTLOOK('/resolution/receipt'),
  getEvidenceReceipt: ({ slug, evidence }) => [`/v1/outlooks/${slug}/evidence/${evidence}/receipt`],
  getViewReceipt: ({ slug, analyst }) => [`/v1/outlooks/${slug}/views/${analyst}/receipt`],
  getOwnViewReceipt: OF_OUTLOOK('/views/me/receipt'),
  getExpectedOutcome: OF_OUTLOOK('/expected-outcome'),
  getScores: OF_OUTLOOK('/scores'),
  getTrackRecord: () => RECORD.map((query) => `/v1/track-record${query}`),
  getInstrumentTrackRecord: () =>
    RECORD.slice(0, 4).map((q) => `/v1/instruments/RUT/track-record${q}`),
  getAnalystTrackRecord: ({ analyst }) =>
    RECORD.map((q) => `/v1/analysts/${analyst}/track-record${q}`),
  streamEvents: nothing, // below, because its response does not end
  streamOutlookEvents: nothing,
  getAtomFeed: () => ['/v1/feed.atom'],
  getOutlookAtomFeed: OF_OUTLOOK('/feed.atom'),
  getJsonFeed: () => ['/v1/feed.json'],
  getOutlookJsonFeed: OF_OUTLOOK('/feed.json'),
  listInstruments: listed('/v1/instruments'),
  getInstrument: () => ['/v1/instruments/RUT'],
  listSeries: listed('/v1/series'),
  getSeries: ({ key }) => [`/v1/series/${key}`],
  listObservations: ({ key }) =>
    ['', '?vintages=all', '?asOf=2026-11-20T16:00:00Z', '?format=csv'].map(
      (query) => `/v1/series/${key}/observations${query}`,
    ),
  exportLedger: () => ['/v1/export'],
  getSeriesSource: ({ key }) => [`/v1/series/${key}/source`],
  listKeys: listed('/v1/keys'),
  getKey: ({ evidence }) => [`/v1/keys/${evidence}`],
  getMe: () => ['/v1/me'],
  listWebhooks: listed('/v1/webhooks'),
  getWebhook: () => [`/v1/webhooks/${WEBHOOK_ID}`],
  listWebhookDeliveries: () => [`/v1/webhooks/${WEBHOOK_ID}/deliveries`],
  listAudit: ({ slug }) => ['/v1/audit', `/v1/audit?subject=/v1/outlooks/${slug}`],
  listProblemTypes: () => ['/problems'],
  getProblemType: () => ['/problems/not-found'],
  getLog: () => ['/v1/log'],
  getCheckpoint: () => ['/log/1/checkpoint'],
  getLogTile: () => ['/log/1/tile/0/000.p/1'],
  getLogEntries: () => ['/log/1/tile/entries/000.p/1'],
  getHealth: () => ['/healthz'],
  getReadiness: () => ['/readyz'],
  listDesks: listed('/v1/desks'),
  getDesk: () => ['/v1/desks/credit'],
  listProposals: ({ slug }) => ['/v1/proposals', `/v1/proposals?outlook=${slug}`],
  getProposal: ({ evidence }) => [`/v1/proposals/${evidence}`],
  getDeskPolicy: () => ['/v1/desks/credit/policy'],
  getInbox: () => ['/v1/inbox'],
  streamInboxEvents: nothing,
  getOutlookDisclosure: OF_OUTLOOK('/disclosure'),
  getSeriesDisclosure: ({ key }) => [`/v1/series/${key}/disclosure`],
};

/** Reads of the service that the document leaves out. */
const PAGES: Crawl = ({ slug }) => [
  '/',
  `/?q=${MARKER}`,
  `/outlooks/${slug}`,
  `/outlooks/${slug}?version=1`,
  `/outlooks/${slug}?asOf=2026-11-20`,
  `/outlooks/${slug}/`,
  `/${slug}`,
  '/outlooks',
  '/metrics',
];

/** What the log says grows with whatever is written; an export names the newest event. */
const GROWS = /^\/(v1\/log|log\/|v1\/export|metrics|readyz)/;

let ledger: TestLedger;
let address: string;
let credit: Record<'analyst' | 'feed', Writer>;
let evidence: string;
let internalAnalyst: string;
/** The readers who may not see what is internal: by their keys, or without one. */
let readers: Record<string, Record<string, string>>;
let before: Map<string, string>;
beforeAll(async () => {
  ledger = await startLedger();
  await fillLedger(ledger);
  await addDesk(ledger, 'credit');
  credit = {
    analyst: writerWith(ledger, await keyFor(ledger, 'analyst', ['credit'])),
    feed: writerWith(ledger, await keyFor(ledger, 'feed', ['credit'])),
  };
  const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
  readers = {
    nobody: {},
    analyst: bearer(await keyFor(ledger, 'analyst', ['main'])),
  };
  internalAnalyst = await analystOf('analyst of credit');
  address = await ledger.app.listen({ port: 0, host: '127.0.0.1' });
  before = await crawlAll();
  evidence = await fillInternally(ledger, credit);
}, 180_000);
afterAll(() => ledger.close());

async function analystOf(name: string): Promise<string> {
  const { rows } = await ledger.pool.query<{ id: string }>(
    'select id from analysts where name = $1',
    [name],
  );
  return String(rows[0]?.id);
}

const read = (url: string, reader: string, headers: Record<string, string> = {}) =>
  ledger.app.inject({
    url,
    headers: {
      ...(url.startsWith('/v1') ? {} : { accept: 'text/html' }),
      ...readers[reader],
      ...headers,
    },
  });

/** The URLs of all reads, each with the operation that it is of. */
const urlsFor = (names: Names): string[] =>
  [...Object.values(READS), PAGES].flatMap((crawl) => crawl(names));

/** What a response says, without what differs from read to read: a cursor names the transactions of its list. */
function said({ statusCode, body, headers }: LightMyRequestResponse): string {
  const { location, link, 'content-disposition': name } = headers;
  const shown = [statusCode, body, String(location), String(name), link === undefined];
  return shown.join('\n').replaceAll(/"nextCursor":"[^"]+"/g, '"nextCursor":"…"');
}

async function crawlAll(): Promise<Map<string, string>> {
  const seen = new Map<string, string>();
  for (const reader of Object.keys(readers)) {
    for (const url of urlsFor(PUBLIC)) {
      if (!seen.has(`${reader} ${url}`))
        seen.set(`${reader} ${url}`, said(await read(url, reader)));
    }
  }
  return seen;
}

/** The text of a response, with its headers, without what the request itself sent: links and forms repeat it. */
function textOf({ body, headers }: LightMyRequestResponse, url: string): string {
  const sent = [...new URL(url, 'http://localhost').searchParams.values()];
  const repeated = sent.flatMap((value) => [value, encodeURIComponent(value), value.toLowerCase()]);
  const text = `${JSON.stringify(headers)} ${body}`;
  return repeated.reduce((rest, value) => rest.replaceAll(value, ''), text).toLowerCase();
}

test('each read of the API is here', async () => {
  const { paths } = (await ledger.app.inject({ url: '/openapi.json' })).json<{
    paths: Record<string, { get?: { operationId: string } }>;
  }>();
  const operations = Object.values(paths).flatMap(({ get }) => get?.operationId ?? []);
  expect(operations.filter((operation) => !(operation in READS))).toEqual([]);
});

describe.each(['nobody', 'analyst'])('%s', (reader) => {
  test('reads the same as before there was anything internal, and no word of it', async () => {
    const told: string[] = [];
    const changed: string[] = [];
    for (const url of new Set(urlsFor(PUBLIC))) {
      const response = await read(url, reader);
      if (textOf(response, url).includes(MARKER)) told.push(url);
      if (!GROWS.test(url) && said(response) !== before.get(`${reader} ${url}`)) changed.push(url);
    }
    expect({ told, changed }).toEqual({ told: [], changed: [] });
  });

  test('gets the same for an internal name as for one that nothing has', async () => {
    const internal: Names = {
      slug: INTERNAL.slug,
      key: INTERNAL.series,
      condition: INTERNAL.condition,
      evidence,
      analyst: internalAnalyst,
    };
    const differing = [];
    for (const crawl of [...Object.values(READS), PAGES]) {
      const unknown = crawl({ ...UNKNOWN, analyst: internalAnalyst });
      for (const [index, url] of crawl(internal).entries()) {
        if (GROWS.test(url)) continue;
        const named = said(await read(url, reader));
        const other = said(await read(String(unknown[index]), reader));
        if (asUnknown(named) !== other) differing.push(url);
      }
    }
    expect(differing).toEqual([]);
  });

  test('exports no word of it', async () => {
    const { body } = await read('/v1/export', reader);
    expect(body.toLowerCase()).not.toContain(MARKER);
    expect(body).toContain(SLUG);
  });
});

describe('a write by an analyst of another desk', () => {
  const rule = (series: string) => ({ series, operator: 'lt', threshold: 5, forObservations: 1 });
  const condition = (series: string) => ({
    key: 'watched',
    invalidates: 'bear',
    statement: 'It falls.',
    rule: rule(series),
  });
  const body = (change: object) => outlookBody({ slug: 'another', ...change });
  const revision = { probabilities: { bear: 0.25, base: 0.5, bull: 0.25 }, rationale: 'Less.' };
  const WRITES: Record<string, (names: Names) => [method: string, url: string, body: object]> = {
    'a clone': ({ slug }) => [
      'POST',
      '/v1/outlooks',
      { from: { slug }, slug: 'clone', rationale: 'Why' },
    ],
    'a continuation': ({ slug: continues }) => ['POST', '/v1/outlooks', body({ continues })],
    'a rule': ({ key }) => [
      'POST',
      '/v1/outlooks',
      body({ headwinds: [], invalidationConditions: [condition(key)] }),
    ],
    'a new rule': ({ key }) => [
      'PATCH',
      `/v1/outlooks/${SLUG}/framework`,
      { invalidationConditions: [condition(key)], rationale: 'Why' },
    ],
    'evidence of another outlook': ({ evidence: id }) => [
      'POST',
      `/v1/outlooks/${SLUG}/revisions`,
      { ...revision, evidence: [id] },
    ],
    'a correction': ({ evidence: corrects }) => [
      'POST',
      `/v1/outlooks/${SLUG}/evidence`,
      {
        headline: 'H',
        summary: 'S',
        publisher: 'P',
        publishedAt: '2026-11-19T12:00:00Z',
        corrects,
      },
    ],
    closes: ({ key: closes }) => [
      'POST',
      '/v1/instruments',
      { symbol: 'NEW', name: 'New', kind: 'index', closes },
    ],
    'a revision': ({ slug }) => ['POST', `/v1/outlooks/${slug}/revisions`, revision],
    'a faulty revision': ({ slug }) => ['POST', `/v1/outlooks/${slug}/revisions`, {}],
    'a rewording': ({ slug }) => [
      'PATCH',
      `/v1/outlooks/${slug}/framework`,
      { title: 'T', rationale: 'Why' },
    ],
    'a view': ({ slug }) => ['PUT', `/v1/outlooks/${slug}/views/me`, revision],
    'an item of evidence': ({ slug }) => ['POST', `/v1/outlooks/${slug}/evidence`, {}],
    'a resolution': ({ slug }) => [
      'POST',
      `/v1/outlooks/${slug}/resolution`,
      { outcome: 'bear', reason: 'R' },
    ],
    'a withdrawal': ({ slug }) => ['POST', `/v1/outlooks/${slug}/withdrawal`, { rationale: 'Why' }],
    'a consensus': ({ slug }) => ['POST', `/v1/outlooks/${slug}/consensus`, { rationale: 'Why' }],
    'an assessment': ({ slug }) => [
      'POST',
      `/v1/outlooks/${slug}/conditions/judged/assessments`,
      { state: 'expired', rationale: 'Why' },
    ],
    'a disclosure': ({ slug }) => ['POST', `/v1/outlooks/${slug}/disclosure`, { confirm: 'x' }],
    'the disclosure of a series': ({ key }) => [
      'POST',
      `/v1/series/${key}/disclosure`,
      { confirm: 'x' },
    ],
  };

  test.each(Object.entries(WRITES))(
    '%s: an internal name is as unknown as another',
    async (_, write) => {
      const answer = async (names: Names) => {
        const [method, url, payload] = write(names);
        const type = method === 'PATCH' ? MERGE_PATCH : 'application/json';
        const response = await ledger.app.inject({
          method: method as 'POST',
          url,
          payload: JSON.stringify(payload),
          headers: { ...readers['analyst'], 'content-type': type },
        });
        return said(response);
      };
      const unknown = await answer(UNKNOWN);
      expect(Number(unknown.slice(0, 3))).toBeGreaterThanOrEqual(400);
      const named = await answer({
        ...PUBLIC,
        slug: INTERNAL.slug,
        key: INTERNAL.series,
        evidence,
      });
      expect(asUnknown(named)).toBe(unknown);
    },
  );

  test('is told no more of a slug or a key than that it is taken', async () => {
    const { body: text } = await ledger.app.inject({
      method: 'POST',
      url: '/v1/outlooks',
      payload: outlookBody({ slug: INTERNAL.slug }),
      headers: readers['analyst'] ?? {},
    });
    expect(JSON.parse(text)).toMatchObject({ type: '/problems/slug-taken', status: 409 });
    expect(text.replaceAll(INTERNAL.slug, '').toLowerCase()).not.toContain(MARKER);
  });
});

describe('the stream of events', () => {
  // After the reads that are compared: it writes.
  test.each(['nobody', 'analyst'])(
    'shows %s nothing of it, neither of before nor live',
    async (reader) => {
      const stream = new EventClient(`${address}/v1/events`, {
        lastEventId: '0',
        headers: { ...readers[reader] },
      });
      await stream.connect();
      await credit.analyst('POST', `/v1/outlooks/${INTERNAL.slug}/evidence`, {
        headline: 'Xylograph. More news',
        summary: 'Xylograph. By much.',
        publisher: 'Xylograph newswire',
        publishedAt: '2026-11-19T12:00:00Z',
      });
      const revised = await ledger.revise(distinctRevision(reader === 'nobody' ? 1 : 2));
      expect(revised.statusCode, revised.body).toBe(201);
      const { version } = revised.json<{ version: number }>();
      await expect
        .poll(() => stream.events.map(({ data }) => data), { timeout: 20_000 })
        .toContainEqual(expect.objectContaining({ slug: SLUG, version }));
      await stream.leave();
      expect(JSON.stringify([stream.events, stream.openings]).toLowerCase()).not.toContain(MARKER);
    },
  );

  test('a cursor of a reader who sees more shows no more to others', async () => {
    for (const sort of ['slug', 'publishedAt', '-publishedAt']) {
      const url = `/v1/outlooks?limit=1&sort=${sort}`;
      const all = { authorization: `Bearer ${ledger.keys.admin}` };
      for (let cursor = ''; ;) {
        const page = await ledger.app.inject({ url: url + cursor, headers: all });
        const { nextCursor } = page.json<{ nextCursor: string | null }>();
        if (nextCursor === null) break;
        cursor = `&cursor=${nextCursor}`;
        const { body } = await read(url + cursor, 'nobody');
        expect(body.toLowerCase()).not.toContain(MARKER);
      }
    }
  });
});

/** The names of what is internal, replaced by the unknown ones. */
function asUnknown(text: string): string {
  return text
    .replaceAll(INTERNAL.slug, UNKNOWN.slug)
    .replaceAll(INTERNAL.series, UNKNOWN.key)
    .replaceAll(INTERNAL.condition, UNKNOWN.condition)
    .replaceAll(evidence, UNKNOWN.evidence);
}
