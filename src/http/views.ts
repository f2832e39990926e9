import type { OutlookVersion } from '../domain/outlook.ts';
import type { Freshness } from './caching.ts';
import type { Answer } from './idempotency.ts';
import type { Rendering } from './rendering.ts';
import { renderOutlook } from './representations.ts';
import type { Ledger } from './routing.ts';

/**
 * A version of an outlook as a read answers it, with links to its neighbours. One of the past stays as it
 * is when the next one comes, but for the link to that.
 */
export function renderingOf(
  version: OutlookVersion,
  freshness: Freshness,
  { isPast }: { isPast: boolean },
): Rendering & { digest: string } {
  const { bytes: body, digest } = renderOutlook(version);
  return { body, digest, freshness, link: versionLinks(version), isLinkOfItsOwn: isPast };
}

/** Link relations between versions (RFC 5829). */
function versionLinks({ slug, version, latestVersion }: OutlookVersion): string {
  const outlook = `/v1/outlooks/${slug}`;
  const links = [`<${outlook}>; rel="latest-version"`];
  if (version > 1) links.push(`<${outlook}/versions/${version - 1}>; rel="predecessor-version"`);
  if (version < latestVersion) {
    links.push(`<${outlook}/versions/${version + 1}>; rel="successor-version"`);
  }
  links.push(`<${outlook}/versions>; rel="version-history"`);
  return links.join(', ');
}

const currentOf = (published: OutlookVersion) =>
  renderingOf(published, 'revalidate', { isPast: false });

/** How the author of a version that was just published is answered. */
export function answerPublished(published: OutlookVersion, location: string): Answer {
  const { body, digest, link = '' } = currentOf(published);
  return { status: 201, headers: { location, link, etag: `"${digest}"` }, body: Buffer.from(body) };
}

/**
 * Tells of a version that is committed: from then on no read here answers with what stood before, and other
 * instances are told.
 */
export function tellPublished(
  { replies, feed }: Pick<Ledger, 'replies' | 'feed'>,
  published: OutlookVersion,
): void {
  replies.published(published.slug, published.version, currentOf(published));
  feed.announce();
}
