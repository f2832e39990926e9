import type { LedgerRow, LoggedEvent, ParsedReceipt } from './receipt-form.ts';
import type { CheckedLog, OnRecord } from './receipt-signatures.ts';
import type { TreeHead } from './signed-note.ts';
import { isObject, type JsonObject } from './strict-json.ts';

/** A line of what was said. */
export type Fact = { label: string; text: string };

/** What was said, by label and column. */
const COLUMNS: { [table: string]: [label: string, column: string][] } = {
  outlook_versions: [
    ['Kind', 'kind'],
    ['Rationale', 'rationale'],
  ],
  views: [
    ['Kind', 'kind'],
    ['Rationale', 'rationale'],
  ],
  evidence: [
    ['Headline', 'headline'],
    ['Summary', 'summary'],
    ['Publisher', 'publisher'],
    ['URL', 'url'],
  ],
  resolutions: [
    ['Realised return', 'realised_return'],
    ['Reason', 'reason'],
  ],
};

/** The most important of what a row and the framework of its version say. */
export function factsOf(main: LedgerRow, framework: JsonObject | null): Fact[] {
  const facts = [
    ...frameworkFacts(framework),
    ...probabilityFacts(main),
    ...outcomeFacts(main),
    ...(COLUMNS[main.table] ?? []).map(([label, column]) => ({ label, text: main.row[column] })),
  ];
  return facts.filter((fact): fact is Fact => typeof fact.text === 'string' && fact.text !== '');
}

function frameworkFacts(framework: JsonObject | null): { label: string; text: unknown }[] {
  if (!framework) return [];
  const { title, summary, instrument, horizon } = framework;
  const { from, to } = isObject(horizon) ? horizon : {};
  const days =
    typeof from === 'string' && typeof to === 'string'
      ? `${from} to ${to}, the last day excluded`
      : null;
  return [
    { label: 'Title', text: title },
    { label: 'Instrument', text: instrument },
    { label: 'Horizon', text: days },
    { label: 'Summary', text: summary },
  ];
}

function probabilityFacts({ row }: LedgerRow): Fact[] {
  const { bear_bps: bear, base_bps: base, bull_bps: bull } = row;
  if (bear === undefined || base === undefined || bull === undefined) return [];
  const text = `bear ${percentOf(bear)}, base ${percentOf(base)}, bull ${percentOf(bull)}`;
  return [{ label: 'Probabilities', text }];
}

function outcomeFacts({ table, row }: LedgerRow): Fact[] {
  if (table !== 'resolutions') return [];
  const none = row['reopens'] === 'true' ? 'reopened' : 'void';
  return [{ label: 'Outcome', text: row['outcome'] ?? none }];
}

/** @param points basis points, as a row has them */
function percentOf(points: string): string {
  return `${Number(points) / 100}%`;
}

/** Who did what, when, since when it is on record, and what was not checked. */
export function sentenceOf(
  { by, at, ...event }: LoggedEvent,
  main: LedgerRow,
  { origin }: TreeHead,
  { log, onRecord }: { log: CheckedLog; onRecord: OnRecord | null },
): string {
  const record = onRecord
    ? witnessedWords(onRecord)
    : `In the log ${origin} of the service; time by its own clock.`;
  // Quoted, because a name may read as a sentence.
  const act = `${by ? JSON.stringify(by.name) : 'The service'} ${actOf(event, main)} at ${timeOf(at)}.`;
  return [act, record, ...unchecked(log)].join(' ');
}

function unchecked({ result, isPinned, detail }: CheckedLog): string[] {
  if (result === 'skipped') return [detail];
  return isPinned ? [] : ['Checked only with the key that the receipt itself names.'];
}

function witnessedWords({ since, witnesses, arePinned }: OnRecord): string {
  const names = witnesses.map(({ name }) => name).join(', ');
  const source = arePinned ? '' : ' (known from the receipt alone)';
  return `On record since ${timeOf(since)}, witnessed by ${names}${source}.`;
}

const ACTS = new Map([
  ['outlook.created', 'published'],
  ['outlook.version.published', 'published'],
  ['evidence.added', 'added'],
  ['view.published', 'published the view'],
  ['view.withdrawn', 'withdrew the view'],
  ['outlook.resolved', 'recorded'],
  ['outlook.reopened', 'took back'],
]);

function actOf(
  { kind, subject }: Pick<LoggedEvent, 'kind' | 'subject'>,
  { table, row }: LedgerRow,
): string {
  const isWithdrawn = table === 'outlook_versions' && row['kind'] === 'withdrawn';
  const act = isWithdrawn ? 'withdrew the outlook by' : (ACTS.get(kind) ?? 'wrote');
  return `${act} ${subject}`;
}

/** @param time in ISO 8601 */
function timeOf(time: string): string {
  return `${time.slice(0, 19).replace('T', ' ')} UTC`;
}

/** Sentences that say what a receipt does not prove. */
export function caveatsOf(
  { entries, missingWitnesses }: ParsedReceipt,
  { log, onRecord }: { log: CheckedLog; onRecord: OnRecord | null },
): string[] {
  const [{ event }, ...later] = entries;
  const caveats: string[] = [];
  if (!log.isPinned) {
    caveats.push(
      `The key of the log comes from the receipt itself. Anyone can make such a receipt with a key of their own: compare ${log.vkey ?? 'its signature'} with the key that the log's operator publishes.`,
    );
  }
  if (onRecord && !onRecord.arePinned) {
    caveats.push('The keys of the witnesses come from the receipt itself as well.');
  }
  if (event.digestedAt !== null) {
    caveats.push(`The log took it up later than it was written, at ${timeOf(event.digestedAt)}.`);
  }
  for (const entry of later) {
    const tables = [...new Set(entry.rows.map(({ table }) => table))].join(', ');
    caveats.push(`Rows of ${tables}: in the log since ${timeOf(entry.event.at)}.`);
  }
  if (missingWitnesses.length > 0) {
    caveats.push(`Without a cosignature of ${missingWitnesses.join(', ')}.`);
  }
  return caveats;
}
