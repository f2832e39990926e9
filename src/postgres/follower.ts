import type { EventRef } from '../domain/events.ts';
import type { LedgerEvent } from './outbox.ts';

/** What follows the change feed. */
export type Follower = {
  /** Events in the order of their positions, each once. */
  onEvents: (events: readonly LedgerEvent[]) => void;
  /** Events come late from now on, until `onCurrent`. */
  onLost: () => void;
  /** All events committed so far were handed over; later ones follow within moments of their commit. */
  onCurrent: () => void;
  /**
   * The ledger went back to an earlier state, and has lost what was recorded after it: whatever was derived from
   * events or rows is void. Called between `onLost` and `onCurrent`. Later events follow the newest one that the ledger has now.
   * @param lost the event that the ledger no longer has
   */
  onReset: (lost: EventRef) => void;
  /**
   * A name was erased, an analyst was renamed, deactivated or reactivated, or a desk was renamed: what was derived from events
   * or rows may be out of date. Called between `onLost` and `onCurrent`. Later events follow those that were handed over.
   */
  onAmended: () => void;
};
