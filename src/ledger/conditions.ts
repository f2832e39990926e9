import type pg from 'pg';
import type { Actor } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';
import type { ConditionState, InvalidationCondition } from '../domain/condition-rules.ts';
import type {
  ConditionAnswer,
  AnswerWay,
  ChangeCause,
  OpenTrigger,
  SeriesValue,
} from '../domain/review.ts';
import type { OutlookVersion } from '../domain/outlook.ts';
import type { Session } from '../postgres/pool.ts';
import { requireEvidence } from './evidence.ts';
import { lockOwnOutlook, requireOutlook } from './find-outlook.ts';
import { RULE_OF_CONDITION } from './rules.ts';

/** A change of a condition's state, and why it happened. */
export type ConditionChange = {
  id: number;
  state: ConditionState;
  cause: ChangeCause;
  reason: string;
  /** The day of the observations that caused it; null if none did. */
  day: string | null;
  observations: readonly SeriesValue[];
  version: number;
  recordedAt: Date;
  assessment: {
    author: OutlookVersion['author'];
    rationale: string;
    overrideReason: string | null;
    evidence: readonly string[];
  } | null;
  answer: { version: number; way: AnswerWay; reason: string | null } | null;
};

export type Condition = InvalidationCondition & {
  state: ConditionState;
  /** Null if the state never changed. */
  lastChange: ConditionChange | null;
};

const CHANGE = `json_build_object('id', n.id, 'state', n.state, 'cause', n.cause, 'reason', n.reason,
  'day', n.day, 'observations', n.observations, 'version', n.version,
  'recordedAt', (extract(epoch from n.recorded_at) * 1000)::float8,
  'assessment', case when n.author_id is not null then json_build_object(
    'author', (select json_build_object('id', a.id, 'name', a.name) from analysts a where a.id = n.author_id),
    'rationale', n.rationale, 'overrideReason', n.override_reason,
    'evidence', (select coalesce(json_agg(e.evidence_id order by e.position), '[]')
                   from condition_evidence e where e.change_id = n.id)) end,
  'answer', (select json_build_object('version', w.version, 'way', w.way, 'reason', w.reason)
               from condition_answers w where w.change_id = n.id))`;

const READ_CONDITIONS = {
  name: 'read-conditions',
  text: `
    select c.key, c.invalidates, c.statement, ${RULE_OF_CONDITION} as rule, newest.change
      from outlooks o
      join invalidation_conditions c on c.framework_id = o.framework_id
      left join lateral (
        select ${CHANGE} as change from condition_changes n
         where n.outlook_id = o.id and n.key = c.key order by n.id desc limit 1) newest on true
     where o.slug = $1 and ($2::text is null or c.key = $2)
     order by c.position`,
};

type StoredChange = Omit<ConditionChange, 'recordedAt'> & { recordedAt: number };

const changeOf = (stored: StoredChange): ConditionChange => ({
  ...stored,
  recordedAt: new Date(stored.recordedAt),
});

/**
 * The conditions of the current version, in its order, or only the one with that key.
 * @throws DomainError `outlook-not-found`
 */
export async function readConditions(
  session: Session,
  slug: string,
  key: string | null,
): Promise<Condition[]> {
  const { rows } = await session.query<InvalidationCondition & { change: StoredChange | null }>({
    ...READ_CONDITIONS,
    values: [slug, key],
  });
  if (rows.length === 0) await requireOutlook(session, slug);
  return rows.map(({ change, ...condition }) => ({
    ...condition,
    state: change?.state ?? 'untriggered',
    lastChange: change && changeOf(change),
  }));
}

/** @throws DomainError `outlook-not-found` or `condition-not-found` */
export async function readCondition(
  session: Session,
  slug: string,
  key: string,
): Promise<Condition> {
  const [found] = await readConditions(session, slug, key);
  if (found) return found;
  throw new DomainError('condition-not-found', `"${slug}" has no condition "${key}".`);
}

/** The changes of a condition before the id `before`, newest first; at most `limit`. */
export async function listChanges(
  session: Session,
  slug: string,
  key: string,
  { before, limit }: { before: number | null; limit: number },
): Promise<ConditionChange[]> {
  const { rows } = await session.query<{ change: StoredChange }>({
    name: 'list-condition-changes',
    text: `
      select ${CHANGE} as change from condition_changes n
       where n.outlook_id = (select id from outlooks where slug = $1) and n.key = $2
         and ($3::bigint is null or n.id < $3)
       order by n.id desc limit $4`,
    values: [slug, key, before, limit],
  });
  return rows.map(({ change }) => changeOf(change));
}

