import type { ChangeFeed } from '../postgres/change-feed.ts';
import type { ResponseCache } from '../http/response-cache/response-cache.ts';
import type pg from 'pg';
import { z } from 'zod';
import { listEvidence } from '../ledger/evidence.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import type { Freshness } from '../http/conditional-requests.ts';
import type { AuditSubject } from '../access/audit-log.ts';
import type { WriteResponse } from '../access/run-write.ts';
import { readHistory } from './climatology.ts';
import { representEvidence } from './evidence.ts';
import { outlookMarkdown } from './markdown.ts';
import { CLOSES_MAX_AGE } from '../http/response-cache/cache-entry.ts';
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
 * The response to a read of a version, with links to its neighbours. When the next version comes, a past version changes
 * in nothing but its links.
 */
export function draftOf(
  version: OutlookVersion,
  freshness: Freshness,
  { isPast, hasKey }: { isPast: boolean; hasKey: boolean },
): VersionDraft {
  const { bytes: body, digest } = renderOutlook(version, { hasKey });
  return { body, digest, freshness, link: versionLinks(version), linkMayChange: isPast };
}

/** The media types of a version. */
export const VERSION_TYPES = [JSON_TYPE, MARKDOWN_TYPE] as const;

/** The response with a version, for the OpenAPI document. */
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

/** How a version is read: as a past one, with a key, and in which media type. */
type VersionRead = {
  isPast: boolean;
  hasKey: boolean;
  type: MediaType;
  format: string | undefined;
};

/**
 * A version in the media type that a request prefers. The article of the current version lists the newest evidence, and what
 * history alone says.
 */
export async function versionDraft(
  { pool, publicUrl }: Pick<VersionResponseDeps, 'pool' | 'publicUrl'>,
  version: OutlookVersion,
  freshness: Freshness,
  { isPast, hasKey, type, format }: VersionRead,
): Promise<ResponseDraft> {
  const hasAlternatives = format === undefined;
  if (type !== MARKDOWN_TYPE)
    return { ...draftOf(version, freshness, { isPast, hasKey }), hasAlternatives };
  const { slug: name, version: number, resolution } = version;
  const newest = isPast ? [] : await listEvidence(pool, name, { before: null, limit: EVIDENCE });
  const history = isPast ? null : await readHistory(pool, version, null);
  // The chart of a numbered version does not know the outcome.
  const pictured = resolution ? `asOf=${resolution.resolvedAt.toISOString()}` : `version=${number}`;
  const body = outlookMarkdown(representOutlook(version, { hasKey }), {
    history,
    image: `${publicUrl}/v1/outlooks/${name}/chart.svg?${pictured}&format=png&scale=2`,
    evidence: newest.map(representEvidence),
  });
  const link = versionLinks(version);
  return {
    body,
    type,
    freshness,
    link,
    linkMayChange: isPast,
    hasAlternatives,
    ...(history && { maxAge: CLOSES_MAX_AGE }),
  };
}

/** How many items of evidence an article lists; the newest. */
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
export type PublishedVersion = {
  slug: string;
  version: number;
  draft: VersionDraft;
  /** What readers without a key get; null if they may not see the outlook. */
  keyless: VersionDraft | null;
};

export function renderPublished(published: OutlookVersion): PublishedVersion {
  const { slug, version, consensus, visibility } = published;
  const render = (hasKey: boolean) => draftOf(published, 'revalidate', { isPast: false, hasKey });
  const draft = render(true);
  if (visibility === 'internal') return { slug, version, draft, keyless: null };
  return { slug, version, draft, keyless: consensus ? render(false) : draft };
}

/** The response to the author of a version that was just published. */
export function publishedResponse(
  { draft: { body, digest, link = '' } }: PublishedVersion,
  location: string,
): WriteResponse {
  return { status: 201, headers: { location, link, etag: `"${digest}"` }, body };
}

/** What the audit trail says of a version that was just published. */
export function publishedSubject({ slug, version }: PublishedVersion): AuditSubject {
  return {
    subject: `/v1/outlooks/${slug}/versions/${version}`,
    summary: version === 1 ? 'Created the outlook' : 'Published the version',
  };
}

/**
 * Announces a committed version: from then on no read on this instance returns an older one, and the other
 * instances are woken. Call it before the transaction begins, and what it returns after the commit.
 */
export function announcer({ cache, feed }: { cache: ResponseCache; feed: ChangeFeed }) {
  const { generation } = cache;
  return ({ slug, version, draft, keyless }: PublishedVersion): void => {
    const current = {
      keyed: { ...draft, hasAlternatives: true },
      keyless: keyless && { ...keyless, hasAlternatives: true },
    };
    cache.store(slug, version, current, generation);
    feed.announce();
  };
}
