import { type Bytes, decodeBase64, HASH_BYTES, utf8 } from './encoding.ts';
import { MAX_PROOF_HASHES } from './merkle-tree.ts';
import {
  isKeyName,
  type Note,
  parseCheckpointText,
  parseDecimal,
  parseNote,
  type TreeHead,
} from './signed-note.ts';
import { isObject, type Json, type JsonObject, parseStrictObject } from './strict-json.ts';

/** Why a receipt does not hold, in a sentence for people. */
export class ReceiptFault extends Error {}

/** A row of the ledger, as PostgreSQL writes its columns. Columns without a value are left out. */
export type LedgerRow = { table: string; row: { [column: string]: string } };

/** A row among those that a transaction wrote. `index` counts from 0. */
export type RowProof = LedgerRow & { index: number; salt: Bytes; text: Bytes; proof: Bytes[] };

/** What an entry of the log commits to. Times are UTC, in ISO 8601. */
export type LoggedEvent = {
  kind: string;
  /** A path of the API. */
  subject: string;
  at: string;
  by: { id: string; name: string } | null;
  /** When the log took up an event that is older than it; null for other events. */
  digestedAt: string | null;
  rows: { count: number; root: Bytes };
};

/** An entry of the log with its proof (c2sp.org/tlog-proof). */
export type ProvenEntry = {
  event: LoggedEvent;
  content: Bytes;
  salt: Bytes;
  rows: RowProof[];
  index: number;
  path: Bytes[];
  checkpoint: string;
};

/** A JSON text whose hash a row has. */
export type HashedDocument = { of: 'version' | 'framework'; text: Bytes; value: JsonObject };

export type ParsedReceipt = {
  subject: string;
  origin: string;
  /** The first is that of the act. Later ones hold rows that are older than the log. */
  entries: [ProvenEntry, ...ProvenEntry[]];
  documents: HashedDocument[];
  note: Note;
  head: TreeHead;
  vkey: string | null;
  witnesses: string[];
  missingWitnesses: string[];
};

/** In characters. */
const MAX_LENGTH = 32 * 1_048_576;
/** Each takes some hundredths of a millisecond to check. */
const MAX_HASHES = 200_000;
const MAX_WITNESSES = 100;
const PROOF_HEADER = 'c2sp.org/tlog-proof@v1';

/**
 * @param receipt its text, or what it parses to
 * @throws ReceiptFault
 */
export function parseReceipt(receipt: unknown): ParsedReceipt {
  const fields = objectOf(textOf(receipt), 'It');
  if (fields['v'] !== 1) {
    throw new ReceiptFault(
      'It is not a receipt in format 1 (`"v": 1`), the only format known here.',
    );
  }
  const entry = entryOf(fields, '');
  const later = listAt(fields, 'laterEntries', '').map((value, at) => {
    const name = `laterEntries[${at}]`;
    return entryOf(objectAt(value, name), `${name}.`);
  });
  const entries: ParsedReceipt['entries'] = [entry, ...later];
  requireFewHashes(entries);
  return {
    subject: stringAt(fields, 'subject', ''),
    origin: stringAt(fields, 'origin', ''),
    entries,
    documents: listAt(fields, 'documents', '').map(documentOf),
    ...checkpointOf(entries),
    vkey: fields['vkey'] === null ? null : stringAt(fields, 'vkey', ''),
    witnesses: stringsAt(fields, 'witnesses'),
    missingWitnesses: keyNamesAt(fields, 'missingWitnesses'),
  };
}

function textOf(receipt: unknown): string {
  const text = typeof receipt === 'string' ? receipt : serialized(receipt);
  if (text.length <= MAX_LENGTH) return text;
  throw new ReceiptFault('It is too long: a receipt has at most 32 million characters.');
}

function serialized(receipt: unknown): string {
  try {
    return JSON.stringify(receipt) ?? '';
  } catch {
    throw new ReceiptFault('It is not JSON.');
  }
}

function requireFewHashes(entries: readonly ProvenEntry[]): void {
  const rows = entries.flatMap((entry) => entry.rows);
  const hashes = rows.reduce((sum, { proof }) => sum + proof.length + 1, entries.length);
  if (hashes > MAX_HASHES) throw new ReceiptFault('Its proofs are too long.');
}

function entryOf(fields: JsonObject, prefix: string): ProvenEntry {
  const content = stringAt(fields, 'event', prefix);
  return {
    event: eventOf(objectOf(content, `Its ${prefix}event`)),
    content: bytesOf(content, `${prefix}event`),
    salt: hashAt(fields, 'salt', prefix),
    rows: listAt(fields, 'rows', prefix).map((row, at) => rowOf(row, `${prefix}rows[${at}]`)),
    ...proofOf(stringAt(fields, 'proof', prefix), `${prefix}proof`),
  };
}

function eventOf(fields: JsonObject): LoggedEvent {
  const where = 'event.';
  if (fields['v'] !== 1) throw new ReceiptFault('Its event has a format that is not known here.');
  const by = fields['by'] === null ? null : objectAt(fields['by'], 'event.by');
  const rows = objectAt(fields['rows'], 'event.rows');
  return {
    kind: stringAt(fields, 'kind', where),
    subject: stringAt(fields, 'subject', where),
    at: timeAt(fields, 'at'),
    by: by && { id: stringAt(by, 'id', 'event.by.'), name: stringAt(by, 'name', 'event.by.') },
    digestedAt: fields['digestedAt'] === undefined ? null : timeAt(fields, 'digestedAt'),
    rows: {
      count: countAt(rows, 'count', 'event.rows.'),
      root: hashAt(rows, 'root', 'event.rows.'),
    },
  };
}

