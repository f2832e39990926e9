import type { Session } from '../postgres/pool.ts';
import { readRows } from '../postgres/backup-rows.ts';

/** Versions of an outlook in a backup that the ledger lacks or has with other hashes. */
export type BackupFault = {
  slug: string;
  /** The first of them. */
  version: number;
  count: number;
  fault: 'missing' | 'different';
};

type BackupVersion = { slug: string; version: number; hash: string };

/** Versions in one query. */
const BATCH = 1_000;

// By slug, because after a rollback another outlook may have the id.
const COMPARE = `
  select b.slug, b.version, v.hash is null as "isMissing"
    from unnest($1::text[], $2::int[], $3::text[]) as b (slug, version, hash)
    left join outlooks o on o.slug = b.slug
    left join outlook_versions v on v.outlook_id = o.id and v.version = b.version
   where encode(v.hash, 'hex') is distinct from b.hash
   order by b.slug, b.version`;

/**
 * Compares the versions of a backup with those of the ledger, which may have more. A hash covers a version and all before it.
 * @param file a file of `npm run backup`
 * @returns the number of versions in the backup, and the faults, an outlook at a time
 * @throws Error if the file is not a complete backup
 */
export async function compareBackup(
  session: Session,
  file: string,
): Promise<{ versions: number; faults: BackupFault[] }> {
  const faults = new Map<string, BackupFault>();
  let versions = 0;
  for await (const batch of batchesOf(file)) {
    versions += batch.length;
    const { rows } = await session.query<{ slug: string; version: number; isMissing: boolean }>(
      COMPARE,
      [
        batch.map(({ slug }) => slug),
        batch.map(({ version }) => version),
        batch.map(({ hash }) => hash),
      ],
    );
    for (const { slug, version, isMissing } of rows) {
      const fault = isMissing ? 'missing' : 'different';
      const key = `${fault} ${slug}`;
      const known = faults.get(key);
      if (known) {
        known.count += 1;
        known.version = Math.min(known.version, version);
      } else faults.set(key, { slug, version, count: 1, fault });
    }
  }
  return { versions, faults: [...faults.values()] };
}

async function* batchesOf(file: string): AsyncGenerator<BackupVersion[]> {
  const slugs = new Map<string, string>();
  let batch: BackupVersion[] = [];
  for await (const { table, columns } of readRows(file, [
    'public.outlooks',
    'public.outlook_versions',
  ])) {
    const valueOf = (name: string): string => {
      const value = columns.get(name);
      if (value == null) throw new Error(`the backup has a row of ${table} without ${name}`);
      return value;
    };
    if (table === 'public.outlooks') {
      slugs.set(valueOf('id'), valueOf('slug'));
      continue;
    }
    const slug = slugs.get(valueOf('outlook_id'));
    if (slug === undefined) throw new Error('the backup has a version without its outlook');
    const hash = valueOf('hash').replace(String.raw`\x`, '');
    batch.push({ slug, version: Number(valueOf('version')), hash });
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  yield batch;
}
