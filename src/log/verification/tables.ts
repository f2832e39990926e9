/** A table whose rows the log digests. Rows of an append-only one never change and are never deleted. */
export type DigestedTable = {
  relation: string;
  isAppendOnly: boolean;
  /** Whether its rows may be deleted. */
  isDeletable: boolean;
  /** Whether its rows may hold a name, so that an erasure may digest them again. */
  holdsNames: boolean;
  /** Which rows `t` are digested, in SQL; all unless given. */
  condition?: string;
  /** Which rows `t` without a digest may still get one, in SQL; none unless given. */
  awaiting?: string;
};

const APPEND_ONLY = [
  'analyst_changes',
  'analyst_identities',
  'condition_answers',
  'condition_changes',
  'condition_comparisons',
  'condition_evidence',
  'desk_policies',
  'disclosures',
  'drawdown_changes',
  'drawdown_labels',
  'erased_openings',
  'erasures',
  'evidence',
  'evidence_claims',
  'forecast_buckets',
  'forecast_leads',
  'forecast_sums',
  'forecasters',
  'frameworks',
  'headwinds',
  'invalidation_conditions',
  'log_generations',
  'observations',
  'outlook_versions',
  'outlooks',
  'proposal_drafts',
  'proposal_steps',
  'proposals',
  'resolution_contradictions',
  'resolution_evidence',
  'resolutions',
  'scenarios',
  'series',
  'version_evidence',
  'version_views',
  'views',
];
const CHANGING = ['analysts', 'api_keys', 'desks', 'instruments', 'series_sources', 'webhooks'];
const DELETABLE = new Set(['series_sources', 'webhooks']);
const WITH_NAMES = new Set([
  'analyst_changes',
  'analyst_identities',
  'analysts',
  'api_keys',
  'audit_entries',
  'condition_changes',
  'events',
]);

/**
 * All of them, sorted by name. The list is the verification's own: a database's owner could drop the triggers and functions of
 * a table.
 */
export const DIGESTED_TABLES: readonly DigestedTable[] = [
  ...APPEND_ONLY.map((relation) => ({ relation, isAppendOnly: true })),
  ...CHANGING.map((relation) => ({ relation, isAppendOnly: false })),
  {
    relation: 'events',
    isAppendOnly: true,
    // What those of versions say follows from the versions; see derived.ts.
    condition: `kind not in ('outlook.created', 'outlook.version.published')`,
    // Those older than the log, or of an older release, are digested when the tree gets to them.
    awaiting: `coalesce(t.log_position, t.position) is null or coalesce(t.log_position, t.position) > (
      select coalesce(max(after_position + size - (generation > 1)::int), 0) from log_generations)`,
  },
  {
    relation: 'audit_entries',
    isAppendOnly: true,
    // Refusals of unknown callers are deleted some days later.
    condition: `kind = 'write' or analyst_id is not null or credential is not null`,
  },
]
  .map((table) => ({
    ...table,
    isDeletable: DELETABLE.has(table.relation),
    holdsNames: WITH_NAMES.has(table.relation),
  }))
  .toSorted((a, b) => (a.relation < b.relation ? -1 : 1));
