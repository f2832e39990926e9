import pg from 'pg';
import { expect } from 'vitest';

/** A session of the database's owner, with nothing of the service in between. */
export async function openSession(url: string): Promise<pg.Client> {
  const session = new pg.Client({ connectionString: url });
  await session.connect();
  return session;
}

/**
 * The name of the rule that refuses the statements, which run as one transaction; fails where the
 * database takes them, or refuses them for something that has no name.
 */
export async function refusal(session: pg.Client, statements: string): Promise<string> {
  const error = await rejection(session, statements);
  if (error.constraint === undefined) throw error;
  return error.constraint;
}

/** What the database says to statements that must not succeed. */
export async function rejection(session: pg.Client, statements: string): Promise<pg.DatabaseError> {
  const outcome = await attempt(session, statements);
  return outcome ?? expect.fail(`the database took: ${statements}`);
}

/** Runs the statements with all that is checked at a commit, and undoes them. */
export async function attempt(
  session: pg.Client,
  statements: string,
): Promise<pg.DatabaseError | null> {
  await session.query('begin');
  try {
    await session.query(`${statements}; set constraints all immediate`);
    return null;
  } catch (error) {
    if (error instanceof pg.DatabaseError) return error;
    throw error;
  } finally {
    await session.query('rollback');
  }
}

/** No part of the record: old rows go, or the only row changes. */
export const SWEPT = [
  'idempotency_keys',
  'webhooks',
  'webhook_deliveries',
  'webhook_attempts',
  'series_sources',
  'event_watermark',
  'search_backlog',
  'digest_progress',
  'log_checkpoints',
  'log_cosignatures',
];

export const TABLES = [
  'instruments',
  'analysts',
  'api_keys',
  'outlooks',
  'frameworks',
  'scenarios',
  'headwinds',
  'drawdown_labels',
  'invalidation_conditions',
  'outlook_versions',
  'events',
  'series',
  'observations',
  'condition_comparisons',
  'evidence',
  'evidence_claims',
  'version_evidence',
  'condition_changes',
  'condition_evidence',
  'condition_answers',
  'drawdown_changes',
  'resolutions',
  'resolution_contradictions',
  'resolution_evidence',
  'row_digests',
  'openings',
  'erasures',
  'erased_openings',
  'log_generations',
  'log_tiles',
  'forecasters',
  'forecast_sums',
  'forecast_buckets',
  'forecast_leads',
  'views',
  'version_views',
  'analyst_identities',
  'audit_entries',
  'analyst_skeletons',
  'analyst_changes',
  'desks',
  'disclosures',
  'desk_policies',
  'proposals',
  'proposal_drafts',
  'proposal_steps',
];

/** Changes the state of outlooks as nothing but an owner of the database can, the guard aside. */
export async function changeState(pool: pg.Pool, change: string, where = 'true'): Promise<void> {
  await pool.query(`
    alter table outlooks disable trigger guard_outlook;
    update outlooks set ${change} where ${where};
    alter table outlooks enable trigger guard_outlook`);
}
