import type { Audience } from '../domain/desks.ts';
import type { Framework } from '../domain/framework.ts';
import type { Session } from '../postgres/pool.ts';
import {
  type ExportSource,
  OUTLOOKS,
  PARTS_OF_OUTLOOKS,
  REFERENCES,
  versionsFor,
} from './export-sources.ts';
import { readFrameworksById } from './frameworks.ts';
import { onlyVisibleTo } from './visibility.ts';

/** A record of the export. Its type says what it is. */
export type ExportRecord = { type: string } & Record<string, unknown>;

/** The types of records that an audience may see, in the order in which they first appear. */
export function exportTypes(audience: Pick<Audience, 'hasKey'>): string[] {
  const sources = [versionsFor(audience), ...partsFor(audience), ...REFERENCES];
  return [OUTLOOKS.type, 'framework', ...sources.map(({ type }) => type)];
}

const partsFor = ({ hasKey }: Pick<Audience, 'hasKey'>) =>
  PARTS_OF_OUTLOOKS.filter(({ needsKey = false }) => hasKey || !needsKey);

/**
 * Reads everything that an audience may see, a batch at a time, each with a query of its own. It has whatever was committed
 * before it began, and may have some of what was committed since; whatever a record refers to is there, before or after it.
 */
export async function* exportBatches(
  session: Session,
  audience: Audience,
): AsyncGenerator<ExportRecord[], void> {
  const reader = { session, audience };
  for await (const outlooks of rowsOf(reader, OUTLOOKS, null)) {
    const published = outlooks.filter(({ record }) => latestOf(record) > 0);
    yield published.map(({ record }) => record);
    if (published.length > 0) yield* partsOf(reader, published);
  }
  for (const source of REFERENCES) yield* recordsOf(reader, source);
}

const latestOf = (outlook: ExportRecord): number => Number(outlook['latestVersion']);

/** What an audience reads, by a session. */
type Reader = { session: Session; audience: Audience };

/** The versions and other parts of outlooks with ascending ids. */
async function* partsOf(
  reader: Reader,
  outlooks: readonly Row[],
): AsyncGenerator<ExportRecord[], void> {
  const latest = new Map(outlooks.map(({ key: [id], record }) => [Number(id), latestOf(record)]));
  const ids = [...latest.keys()];
  const range = { from: Number(ids[0]), to: Number(ids.at(-1)) };
  yield* versionsOf(reader, latest, range);
  // An outlook or a version of the range may have been committed since.
  const isOf = ({ key: [id], version }: Row) => (version ?? 0) <= (latest.get(Number(id)) ?? -1);
  for (const source of partsFor(reader.audience)) {
    for await (const rows of rowsOf(reader, source, range)) {
      yield rows.filter(isOf).map(({ record }) => record);
    }
  }
}

/**
 * The versions of outlooks, each framework before the first version that has it.
 * @param latest the newest version of each outlook that its record names, by the outlook's id
 */
async function* versionsOf(
  reader: Reader,
  latest: ReadonlyMap<number, number>,
  range: Range,
): AsyncGenerator<ExportRecord[], void> {
  let framework: number | null = null;
  for await (const rows of rowsOf(reader, versionsFor(reader.audience), range)) {
    for (const { key, record, frameworkId } of rows) {
      if (Number(key[1]) > (latest.get(Number(key[0])) ?? 0)) continue;
      // The frameworks of outlooks differ.
      if (frameworkId !== null && frameworkId !== framework) {
        yield [await frameworkRecord(reader.session, record, frameworkId)];
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
  reader: Reader,
  source: ExportSource,
): AsyncGenerator<ExportRecord[], void> {
  for await (const rows of rowsOf(reader, source, null)) yield rows.map(({ record }) => record);
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
  { session, audience }: Reader,
  { type, members, from, subject, key, atOnce, ...columns }: ExportSource,
  range: Range | null,
): AsyncGenerator<Row[], void> {
  const { frameworkId = 'null', version = 'null' } = columns;
  const order = key.map(([column]) => column).join(', ');
  const place = key.map(([, sqlType], index) => `$${index + 1}::${sqlType}`).join(', ');
  const [[first] = ['']] = key;
  const bound = range === null ? '' : `and ${first} <= ${range.to}`;
  const values: unknown[] = [];
  const bind = (value: unknown): string => `$${key.length + values.push(value)}`;
  const isVisible = (subject && onlyVisibleTo(audience, subject, bind)) ?? 'true';
  const text = `
    select array[${key.map(([column]) => `${column}::text`).join(', ')}] as key,
      json_build_object('type', '${type}', ${members}) as record, ${frameworkId} as "frameworkId", ${version} as version
      from ${from} where (${order}) > (${place}) ${bound} and ${isVisible} order by ${order} limit ${atOnce}`;
  let after = key.map(([, , least]) => least);
  if (range !== null) after = [String(range.from), ...after.slice(1)];
  for (;;) {
    const { rows } = await session.query<Row>(text, [...after, ...values]);
    if (rows.length > 0) yield rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < atOnce) return;
    after = last.key;
  }
}
