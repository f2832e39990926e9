import type { ChangeFeed } from '../postgres/change-feed.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import { z } from 'zod';
import { listEvidence } from '../ledger/evidence.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import type { Freshness } from '../http/conditional-requests.ts';
import type { WriteResponse } from '../access/run-write.ts';
import { representEvidence } from './evidence.ts';
import { outlookMarkdown } from './markdown.ts';
import { JSON_TYPE, MARKDOWN_TYPE, type MediaType } from '../http/negotiation.ts';
import type { ResponseDraft } from '../http/response-cache/encoded-body.ts';
import { renderOutlook, representOutlook } from './outlook-json.ts';
import { outlook } from './schemas/outlooks.ts';

export type VersionResponseDeps = {
  pool: pg.Pool;
  publicUrl: string;
};

type VersionDraft = ResponseDraft & { body: Buffer; digest: string };

/**
 * A version of an outlook as a read answers it, with links to its neighbours. One of the past stays as it
 * is when the next one comes, but for the link to that.
 */
export function draftOf(
  version: OutlookVersion,
  freshness: Freshness,
  { isPast }: { isPast: boolean },
): VersionDraft {
  const { bytes: body, digest } = renderOutlook(version);
  return { body, digest, freshness, link: versionLinks(version), linkMayChange: isPast };
}

/** What a version is served as. */
export const VERSION_TYPES = [JSON_TYPE, MARKDOWN_TYPE] as const;

/** A version of an outlook as a response of the document. */
export const versionContent = {
  content: {
    [JSON_TYPE]: { schema: outlook },
    [MARKDOWN_TYPE]: {
      schema: z.string().meta({
        description:
          'An article in CommonMark with GitHub Flavored Markdown tables, generated from the data.',
        examples: ['# Russell 2000: the case for more downside\n'],
      }),
    },
  },
};

export const versionFormat = z.enum(['json', 'md']).optional().meta({
  description: 'Overrides the Accept header, for use in links.',
});

/** A version as the media type that a request prefers. An article of the current version lists the newest evidence. */
export async function versionDraft(
  { pool, publicUrl }: Pick<VersionResponseDeps, 'pool' | 'publicUrl'>,
  version: OutlookVersion,
  freshness: Freshness,
  { isPast, type, format }: { isPast: boolean; type: MediaType; format: string | undefined },
): Promise<ResponseDraft> {
  const hasAlternatives = format === undefined;
  if (type !== MARKDOWN_TYPE)
    return { ...draftOf(version, freshness, { isPast }), hasAlternatives };
  const { slug: name, version: number } = version;
  const newest = isPast ? [] : await listEvidence(pool, name, { before: null, limit: EVIDENCE });
  const body = outlookMarkdown(representOutlook(version), {
    image: `${publicUrl}/v1/outlooks/${name}/chart.svg?version=${number}&format=png&scale=2`,
    evidence: newest.map(representEvidence),
  });
  const link = versionLinks(version);
  return { body, type, freshness, link, linkMayChange: isPast, hasAlternatives };
}

/** How many items of evidence an article has, the newest. */
const EVIDENCE = 10;

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

/** A version that was just published, rendered once for its author, for retries and for the cache. */
export type PublishedVersion = { slug: string; version: number; draft: VersionDraft };

export function renderPublished(published: OutlookVersion): PublishedVersion {
  const { slug, version } = published;
  return { slug, version, draft: draftOf(published, 'revalidate', { isPast: false }) };
}

/** How the author of a version that was just published is answered. */
export function publishedResponse(
  { draft: { body, digest, link = '' } }: PublishedVersion,
  location: string,
): WriteResponse {
  return { status: 201, headers: { location, link, etag: `"${digest}"` }, body };
}

/**
 * Announces a version that is committed: from then on no read here answers with an older one, and other
 * instances are woken.
 */
export function announceVersion(
  { cache, feed }: { cache: ResponseCache; feed: ChangeFeed },
  { slug, version, draft }: PublishedVersion,
): void {
  cache.store(slug, version, { ...draft, hasAlternatives: true });
  feed.announce();
}
