import { deskOf } from '../access/desks.ts';
import type { Audience } from '../domain/desks.ts';

/** A kind of record of the export: where its rows come from, and in which order they are read. */
export type ExportSource = {
  type: string;
  /** The members of a record, as SQL: names and expressions, as `json_build_object` takes them. */
  members: string;
  from: string;
  /** The columns that order the rows, with their types and a value before all others. */
  key: readonly (readonly [column: string, type: string, first: string])[];
  /** The outlook or series that decides who may see a row, as the alias of its table; undefined if everyone may. */
  subject?: 'o' | 's' | 'x';
  /** Whether it shows to those with a key only. */
  needsKey?: true;
  /** How many rows are read at once. */
  atOnce: number;
  /** The framework that a row refers to, as SQL. */
  frameworkId?: string;
  /** The version of its outlook that a row refers to, as SQL. */
  version?: string;
};

/** A time as the API writes it. */
const at = (column: string): string =>
  `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
const author = (alias: string): string =>
  `json_build_object('id', ${alias}.id, 'name', ${alias}.name)`;
const fractions = (alias: string): string =>
  `json_build_object('bear', ${alias}.bear_bps / 10000::float8, 'base', ${alias}.base_bps / 10000::float8,
     'bull', ${alias}.bull_bps / 10000::float8)`;
const close = (alias: string, end: 'start' | 'end'): string =>
  `json_build_object('date', ${alias}.${end}_date, 'value', ${alias}.${end}_value)`;
const closes = (alias: string): string =>
  `case when ${alias}.end_date is not null then
     json_build_object('start', ${close(alias, 'start')}, 'end', ${close(alias, 'end')}) end`;
const list = (items: string): string => `(select coalesce(json_agg(${items}), '[]')`;

const BIGINT = ['bigint', '0'] as const;
const INTEGER = ['int', '0'] as const;

/** The members that say whose a row of `x` is, and who may see it; `d` is its desk. */
const OWNED = `'desk', json_build_object('slug', d.slug, 'name', d.name),
    'visibility', case when x.internal_to is null then 'public' else 'internal' end`;

export const OUTLOOKS: ExportSource = {
  type: 'outlook',
  members: `'slug', x.slug, ${OWNED}, 'instrument', i.symbol,
    'horizon', json_build_object('from', x.horizon_from, 'to', x.horizon_to), 'status', x.status,
    'latestVersion', x.latest_version, 'reviewReasons', to_json(x.review_reasons),
    'horizonEndedAt', ${at('x.horizon_ended_at')},
    'continues', (select c.slug from outlooks c where c.id = x.continues_id), 'continuedBy', x.continued_by`,
  from: `outlooks x join instruments i on i.id = x.instrument_id join ${deskOf('x')}`,
  subject: 'x',
  key: [['x.id', ...BIGINT]],
  atOnce: 100,
};

const OF_OUTLOOK = ['x.outlook_id', ...BIGINT] as const;

const POOLED_VIEWS = `${list(`json_build_object('analyst', ${author('h')}, 'version', p.view_version,
         'weight', p.weight) order by h.id`)}
         from version_views p join analysts h on h.id = p.analyst_id
        where p.outlook_id = x.outlook_id and p.version = x.version)`;

/**
 * The versions, whose frameworks are read beside them.
 * @param hasKey whether the views show that they pooled
 */
export const versionsFor = ({ hasKey }: Pick<Audience, 'hasKey'>): ExportSource => ({
  type: 'version',
  members: `'outlook', o.slug, 'version', x.version, 'kind', x.kind, 'publishedAt', ${at('x.recorded_at')},
    'author', ${author('a')}, 'rationale', x.rationale, 'probabilities', ${fractions('x')},
    'frameworkHash', (select 'sha256:' || encode(f.hash, 'hex') from frameworks f where f.id = x.framework_id),
    'hash', 'sha256:' || encode(x.hash, 'hex'), 'previousHash', 'sha256:' || encode(x.previous_hash, 'hex'),
    'evidence', ${list('c.evidence_id order by c.position')}
       from version_evidence c where c.outlook_id = x.outlook_id and c.version = x.version),
    'answers', ${list(`json_build_object('condition', n.key, 'way', w.way, 'reason', w.reason) order by n.id`)}
       from condition_answers w join condition_changes n on n.id = w.change_id
      where w.outlook_id = x.outlook_id and w.version = x.version),
    'consensus', case when x.consensus_method is not null then json_build_object('method', x.consensus_method,
      'weights', x.consensus_weights, 'maxAge', x.consensus_max_age,
      'views', ${hasKey ? POOLED_VIEWS : `'[]'::json`}) end`,
  from: `outlook_versions x join outlooks o on o.id = x.outlook_id join analysts a on a.id = x.author_id`,
  subject: 'o',
  key: [OF_OUTLOOK, ['x.version', ...INTEGER]],
  atOnce: 100,
  frameworkId: 'x.framework_id',
});

/** What else belongs to an outlook. A record may refer to one that is read after it, so that it is there by then. */
export const PARTS_OF_OUTLOOKS: readonly ExportSource[] = [
  {
    type: 'contradiction',
    members: `'outlook', o.slug, 'resolution', x.number, 'outcome', x.outcome, 'closes', ${closes('x')},
      'recordedAt', ${at('x.recorded_at')}`,
    from: `resolution_contradictions x join outlooks o on o.id = x.outlook_id`,
    subject: 'o',
    key: [OF_OUTLOOK, ['x.number', ...INTEGER], ['x.recorded_at', 'timestamptz', '-infinity']],
    atOnce: 500,
  },
  {
    type: 'resolution',
    members: `'outlook', o.slug, 'number', x.number,
      'outcome', case when x.reopens then 'reopened' else coalesce(x.outcome, 'void') end,
      'realisedReturn', realised_return_of(x),
      'decidedBy', case when x.outcome is null then null when decided_by_closes(x) then 'closes' else 'statement' end,
      'knownAt', ${at('x.known_at')}, 'reason', x.reason, 'closes', ${closes('x')},
      'evidence', ${list('e.evidence_id order by e.position')}
         from resolution_evidence e where e.outlook_id = x.outlook_id and e.number = x.number),
      'resolvedBy', ${author('a')}, 'resolvedAt', ${at('x.recorded_at')}, 'supersededAt', ${at('x.superseded_at')}`,
    from: `resolutions x join outlooks o on o.id = x.outlook_id join analysts a on a.id = x.author_id`,
    subject: 'o',
    key: [OF_OUTLOOK, ['x.number', ...INTEGER]],
    atOnce: 100,
  },
  {
    type: 'conditionChange',
    members: `'outlook', o.slug, 'condition', x.key, 'state', x.state, 'cause', x.cause, 'reason', x.reason,
      'day', x.day, 'observations', x.observations, 'version', x.version, 'recordedAt', ${at('x.recorded_at')},
      'assessment', case when x.author_id is not null then json_build_object('author', ${author('a')},
        'rationale', x.rationale, 'overrideReason', x.override_reason,
        'evidence', ${list('e.evidence_id order by e.position')}
           from condition_evidence e where e.change_id = x.id)) end`,
    from: `condition_changes x join outlooks o on o.id = x.outlook_id left join analysts a on a.id = x.author_id`,
    subject: 'o',
    key: [OF_OUTLOOK, ['x.id', ...BIGINT]],
    atOnce: 100,
    version: 'x.version',
  },
  {
    type: 'drawdownChange',
    members: `'outlook', o.slug, 'version', x.version, 'label', x.label, 'depth', x.depth, 'day', x.day,
      'recordedAt', ${at('x.recorded_at')}`,
    from: `drawdown_changes x join outlooks o on o.id = x.outlook_id`,
    subject: 'o',
    key: [OF_OUTLOOK, ['x.id', ...BIGINT]],
    atOnce: 500,
    version: 'x.version',
  },
  {
    type: 'view',
    members: `'outlook', o.slug, 'analyst', ${author('a')}, 'version', x.version, 'kind', x.kind,
      'probabilities', ${fractions('x')}, 'rationale', x.rationale, 'recordedAt', ${at('x.recorded_at')}`,
    from: `views x join outlooks o on o.id = x.outlook_id join analysts a on a.id = x.analyst_id`,
    subject: 'o',
    needsKey: true,
    key: [
      OF_OUTLOOK,
      ['x.analyst_id', 'uuid', '00000000-0000-0000-0000-000000000000'],
      ['x.version', ...INTEGER],
    ],
    atOnce: 100,
  },
  {
    type: 'evidence',
    members: `'outlook', o.slug, 'id', x.id, 'headline', x.headline, 'summary', x.summary, 'publisher', x.publisher,
      'url', x.url, 'publishedAt', ${at('x.published_at')},
      'sentiment', case when x.sentiment_score is not null then json_build_object('score', x.sentiment_score,
        'label', x.sentiment_label, 'scale', json_build_object('min', x.sentiment_min, 'max', x.sentiment_max),
        'provider', x.sentiment_provider) end,
      'tickers', x.tickers,
      'claims', ${list(`json_build_object('statement', c.statement, 'effect', c.effect,
          'target', json_build_object('kind', c.target_kind, 'key', c.target_key), 'horizon', c.horizon,
          'condition', c.condition, 'range', case when c.range_unit is not null then json_build_object(
            'min', c.range_min, 'max', c.range_max, 'unit', c.range_unit) end) order by c.position`)}
         from evidence_claims c where c.evidence_id = x.id),
      'corrects', x.corrects, 'addedBy', ${author('a')}, 'addedAt', ${at('x.recorded_at')}`,
    from: `evidence x join outlooks o on o.id = x.outlook_id join analysts a on a.id = x.author_id`,
    subject: 'o',
    key: [OF_OUTLOOK, ['x.number', ...INTEGER]],
    atOnce: 5, // each may have a megabyte
  },
];

/** What outlooks refer to, read after them; again, what a record refers to is read after it. */
export const REFERENCES: readonly ExportSource[] = [
  {
    type: 'instrument',
    members: `'symbol', x.symbol, 'name', x.name, 'kind', x.kind, 'closes', s.key`,
    from: `instruments x left join series s on s.id = x.closes_id`,
    key: [['x.id', ...BIGINT]],
    atOnce: 500,
  },
  {
    type: 'observation',
    members: `'series', s.key, 'date', x.date, 'value', x.value, 'provenance', x.provenance, 'note', x.note,
      'recordedAt', ${at('x.recorded_at')}, 'supersededAt', ${at('x.superseded_at')}`,
    from: `observations x join series s on s.id = x.series_id`,
    subject: 's',
    key: [
      ['x.series_id', ...BIGINT],
      ['x.date', 'date', '-infinity'],
      ['x.recorded_at', 'timestamptz', '-infinity'],
    ],
    atOnce: 500,
  },
  {
    type: 'series',
    members: `'key', x.key, 'name', x.name, 'unit', x.unit, 'frequency', x.frequency, 'dated', x.dated,
      'source', x.source, ${OWNED}`,
    from: `series x join ${deskOf('x')}`,
    subject: 'x',
    key: [['x.id', ...BIGINT]],
    atOnce: 500,
  },
];
