import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { z } from 'zod';
import type { outlook } from '../../src/api/schemas/outlooks.ts';

export type Outlook = z.output<typeof outlook>;

/** Both hashes as a client computes them from an answer, by the document's words alone. */
export function recomputedHashes(answer: Outlook): { frameworkHash: string; hash: string } {
  const { slug, version, publishedAt, rationale, previousHash } = answer;
  const frameworkHash = digest(withoutEmpty(frameworkOf(answer)));
  const { bear, base, bull } = answer.probabilities;
  const hash = digest({
    slug,
    version,
    publishedAt,
    rationale,
    frameworkHash,
    previousHash,
    authorId: answer.author.id,
    kind: answer.change.kind,
    probabilities: { bear: points(bear), base: points(base), bull: points(bull) },
  });
  return { frameworkHash, hash };
}

/** Why a history, oldest version first, is incomplete or altered; null if it is intact. */
export function chainFault(history: readonly Outlook[]): string | null {
  for (const [index, answer] of history.entries()) {
    const { version, hash, frameworkHash } = answer;
    const { bear, base, bull } = answer.probabilities;
    if (version !== index + 1) return `version ${version} stands at place ${index + 1}`;
    const before = history[index - 1];
    if (answer.previousHash !== (before?.hash ?? null)) return `version ${version} is not chained`;
    const recomputed = recomputedHashes(answer);
    if (recomputed.frameworkHash !== frameworkHash)
      return `framework of version ${version} altered`;
    if (recomputed.hash !== hash) return `version ${version} has another hash than its content`;
    if (points(bear) + points(base) + points(bull) !== 10_000)
      return `version ${version} sums wrong`;
    if (before && before.publishedAt > answer.publishedAt) return `version ${version} goes back`;
  }
  return null;
}

function frameworkOf({ scenarios, ...answer }: Outlook): Record<string, unknown> {
  const { title, summary, methodology, disclaimer, horizon, instrument } = answer;
  const { headwinds, drawdownLabels, risks, positioning, metrics, faqs, references } = answer;
  return {
    title,
    summary,
    methodology,
    disclaimer,
    horizon,
    headwinds,
    drawdownLabels,
    risks,
    positioning,
    metrics,
    faqs,
    references,
    instrument: instrument.symbol,
    scenarios: Object.fromEntries(
      Object.entries(scenarios).map(([name, { probability: _p, ...rest }]) => [name, rest]),
    ),
    invalidationConditions: answer.invalidationConditions.map(({ state: _s, ...rest }) => rest),
  };
}

function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(
    ([, member]) => member !== null && !(Array.isArray(member) && member.length === 0),
  );
  return Object.fromEntries(kept.map(([name, member]) => [name, withoutEmpty(member)]));
}

function points(fraction: number): number {
  return Math.round(fraction * 10_000);
}

function digest(document: unknown): string {
  return `sha256:${createHash('sha256')
    .update(canonicalize(document) ?? '')
    .digest('hex')}`;
}
