import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { VNode } from 'preact';
import { renderToString } from 'preact-render-to-string';
import { HTML_TYPE } from '../http/negotiation.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type { Api } from '../http/routing.ts';
import { assetText } from './assets.ts';

/**
 * Serves the page that verifies receipts in a browser. It is one file that loads nothing, so that it works from a disk when
 * the service is gone. Its policy, which the file carries as well, allows its own script and style alone: it can't send a
 * receipt anywhere.
 */
export function verifyPageRoute(api: Api, { cache }: { cache: ResponseCache }): void {
  const script = readFileSync(new URL('../../dist/browser/verify.js', import.meta.url), 'utf8');
  const style = assetText('pico.css') + assetText('page.css');
  const policy = policyFor({ script, style });
  const body = `<!doctype html>\n${renderToString(<VerifyPage {...{ script, style, policy }} />)}\n`;
  const headers = { 'content-security-policy': `${policy}; frame-ancestors 'none'` };
  api.route({
    method: 'GET',
    url: '/verify.html',
    config: { access: 'public', serves: [HTML_TYPE] },
    schema: { hide: true },
    handler: (request, reply) =>
      cache.answer(request, reply, { tags: [] }, async () => ({
        body,
        type: HTML_TYPE,
        freshness: 'revalidate',
        headers,
      })),
  });
}

type Inline = { script: string; style: string };

function policyFor({ script, style }: Inline): string {
  return [
    "default-src 'none'",
    `script-src '${integrityOf(script)}'`,
    `style-src '${integrityOf(style)}'`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
}

function integrityOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

function VerifyPage({ script, style, policy }: Inline & { policy: string }): VNode {
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content={policy} />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="referrer" content="no-referrer" />
        <title>Verify a receipt – Outlook Ledger</title>
        <link rel="icon" href={`data:image/svg+xml,${encodeURIComponent(assetText('icon.svg'))}`} />
        <style dangerouslySetInnerHTML={{ __html: style }} />
      </head>
      <body>
        <header>
          <p class="brand">Outlook Ledger</p>
        </header>
        <main id="main">
          <h1>Verify a receipt</h1>
          <p>
            A receipt proves what was published in the ledger, by whom, and since when. This page
            checks it in your browser. It sends nothing and needs no service: save it, and open the
            file at any time.
          </p>
          <VerifyForm />
          <section id="result" aria-live="polite" aria-label="Result" tabindex={-1} />
        </main>
        <script dangerouslySetInnerHTML={{ __html: script }} />
      </body>
    </html>
  );
}

function VerifyForm(): VNode {
  return (
    <form id="verify" autocomplete="off">
      <label for="receipt">Receipt: choose the file, or drop it on this page</label>
      <input type="file" id="receipt" accept=".json,application/json" />
      <p id="chosen" dir="auto" />
      <label for="vkey">Verifier key of the log</label>
      <input
        id="vkey"
        placeholder="ledger.example/log/1+1a2b3c4d+AbCd…"
        spellcheck={false}
        autocapitalize="off"
        aria-describedby="vkey-help"
      />
      <small id="vkey-help">
        Take it from somewhere other than the receipt: the operator, your notes. Without it, the
        receipt is checked with the key that it names itself, which anyone can make.
      </small>
      <label for="witnesses">Verifier keys of witnesses, one a line</label>
      <textarea
        id="witnesses"
        rows={2}
        spellcheck={false}
        autocapitalize="off"
        aria-describedby="witnesses-help"
      />
      <small id="witnesses-help">
        Witnesses prove since when the log has the entry. If you name some, at least one must have
        cosigned. Left empty, the receipt's own are used.
      </small>
      <button type="submit">Verify</button>
    </form>
  );
}
