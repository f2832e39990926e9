import { fail, type Finding, ok, orOk, rowOf, rowsOf, type Sessions, warn } from './finding.ts';

/** The versions that the tests run on. */
const MAJORS = { least: 15, most: 18 };

export async function checkVersion({ service }: Sessions): Promise<Finding[]> {
  const { version, number } = await rowOf<{ version: string; number: number }>(
    service,
    `select current_setting('server_version') as version, current_setting('server_version_num')::int as number`,
  );
  const major = Math.floor(number / 10_000);
  const message = `PostgreSQL ${version}.`;
  if (major < MAJORS.least) {
    return [fail(message, `Move to PostgreSQL ${MAJORS.least} or later.`)];
  }
  if (major > MAJORS.most) {
    const remedy = `This release was tested up to ${MAJORS.most}: try it on a copy first.`;
    return [warn(message, remedy)];
  }
  return [ok(message)];
}

export async function checkPrimary({ service }: Sessions): Promise<Finding[]> {
  const { isStandby, isReadOnly } = await rowOf<{ isStandby: boolean; isReadOnly: boolean }>(
    service,
    `select pg_is_in_recovery() as "isStandby", current_setting('transaction_read_only') = 'on' as "isReadOnly"`,
  );
  if (isStandby) {
    const remedy = 'Set DATABASE_URL to the primary, or promote this server if it is to be one.';
    return [fail('The server is a standby, which refuses writes.', remedy)];
  }
  if (isReadOnly) {
    const remedy =
      'Run: ALTER DATABASE … RESET default_transaction_read_only, or the same for the role.';
    return [fail('Transactions are read-only.', remedy)];
  }
  return [ok('The server is a primary and takes writes.')];
}

export async function checkEncoding({ service }: Sessions): Promise<Finding[]> {
  const { encoding } = await rowOf<{ encoding: string }>(
    service,
    `select current_setting('server_encoding') as encoding`,
  );
  if (encoding === 'UTF8') return [ok('The encoding is UTF8.')];
  const remedy = 'Create a database with ENCODING UTF8 TEMPLATE template0, and move the ledger.';
  return [fail(`The encoding is ${encoding}.`, remedy)];
}

type Collation = {
  database: string;
  provider: string;
  locale: string;
  recorded: string | null;
  actual: string | null;
};

export async function checkCollation({ service }: Sessions): Promise<Finding[]> {
  const { database, provider, locale, recorded, actual } = await rowOf<Collation>(
    service,
    `select quote_ident(datname) as database, datcollate as locale, datcollversion as recorded,
        case datlocprovider when 'c' then 'libc' when 'i' then 'ICU' else 'builtin' end as provider,
        pg_database_collation_actual_version(oid) as actual
      from pg_database where datname = current_database()`,
  );
  if (recorded !== actual) {
    const message = `Indexes on text were built by version ${recorded} of the collation ${locale} (${provider}), but the server has ${actual}: they may miss rows.`;
    const remedy = `Run: REINDEX DATABASE ${database}; ALTER DATABASE ${database} REFRESH COLLATION VERSION.`;
    return [warn(message, remedy)];
  }
  return [ok(`The collation is ${locale} (${provider}).`)];
}

const DURABILITY = `
  select current_setting('fsync') as fsync, current_setting('full_page_writes') as "fullPageWrites",
    current_setting('synchronous_commit') as commit, current_setting('data_checksums') as checksums`;

export async function checkDurability({ service }: Sessions): Promise<Finding[]> {
  const { fsync, fullPageWrites, commit, checksums } = await rowOf<{
    fsync: string;
    fullPageWrites: string;
    commit: string;
    checksums: string;
  }>(service, DURABILITY);
  const faults: Finding[] = [];
  const reload = (name: string) => `Run: ALTER SYSTEM SET ${name} = on; SELECT pg_reload_conf().`;
  if (fsync === 'off') {
    faults.push(fail('fsync is off: a power cut may destroy the ledger.', reload('fsync')));
  }
  if (fullPageWrites === 'off') {
    const message =
      'full_page_writes is off: a power cut may corrupt pages, unless the file system';
    faults.push(warn(`${message} writes them whole.`, reload('full_page_writes')));
  }
  if (commit === 'off') {
    const message = 'synchronous_commit is off: a crash loses acknowledged writes.';
    faults.push(fail(message, reload('synchronous_commit')));
  }
  if (checksums === 'off') {
    const remedy = 'Stop the server, run pg_checksums --enable, and start it.';
    faults.push(warn('Data checksums are off: damage by the disk stays unnoticed.', remedy));
  }
  return orOk(faults, 'Commits reach the disk, and pages have checksums.');
}

