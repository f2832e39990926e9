import type pg from 'pg';
import { DomainError, type Fault } from '../domain/errors.ts';
import { type Claim, importKeyOf } from '../domain/evidence.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import { SCENARIO_NAMES } from '../domain/probabilities.ts';
import type { Session } from '../postgres/pool.ts';
import { type Evidence, type NewEvidence, readEvidence } from './evidence.ts';
import { lockOutlook } from './find-outlook.ts';

/**
 * Adds an item of evidence to an outlook. Call it in a transaction.
 * @throws DomainError `outlook-not-found`, or `evidence-refused` if its date is in the future, a claim is about something
 *   that the outlook lacks, or the item it corrects is missing or already corrected
 */
export async function addEvidence(
  session: pg.PoolClient,
  slug: string,
  item: NewEvidence,
  author: OutlookVersion['author'],
  clock: () => Date,
): Promise<Evidence> {
  const outlook = await lockOutlook(session, slug);
  const id = await checkAndInsert(session, outlook, { ...item, importKey: null }, author, clock());
  return readAdded(session, slug, id);
}

/**
 * Adds an item of news to an outlook, unless the outlook has one of its publisher and URL: so an import may be repeated.
 * Call it in a transaction.
 * @returns the item, and whether it is new
 * @throws DomainError as {@link addEvidence}, and `evidence-refused` for an item without a URL, or a correction
 */
export async function importEvidence(
  session: pg.PoolClient,
  slug: string,
  item: NewEvidence,
  author: OutlookVersion['author'],
  clock: () => Date,
): Promise<{ item: Evidence; isNew: boolean }> {
  const { publisher, url } = item;
  if (url === null || item.corrects !== null) throw notImportable(item);
  const outlook = await lockOutlook(session, slug);
  const { rows } = await session.query<{ id: string }>(
    `select id from evidence
      where outlook_id = $1 and hashtextextended(coalesce(url, headline), 0) = hashtextextended($2, 0)
        and url = $2 and publisher = $3 and corrects is null
      order by number limit 1`,
    [outlook.id, url, publisher],
  );
  const [known] = rows;
  if (known) return { item: await readAdded(session, slug, known.id), isNew: false };
  const imported = { ...item, importKey: importKeyOf({ publisher, url }) };
  const id = await checkAndInsert(session, outlook, imported, author, clock());
  return { item: await readAdded(session, slug, id), isNew: true };
}

function notImportable({ url, corrects }: NewEvidence): DomainError {
  const faults = [
    ...(url === null
      ? [{ path: ['url'], detail: 'is required for an import, which knows an item again by it' }]
      : []),
    ...(corrects === null
      ? []
      : [{ path: ['corrects'], detail: 'cannot be imported: add corrections one by one' }]),
  ];
  return new DomainError('evidence-refused', 'The evidence cannot be imported.', faults);
}

type ItemToInsert = NewEvidence & { importKey: string | null };

async function checkAndInsert(
  session: Session,
  outlook: { id: number; frameworkId: number },
  item: ItemToInsert,
  author: OutlookVersion['author'],
  now: Date,
): Promise<string> {
  const faults = [
    ...futureFaults(item, now),
    ...(await claimFaults(session, outlook.frameworkId, item.claims)),
    ...(await correctionFaults(session, outlook.id, item.corrects)),
  ];
  if (faults.length > 0) {
    throw new DomainError('evidence-refused', 'The evidence does not fit the outlook.', faults);
  }
  return insertEvidence(session, outlook.id, item, author, now);
}

async function readAdded(session: Session, slug: string, id: string): Promise<Evidence> {
  const found = await readEvidence(session, slug, id);
  if (!found) throw new Error(`evidence ${id} is missing`);
  return found;
}

function futureFaults({ publishedAt }: NewEvidence, now: Date): Fault[] {
  if (publishedAt <= now) return [];
  const detail = `must not be in the future; the server time is ${now.toISOString()}`;
  return [{ path: ['publishedAt'], detail }];
}

async function claimFaults(
  session: Session,
  frameworkId: number,
  claims: readonly Claim[],
): Promise<Fault[]> {
  const { rows } = await session.query<Record<'headwind' | 'condition', string[]>>(
    `select array(select key from headwinds where framework_id = $1 order by rank) as headwind,
       array(select key from invalidation_conditions where framework_id = $1 order by position)
         as condition`,
    [frameworkId],
  );
  const known = { scenario: [...SCENARIO_NAMES], headwind: [], condition: [], ...rows[0] };
  return claims.flatMap(({ target: { kind, key } }, index) => {
    const keys: readonly string[] = known[kind];
    if (keys.includes(key)) return [];
    const detail = `there is no ${kind} "${key}"; ${keys.length > 0 ? `use one of ${keys.join(', ')}` : 'the outlook has none'}`;
    return [{ path: ['claims', index, 'target', 'key'], detail }];
  });
}

async function correctionFaults(
  session: Session,
  outlookId: number,
  corrects: string | null,
): Promise<Fault[]> {
  if (corrects === null) return [];
  const { rows } = await session.query<{ by: string | null }>(
    `select (select c.id from evidence c where c.corrects = e.id) as by
       from evidence e where e.id = $1 and e.outlook_id = $2`,
    [corrects, outlookId],
  );
  const [found] = rows;
  if (!found) return [{ path: ['corrects'], detail: 'must be the id of evidence of this outlook' }];
  if (found.by === null) return [];
  return [
    {
      path: ['corrects'],
      detail: `is already corrected by ${found.by}: correct that item instead`,
    },
  ];
}

// A trigger numbers the item; the outlook's lock keeps the numbers unique.
async function insertEvidence(
  session: Session,
  outlookId: number,
  item: ItemToInsert,
  author: OutlookVersion['author'],
  now: Date,
): Promise<string> {
  const { sentiment } = item;
  const { rows } = await session.query<{ id: string }>(
    `insert into evidence (outlook_id, number, headline, summary, publisher, url, published_at,
       sentiment_score, sentiment_label, sentiment_min, sentiment_max, sentiment_provider, tickers,
       corrects, author_id, recorded_at, import_key)
     values ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) returning id`,
    [
      outlookId,
      item.headline,
      item.summary,
      item.publisher,
      item.url,
      item.publishedAt.toISOString(),
      sentiment?.score ?? null,
      sentiment?.label ?? null,
      sentiment?.scale.min ?? null,
      sentiment?.scale.max ?? null,
      sentiment?.provider ?? null,
      JSON.stringify(item.tickers),
      item.corrects,
      author.id,
      now.toISOString(),
      item.importKey,
    ],
  );
  const id = rows[0]?.id ?? '';
  if (item.claims.length === 0) return id;
  const claims = item.claims.map(({ statement, effect, target, horizon, condition, range }) => ({
    statement,
    effect,
    target_kind: target.kind,
    target_key: target.key,
    horizon,
    condition,
    range_min: range?.min ?? null,
    range_max: range?.max ?? null,
    range_unit: range?.unit ?? null,
  }));
  await session.query(
    `insert into evidence_claims (evidence_id, position, statement, effect, target_kind, target_key,
       horizon, condition, range_min, range_max, range_unit)
     select $1, place, statement, effect, target_kind, target_key, horizon, condition, range_min,
         range_max, range_unit
       from rows from (json_to_recordset($2) as (statement text, effect text, target_kind text,
         target_key text, horizon text, condition text, range_min float8, range_max float8,
         range_unit text)) with ordinality as claim (statement, effect, target_kind, target_key,
         horizon, condition, range_min, range_max, range_unit, place)`,
    [id, JSON.stringify(claims)],
  );
  return id;
}
