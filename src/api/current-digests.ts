import { LRUCache } from 'lru-cache';
import type { FrameworkCache } from '../ledger/frameworks.ts';
import type { CurrentOutlook } from '../ledger/locked-outlooks.ts';
import { readNewest } from '../ledger/versions.ts';
import type { ChangeFeed } from '../postgres/change-feed.ts';
import type { Session } from '../postgres/pool.ts';
import { digestsOf } from './outlook-json.ts';

/** Digests of outlooks, by slug. */
export type Digests = Map<string, readonly string[]>;

/**
 * The digests of current versions, from which `GET /v1/outlooks/:slug` makes their ETags: one for readers with a key and one
 * for those without, if they differ.
 *
 * While an outlook is open, its row determines its JSON: the version, whose hash covers all that was published, the
 * states of the conditions, what continues it, the name of its desk and who may see it. So a state that was rendered before needs no read. One that is never committed does no harm,
 * because it is cached under its own hash.
 */
export class CurrentDigests {
  readonly #frameworks: FrameworkCache;
  readonly #byState = new LRUCache<string, readonly string[]>({ max: 10_000 });

  constructor(frameworks: FrameworkCache, feed: Pick<ChangeFeed, 'follow'>) {
    this.#frameworks = frameworks;
    const clear = () => this.#byState.clear();
    feed.follow({ onReset: clear, onAmended: clear });
  }

  /** The digests of locked outlooks, by slug; one query reads all unknown ones. */
  async of(session: Session, outlooks: readonly CurrentOutlook[]): Promise<Digests> {
    const digests: Digests = new Map();
    const unknown = new Map<string, CurrentOutlook>();
    for (const outlook of outlooks) {
      const { slug } = outlook.row;
      const known = this.#byState.get(stateOf(outlook));
      if (known === undefined) unknown.set(slug, outlook);
      else digests.set(slug, known);
    }
    if (unknown.size === 0) return digests;
    const versions = await readNewest(session, this.#frameworks, [...unknown.keys()]);
    for (const [slug, outlook] of unknown) {
      const version = versions.get(slug);
      if (!version) throw new Error(`the newest version of "${slug}" is missing`);
      const found = digestsOf(version);
      digests.set(slug, found);
      this.note(outlook, found);
    }
    return digests;
  }

  /** Notes the digests of an outlook's current version. */
  note(outlook: CurrentOutlook, digests: readonly string[]): void {
    // A resolution may be superseded, which the outlook's row does not show.
    if (outlook.row.status === 'open') this.#byState.set(stateOf(outlook), digests);
  }
}

function stateOf({ row, head }: CurrentOutlook): string {
  const { status, review_reasons: reasons, condition_states: states, continued_by: next } = row;
  const { desk_name: desk, internal_to: internalTo } = row;
  return JSON.stringify([head.hash, status, reasons, states, next, desk, internalTo]);
}