/** The triggered conditions of a locked outlook that no version has answered. */
export async function readOpenTriggers(
  session: Session,
  outlookId: number,
): Promise<OpenTrigger[]> {
  const { rows } = await session.query<Omit<OpenTrigger, 'triggeredAt'> & { triggeredAt: Date }>(
    `select n.id as "changeId", c.key, c.invalidates, c.statement, n.reason,
        n.recorded_at as "triggeredAt"
       from outlooks o
       join invalidation_conditions c on c.framework_id = o.framework_id
       cross join lateral (
         select * from condition_changes n
          where n.outlook_id = o.id and n.key = c.key order by n.id desc limit 1) n
      where o.id = $1 and n.state = 'triggered'
        and not exists (select from condition_answers a where a.change_id = n.id)
      order by n.id`,
    [outlookId],
  );
  return rows.map((row) => ({ ...row, triggeredAt: row.triggeredAt.toISOString() }));
}

/**
 * Records how a version answers conditions. Call it before the version is inserted, which Postgres refuses while a
 * triggered condition has no answer.
 */
export async function appendAnswers(
  session: Session,
  outlookId: number,
  version: number,
  answers: readonly ConditionAnswer[],
): Promise<void> {
  if (answers.length === 0) return;
  const rows = answers.map(({ changeId, way, reason }) => ({ change_id: changeId, way, reason }));
  await session.query(
    `insert into condition_answers (change_id, outlook_id, version, way, reason)
     select change_id, $1, $2, way, reason
       from json_to_recordset($3) as given (change_id bigint, way text, reason text)`,
    [outlookId, version, JSON.stringify(rows)],
  );
}

/** An analyst's assessment of a condition. */
export type Assessment = {
  state: ConditionState;
  rationale: string;
  evidence: readonly string[];
  /** Why it overrides the condition's rule; null for a condition without a rule. */
  overrideReason: string | null;
  actor: Actor;
};

/**
 * Changes the state of a condition by an analyst's assessment. Call it in a transaction.
 * @throws DomainError `outlook-not-found`, `wrong-desk`, `condition-not-found`, `outlook-closed`, `unknown-evidence`,
 *   or `assessment-refused` if it changes nothing, or overrides a rule without a reason
 */
export async function assessCondition(
  session: pg.PoolClient,
  slug: string,
  key: string,
  assessment: Assessment,
  clock: () => Date,
): Promise<Condition> {
  const outlook = await lockOwnOutlook(session, slug, assessment.actor.desks);
  const condition = await readCondition(session, slug, key);
  if (outlook.status !== 'open') {
    throw new DomainError(
      'outlook-closed',
      `"${slug}" is ${outlook.status}, so its conditions can no longer be assessed.`,
    );
  }
  requireAssessable(condition, assessment);
  await requireEvidence(session, outlook.id, assessment.evidence);
  await appendAssessment(session, outlook.id, condition, assessment, clock());
  return readCondition(session, slug, key);
}

function requireAssessable(condition: Condition, { state, overrideReason }: Assessment): void {
  const faults = [];
  if (state === condition.state) {
    faults.push({ path: ['state'], detail: `the condition is already ${state}` });
  }
  if (condition.rule !== null && overrideReason === null) {
    const detail = 'is required: this condition has a rule; say why you override it';
    faults.push({ path: ['overrideReason'], detail });
  }
  if (condition.rule === null && overrideReason !== null) {
    faults.push({
      path: ['overrideReason'],
      detail: 'must be left out, because this condition has no rule to override',
    });
  }
  if (faults.length === 0) return;
  throw new DomainError(
    'assessment-refused',
    `This assessment of "${condition.key}" is not valid.`,
    faults,
  );
}

async function appendAssessment(
  session: Session,
  outlookId: number,
  { key, invalidates }: Condition,
  { state, rationale, evidence, overrideReason, actor: { analyst: author } }: Assessment,
  now: Date,
): Promise<void> {
  const reason = `${author.name} assessed "${key}" as ${state}.`;
  const { rows } = await session.query<{ id: number }>(
    `insert into condition_changes (outlook_id, key, state, cause, invalidates, version, reason,
       observations, author_id, rationale, override_reason, recorded_at)
     values ($1, $2, $3, 'assessment', $4, 0, $5, '[]', $6, $7, $8, $9) returning id`,
    [
      outlookId,
      key,
      state,
      invalidates,
      reason,
      author.id,
      rationale,
      overrideReason,
      now.toISOString(),
    ],
  );
  await session.query(
    `insert into condition_evidence (outlook_id, change_id, position, evidence_id)
     select $1, $2, place, id from unnest($3::uuid[]) with ordinality as cited (id, place)`,
    [outlookId, rows[0]?.id, evidence],
  );
}
