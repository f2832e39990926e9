import type pg from 'pg';

// Settings that change neither what a statement means or returns nor whether it ends: plans, memory, logs, statistics, the
// space of rows on disk, and the settings of other programs. A setting of a new PostgreSQL has to be put somewhere.
const HARMLESS = `
  allow_in_place_tablespaces allow_system_table_mods application_name backend_flush_after backtrace_functions
  client_connection_check_interval client_min_messages commit_delay commit_siblings composite_type_mismatch compute_query_id
  constraint_exclusion cpu_index_tuple_cost cpu_operator_cost cpu_tuple_cost createrole_self_grant cursor_tuple_fraction
  deadlock_timeout debug_discard_caches debug_logical_replication_streaming debug_parallel_query debug_pretty_print
  debug_print_parse debug_print_plan debug_print_rewritten default_statistics_target default_tablespace
  default_toast_compression effective_cache_size effective_io_concurrency enable_async_append enable_bitmapscan
  enable_distinct_reordering enable_gathermerge enable_group_by_reordering enable_hashagg enable_hashjoin
  enable_incremental_sort enable_indexonlyscan enable_indexscan enable_material enable_memoize enable_mergejoin
  enable_nestloop enable_parallel_append enable_parallel_hash enable_partition_pruning enable_partitionwise_aggregate
  enable_partitionwise_join enable_presorted_aggregate enable_self_join_elimination enable_seqscan enable_sort enable_tidscan
  escape_string_warning event_triggers extension_control_path extension_destdir file_copy_method force_parallel_mode
  from_collapse_limit geqo geqo_effort geqo_generations geqo_pool_size geqo_seed geqo_selection_bias geqo_threshold
  gin_pending_list_limit hash_mem_multiplier icu_validation_level io_combine_limit jit jit_above_cost jit_dump_bitcode
  jit_expressions jit_inline_above_cost jit_optimize_above_cost jit_tuple_deforming join_collapse_limit lc_messages
  lo_compat_privileges local_preload_libraries log_duration log_error_verbosity log_executor_stats log_lock_failures
  log_lock_waits log_min_duration_sample log_min_duration_statement log_min_error_statement log_min_messages
  log_parameter_max_length log_parameter_max_length_on_error log_parser_stats log_planner_stats log_replication_commands
  log_statement log_statement_sample_rate log_statement_stats log_temp_files log_transaction_sample_rate
  logical_decoding_work_mem maintenance_io_concurrency maintenance_work_mem max_parallel_maintenance_workers
  max_parallel_workers max_parallel_workers_per_gather md5_password_warnings min_parallel_index_scan_size
  min_parallel_table_scan_size output_plugin_libraries parallel_leader_participation parallel_setup_cost
  parallel_tuple_cost password_encryption plan_cache_mode random_page_cost recursive_worktable_factor scram_iterations
  seq_page_cost session_preload_libraries stats_fetch_consistency synchronize_seqscans tcp_keepalives_count
  tcp_keepalives_idle tcp_keepalives_interval tcp_user_timeout temp_buffers temp_tablespaces trace_notify trace_sort
  track_activities track_cost_delay_timing track_functions track_io_timing track_wal_io_timing transaction_deferrable
  transaction_isolation transaction_read_only update_process_title vacuum_buffer_usage_limit vacuum_cost_delay
  vacuum_cost_limit vacuum_cost_page_dirty vacuum_cost_page_hit vacuum_cost_page_miss vacuum_failsafe_age
  vacuum_freeze_min_age vacuum_freeze_table_age vacuum_max_eager_freeze_failure_rate vacuum_multixact_failsafe_age
  vacuum_multixact_freeze_min_age vacuum_multixact_freeze_table_age vacuum_truncate wal_compression
  wal_consistency_checking wal_init_zero wal_recycle wal_sender_timeout wal_skip_threshold work_mem xmlbinary xmloption
`;

export const HARMLESS_SETTINGS: readonly string[] = HARMLESS.trim().split(/\s+/);

/** Values of settings that hold text, or whose least and greatest value would only make a test slow. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  client_encoding: ["'LATIN1'", "'SQL_ASCII'", "'SJIS'"],
  createrole_self_grant: ["'set, inherit'"],
  datestyle: ["'German'", "'SQL, DMY'", "'Postgres, MDY'"],
  debug_discard_caches: [],
  default_text_search_config: ["'pg_catalog.german'"],
  lc_monetary: ["'C.UTF-8'", "'POSIX'"],
  lc_numeric: ["'C.UTF-8'", "'POSIX'"],
  lc_time: ["'C.UTF-8'", "'POSIX'"],
  restrict_nonsystem_relation_kind: ["'view, foreign-table'"],
  search_path: ['elsewhere, public', "''", 'public, pg_catalog'],
  timezone: ["'Asia/Kolkata'", "'America/New_York'", "'Pacific/Kiritimati'"],
  timezone_abbreviations: ["'Australia'", "'India'"],
  // A limit of a millisecond may end a session before it can be lifted.
  ...Object.fromEntries(
    ['transaction_timeout', 'idle_session_timeout', 'statement_timeout', 'lock_timeout'].map(
      (name) => [name, ["'2s'", "'1h'"]],
    ),
  ),
  idle_in_transaction_session_timeout: ["'2s'", "'1h'"],
  // No role can be given these, although PostgreSQL lists them so.
  transaction_deferrable: [],
  transaction_isolation: [],
  transaction_read_only: [],
};

type Setting = {
  name: string;
  vartype: 'bool' | 'enum' | 'integer' | 'real' | 'string';
  boot: string | null;
  least: string | null;
  most: string | null;
  choices: string[] | null;
};

/** The settings of a server that a role can be given. */
export async function settingsOfRoles(session: Pick<pg.ClientBase, 'query'>): Promise<Setting[]> {
  const { rows } = await session.query<Setting>(
    `select lower(name) as name, vartype, boot_val as boot, min_val as least, max_val as most, enumvals as choices
       from pg_settings where context in ('user', 'superuser') and name not like '%.%' order by name`,
  );
  return rows;
}

/** Other values than the default, as SQL. */
function othersOf({ name, vartype, boot, least, most, choices }: Setting): readonly string[] {
  const given = VALUES[name];
  if (given) return given;
  if (vartype === 'bool') return [boot === 'on' ? 'off' : 'on'];
  if (vartype === 'enum') {
    const others = (choices ?? []).filter((choice) => choice !== boot);
    // What is harmless needs no more than the most and the least.
    const most = HARMLESS_SETTINGS.includes(name) ? 2 : others.length;
    return [...new Set([...others.slice(0, most - 1), ...others.slice(-1)])].map(quote);
  }
  if (vartype === 'string') return [];
  const [low, high] = [Number(least), Number(most)];
  const middle = vartype === 'integer' ? Math.trunc(low + (high - low) / 2) : (low + high) / 2;
  return [least, most, String(middle)].flatMap((value) =>
    value === null || value === boot ? [] : quote(value),
  );
}

function quote(value: string): string {
  return `'${value}'`;
}

/** Assignments such as `datestyle to 'German'`, in rounds: together, the rounds give each setting each of its other values. */
export function roundsOf(settings: readonly Setting[]): string[][] {
  const all = settings.map((setting) =>
    othersOf(setting).map((value) => `${setting.name} to ${value}`),
  );
  const most = Math.max(...all.map((values) => values.length));
  return Array.from({ length: most }, (_, round) => all.flatMap((values) => values[round] ?? []));
}
