import { createHash, randomBytes } from 'node:crypto';
import canonicalize from 'canonicalize';
import { commitmentOf, entryOf, rowHashOf, rowSaltOf } from '../../src/domain/log-entries.ts';
import { hashLeaf, inclusionProofsOf, rootOf } from '../../src/domain/merkle-tree.ts';
import { checkpointText, cosignatureLine, signatureLine } from '../../src/domain/signed-note.ts';
import type { newSigner } from './sign-log.ts';

// Receipts as the service makes them, of rows that a test chooses: with any keys, any witnesses and any faults.

type Signer = ReturnType<typeof newSigner>;

export const ANALYST = { id: '0192f0c1-0000-7000-8000-000000000001', name: 'Ada Analyst' };
export const OUTLOOK = 'russell-2000-downside';

type Row = { table: string; row: Record<string, string> };
type Entry = { event: Record<string, unknown>; rows: Row[] };

/** The row of a version with its documents, as the ledger writes them. */
export function versionOf(slug = OUTLOOK, version = 2) {
  const framework = { title: 'The case for more downside', summary: 'Yields.', instrument: 'RUT' };
  const frameworkJson = canonicalize(framework) ?? '';
  const document = {
    slug,
    version,
    publishedAt: '2026-11-27T10:00:00.123Z',
    authorId: ANALYST.id,
    rationale: 'Long-term yields jumped.',
    kind: 'probabilities',
    probabilities: { bear: 3500, base: 4000, bull: 2500 },
    frameworkHash: `sha256:${hexHashOf(frameworkJson)}`,
    previousHash: `sha256:${'a'.repeat(64)}`,
  };
  const json = canonicalize(document) ?? '';
  const row = {
    outlook_id: '1',
    version: String(version),
    kind: 'probabilities',
    framework_id: '7',
    bear_bps: '3500',
    base_bps: '4000',
    bull_bps: '2500',
    author_id: ANALYST.id,
    rationale: document.rationale,
    recorded_at: '2026-11-27 10:00:00.123+00',
    hash: `\\x${hexHashOf(json)}`,
    previous_hash: `\\x${'a'.repeat(64)}`,
  };
  return {
    subject: `/v1/outlooks/${slug}/versions/${version}`,
    event: eventOf(`/v1/outlooks/${slug}/versions/${version}`, 'outlook.version.published'),
    row: { table: 'outlook_versions', row },
    documents: [
      { of: 'version', json },
      { of: 'framework', json: frameworkJson },
    ],
  };
}

export function eventOf(subject: string, kind: string): Record<string, unknown> {
  return { at: '2026-11-27T10:00:00.123Z', by: ANALYST, kind, subject, v: 1 };
}

function hexHashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

export type ReceiptOptions = {
  log: Signer;
  witnesses?: { signer: Signer; seconds: number }[];
  missing?: Signer[];
  /** What the act wrote besides the rows that the receipt shows. */
  strangers?: Row[];
  /** The other entries of the log. */
  size?: number;
  index?: number;
};

type Made = Entry & { subject: string; documents?: object[]; later?: Entry[] };

type ShownRow = { index: number; salt: string; text: string; proof: string[] };
type ShownDocument = { of: string; json: string };

export type TestReceipt = Record<string, unknown> & {
  event: string;
  salt: string;
  rows: [ShownRow, ...ShownRow[]];
  documents: [ShownDocument, ...ShownDocument[]];
  laterEntries: object[];
  proof: string;
  witnesses: string[];
};

/** A receipt that holds. The log has `size` entries, the act is that at `index`. */
export function receiptOf(act: Made, options: ReceiptOptions): TestReceipt {
  const { log, witnesses = [], missing = [], size = 11, index = 6, strangers = [] } = options;
  const later = act.later ?? [];
  const opened = [act, ...later].map((entry) => openedOf(entry, strangers));
  const leaves = Array.from({ length: size }, () => hashLeaf(randomBytes(32)));
  for (const [at, { leaf }] of opened.entries()) leaves[(index + at) % size] = leaf;
  const root = rootOf(leaves);
  const text = checkpointText({ origin: log.name, size, root });
  const lines = [
    signatureLine(text, log),
    ...witnesses.map(({ signer, seconds }) => cosignatureLine(text, seconds, signer)),
  ];
  const note = `${text}\n${lines.join('\n')}\n`;
  const [own, ...others] = opened.map(({ entry }, at) => {
    const place = (index + at) % size;
    const path = proofOf(leaves, place).map((hash) => `${hash}\n`);
    return { ...entry, proof: `c2sp.org/tlog-proof@v1\nindex ${place}\n${path.join('')}\n${note}` };
  });
  return {
    v: 1,
    subject: act.subject,
    origin: log.name,
    generation: 1,
    ...own,
    laterEntries: others,
    documents: act.documents ?? [],
    vkey: log.vkey,
    witnesses: [...witnesses.map(({ signer }) => signer), ...missing].map(
      ({ witnessVkey }) => witnessVkey,
    ),
    missingWitnesses: missing.map(({ name }) => name),
  } as unknown as TestReceipt;
}

/** The inclusion proof of a leaf, in base64. */
function proofOf(leaves: readonly Buffer[], index: number): string[] {
  const [proof = []] = inclusionProofsOf(leaves, [index]);
  return proof.map((hash) => hash.toString('base64'));
}

/** An entry of the log with the rows to show; `strangers` were written between them. */
function openedOf({ event, rows }: Entry, strangers: Row[]) {
  const digestSalt = randomBytes(32);
  const written = [...strangers, ...rows].map((row, at) => {
    const text = canonicalize(row) ?? '';
    const salt = rowSaltOf(digestSalt, at);
    return { text, salt, hash: rowHashOf(salt, text) };
  });
  const hashes = written.map(({ hash }) => hash);
  const root = rootOf(hashes).toString('base64');
  const content = canonicalize({ ...event, rows: { count: written.length, root } }) ?? '';
  const salt = randomBytes(32);
  const shown = written.map(({ text, salt: rowSalt }, at) => ({
    index: at,
    salt: rowSalt.toString('base64'),
    text,
    proof: proofOf(hashes, at),
  }));
  return {
    leaf: hashLeaf(entryOf(commitmentOf(salt, content))),
    entry: {
      event: content,
      salt: salt.toString('base64'),
      rows: shown.slice(strangers.length),
    },
  };
}
