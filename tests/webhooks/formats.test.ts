import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  DELIVERED_KINDS,
  type DeliveredKind,
  EVENT_KINDS,
  isOfProposal,
  PROPOSAL_EVENT_KINDS,
} from '../../src/domain/events.ts';
import { waitAskedFor } from '../../src/domain/webhooks.ts';
import { endHorizons } from '../../src/ledger/end-horizons.ts';
import type { Claim, ClaimedEvent } from '../../src/webhooks/deliveries.ts';
import { describeEvent } from '../../src/webhooks/event-lines.ts';
import { messageOf, testMessageOf } from '../../src/webhooks/messages.ts';
import { BandedOutlook } from '../support/banded.ts';
import { disclose, keyFor, publishFor } from '../support/desks.ts';
import { SLUG, startLedger, type TestLedger } from '../support/ledger.ts';
import { fillLedger } from '../support/outlooks.ts';
import { deliveriesOf, Receiver, subscribe } from '../support/receiver.ts';

const PUBLIC_URL = 'https://ledger.example';
const AT = new Date('2026-11-20T16:00:00.000Z');
const ANA = { id: '20000000-0000-4000-8000-000000000001', name: 'Ana' };
const SHARES = { bear: 0.35, base: 0.4, bull: 0.25 };
const DELTAS = { bear: 0.05, base: -0.05, bull: 0 };
const CONDITION = {
  key: 'k',
  invalidates: 'bear',
  cause: 'observations',
  reason: '"k" fell.',
  day: null,
  observations: [],
};

const proposal = (text: string | null = 'Please.', change: object = {}) => ({
  subject: '/v1/proposals/10000000-0000-4000-8000-000000000001',
  proposal: '10000000-0000-4000-8000-000000000001',
  desk: 'rates',
  kind: 'revision',
  outlook: 'small-caps',
  title: 'Small caps',
  state: 'submitted',
  draft: 2,
  publishAt: null,
  version: null,
  by: ANA,
  text,
  ...change,
});

const eventOf = (
  kind: DeliveredKind,
  data: unknown,
  change: Partial<ClaimedEvent> = {},
): ClaimedEvent =>
  isOfProposal(kind)
    ? {
        kind,
        slug: null,
        version: null,
        data,
        recordedAt: AT,
        title: null,
        author: null,
        ...change,
      }
    : {
        kind,
        slug: 'small-caps',
        version: 3,
        data,
        recordedAt: AT,
        title: 'Small caps',
        author: 'Ana',
        ...change,
      };

