import type { Desks } from '../domain/desks.ts';
import type { Session } from '../postgres/pool.ts';
import type { Bind } from './outlook-list-query.ts';

export const INBOX_KINDS = [
  'to-approve',
  'returned',
  'review-due',
  'horizon-over',
  'contradicted',
  'series-silent',
] as const;
/** What an item of the inbox asks for, in the order of the list. */
export type InboxKind = (typeof INBOX_KINDS)[number];

/** Whose inbox it is. */
export type InboxOwner = { analystId: string; desks: Desks; mayApprove: boolean };

export type InboxItem = {
  kind: InboxKind;
  desk: { slug: string; name: string };
  /** Of these three, only the one that the item is about; a proposal has its outlook, too. */
  outlook: string | null;
  series: string | null;
  proposal: string | null;
  title: string;
  detail: string | null;
  since: Date;
  /** Its place in the list. */
  position: InboxPosition;
};

/** The place of an item in the list: items of a kind are in the order of `at`, then of `id`. */
export type InboxPosition = { kind: InboxKind; at: Date; id: string };

/** A kind's items as SQL: where they come from, and what the list shows of them. */
type Source = {
  from: string;
  where: string;
  desk: string;
  at: string;
  id: { column: string; type: 'bigint' | 'uuid' };
  shown: Record<'outlook' | 'series' | 'proposal' | 'title' | 'detail' | 'since', string>;
};

/** How many periods a series may miss until it counts as silent. */
const MISSED_PERIODS = 3;
/** How many pulls in a row have to fail until a series counts as silent. */
const FAILED_PULLS = 3;

/**
 * A page of the items for an analyst. An outlook has one item at most: once its horizon is over, it needs its resolution,
 * whatever its conditions say.
 *
 * The partial indexes outlooks_review_due, outlooks_awaiting_resolution and outlooks_contradicted find the outlooks in
 * the order of the list. Proposals that wait are few, because the number of unsettled ones is limited.
 *
 * @param after the last item of the page before; null for the first page
 */
export async function readInbox(
  session: Session,
  owner: InboxOwner,
  { kinds, after, limit, now }: InboxPage,
): Promise<InboxItem[]> {
  const items: InboxItem[] = [];
  const first = after === null ? 0 : INBOX_KINDS.indexOf(after.kind);
  for (const kind of INBOX_KINDS.slice(first)) {
    if (!kinds.includes(kind)) continue;
    const beyond = after?.kind === kind ? after : null;
    items.push(
      ...(await readKind(session, kind, owner, {
        after: beyond,
        now,
        limit: limit - items.length,
      })),
    );
    if (items.length === limit) break;
  }
  return items;
}

export type InboxPage = {
  kinds: readonly InboxKind[];
  after: InboxPosition | null;
  limit: number;
  now: Date;
};

async function readKind(
  session: Session,
  kind: InboxKind,
  owner: InboxOwner,
  { after, limit, now }: Omit<InboxPage, 'kinds'>,
): Promise<InboxItem[]> {
  const { values, bind } = parameters();
  const { from, where, desk, at, id, shown } = sourceOf(kind, owner, now, bind);
  const beyond =
    after &&
    `(${at}, ${id.column}) > (${bind(after.at.toISOString())}::timestamptz, ${bind(after.id)}::${id.type})`;
  const { rows } = await session.query<Row>(
    `select ${at} as at, ${id.column}::text as id, desks.slug as "deskSlug", desks.name as "deskName",
       ${Object.entries(shown)
         .map(([name, sql]) => `${sql} as ${name}`)
         .join(', ')}
     from ${from} join desks on desks.id = ${desk}
    where ${[where, beyond].filter((condition) => condition !== null).join(' and ')}
    order by ${at}, ${id.column} limit ${limit}`,
    values,
  );
  return rows.map(({ at, id, deskSlug: slug, deskName: name, ...row }) => ({
    ...row,
    kind,
    desk: { slug, name },
    position: { kind, at, id },
  }));
}

type Row = Omit<InboxItem, 'kind' | 'desk' | 'position'> & {
  at: Date;
  id: string;
  deskSlug: string;
  deskName: string;
};

/** How many items of each kind an analyst has. */
export async function countInbox(
  session: Session,
  owner: InboxOwner,
  now: Date,
): Promise<Record<InboxKind, number>> {
  const { values, bind } = parameters();
  const counts = INBOX_KINDS.map((kind) => {
    const { from, where } = sourceOf(kind, owner, now, bind);
    return `(select count(*) from ${from} where ${where}) as "${kind}"`;
  });
  const { rows } = await session.query<Record<InboxKind, number>>(
    `select ${counts.join(', ')}`,
    values,
  );
  const [row] = rows;
  if (!row) throw new Error('the query for the counts returned no row');
  return row;
}

/** The values of a statement, each under a parameter of its own. */
function parameters(): { values: unknown[]; bind: Bind } {
  const values: unknown[] = [];
  return { values, bind: (value) => `$${values.push(value)}` };
}

function sourceOf(kind: InboxKind, owner: InboxOwner, now: Date, bind: Bind): Source {
  const { desks } = owner;
  const ofDesk = (column: string) =>
    desks === 'all' ? 'true' : `${column} = any(${bind(desks)}::int[])`;
  switch (kind) {
    case 'to-approve':
    case 'returned':
      return proposalsOf(kind, owner, ofDesk, bind);
    case 'series-silent':
      return silentSeries(now, ofDesk, bind);
    default:
      return outlooksOf(kind, ofDesk);
  }
}