const ARCHIVE = `
  select current_setting('archive_mode') as mode, failed_count as failures, last_failed_wal as "failedWal",
    coalesce(last_failed_time > last_archived_time, last_failed_time is not null) as "isFailing"
    from pg_stat_archiver`;

/** Whether the write-ahead log is archived, which recovery to a point in time needs. */
export async function checkArchive({ owner }: Sessions): Promise<Finding[]> {
  const { mode, isFailing, failedWal } = await rowOf<{
    mode: string;
    isFailing: boolean;
    failedWal: string | null;
  }>(owner, ARCHIVE);
  if (mode === 'off') {
    const message =
      'The server archives no write-ahead log: only the last backup can be restored, not a point in time.';
    const remedy =
      'See docs/operate/runbooks/point-in-time-recovery.md; a host may archive by other means.';
    return [warn(message, remedy)];
  }
  if (isFailing) {
    const message = `Archiving ${failedWal} fails: the write-ahead log fills the disk.`;
    return [
      fail(message, "Mend archive_command (or archive_library); the server's log says what fails."),
    ];
  }
  return [ok('The write-ahead log is archived.')];
}

const STANDBYS = `
  select current_setting('synchronous_standby_names') as names, current_setting('synchronous_commit') as commit,
    (select count(*) from pg_stat_replication) as standbys`;

export async function checkStandbys({ owner, service }: Sessions): Promise<Finding[]> {
  const [{ names, standbys }, { commit }] = await Promise.all([
    rowOf<{ names: string; standbys: number }>(owner, STANDBYS),
    rowOf<{ commit: string }>(service, `select current_setting('synchronous_commit') as commit`),
  ]);
  if (names === '' && standbys === 0) return [ok('The server has no standby.')];
  if (names === '') {
    const message = `Standbys: ${standbys}, none of them synchronous: a failover may lose acknowledged writes.`;
    return [warn(message, 'Set synchronous_standby_names; see docs/operate/high-availability.md.')];
  }
  if (standbys === 0) {
    const message = `synchronous_standby_names is ${names}, but no standby is connected: writes wait.`;
    return [fail(message, "Connect the standby, or let the cluster's manager change the setting.")];
  }
  if (['local', 'off'].includes(commit)) {
    const message = `synchronous_commit is ${commit}, so commits don't wait for the synchronous standby.`;
    return [
      warn(message, 'Run: ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf().'),
    ];
  }
  return [ok(`Standbys: ${standbys}; commits wait for ${names} (synchronous_commit ${commit}).`)];
}

/** Ages of the oldest transaction id that is not frozen. PostgreSQL stops taking writes at 2.1 billion. */
const AGES = { warn: 500_000_000, fail: 1_500_000_000 };

export async function checkWraparound({ service }: Sessions): Promise<Finding[]> {
  const { age } = await rowOf<{ age: number }>(
    service,
    `select greatest(age(datfrozenxid), mxid_age(datminmxid))::bigint as age
      from pg_database where datname = current_database()`,
  );
  const message = `The oldest transaction id that is not frozen is ${age.toLocaleString('en')} transactions old.`;
  if (age < AGES.warn) return [ok(message)];
  const remedy =
    'Find what holds vacuum back (transactions, slots and prepared below), then run: VACUUM FREEZE.';
  return [age < AGES.fail ? warn(message, remedy) : fail(message, remedy)];
}

export async function checkVacuum({ service }: Sessions): Promise<Finding[]> {
  const rows = await rowsOf<{ name: string; remedy: string }>(
    service,
    `select name || ' is off' as name, format('ALTER SYSTEM SET %s = on; SELECT pg_reload_conf()', name) as remedy
       from pg_settings where name in ('autovacuum', 'track_counts') and setting = 'off'
     union all
     select format('autovacuum is off for %s', oid::regclass), format('ALTER TABLE %s RESET (autovacuum_enabled)', oid::regclass)
       from pg_class where relnamespace = 'public'::regnamespace
        and reloptions && array['autovacuum_enabled=false', 'autovacuum_enabled=off', 'autovacuum_enabled=0', 'autovacuum_enabled=no']`,
  );
  const faults = rows.map(({ name, remedy }) =>
    warn(`${name}: dead rows stay, and reads slow down.`, `Run: ${remedy}.`),
  );
  return orOk(faults, 'Autovacuum is on.');
}

export async function checkSize({ service }: Sessions): Promise<Finding[]> {
  const { size, spilled } = await rowOf<{ size: string; spilled: string }>(
    service,
    `select pg_size_pretty(pg_database_size(datname)) as size, pg_size_pretty(temp_bytes) as spilled
      from pg_stat_database where datname = current_database()`,
  );
  return [
    ok(
      `The database takes ${size}; queries wrote ${spilled} of temporary files since the statistics began.`,
    ),
  ];
}
