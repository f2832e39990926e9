import type pg from 'pg';

/** Outlooks `${prefix}-1` to `${prefix}-${count}`, each with `versions` versions. */
export type Group = { prefix: string; count: number; versions: number };

const SAMPLE = 'russell-2000-downside';

const VERSIONS_A_BATCH = 50_000;
const FRAMEWORKS_A_BATCH = 1_000; // each is dozens of rows

/**
 * Fills a ledger with copies of the sample outlook, each with its own framework. Triggers are off, so the statements also
 * write what triggers maintain: an outlook's columns repeat its newest version. Hashes are chained but arbitrary, and the
 * versions have no events.
 */
export async function seed(
  client: pg.Client,
  groups: readonly Group[],
  report: (line: string) => void,
): Promise<void> {
  await client.query('set session_replication_role = replica');
  const restoreIndex = await dropSearchIndex(client);
  for (const group of groups) {
    const began = Date.now();
    await seedGroup(client, group);
    const seconds = ((Date.now() - began) / 1000).toFixed(1);
    report(`seeded ${group.count} × ${group.versions} versions (${group.prefix}) in ${seconds} s`);
  }
  await restoreIndex();
  for (const table of ['outlooks', 'frameworks']) {
    await client.query(
      `select setval(pg_get_serial_sequence('${table}', 'id'), (select max(id) from ${table}))`,
    );
  }
  // Now, or autovacuum and the checkpointer would do it during a measurement.
  await client.query('vacuum (freeze, analyze)');
  await client.query('checkpoint');
}

/** Drops the index of words: to build it once at the end takes a fraction of the time. */
async function dropSearchIndex(client: pg.Client): Promise<() => Promise<void>> {
  const { rows } = await client.query<{ definition: string }>(
    `select indexdef as definition from pg_indexes where indexname = 'frameworks_search'`,
  );
  const definition = rows[0]?.definition;
  if (definition === undefined) return async () => {};
  await client.query('drop index frameworks_search');
  return async () => void (await client.query(definition));
}

async function seedGroup(client: pg.Client, { prefix, count, versions }: Group): Promise<void> {
  const { rows } = await client.query<{ outlook: string; framework: string }>(
    `select (select max(id) from outlooks) as outlook, (select max(id) from frameworks) as framework`,
  );
  const at: Bases = {
    outlookBase: Number(rows[0]?.outlook),
    frameworkBase: Number(rows[0]?.framework),
    prefix,
    versions,
  };
  for (const range of batches(count, FRAMEWORKS_A_BATCH)) {
    await insertFrameworks(client, at, range);
    await insertOutlooks(client, at, range);
  }
  for (const range of batches(count, Math.ceil(VERSIONS_A_BATCH / versions))) {
    await insertVersions(client, at, range);
  }
}

/** The outlooks of a group from the first to the last. */
type Range = [first: number, last: number];

function batches(count: number, size: number): Range[] {
  return Array.from({ length: Math.ceil(count / size) }, (_, index) => [
    index * size + 1,
    Math.min(count, (index + 1) * size),
  ]);
}

/** The first ids of a group's outlooks and frameworks. */
type Bases = { outlookBase: number; frameworkBase: number; prefix: string; versions: number };

const hashOf = (outlook: string, version: string) =>
  `sha256(convert_to(format('%s:%s', ${outlook}, ${version}), 'UTF8'))`;
/** Versions are a minute apart, outlooks a second; the newest version is an hour old. */
const recordedAt = (version: string, { versions }: Bases) =>
  `date_trunc('milliseconds', now()) - interval '1 hour' - n * interval '1 second'
    - (${versions} - ${version}) * interval '1 minute'`;
/** Odd and even versions alternate, so that each changes something. */
const probabilities = (version: string) => ({
  bear_bps: `case when ${version} % 2 = 1 then 3000 else 3500 end`,
  base_bps: `case when ${version} % 2 = 1 then 4500 else 4000 end`,
  bull_bps: '2500',
});

const PARTS = [
  'scenarios',
  'headwinds',
  'drawdown_labels',
  'invalidation_conditions',
  'condition_comparisons',
];

async function insertFrameworks(client: pg.Client, at: Bases, range: Range): Promise<void> {
  const framework_id = `${at.frameworkBase} + n`;
  for (const part of PARTS) {
    const where = `framework_id = (${sampleOutlook('framework_id')})`;
    await insertCopies(client, { table: part, where, replaced: { framework_id } }, range);
  }
  const replaced = {
    id: framework_id,
    outlook_id: `${at.outlookBase} + n`,
    hash: hashOf(`'framework'`, framework_id),
    title: `s.title || ' ' || n`,
  };
  const where = `id = (${sampleOutlook('framework_id')})`;
  await insertCopies(client, { table: 'frameworks', where, replaced }, range);
}

async function insertOutlooks(client: pg.Client, at: Bases, range: Range): Promise<void> {
  const id = `${at.outlookBase} + n`;
  const newest = String(at.versions);
  const replaced = {
    id,
    slug: `'${at.prefix}-' || n`,
    latest_version: newest,
    published_at: recordedAt(newest, at),
    transaction_id: 'pg_current_xact_id()',
    hash: hashOf(id, newest),
    framework_id: `${at.frameworkBase} + n`,
    ...probabilities(newest),
  };
  await insertCopies(client, { table: 'outlooks', where: `slug = '${SAMPLE}'`, replaced }, range);
  const forecasters = {
    table: 'forecasters',
    where: `outlook_id = (${sampleOutlook('id')})`,
    replaced: { outlook_id: id },
  };
  await insertCopies(client, forecasters, range);
}

async function insertVersions(client: pg.Client, at: Bases, range: Range): Promise<void> {
  const outlook_id = `${at.outlookBase} + n`;
  const replaced = {
    outlook_id,
    version: 'v',
    kind: `case v when 1 then 'created' else 'probabilities' end`,
    framework_id: `${at.frameworkBase} + n`,
    ...probabilities('v'),
    recorded_at: recordedAt('v', at),
    hash: hashOf(outlook_id, 'v'),
    previous_hash: `case when v > 1 then ${hashOf(outlook_id, 'v - 1')} end`,
    transaction_id: 'pg_current_xact_id()',
  };
  const where = `outlook_id = (${sampleOutlook('id')}) and version = 1`;
  const copies = { table: 'outlook_versions', where, replaced, versions: at.versions };
  await insertCopies(client, copies, range);
}

const sampleOutlook = (column: string) => `select ${column} from outlooks where slug = '${SAMPLE}'`;

type Copies = {
  table: string;
  /** Which rows to copy. */
  where: string;
  /** Columns to replace, in SQL over the row `s`, the outlook `n` and the version `v`. */
  replaced: Record<string, string>;
  versions?: number;
};

/** Inserts copies of rows for each outlook; columns that are not replaced keep their values. */
async function insertCopies(
  client: pg.Client,
  { table, where, replaced, versions = 1 }: Copies,
  [first, last]: Range,
): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select column_name as name from information_schema.columns
      where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER'`,
    [table],
  );
  const names = rows.map(({ name }) => name);
  await client.query(
    `insert into ${table} (${names.map((name) => `"${name}"`).join(', ')}) overriding system value
     select ${names.map((name) => replaced[name] ?? `s."${name}"`).join(', ')}
       from (select * from ${table} where ${where}) s
      cross join generate_series(${first}, ${last}) n
      cross join generate_series(1, ${versions}) v`,
  );
}
