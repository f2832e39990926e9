import type pg from 'pg';
import { appendAudit, localWrite } from '../access/audit-log.ts';
import type { Dating, Frequency } from '../domain/series.ts';
import { type PulledObservation, recordPulled } from '../ledger/pulled-observations.ts';
import type { Recorded } from '../ledger/observations.ts';
import type { Validators } from '../outbound/fetch-file.ts';
import { inTransaction, type Session } from '../postgres/pool.ts';
import type { Place } from './sources.ts';

/** A pull that an instance has claimed. */
export type Pull = Place & {
  id: string;
  /** The number of the attempt, from 1. */
  attempt: number;
  key: string;
  frequency: Frequency;
  dated: Dating;
  host: string;
  failures: number;
} & Validators;

// The first of each host that is due. Pulls from one host wait for each other, so that no provider is flooded.
const CLAIM = `
  with due as (
    select s.id from series_sources s
     where s.due_at <= $1 and s.host <> all($3::text[]) and not exists (
       select from series_sources o where o.host = s.host and (o.due_at, o.id) < (s.due_at, s.id))
       and not exists (
         select from series_sources u where u.host = s.host and u.started_at is not null and u.due_at > $1)
     order by s.due_at limit $4 for update skip locked),
  claimed as (
    update series_sources s set attempts = s.attempts + 1, started_at = $1, due_at = $2
      from due where s.id = due.id returning s.*)
  select s.id, s.attempts as attempt, e.key, e.frequency, e.dated, s.host, s.failures, s.etag,
    s.last_modified as "lastModified", s.kind, s.provider_id as "providerId", s.url, s.layout
    from claimed s join series e on e.id = s.series_id`;

/**
 * Claims sources that are due. No other instance claims them until the lease ends, and no lock is held in the meantime.
 * @param busyHosts the hosts that the instance is pulling from
 */
export async function claimPulls(
  session: Session,
  { now, leaseUntil }: { now: Date; leaseUntil: Date },
  busyHosts: readonly string[],
  limit: number,
): Promise<Pull[]> {
  const { rows } = await session.query<Pull>({
    name: 'claim-pulls',
    text: CLAIM,
    values: [now.toISOString(), leaseUntil.toISOString(), busyHosts, limit],
  });
  return rows;
}

/** The source was changed or removed, or another instance claimed it, since the pull began. */
class Overtaken extends Error {}

const SUCCEEDED = `
  update series_sources set started_at = null, failures = 0, last_success_at = $3, last_added = $4,
    last_revised = $5, last_unchanged = $6, etag = $7, last_modified = $8,
    due_at = $3::timestamptz + every_minutes * interval '1 minute' * $9::float8
   where id = $1 and attempts = $2`;

/** The result of a pull: the days of the file; null if the server says that it has not changed. */
export type Pulled = { observations: readonly PulledObservation[] | null; note: string };

/**
 * Records the observations of a pull, its success and its audit entry in one transaction.
 * @param spread by which the time to the next pull is multiplied, at least 1
 * @returns what was recorded; null if the source is no longer the one that was pulled, and nothing was stored
 */
export async function recordSuccess(
  pool: pg.Pool,
  pull: Pull,
  { observations, note, etag, lastModified }: Pulled & Validators,
  { clock, spread }: { clock: () => Date; spread: number },
): Promise<Recorded | null> {
  try {
    return await inTransaction(pool, async (session) => {
      const recorded = observations
        ? await recordPulled(session, pull.key, observations, { note, clock })
        : UNCHANGED;
      const { added, revised, unchanged } = recorded;
      const now = clock();
      const { rowCount } = await session.query(SUCCEEDED, [
        pull.id,
        pull.attempt,
        now.toISOString(),
        added,
        revised,
        unchanged,
        storable(etag),
        storable(lastModified),
        spread,
      ]);
      if (rowCount === 0) throw new Overtaken();
      if (recorded.recordedAt !== null) {
        const subject = `/v1/series/${pull.key}/observations`;
        const summary = `Pulled from ${note}: added ${added}, revised ${revised}`;
        const entry = localWrite(`/v1/series/${pull.key}/source`, { subject, summary }, now);
        await appendAudit(session, [entry]);
      }
      return recorded;
    });
  } catch (error) {
    if (error instanceof Overtaken) return null;
    throw error;
  }
}

const UNCHANGED: Recorded = {
  added: 0,
  revised: 0,
  retracted: 0,
  unchanged: 0,
  recordedAt: null,
  slugs: [],
};

/** The longest validator that is stored, in characters; without one, the next pull fetches the whole file. */
const LONGEST_VALIDATOR = 300;

function storable(validator: string | null): string | null {
  return validator !== null && validator.length <= LONGEST_VALIDATOR ? validator : null;
}

/**
 * Records that a pull failed.
 * @returns whether the source is still the one that was pulled
 */
export async function recordFailure(
  session: Session,
  { id, attempt }: Pull,
  { error, now, again }: { error: string; now: Date; again: Date },
): Promise<boolean> {
  const { rowCount } = await session.query(
    `update series_sources set started_at = null, failures = failures + 1, last_error_at = $3, last_error = $4, due_at = $5
      where id = $1 and attempts = $2`,
    [id, attempt, now.toISOString(), error, again.toISOString()],
  );
  return rowCount === 1;
}

/** Gives a claim back, because the service stops: the source is due at once, and did not fail. */
export async function releasePull(
  session: Session,
  { id, attempt }: Pull,
  now: Date,
): Promise<void> {
  await session.query(
    'update series_sources set started_at = null, due_at = $3 where id = $1 and attempts = $2',
    [id, attempt, now.toISOString()],
  );
}
