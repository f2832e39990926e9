import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { Probabilities } from './probabilities.ts';

export const VERSION_KINDS = [
  'created',
  'probabilities',
  'framework',
  'reaffirmed',
  'withdrawn',
] as const;
export type VersionKind = (typeof VERSION_KINDS)[number];

/** What the hash of a version covers. `previousHash` ties it to all versions before it. */
export type ChainedVersion = {
  slug: string;
  version: number;
  publishedAt: Date;
  authorId: string;
  rationale: string;
  kind: VersionKind;
  probabilities: Probabilities;
  frameworkHash: string;
  previousHash: string | null;
};

/** The canonical JSON (RFC 8785) of a document. */
export function canonicalJson(document: unknown): string {
  const canonical = canonicalize(document);
  if (canonical === undefined) throw new TypeError('only a JSON document has a hash');
  return canonical;
}

/** `sha256:` and the hex SHA-256 of a text in UTF-8. */
export function hashText(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/** `sha256:` and the hex SHA-256 of the canonical JSON (RFC 8785) of a document. */
export function hashDocument(document: unknown): string {
  return hashText(canonicalJson(document));
}

/** The document whose hash is a version's: probabilities in basis points, publishedAt to the millisecond in UTC. */
export function hashedVersion(version: ChainedVersion): object {
  const { slug, authorId, rationale, kind, frameworkHash, previousHash } = version;
  const { bear, base, bull } = version.probabilities;
  return {
    slug,
    version: version.version,
    publishedAt: version.publishedAt.toISOString(),
    authorId,
    rationale,
    kind,
    probabilities: { bear, base, bull },
    frameworkHash,
    previousHash,
  };
}

/** The hash of {@link hashedVersion}: `sha256:` and 64 hexadecimal digits. */
export function hashVersion(version: ChainedVersion): string {
  return hashDocument(hashedVersion(version));
}
