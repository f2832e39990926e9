import { LRUCache } from 'lru-cache';
import { actsFor, type Audience } from '../domain/desks.ts';
import type { ChangeFeed } from '../postgres/change-feed.ts';
import type { Session } from '../postgres/pool.ts';

/** An outlook by its slug, or a series by its key. */
export type Subject = { table: 'outlooks' | 'series'; name: string };

const QUERIES = {
  outlooks: 'select internal_to as "internalTo" from outlooks where slug = $1',
  series: 'select internal_to as "internalTo" from series where key = $1',
};

/** The desk that alone may see an outlook or a series; null if everyone may. */
type InternalTo = number | null;

/**
 * Who may see which outlook or series. Whoever once may see one always may, unless the ledger goes back, so what was found
 * needs no further query. What is hidden is queried each time, just as what does not exist, so that neither the response nor
 * its time reveals that it exists.
 */
export class KnownVisibilities {
  readonly #session: Session;
  readonly #feed: ChangeFeed;
  readonly #known = new LRUCache<string, { internalTo: InternalTo }>({ max: 50_000 });

  constructor(session: Session, feed: ChangeFeed) {
    this.#session = session;
    this.#feed = feed;
    feed.follow({
      // So that an outlook whose responses are cached as they are published is known while Postgres is away.
      onEvents: (events) => {
        for (const { slug, internalTo } of events)
          this.#note({ table: 'outlooks', name: slug }, internalTo);
      },
      onReset: () => this.#known.clear(),
    });
  }

  /** Whether an outlook or a series exists that an audience may see. */
  async isVisible(subject: Subject, audience: Audience): Promise<boolean> {
    const known = this.#known.get(keyOf(subject));
    if (known && shows(audience, known.internalTo)) return true;
    const { resets } = this.#feed;
    const { rows } = await this.#session.query<{ internalTo: InternalTo }>(QUERIES[subject.table], [
      subject.name,
    ]);
    const [found] = rows;
    if (!found || !shows(audience, found.internalTo)) return false;
    if (resets === this.#feed.resets) this.#note(subject, found.internalTo);
    return true;
  }

  #note(subject: Subject, internalTo: InternalTo): void {
    this.#known.set(keyOf(subject), { internalTo });
  }
}

const keyOf = ({ table, name }: Subject): string => `${table} ${name}`;

function shows({ desks }: Audience, internalTo: InternalTo): boolean {
  return internalTo === null || actsFor(desks, internalTo);
}
