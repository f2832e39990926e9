import { DomainError } from '../domain/errors.ts';
import type { Claim, Sentiment, Ticker } from '../domain/evidence.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import {
  deltasOf,
  type Fractions,
  probabilitiesOf,
  type ScenarioName,
} from '../domain/probabilities.ts';
import type { Session } from '../postgres/pool.ts';
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
  /** The id of the first item of the outlook that is the same; see `SAME`. */
  duplicateOf: string | null;
  addedBy: OutlookVersion['author'];
  addedAt: Date;
  /** The versions that cite it, with the changes of their probabilities as fractions. */
  moved: readonly { version: number; publishedAt: Date; deltas: Fractions }[];
};

type EvidenceRow = Omit<Evidence, 'moved'> & {
  moved: (Record<ScenarioName | `previous_${ScenarioName}`, number> & {
    version: number;
    published_at: number;
  })[];
};

/** The most versions that an item names: the newest that cite it. */
const MOST_MOVED = 1_000;

// The same news twice: the same URL of the same publisher, or the same headline at the same time without a URL. A correction
// is no duplicate.
const SAME = `d.outlook_id = e.outlook_id and d.number < e.number and e.corrects is null
  and hashtextextended(coalesce(d.url, d.headline), 0) = hashtextextended(coalesce(e.url, e.headline), 0)
  and d.publisher = e.publisher and d.url is not distinct from e.url
  and (d.url is not null or d.headline = e.headline and d.published_at = e.published_at)`;

// The index version_evidence_once finds the citing versions, the primary key the versions before them.
const OF_OUTLOOK = `
    select e.id, e.number, e.headline, e.summary, e.publisher, e.url, e.published_at as "publishedAt",
      case when e.sentiment_score is not null then json_build_object('score', e.sentiment_score,
        'label', e.sentiment_label,
        'scale', json_build_object('min', e.sentiment_min, 'max', e.sentiment_max),
        'provider', e.sentiment_provider) end as sentiment,
      e.tickers, e.corrects, e.recorded_at as "addedAt",
      (select c.id from evidence c where c.corrects = e.id) as "correctedBy",
      (select d.id from evidence d where ${SAME} order by d.number limit 1) as "duplicateOf",
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
