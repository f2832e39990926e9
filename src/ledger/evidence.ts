import type pg from 'pg';
import { DomainError, type Fault } from '../domain/errors.ts';
import type { Claim, Sentiment, Ticker } from '../domain/evidence.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import {
  deltasOf,
  type Fractions,
  probabilitiesOf,
  SCENARIO_NAMES,
  type ScenarioName,
} from '../domain/probabilities.ts';
import type { Session } from '../postgres/pool.ts';
import { lockOutlook } from './find-outlook.ts';
import { joinVersion } from './versions.ts';

/** News or data, in its publisher's words. */
export type NewEvidence = {
  headline: string;
  summary: string;
  publisher: string;
  url: string | null;
  publishedAt: Date;
  sentiment: Sentiment | null;
  tickers: readonly Ticker[];
  claims: readonly Claim[];
  /** The id of the earlier item that it corrects. */
  corrects: string | null;
};

export type Evidence = NewEvidence & {
  id: string;
  /** Counts the items of an outlook from 1. */
  number: number;
  correctedBy: string | null;
  addedBy: OutlookVersion['author'];
  addedAt: Date;
  /** The versions that cite it, with the changes of their probabilities as fractions. */
  moved: readonly { version: number; publishedAt: Date; deltas: Fractions }[];
};

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
  const now = clock();
  const faults = [
    ...momentFaults(item, now),
    ...(await claimFaults(session, outlook.frameworkId, item.claims)),
    ...(await correctionFaults(session, outlook.id, item.corrects)),
  ];
  if (faults.length > 0) {
    throw new DomainError('evidence-refused', 'The evidence does not fit the outlook.', faults);
  }
  const id = await insertEvidence(session, outlook.id, item, author, now);
  const added = await readEvidence(session, slug, id);
  if (!added) throw new Error(`evidence ${id} is missing`);
  return added;
}

function momentFaults({ publishedAt }: NewEvidence, now: Date): Fault[] {
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
  item: NewEvidence,
  author: OutlookVersion['author'],
  now: Date,
): Promise<string> {
  const { sentiment } = item;
  const { rows } = await session.query<{ id: string }>(
    `insert into evidence (outlook_id, number, headline, summary, publisher, url, published_at,
       sentiment_score, sentiment_label, sentiment_min, sentiment_max, sentiment_provider, tickers,
       corrects, author_id, recorded_at)
     values ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) returning id`,
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

type EvidenceRow = Omit<Evidence, 'moved'> & {
  moved: (Record<ScenarioName | `previous_${ScenarioName}`, number> & {
    version: number;
    published_at: number;
  })[];
};

/** The most versions that an item names: the newest that cite it. */
const MOST_MOVED = 1_000;

// The index version_evidence_once finds the citing versions, the primary key the versions before them.
const OF_OUTLOOK = `
    select e.id, e.number, e.headline, e.summary, e.publisher, e.url, e.published_at as "publishedAt",
      case when e.sentiment_score is not null then json_build_object('score', e.sentiment_score,
        'label', e.sentiment_label,
        'scale', json_build_object('min', e.sentiment_min, 'max', e.sentiment_max),
        'provider', e.sentiment_provider) end as sentiment,
      e.tickers, e.corrects, e.recorded_at as "addedAt",
      (select c.id from evidence c where c.corrects = e.id) as "correctedBy",
      json_build_object('id', a.id, 'name', a.name) as "addedBy",
      (select coalesce(json_agg(json_build_object('statement', c.statement, 'effect', c.effect,
           'target', json_build_object('kind', c.target_kind, 'key', c.target_key),
           'horizon', c.horizon, 'condition', c.condition,
           'range', case when c.range_unit is not null then json_build_object('min', c.range_min,
             'max', c.range_max, 'unit', c.range_unit) end) order by c.position), '[]')
         from evidence_claims c where c.evidence_id = e.id) as claims,
      (select coalesce(json_agg(json_build_object('version', v.version,
           'published_at', (extract(epoch from v.recorded_at) * 1000)::float8,
           'bear', v.bear_bps, 'base', v.base_bps, 'bull', v.bull_bps,
           'previous_bear', p.bear_bps, 'previous_base', p.base_bps, 'previous_bull', p.bull_bps)
           order by v.version), '[]')
         from (select w.version from version_evidence w where w.evidence_id = e.id
                order by w.version desc limit ${MOST_MOVED}) w ${joinVersion('w.version')}
        where v.version > 1) as moved
    from evidence e join outlooks o on o.id = e.outlook_id join analysts a on a.id = e.author_id
   where e.outlook_id = (select id from outlooks where slug = $1)`;

/**
 * The evidence of an outlook with numbers below `before`, newest first; at most `limit`. Empty for an outlook that does
 * not exist.
 */
export async function listEvidence(
  session: Session,
  slug: string,
  { before, limit }: { before: number | null; limit: number },
): Promise<Evidence[]> {
  const { rows } = await session.query<EvidenceRow>({
    name: 'list-evidence',
    // Not `$2 is null or …`: a generic plan could not use the index for it.
    text: `${OF_OUTLOOK} and e.number < coalesce($2::bigint, 2147483648)
      order by e.number desc limit $3`,
    values: [slug, before, limit],
  });
  return rows.map(evidenceOf);
}

/** An item of evidence; undefined if the outlook has none with that id, or does not exist. */
export async function readEvidence(
  session: Session,
  slug: string,
  id: string,
): Promise<Evidence | undefined> {
  const { rows } = await session.query<EvidenceRow>({
    name: 'read-evidence',
    text: `${OF_OUTLOOK} and e.id = $2`,
    values: [slug, id],
  });
  return rows.map(evidenceOf)[0];
}

function evidenceOf({ moved, ...row }: EvidenceRow): Evidence {
  return {
    ...row,
    moved: moved.map((move) => {
      const { previous_bear: bear, previous_base: base, previous_bull: bull } = move;
      return {
        version: move.version,
        publishedAt: new Date(move.published_at),
        deltas: deltasOf(probabilitiesOf({ bear, base, bull }), probabilitiesOf(move)),
      };
    }),
  };
}

/** @throws DomainError `unknown-evidence`, with a fault for each id that the outlook's evidence lacks */
export async function requireEvidence(
  session: Session,
  outlookId: number,
  ids: readonly string[],
): Promise<void> {
  if (ids.length === 0) return;
  const { rows } = await session.query<{ id: string }>(
    'select id from evidence where outlook_id = $1 and id = any($2)',
    [outlookId, ids],
  );
  const known = new Set(rows.map(({ id }) => id));
  const faults = ids.flatMap((id, index) => {
    if (known.has(id.toLowerCase())) return [];
    const detail = `"${id}" is not evidence of this outlook; GET …/evidence lists the ids`;
    return [{ path: ['evidence', index], detail }];
  });
  if (faults.length === 0) return;
  throw new DomainError('unknown-evidence', 'Some of the cited evidence does not exist.', faults);
}

/** Records the evidence that a version cites. Call it after the version is inserted. */
export async function citeEvidence(
  session: Session,
  outlookId: number,
  version: number,
  ids: readonly string[],
): Promise<void> {
  if (ids.length === 0) return;
  await session.query(
    `insert into version_evidence (outlook_id, version, position, evidence_id)
     select $1, $2, place, id from unnest($3::uuid[]) with ordinality as cited (id, place)`,
    [outlookId, version, ids],
  );
}
