import type { ComponentChildren, VNode } from 'preact';
import { renderToString } from 'preact-render-to-string';
import { withoutControls } from '../charts/text.ts';

/** The metadata of a page for browsers, search engines and link previews. */
export type Head = {
  title: string;
  description: string;
  /** Its path, from the root. */
  path: string;
  /** The path of the image for link previews, from the root. */
  image?: { path: string; alt: string };
  /** Other formats of the same content. */
  alternates?: readonly { type: string; title: string; path: string }[];
};

/** The policy of pages: assets come from the service itself, and nothing is inline. */
export const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** The maximum length of a description, in characters. */
const DESCRIPTION = 200;

/**
 * A page as an HTML document.
 * @param assets the path of the assets, from the root
 * @param publicUrl the start of URLs in the head, which must be absolute
 */
export function renderPageOf(
  head: Head,
  { assets, publicUrl }: { assets: string; publicUrl: string },
  body: ComponentChildren,
): string {
  const page = (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="referrer" content="no-referrer" />
        <title>{`${head.title} – Outlook Ledger`}</title>
        <Metadata head={head} publicUrl={publicUrl} />
        <link rel="icon" href={`${assets}/icon.svg`} type="image/svg+xml" />
        <link rel="stylesheet" href={`${assets}/pico.css`} />
        <link rel="stylesheet" href={`${assets}/page.css`} />
        <script src={`${assets}/idiomorph.js`} defer />
        <script src={`${assets}/page.js`} type="module" />
      </head>
      <body>
        <a class="skip" href="#main">
          Skip to the content
        </a>
        <header>
          <nav aria-label="Service">
            <a href="/" class="brand">
              Outlook Ledger
            </a>
            <a href="/inbox">Inbox</a>
            <a href="/docs">API</a>
          </nav>
        </header>
        <main id="main">{body}</main>
        <footer>
          <p>
            Each outlook is a ledger of versions. Versions never change, and each one says who
            published it and why.
          </p>
        </footer>
      </body>
    </html>
  );
  return withoutControls(`<!doctype html>\n${renderToString(page)}\n`);
}

function Metadata({ head, publicUrl }: { head: Head; publicUrl: string }): VNode {
  const { title, path, image, alternates = [] } = head;
  const description = shortened(head.description);
  return (
    <>
      <meta name="description" content={description} />
      <link rel="canonical" href={publicUrl + path} />
      {alternates.map(({ type, title: name, path: at }) => (
        <link rel="alternate" type={type} title={name} href={at} />
      ))}
      <meta property="og:type" content="article" />
      <meta property="og:site_name" content="Outlook Ledger" />
      <meta property="og:title" content={title} />
      <meta property="og:description" content={description} />
      <meta property="og:url" content={publicUrl + path} />
      {image && (
        <>
          <meta property="og:image" content={publicUrl + image.path} />
          <meta property="og:image:type" content="image/png" />
          <meta property="og:image:width" content="1200" />
          <meta property="og:image:height" content="630" />
          <meta property="og:image:alt" content={image.alt} />
          <meta name="twitter:card" content="summary_large_image" />
        </>
      )}
    </>
  );
}

function shortened(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length <= DESCRIPTION ? line : `${line.slice(0, DESCRIPTION - 1).toWellFormed()}…`;
}