function rowOf(value: Json, name: string): RowProof {
  const fields = objectAt(value, name);
  const text = stringAt(fields, 'text', `${name}.`);
  const { table, row } = objectOf(text, `Its ${name}.text`);
  if (typeof table !== 'string' || !isRow(row)) {
    throw new ReceiptFault(`Its ${name}.text is not a row of a table.`);
  }
  const proof = listAt(fields, 'proof', `${name}.`);
  return {
    table,
    row,
    index: countAt(fields, 'index', `${name}.`),
    salt: hashAt(fields, 'salt', `${name}.`),
    text: bytesOf(text, `${name}.text`),
    proof: hashesOf(proof, `${name}.proof`),
  };
}

function isRow(value: Json | undefined): value is { [column: string]: string } {
  return isObject(value) && Object.values(value).every((column) => typeof column === 'string');
}

function documentOf(value: Json, at: number): HashedDocument {
  const name = `documents[${at}]`;
  const fields = objectAt(value, name);
  const { of } = fields;
  if (of !== 'version' && of !== 'framework') {
    throw new ReceiptFault(`Its ${name} is neither of a version nor of a framework.`);
  }
  const json = stringAt(fields, 'json', `${name}.`);
  return { of, text: bytesOf(json, `${name}.json`), value: objectOf(json, `Its ${name}.json`) };
}

/** Parses a proof (c2sp.org/tlog-proof) apart from its checkpoint. */
function proofOf(proof: string, name: string): Pick<ProvenEntry, 'index' | 'path' | 'checkpoint'> {
  const end = proof.indexOf('\n\n');
  const [header, ...lines] = proof.slice(0, Math.max(end, 0)).split('\n');
  if (end === -1 || header !== PROOF_HEADER) {
    throw new ReceiptFault(`Its ${name} does not begin with the line ${PROOF_HEADER}.`);
  }
  if (lines[0]?.startsWith('extra ')) lines.shift();
  const [field, digits = '', ...others] = (lines.shift() ?? '').split(' ');
  const index = field === 'index' && others.length === 0 ? parseDecimal(digits) : null;
  if (index === null) throw new ReceiptFault(`Its ${name} has no index.`);
  return { index, path: hashesOf(lines, name), checkpoint: proof.slice(end + 2) };
}

/** One signature serves all proofs, because they end in the same checkpoint. */
function checkpointOf(entries: ParsedReceipt['entries']): Pick<ParsedReceipt, 'note' | 'head'> {
  const [{ checkpoint }] = entries;
  const note = parseNote(checkpoint);
  const head = note && parseCheckpointText(note.text);
  if (!note || !head) throw new ReceiptFault('Its proof has no checkpoint.');
  if (entries.every((entry) => entry.checkpoint === checkpoint)) return { note, head };
  throw new ReceiptFault('Its proofs have different checkpoints.');
}

function hashesOf(values: readonly Json[], name: string): Bytes[] {
  if (values.length > MAX_PROOF_HASHES) {
    throw new ReceiptFault(`Its ${name} has more than ${MAX_PROOF_HASHES} hashes.`);
  }
  return values.map((value) => hashOf(value, name));
}

function hashOf(value: Json | undefined, name: string): Bytes {
  const bytes = typeof value === 'string' ? decodeBase64(value) : null;
  if (bytes?.length === HASH_BYTES) return bytes;
  throw new ReceiptFault(`Its ${name} must be 32 bytes in base64.`);
}

function bytesOf(text: string, name: string): Bytes {
  const bytes = utf8(text);
  if (bytes) return bytes;
  throw new ReceiptFault(`Its ${name} has a lone surrogate, which UTF-8 can't encode.`);
}

/** @param subject what the text is, as the first words of a sentence */
function objectOf(text: string, subject: string): JsonObject {
  try {
    return parseStrictObject(text);
  } catch (error) {
    throw new ReceiptFault(`${subject} is not JSON as expected: ${(error as Error).message}.`);
  }
}

function objectAt(value: Json | undefined, name: string): JsonObject {
  if (isObject(value)) return value;
  throw new ReceiptFault(`Its ${name} must be an object.`);
}

function stringAt(fields: JsonObject, name: string, prefix: string): string {
  const value = fields[name];
  if (typeof value === 'string') return value;
  throw new ReceiptFault(`Its ${prefix}${name} must be a text.`);
}

function countAt(fields: JsonObject, name: string, prefix: string): number {
  const value = fields[name];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new ReceiptFault(`Its ${prefix}${name} must be a whole number.`);
}

function hashAt(fields: JsonObject, name: string, prefix: string): Bytes {
  return hashOf(fields[name], prefix + name);
}

function timeAt(fields: JsonObject, name: string): string {
  const time = stringAt(fields, name, 'event.');
  const date = new Date(time);
  if (!Number.isNaN(date.getTime()) && date.toISOString() === time) return time;
  throw new ReceiptFault(`Its event.${name} must be a time such as 2026-11-27T10:00:00.000Z.`);
}

function listAt(fields: JsonObject, name: string, prefix: string): Json[] {
  const value = fields[name];
  if (Array.isArray(value)) return value;
  throw new ReceiptFault(`Its ${prefix}${name} must be a list.`);
}

function stringsAt(fields: JsonObject, name: string): string[] {
  const values = listAt(fields, name, '');
  const strings = values.filter((value) => typeof value === 'string');
  if (strings.length === values.length && values.length <= MAX_WITNESSES) return strings;
  throw new ReceiptFault(`Its ${name} must be at most ${MAX_WITNESSES} texts.`);
}

function keyNamesAt(fields: JsonObject, name: string): string[] {
  const names = stringsAt(fields, name);
  if (names.every(isKeyName)) return names;
  throw new ReceiptFault(`Its ${name} must be names of keys.`);
}