const LINES: [DeliveredKind, unknown, string][] = [
  [
    'outlook.created',
    { kind: 'created', probabilities: SHARES, deltas: null },
    '“Small caps”: new outlook by Ana. Bear 35%, Base 40%, Bull 25%',
  ],
  [
    'outlook.version.published',
    { kind: 'probabilities', probabilities: SHARES, deltas: DELTAS },
    '“Small caps”: version 3 by Ana. Bear 35% (+5), Base 40% (−5), Bull 25%',
  ],
  [
    'outlook.version.published',
    { kind: 'framework', probabilities: SHARES, deltas: null },
    '“Small caps”: reworded by Ana, version 3',
  ],
  [
    'outlook.version.published',
    { kind: 'withdrawn', probabilities: SHARES, deltas: null },
    '“Small caps”: withdrawn by Ana',
  ],
  [
    'outlook.state.changed',
    { status: 'open', reviewReasons: ['The horizon is over.'] },
    '“Small caps”: now open, review due: The horizon is over.',
  ],
  ['outlook.review.due', { reasons: ['A.', 'B.'] }, '“Small caps”: review due: A. B.'],
  [
    'outlook.horizon.ended',
    { horizon: { from: '2025-11-20', to: '2026-11-20' } },
    '“Small caps”: the horizon ended on 2026-11-20; record the outcome',
  ],
  [
    'outlook.resolved',
    { number: 1, outcome: 'bear', realisedReturn: -0.12, reason: null },
    '“Small caps”: resolved by Ana. Bear came about, with a return of −12%',
  ],
  [
    'outlook.resolution.contradicted',
    { number: 1, outcome: 'bull', closes: null },
    '“Small caps”: closes contradict the resolution: they imply Bull',
  ],
  [
    'outlook.reopened',
    { number: 2, reason: 'Oops.' },
    '“Small caps”: reopened by Ana; the resolution was taken back. Oops.',
  ],
  [
    'outlook.disclosed',
    { visibility: 'public' },
    '“Small caps”: disclosed by Ana; it is public now',
  ],
  [
    'evidence.added',
    { id: 'i', headline: 'Yields jumped', publisher: 'A newswire', corrects: null },
    '“Small caps”: new evidence by Ana. Yields jumped (A newswire)',
  ],
  ['condition.triggered', CONDITION, '“Small caps”: condition triggered by Ana. "k" fell.'],
  ['condition.cleared', CONDITION, '“Small caps”: condition cleared by Ana. "k" fell.'],
  ['condition.expired', CONDITION, '“Small caps”: condition expired by Ana. "k" fell.'],
  [
    'drawdown.label.changed',
    { label: 'correction', previous: null, depth: 0.125, day: '2026-11-19' },
    '“Small caps”: drawdown correction: −12.5% from the peak on 2026-11-19',
  ],
  [
    'view.published',
    { analyst: ANA, version: 1, probabilities: { bear: 3500, base: 4000, bull: 2500 } },
    '“Small caps”: view by Ana. Bear 35%, Base 40%, Bull 25%',
  ],
  ['view.withdrawn', { analyst: ANA, version: 2 }, '“Small caps”: view withdrawn by Ana'],
  ['proposal.opened', proposal(null), 'Ana drafted a revision of “Small caps”'],
  ['proposal.edited', proposal(null), 'Ana wrote draft 2 of a revision of “Small caps”'],
  [
    'proposal.submitted',
    proposal(),
    'Ana asks for approval of a revision of “Small caps”: Please.',
  ],
  [
    'proposal.approved',
    proposal(null, { state: 'approved', publishAt: '2026-11-21T08:00:00.000Z' }),
    'Ana approved a revision of “Small caps”, to be published on 21 Nov 2026, 08:00 UTC',
  ],
  [
    'proposal.returned',
    proposal('No.', { by: null }),
    'The service returned a revision of “Small caps”: No.',
  ],
  ['proposal.commented', proposal('Why?'), 'Ana commented on a revision of “Small caps”: Why?'],
  [
    'proposal.published',
    proposal(null, { kind: 'outlook', version: 1 }),
    'Published: the new outlook “Small caps”, version 1',
  ],
  ['proposal.discarded', proposal(null), 'Ana discarded a revision of “Small caps”'],
];

test('every kind of event has a line in words', () => {
  expect(new Set(LINES.map(([kind]) => kind))).toEqual(new Set(DELIVERED_KINDS));
  for (const [kind, data, line] of LINES)
    expect(describeEvent(eventOf(kind, data)).line).toBe(line);
});

const HOSTILE = [
  '<!channel> <!here|x> <@U0123> <#C0123|general> <!subteam^S1>',
  '@here @channel @everyone @ana',
  '<https://evil.example|our own page> & <mailto:a@evil.example>',
  'https://evil.example/free and http://evil.example',
  '*bold* _italic_ ~struck~ `code` > quote',
  '[our own page](https://evil.example) ![x](https://evil.example/x.png) **bold**',
  '<at>Ana</at> <at id="0">x</at> <b>x</b>',
  '{{DATE(2026-11-20T16:00:00Z, SHORT)}} ${title}',
  'a\nb\r\nc\u2028d\u0000e\u001bf',
  '\u202egnp.exe\u202c \u2066x\u2069 \ufeff',
  '"}],"blocks":[{"type":"divider"',
  '&lt;!channel&gt; &amp;',
  '😀'.repeat(2_000),
  '&'.repeat(5_000),
];

const claimOf = (format: 'slack' | 'teams', event: ClaimedEvent): Claim => ({
  id: 'i',
  webhookId: 'w',
  attempt: 1,
  url: 'https://hooks.example/x',
  format,
  secrets: [],
  event,
});

type Slack = {
  text: string;
  mrkdwn: boolean;
  unfurl_links: boolean;
  unfurl_media: boolean;
  blocks: { type: string; text?: { type: string; text: string }; elements?: { text: string }[] }[];
};
type Teams = {
  type: string;
  attachments: {
    contentType: string;
    content: {
      type: string;
      version: string;
      body: { type: string; inlines: { type: string; text: string }[] }[];
      actions: { type: string; url: string }[];
    };
  }[];
};

