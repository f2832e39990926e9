import type { LedgerEvent } from '../db/events.ts';
import type { OutlookStatus } from '../domain/outlook.ts';
import type { VersionKind } from '../domain/hash-chain.ts';
import type { Fractions } from '../domain/probabilities.ts';

type VersionData = { kind: VersionKind; probabilities: Fractions; deltas: Fractions | null };
type StateData = { status: OutlookStatus; reviewReasons: string[] };

/** An event as a stream writes it (HTML Living Standard, 9.2). JSON text has no line breaks. */
export function renderEvent(event: LedgerEvent): string {
  const { position, kind } = event;
  return `id: ${position}\nevent: ${kind}\ndata: ${JSON.stringify(dataOf(event))}\n\n`;
}

function dataOf({ kind, slug, version, recordedAt, data }: LedgerEvent): object {
  switch (kind) {
    case 'outlook.created':
    case 'outlook.version.published': {
      const told = data as VersionData;
      const previousVersion = version > 1 ? version - 1 : null;
      return {
        slug,
        version,
        publishedAt: recordedAt.toISOString(),
        change: { kind: told.kind, previousVersion, deltas: told.deltas && ordered(told.deltas) },
        probabilities: ordered(told.probabilities),
      };
    }
    case 'outlook.state.changed': {
      const { status, reviewReasons } = data as StateData;
      const review = { due: reviewReasons.length > 0, reasons: reviewReasons };
      return { slug, version, changedAt: recordedAt.toISOString(), status, review };
    }
    default:
      return kind satisfies never;
  }
}

/** As all answers write them; Postgres keeps members in an order of its own. */
function ordered({ bear, base, bull }: Fractions): Fractions {
  return { bear, base, bull };
}
