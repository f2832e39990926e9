import { SLUG } from './ledger.ts';

// Statements that the database accepts, unless a test changes something in them.

/** The next version of the sample, its third; `changes` are SQL. */
export function version(changes: Record<string, string> = {}): string {
  const columns = {
    outlook_id: 'outlook_id',
    version: 'version + 1',
    kind: `'probabilities'`,
    framework_id: 'framework_id',
    bear_bps: 'bear_bps + 1',
    base_bps: 'base_bps - 1',
    bull_bps: 'bull_bps',
    author_id: 'author_id',
    rationale: `'Why not.'`,
    recorded_at: 'recorded_at',
    hash: `sha256('next')`,
    previous_hash: 'hash',
    ...changes,
  };
  return `insert into outlook_versions (${Object.keys(columns).join(', ')})
    select ${Object.values(columns).join(', ')} from outlook_versions
     where version = 2 and outlook_id = (select id from outlooks where slug = '${SLUG}')`;
}

/** An outlook without its first version; `changes` are SQL. */
export function outlook(changes: Record<string, string> = {}): string {
  const columns = {
    slug: `'a-new-one'`,
    instrument_id: 'instrument_id',
    horizon_from: 'horizon_from',
    horizon_to: 'horizon_to',
    published_at: 'published_at',
    ...changes,
  };
  return `insert into outlooks (${Object.keys(columns).join(', ')})
    select ${Object.values(columns).join(', ')} from outlooks where slug = '${SLUG}'`;
}

/** The event of the version that {@link version} adds. */
export function event(changes: Record<string, string> = {}): string {
  const columns = {
    kind: `'outlook.version.published'`,
    outlook_id: 'outlook_id',
    version: 'version',
    data: `'{}'`,
    recorded_at: 'recorded_at',
    ...changes,
  };
  return `${version()}; insert into events (${Object.keys(columns).join(', ')})
    select ${Object.values(columns).join(', ')} from outlook_versions where version = 3`;
}
