import { concat, encodeBase64, hmacSha256 } from './encoding.ts';
import { hashLeaf, verifyInclusion } from './merkle-tree.ts';
import {
  type LedgerRow,
  type LoggedEvent,
  type ParsedReceipt,
  parseReceipt,
  type ProvenEntry,
  ReceiptFault,
} from './receipt-form.ts';
import { requireCommittedRows, requireDocuments, requireRowsOfSubject } from './receipt-rows.ts';
import { type CheckedSignatures, checkLogSignature, checkWitnesses } from './receipt-signatures.ts';
import { caveatsOf, type Fact, factsOf, sentenceOf } from './receipt-words.ts';
import { hasEd25519 } from './signed-note.ts';
import type { JsonObject } from './strict-json.ts';

/** What a reader knows from elsewhere: the log's verifier key, and those of witnesses. Without them, the receipt's own are used. */
export type TrustedKeys = { vkey?: string | undefined; witnesses?: readonly string[] | undefined };

/** The checks, in their order. After one that failed, the others are skipped. */
export const RECEIPT_CHECKS = [
  'form',
  'inclusion',
  'signature',
  'witnesses',
  'rows',
  'documents',
] as const;

export type ReceiptCheck = {
  name: (typeof RECEIPT_CHECKS)[number];
  result: 'passed' | 'failed' | 'skipped';
  /** A sentence for people. */
  detail: string;
};

/** The record that a receipt proves: who wrote what, and when. */
export type ProvenRecord = {
  event: Pick<LoggedEvent, 'kind' | 'subject' | 'at' | 'by' | 'digestedAt'>;
  /** The row that the subject stands for, and then those that belong to it. */
  rows: LedgerRow[];
  version: JsonObject | null;
  framework: JsonObject | null;
  /** The most important of it, for people. */
  facts: Fact[];
};

export type ReceiptVerification = {
  checks: ReceiptCheck[];
  /** What the receipt proves, or why it proves nothing, for people. */
  sentence: string;
} & (
  | { outcome: 'fails' }
  | {
      /**
       * `unchecked`: all is as it should be, but the log's signature was not checked, because the platform lacks Ed25519 or there
       * is no key.
       */
      outcome: 'holds' | 'unchecked';
      said: ProvenRecord;
      log: { origin: string; size: number; index: number; vkey: string | null };
      /** Whether the reader gave the log's key. If not, anyone can have made the receipt with a key of their own. */
      isKeyPinned: boolean;
      /** The earliest time that a witness states, in ISO 8601, and each that cosigned; null without a valid cosignature. */
      onRecord: {
        since: string;
        witnesses: { name: string; at: string }[];
        arePinned: boolean;
      } | null;
      /** Sentences that limit what the receipt proves. */
      caveats: string[];
    }
);

/**
 * Verifies a receipt offline. It accepts any value, and throws nothing.
 * @param receipt the text of the file, which is better, or what it parses to
 */
export async function verifyReceipt(
  receipt: unknown,
  trusted: TrustedKeys = {},
): Promise<ReceiptVerification> {
  if (typeof globalThis.crypto?.subtle !== 'object') return WITHOUT_CRYPTOGRAPHY;
  const checks: ReceiptCheck[] = [];
  try {
    return await runChecks(receipt, trusted, checks);
  } catch (error) {
    const isFault = error instanceof ReceiptFault;
    const detail = isFault ? error.message : `It can't be checked: ${String(error)}.`;
    const [name, ...others] = RECEIPT_CHECKS.slice(checks.length);
    if (name) checks.push({ name, result: 'failed', detail });
    checks.push(...others.map(skipped));
    return { outcome: 'fails', checks, sentence: `This receipt proves nothing. ${detail}` };
  }
}

function skipped(name: ReceiptCheck['name']): ReceiptCheck {
  return { name, result: 'skipped', detail: 'Not reached.' };
}

/** Browsers offer cryptography only to pages over https, from the same machine, and from files. */
const WITHOUT_CRYPTOGRAPHY: ReceiptVerification = {
  outcome: 'fails',
  checks: RECEIPT_CHECKS.map(skipped),
  sentence:
    'Nothing was checked: browsers offer cryptography only to pages over https and to files. Save this page, and open the file.',
};