/** Events whose texts are hostile: the title, the name and the words. */
const hostileEvents = (text: string) => [
  eventOf(
    'evidence.added',
    { id: 'i', headline: text, publisher: text, corrects: null },
    { title: text, author: text },
  ),
  eventOf('outlook.review.due', { reasons: [text] }, { title: text }),
  eventOf('proposal.returned', proposal(text, { title: text, by: { id: ANA.id, name: text } })),
];

test.each(HOSTILE)('Slack takes nothing of a text for markup: %s', (text) => {
  for (const event of hostileEvents(text)) {
    const message = JSON.parse(messageOf(claimOf('slack', event), PUBLIC_URL).body) as Slack;
    const [section, context] = message.blocks;
    expect(message).toMatchObject({ mrkdwn: false, unfurl_links: false, unfurl_media: false });
    expect(section).toMatchObject({
      type: 'section',
      text: { type: 'plain_text', text: message.text },
    });
    expect(message.text).not.toMatch(
      /[<>]|&(?!amp;|lt;|gt;)|@\w|:\/\/|[\p{Cc}\u2028\u202a-\u202e\u2066-\u2069]/u,
    );
    expect(message.text.length).toBeLessThanOrEqual(3_000);
    expect(message.text.isWellFormed()).toBe(true);
    // The only markup is the link to the service.
    expect(context?.elements?.[0]?.text).toMatch(
      /^<https:\/\/ledger\.example\/(?:outlooks\/small-caps|inbox)\|Open in Outlook Ledger>$/,
    );
  }
});