type OfDesk = (column: string) => string;

const STEP = (kind: string, column: string) =>
  `(select ${column} from proposal_steps s left join analysts a on a.id = s.analyst_id
     where s.proposal_id = p.id and s.kind = '${kind}' order by s.number desc limit 1)`;

function proposalsOf(
  kind: 'to-approve' | 'returned',
  { analystId, mayApprove }: InboxOwner,
  ofDesk: OfDesk,
  bind: Bind,
): Source {
  const caller = `${bind(analystId)}::uuid`;
  const waits =
    kind === 'returned'
      ? `p.state = 'returned' and p.author_id = ${caller}`
      : `${mayApprove} and p.state = 'submitted' and p.author_id <> ${caller} and ${caller} <> all (approvers_of(p.id))`;
  return {
    from: `proposals p join analysts author on author.id = p.author_id
      left join outlooks o on o.id = p.outlook_id`,
    where: `${ofDesk('p.desk_id')} and ${waits}`,
    desk: 'p.desk_id',
    at: 'p.created_at',
    id: { column: 'p.id', type: 'uuid' },
    shown: {
      outlook: 'o.slug',
      series: 'null',
      proposal: 'p.id::text',
      title: 'proposal_title(p)',
      detail:
        kind === 'returned'
          ? STEP('returned', `concat_ws(': ', a.name, s.text)`)
          : `p.kind || ' by ' || author.name`,
      since: `coalesce(${STEP(kind === 'returned' ? 'returned' : 'submitted', 's.recorded_at')}, p.created_at)`,
    },
  };
}

type OutlookKind = 'review-due' | 'horizon-over' | 'contradicted';

const WAITING_OUTLOOKS: Record<OutlookKind, { where: string; since: string }> = {
  'review-due': {
    where: `o.review_reasons <> '{}' and o.horizon_ended_at is null and not o.is_contradicted`,
    since: `(select min(c.recorded_at) from (
        select distinct on (key) * from condition_changes where outlook_id = o.id order by key, id desc) c
      where c.state = 'triggered' and not exists (select from condition_answers a where a.change_id = c.id))`,
  },
  'horizon-over': {
    where: `o.horizon_ended_at is not null and o.review_reasons <> '{}' and not o.is_contradicted`,
    since: 'o.horizon_ended_at',
  },
  contradicted: {
    where: 'o.is_contradicted',
    since: `(select n.recorded_at from resolutions r join resolution_contradictions n
        on n.outlook_id = r.outlook_id and n.number = r.number
      where r.outlook_id = o.id and r.superseded_at is null order by n.recorded_at desc limit 1)`,
  },
};

function outlooksOf(kind: OutlookKind, ofDesk: OfDesk): Source {
  const { where, since } = WAITING_OUTLOOKS[kind];
  const desk = 'coalesce(o.desk_id, 1)'; // rows of earlier releases belong to the first desk
  return {
    from: 'outlooks o join frameworks f on f.id = o.framework_id',
    where: `${ofDesk(desk)} and ${where}`,
    desk,
    at: 'o.published_at',
    id: { column: 'o.id', type: 'bigint' },
    shown: {
      outlook: 'o.slug',
      series: 'null',
      proposal: 'null',
      title: 'f.title',
      detail: `array_to_string(o.review_reasons, ' ')`,
      since: `coalesce(${since}, o.published_at)`,
    },
  };
}

function silentSeries(now: Date, ofDesk: OfDesk, bind: Bind): Source {
  const desk = 'coalesce(s.desk_id, 1)';
  const today = `${bind(now.toISOString().slice(0, 10))}::date`;
  const lastWeekday = `${bind(weekdaysBefore(now, MISSED_PERIODS))}::date`;
  const periods = `case s.frequency when 'weekly' then interval '7 days' when 'biweekly' then interval '14 days'
    when 'monthly' then interval '1 month' when 'quarterly' then interval '3 months'
    when 'semiannual' then interval '6 months' else interval '1 year' end * ${MISSED_PERIODS}`;
  return {
    from: `series s left join series_sources p on p.series_id = s.id
      left join lateral (select period_end(n.date, s.frequency, s.dated) as day from observations n
        where n.series_id = s.id and n.superseded_at is null and n.value is not null
        order by n.date desc limit 1) newest on true`,
    where: `${ofDesk(desk)} and (p.failures >= ${FAILED_PULLS}
      or coalesce(newest.day, s.created_at::date)
         < case s.frequency when 'daily' then ${lastWeekday} else (${today} - (${periods}))::date end)`,
    desk,
    at: 's.created_at',
    id: { column: 's.id', type: 'bigint' },
    shown: {
      outlook: 'null',
      series: 's.key',
      proposal: 'null',
      title: 's.name',
      detail: `concat_ws(' ', case when newest.day is null then 'It has no observation.'
          else 'The newest observation is of ' || newest.day || '.' end,
        case when p.failures > 0 then 'The last pull failed: ' || p.last_error end)`,
      since: `coalesce((select max(n.recorded_at) from observations n where n.series_id = s.id), s.created_at)`,
    },
  };
}

/** The day that is so many weekdays before now, `YYYY-MM-DD`. */
function weekdaysBefore(now: Date, count: number): string {
  const day = new Date(now);
  for (let left = count; left > 0;) {
    day.setUTCDate(day.getUTCDate() - 1);
    if (day.getUTCDay() % 6 !== 0) left -= 1;
  }
  return day.toISOString().slice(0, 10);
}