async function runChecks(
  receipt: unknown,
  trusted: TrustedKeys,
  checks: ReceiptCheck[],
): Promise<ReceiptVerification> {
  const note = (result: 'passed' | 'skipped', detail: string) => {
    const name = RECEIPT_CHECKS[checks.length];
    if (name) checks.push({ name, result, detail });
  };
  const parsed = parseReceipt(receipt);
  requireOneSubject(parsed);
  requireDigestingEntries(parsed);
  note('passed', 'It is a receipt in format 1.');
  await requireInclusion(parsed);
  note('passed', inclusionDetail(parsed));
  const hasSignatures = await hasEd25519();
  const log = await checkLogSignature(parsed, trusted.vkey, hasSignatures);
  note(log.result, log.detail);
  const witnesses = await checkWitnesses(parsed, trusted.witnesses, hasSignatures);
  note(witnesses.result, witnesses.detail);
  await requireCommittedRows(parsed.entries);
  const main = requireRowsOfSubject(parsed);
  note('passed', 'Its rows are those that the event commits to.');
  await requireDocuments(parsed, main);
  note(...documentsDetail(parsed));
  return verified(parsed, main, { log, witnesses }, checks);
}

function requireOneSubject({ subject, origin, entries: [{ event }], head }: ParsedReceipt): void {
  if (event.subject !== subject) throw new ReceiptFault('Its event has another subject.');
  if (head.origin !== origin) throw new ReceiptFault('Its checkpoint is of another log.');
}

/** What digests rows that are older than the log. */
const DIGESTING = new Set(['rows.digested', 'ledger.digested']);

/** Rows in another entry may be those of another act, unless the act is older than the log, and the entry only digests. */
function requireDigestingEntries({ entries: [{ event }, ...later] }: ParsedReceipt): void {
  if (later.length > 0 && event.digestedAt === null) {
    throw new ReceiptFault(
      'Its rows are in another entry, though its event is not older than the log.',
    );
  }
  const place = later.findIndex((entry) => !DIGESTING.has(entry.event.kind));
  if (place === -1) return;
  throw new ReceiptFault(
    `Its laterEntries[${place}] is not one that digested rows of before the log.`,
  );
}

async function requireInclusion({ entries, head }: ParsedReceipt): Promise<void> {
  for (const { content, salt, index, path } of entries) {
    const leafHash = await leafHashOf({ content, salt });
    if (await verifyInclusion({ index, leafHash, proof: path, ...head })) continue;
    throw new ReceiptFault('Its proof does not lead from its event to the root of its checkpoint.');
  }
}

/** The leaf hash of an event: that of its commitment, which gives nothing away without the salt. */
async function leafHashOf({ content, salt }: Pick<ProvenEntry, 'content' | 'salt'>) {
  const commitment = encodeBase64(await hmacSha256(salt, content));
  const entry = `{"v":1,"commitment":"${commitment}"}`;
  return hashLeaf(concat(new TextEncoder().encode(entry)));
}

function inclusionDetail({ entries: [{ index }], head: { size, origin } }: ParsedReceipt): string {
  return `The event is leaf ${index} of the ${size} that the log ${origin} had at this checkpoint.`;
}

function documentsDetail({ documents }: ParsedReceipt): ['passed' | 'skipped', string] {
  if (documents.length === 0) return ['skipped', 'It has no documents: its rows say everything.'];
  return ['passed', 'Its documents have the hashes that were written.'];
}

function verified(
  receipt: ParsedReceipt,
  main: LedgerRow,
  { log, witnesses }: CheckedSignatures,
  checks: ReceiptCheck[],
): ReceiptVerification {
  const { entries, documents, head } = receipt;
  const [{ event, index }] = entries;
  const documentOf = (of: string) => documents.find((one) => one.of === of)?.value ?? null;
  const rows = entries.flatMap((entry) => entry.rows).map(({ table, row }) => ({ table, row }));
  const isMain = ({ row }: LedgerRow) => row === main.row;
  const { kind, subject, at, by, digestedAt } = event;
  const version = documentOf('version');
  const framework = documentOf('framework');
  const result = {
    outcome: log.result === 'passed' ? ('holds' as const) : ('unchecked' as const),
    said: {
      event: { kind, subject, at, by, digestedAt },
      rows: [...rows.filter(isMain), ...rows.filter((one) => !isMain(one))],
      version,
      framework,
      facts: factsOf(main, framework),
    },
    log: { origin: head.origin, size: head.size, index, vkey: log.vkey },
    isKeyPinned: log.isPinned,
    onRecord: witnesses.onRecord,
  };
  const { onRecord } = witnesses;
  return {
    ...result,
    checks,
    sentence: sentenceOf(event, main, head, { log, onRecord }),
    caveats: caveatsOf(receipt, { log, onRecord }),
  };
}