test.each(HOSTILE)('Teams takes nothing of a text for markup: %s', (text) => {
  for (const event of hostileEvents(text)) {
    const { body } = messageOf(claimOf('teams', event), PUBLIC_URL);
    const { type, attachments } = JSON.parse(body) as Teams;
    expect(type).toBe('message');
    expect(attachments).toHaveLength(1);
    expect(attachments[0]).toMatchObject({
      contentType: 'application/vnd.microsoft.card.adaptive',
      content: { type: 'AdaptiveCard', version: '1.5' },
    });
    const { body: elements = [], actions = [] } = attachments[0]?.content ?? {};
    expect(elements.map((element) => element.type)).toEqual(['RichTextBlock']);
    expect(elements[0]?.inlines.map((run) => run.type)).toEqual(['TextRun']);
    expect(elements[0]?.inlines[0]?.text).not.toMatch(
      /<\w|<\/|\]\(|\{\{|@\w|:\/\/|[\p{Cc}\u2028]/u,
    );
    expect(actions).toEqual([
      expect.objectContaining({
        type: 'Action.OpenUrl',
        url: expect.stringMatching(/^https:\/\/ledger\.example\/(?:outlooks\/small-caps|inbox)$/),
      }),
    ]);
    expect(Buffer.byteLength(body)).toBeLessThan(28_000);
  }
});

test('a test is written in each format', () => {
  const bodies = (['json', 'slack', 'teams'] as const).map((format) => {
    const sample = testMessageOf({ id: ANA.id, format }, { now: AT, publicUrl: PUBLIC_URL });
    return Object.keys(JSON.parse(sample.body) as object);
  });
  expect(bodies).toEqual([
    ['type', 'timestamp', 'data'],
    ['text', 'mrkdwn', 'unfurl_links', 'unfurl_media', 'blocks'],
    ['type', 'attachments'],
  ]);
});

test.for<[string | undefined, number | null]>([
  [undefined, null],
  ['30', 30_000],
  ['0', 1_000],
  ['999999999', 86_400_000],
  ['Fri, 20 Nov 2026 16:01:00 GMT', 60_000],
  ['Fri, 20 Nov 2026 15:00:00 GMT', 1_000],
  ['-1', null],
  ['1e3', null],
  ['soon', null],
])('Retry-After: %s asks for %s ms', ([header, wait]) => {
  expect(waitAskedFor(header, AT)).toBe(wait);
});

describe('a chat', () => {
  let ledger: TestLedger;
  let receiver: Receiver;
  beforeAll(async () => {
    receiver = await new Receiver(null, { describes: false }).open();
    ledger = await startLedger({ webhookPrivateAddresses: true });
    await ledger.app.listen({ host: '127.0.0.1', port: 0 });
  });
  afterAll(async () => {
    await ledger.close();
    await receiver.kill();
  });

  const lines = () => receiver.accepted.map(({ body }) => (JSON.parse(body) as Slack).text);

  test('that asks for time gets it, for all its messages, and its words are logged', async () => {
    let answers = 0;
    receiver.answer = (received, response) => {
      answers += 1;
      if (answers === 1) response.writeHead(429, { 'retry-after': '3600' }).end('rate_limited');
      else receiver.accepting(received, response);
    };
    const before = ledger.clock.now;
    const { id } = await subscribe(ledger, receiver.url, { format: 'slack' });
    const url = `/v1/outlooks/${SLUG}/revisions`;
    for (const bear of [0.2, 0.21]) {
      const probabilities = { bear, base: Number((0.75 - bear).toFixed(2)), bull: 0.25 };
      const payload = { probabilities, rationale: 'R', acknowledges: [] };
      await ledger.call({ method: 'POST', url, as: 'analyst', payload });
    }
    await expect
      .poll(async () => (await deliveriesOf(ledger, id)).flatMap(({ attempts }) => attempts))
      .toMatchObject([{ status: 429, fault: 'answered 429 rate_limited' }]);
    const due = (await deliveriesOf(ledger, id)).flatMap((one) => one.nextAttemptAt ?? []);
    expect(due).toEqual([new Date(before.getTime() + 3_600_000).toISOString()]);
    expect(answers).toBe(1);
    await ledger.pool.query('delete from webhooks');
    receiver.answer = (received, response) => receiver.accepting(received, response);
  });

  test('hears of every kind of event, with titles and names', async () => {
    // Before there is a desk that its requests would have to name.
    const { id } = await subscribe(ledger, receiver.url, { format: 'slack', desk: 'main' });
    await fillLedger(ledger);
    const outlook = await BandedOutlook.create(ledger);
    const rita = await keyFor(ledger, ['main'], { name: 'Rita' });
    await publishFor(ledger, rita, { slug: 'hidden', desk: 'main', visibility: 'internal' });
    await disclose(ledger, rita, '/v1/outlooks/hidden');
    ledger.clock.now = new Date('2027-04-01T12:00:00.000Z');
    await endHorizons(ledger.servicePool, ledger.clock.now);
    await outlook.resolve({ outcome: 'void', reason: 'The index was discontinued.' });
    for (const kind of PROPOSAL_EVENT_KINDS) {
      await ledger.pool.query(
        'insert into events (kind, data, recorded_at) values ($1, $2, now())',
        [kind, proposal('Please.', { desk: 'main' })],
      );
    }
    const delivered = async () =>
      (await deliveriesOf(ledger, id)).filter(({ state }) => state === 'delivered');
    const ofProposals = async () => {
      const kinds = (await delivered()).map(({ kind }) => kind);
      return new Set(kinds.filter((kind) => kind.startsWith('proposal.'))).size;
    };
    await expect.poll(ofProposals, { timeout: 60_000 }).toBe(PROPOSAL_EVENT_KINDS.length);
    await expect
      .poll(async () => (await deliveriesOf(ledger, id)).length - (await delivered()).length, {
        timeout: 60_000,
      })
      .toBe(0);
    const told = new Set((await deliveriesOf(ledger, id)).map(({ kind }) => kind));
    for (const kind of PROPOSAL_EVENT_KINDS) expect(told).toContain(kind);
    expect(told.size).toBeGreaterThan(PROPOSAL_EVENT_KINDS.length + 8);
    expect(EVENT_KINDS.filter((kind) => told.has(kind))).toContain('outlook.disclosed');
    const all = lines();
    for (const line of [
      /: version \d by analyst desk\. Bear 35% \(\+\d+\), Base 40% \(−\d+\), Bull 25%$/,
      /: new outlook by Rita\. Bear 30%/,
      /: disclosed by Rita; it is public now$/,
      /: condition expired by analyst desk\. /,
      /: resolved by analyst desk\. Void$/,
      /^Ana asks for approval of a revision of “Small caps”: Please\.$/,
    ]) {
      expect(
        all.filter((one) => line.test(one)),
        String(line),
      ).not.toEqual([]);
    }
    await ledger.pool.query('delete from webhooks');
  });
});
