import type { Framework } from '../domain/framework.ts';
import type { Session } from '../postgres/pool.ts';
import {
  type ExportSource,
  OUTLOOKS,
  PARTS_OF_OUTLOOKS,
  REFERENCES,
  VERSIONS,
} from './export-sources.ts';
import { readFrameworksById } from './frameworks.ts';

/** A record of the export. Its type says what it is. */
export type ExportRecord = { type: string } & Record<string, unknown>;

/** The types of records, in the order in which they first appear. */
export const EXPORT_TYPES: readonly string[] = [
  OUTLOOKS.type,
  'framework',
  ...[VERSIONS, ...PARTS_OF_OUTLOOKS, ...REFERENCES].map(({ type }) => type),
];

/**
 * Reads everything public, a batch at a time, each with a query of its own. It has whatever was committed before it
 * began, and may have some of what was committed since; whatever a record refers to is there, before or after it.
 */
export async function* exportBatches(session: Session): AsyncGenerator<ExportRecord[], void> {
  for await (const outlooks of rowsOf(session, OUTLOOKS, null)) {
    const published = outlooks.filter(({ record }) => latestOf(record) > 0);
    yield published.map(({ record }) => record);
    if (published.length > 0) yield* partsOf(session, published);
  }
  for (const source of REFERENCES) yield* recordsOf(session, source);
}

const latestOf = (outlook: ExportRecord): number => Number(outlook['latestVersion']);

/** The versions and other parts of outlooks with ascending ids. */
async function* partsOf(
  session: Session,
  outlooks: readonly Row[],
): AsyncGenerator<ExportRecord[], void> {
  const latest = new Map(outlooks.map(({ key: [id], record }) => [Number(id), latestOf(record)]));
  const ids = [...latest.keys()];
  const range = { from: Number(ids[0]), to: Number(ids.at(-1)) };
  yield* versionsOf(session, latest, range);
  // An outlook or a version of the range may have been committed since.
  const isOf = ({ key: [id], version }: Row) => (version ?? 0) <= (latest.get(Number(id)) ?? -1);
  for (const source of PARTS_OF_OUTLOOKS) {
    for await (const rows of rowsOf(session, source, range)) {
      yield rows.filter(isOf).map(({ record }) => record);
    }
  }
}

/**
 * The versions of outlooks, each framework before the first version that has it.
 * @param latest the newest version of each outlook that its record names, by the outlook's id
 */
async function* versionsOf(
  session: Session,
  latest: ReadonlyMap<number, number>,
  range: Range,
): AsyncGenerator<ExportRecord[], void> {
  let framework: number | null = null;
  for await (const rows of rowsOf(session, VERSIONS, range)) {
    for (const { key, record, frameworkId } of rows) {
      if (Number(key[1]) > (latest.get(Number(key[0])) ?? 0)) continue;
      // The frameworks of outlooks differ.
      if (frameworkId !== null && frameworkId !== framework) {
        yield [await frameworkRecord(session, record, frameworkId)];
      }
      framework = frameworkId;
      yield [record];
    }
  }
}

/** The framework of a version, as its hash covers it. */
async function frameworkRecord(
  session: Session,
  { outlook }: ExportRecord,
  id: number,
): Promise<ExportRecord> {
  const found = (await readFrameworksById(session, [id])).get(id);
  if (!found) throw new Error(`framework ${id} is missing`);
  const framework: Framework = found.read();
  return { type: 'framework', outlook, hash: found.hash, ...framework };
}

async function* recordsOf(
  session: Session,
  source: ExportSource,
): AsyncGenerator<ExportRecord[], void> {
  for await (const rows of rowsOf(session, source, null)) yield rows.map(({ record }) => record);
}

type Row = {
  key: string[];
  record: ExportRecord;
  frameworkId: number | null;
  version: number | null;
};

/** Ids of outlooks: the first and the last one. */
type Range = { from: number; to: number };

/**
 * The rows of a source in the order of its key, a batch at a time.
 * @param range of outlooks, by the first column of the key; null for all rows
 */
async function* rowsOf(
  session: Session,
  { type, members, from, key, atOnce, frameworkId = 'null', version = 'null' }: ExportSource,
  range: Range | null,
): AsyncGenerator<Row[], void> {
  const columns = key.map(([column]) => column).join(', ');
  const place = key.map(([, sqlType], index) => `$${index + 1}::${sqlType}`).join(', ');
  const [[first] = ['']] = key;
  const bound = range === null ? '' : `and ${first} <= ${range.to}`;
  const text = `
    select array[${key.map(([column]) => `${column}::text`).join(', ')}] as key,
      json_build_object('type', '${type}', ${members}) as record, ${frameworkId} as "frameworkId", ${version} as version
      from ${from} where (${columns}) > (${place}) ${bound} order by ${columns} limit ${atOnce}`;
  let after = key.map(([, , least]) => least);
  if (range !== null) after = [String(range.from), ...after.slice(1)];
  for (;;) {
    const { rows } = await session.query<Row>(text, after);
    if (rows.length > 0) yield rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < atOnce) return;
    after = last.key;
  }
}
