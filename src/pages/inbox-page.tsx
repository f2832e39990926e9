import type { VNode } from 'preact';
import { HTML_TYPE } from '../http/negotiation.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type { Api } from '../http/routing.ts';
import { PAGE_POLICY, renderPageOf } from './layout.tsx';
import { Section } from './parts.tsx';

/**
 * Serves the page of the inbox. It is the same for everyone: a script fills it with what the API answers to a key that is
 * typed in. The key must be sent in a header, which no link and no form can do, and stays in the memory of the page.
 */
export function inboxPageRoute(
  api: Api,
  { cache }: { cache: ResponseCache },
  place: { assets: string; publicUrl: string },
): void {
  const head = {
    title: 'Inbox',
    description: 'What waits for you and your desks: proposals, reviews, outcomes and series.',
    path: '/inbox',
  };
  api.route({
    method: 'GET',
    url: '/inbox',
    config: { access: 'public', serves: [HTML_TYPE] },
    schema: { hide: true },
    handler: (request, reply) =>
      cache.answer(request, reply, { tags: [] }, async () => ({
        body: renderPageOf(head, place, <InboxPage />),
        type: HTML_TYPE,
        freshness: 'revalidate',
        headers: { 'content-security-policy': PAGE_POLICY },
      })),
  });
}

function InboxPage(): VNode {
  return (
    <>
      <div class="heading">
        <h1>Inbox</h1>
      </div>
      <p id="news" role="status" />
      <noscript>
        <p>This page needs JavaScript. The command line shows the same: outlook inbox.</p>
      </noscript>
      <div id="inbox" hidden>
        <form id="key-form" novalidate autocomplete="off">
          <label>
            Your key (olk_…). It stays in this page.
            <input type="password" name="key" autocomplete="off" spellcheck={false} required />
          </label>
          <button type="submit">Show what waits</button>
        </form>
        <div id="refusal" role="alert" tabindex={-1} />
        <div id="waiting" hidden>
          <Section id="items" title="What waits">
            <div id="item-lists" />
            <button type="button" id="more" class="secondary" hidden>
              Show more
            </button>
          </Section>
        </div>
        <div id="proposal" hidden>
          <Proposal />
        </div>
      </div>
    </>
  );
}

/** The proposal that was chosen. */
function Proposal(): VNode {
  return (
    <Section id="chosen" title="Proposal">
      <ul id="facts" />
      <p id="note" dir="auto" />
      <table>
        <caption>What it changes</caption>
        <thead>
          <tr>
            <th scope="col">Member</th>
            <th scope="col">Now</th>
            <th scope="col">Proposed</th>
          </tr>
        </thead>
        <tbody id="changes" />
      </table>
      <h3>What happened so far</h3>
      <ol id="steps" />
      <form id="answer-form" novalidate autocomplete="off">
        <label>
          Your comment or reason, which the desk can read
          <textarea name="words" rows={3} maxlength={20_000} />
        </label>
        <div class="buttons">
          <button type="submit" name="act" value="approve">
            Approve
          </button>
          <button type="submit" name="act" value="return" class="secondary">
            Return
          </button>
          <button type="submit" name="act" value="comment" class="secondary">
            Comment
          </button>
        </div>
      </form>
    </Section>
  );
}
