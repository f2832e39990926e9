import { randomUUID } from 'node:crypto';
import type { Claim } from './deliveries.ts';
import { describeEvent, type EventLine } from './event-lines.ts';
import type { Message } from './send.ts';
import { isOfProposal } from '../domain/events.ts';
import type { WebhookFormat } from '../domain/webhooks.ts';
import { eventData, proposalEventData } from '../api/event-text.ts';

/**
 * The message of a delivery. As JSON it is the same text at each attempt; in a chat, titles and names are those of the attempt.
 * @param publicUrl where people find the service, without a slash at its end
 */
export function messageOf({ id, format, event }: Claim, publicUrl: string): Message {
  if (format !== 'json') return { id, body: chatMessage(format, describeEvent(event), publicUrl) };
  const { kind, recordedAt, slug, version } = event;
  const data =
    isOfProposal(kind) || slug === null || version === null
      ? proposalEventData(event)
      : eventData({ ...event, kind, slug, version });
  return { id, body: JSON.stringify({ type: kind, timestamp: recordedAt.toISOString(), data }) };
}

/** The message that tests a webhook. */
export function testMessageOf(
  { id, format }: { id: string; format: WebhookFormat },
  { now, publicUrl }: { now: Date; publicUrl: string },
): Message {
  const line = 'This is a test: the channel gets the messages of Outlook Ledger.';
  const body =
    format === 'json'
      ? JSON.stringify({
          type: 'webhook.test',
          timestamp: now.toISOString(),
          data: { webhook: id },
        })
      : chatMessage(format, { line, path: '/' }, publicUrl);
  return { id: randomUUID(), body };
}

function chatMessage(
  format: Exclude<WebhookFormat, 'json'>,
  { line, path }: EventLine,
  publicUrl: string,
): string {
  const write = format === 'slack' ? slackMessage : teamsMessage;
  return JSON.stringify(write(plainLine(line), publicUrl + path));
}

/** The most UTF-16 units of a line. Slack takes 3,000, and each may become five. */
const MOST = 500;

// Line breaks, control characters, and marks that turn the direction of writing or are invisible.
const BREAKS = /[\s\p{Cc}\u2028\u2029]+/gu;
const INVISIBLE = /[\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]/gu;
const GAP = '\u200b';

/**
 * A text as one line in which nothing acts, whatever its author wrote: no mention (`@here`) and no address, which a chat would turn
 * into a link. An invisible space separates what would act.
 */
function plainLine(text: string): string {
  const line = text.replaceAll(BREAKS, ' ').replaceAll(INVISIBLE, '').trim();
  const cut = line.length > MOST ? `${line.slice(0, MOST - 1).toWellFormed()}…` : line;
  return cut.replaceAll('@', `@${GAP}`).replaceAll('://', `:${GAP}//`);
}

/**
 * A message for an incoming webhook of Slack. The line is plain text, in which no markup acts; `&`, `<` and `>` are escaped, as
 * they control Slack's parser everywhere. Nothing is unfurled.
 * @see https://docs.slack.dev/messaging/formatting-message-text
 * @see https://docs.slack.dev/reference/block-kit/composition-objects/text-object
 */
function slackMessage(line: string, url: string): object {
  const text = escapedForSlack(line);
  const link = `<${escapedForSlack(url).replaceAll('|', '%7C')}|Open in Outlook Ledger>`;
  return {
    text, // for notifications
    mrkdwn: false,
    unfurl_links: false,
    unfurl_media: false,
    blocks: [
      { type: 'section', text: { type: 'plain_text', text, emoji: false } },
      { type: 'context', elements: [{ type: 'mrkdwn', text: link, verbatim: true }] },
    ],
  };
}

const escapedForSlack = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/**
 * A message for a workflow of Teams that posts a card when a webhook request is received: an Adaptive Card 1.5. The line is a
 * TextRun, in which Markdown does not act, unlike in a TextBlock. Tags of mentions (`<at>`), Markdown links and functions
 * (`{{DATE(…)}}`) are separated all the same, for clients that show the text elsewhere.
 * @see https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
 * @see https://learn.microsoft.com/en-us/adaptive-cards/schema-explorer/text-run
 */
function teamsMessage(line: string, url: string): object {
  const text = ['<', '](', '{{'].reduce(
    (safe, mark) => safe.replaceAll(mark, `${mark.slice(0, 1)}${GAP}${mark.slice(1)}`),
    line,
  );
  const card = {
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    type: 'AdaptiveCard',
    version: '1.5',
    body: [{ type: 'RichTextBlock', inlines: [{ type: 'TextRun', text }] }],
    actions: [{ type: 'Action.OpenUrl', title: 'Open in Outlook Ledger', url }],
  };
  const contentType = 'application/vnd.microsoft.card.adaptive';
  return { type: 'message', attachments: [{ contentType, contentUrl: null, content: card }] };
}
