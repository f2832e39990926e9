import { fileURLToPath } from 'node:url';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import type { Session } from './pool.ts';

/** A file of `migrations/`. */
export type Migration = {
  /** Its index in the journal, from 0; the file's name starts with it, in four digits. */
  number: number;
  /** SHA-256 of the file, in hex. */
  hash: string;
  /** When it was written, in milliseconds of Unix time. */
  createdAt: number;
  statements: readonly string[];
  /** The oldest migration whose release works on the schema after this one; null for the files before 0015. */
  runsWith: number | null;
  /** Whether its statements run outside a transaction, as CREATE INDEX CONCURRENTLY must. */
  isOutsideTransaction: boolean;
};

/** The first migration that says which releases work with it. */
const FIRST_WITH_SUPPORT = 15;

const RUNS_WITH = /^-- Runs with the release of migration (\d{4}) and later\.$/;
const OUTSIDE = '-- Runs outside a transaction.';

/**
 * Reads a folder of migrations, which drizzle-kit writes and drizzle reads.
 * @throws Error if a file from 0015 on does not say which releases work with it
 */
export function readMigrations(folder: string): readonly Migration[] {
  return readMigrationFiles({ migrationsFolder: folder }).map(
    ({ hash, folderMillis, sql }, number) => {
      const [first = '', second = ''] = (sql[0] ?? '').split('\n');
      const runsWith = RUNS_WITH.exec(first)?.[1];
      if (number >= FIRST_WITH_SUPPORT && (runsWith === undefined || Number(runsWith) > number)) {
        throw new Error(
          `migration ${nameOf(number)} must start with "-- Runs with the release of migration NNNN and later."; CONTRIBUTING.md says how`,
        );
      }
      return {
        number,
        hash,
        createdAt: folderMillis,
        statements: sql,
        runsWith: runsWith === undefined ? null : Number(runsWith),
        isOutsideTransaction: runsWith !== undefined && second === OUTSIDE,
      };
    },
  );
}

/** The migrations of this release, in their order. */
export const JOURNAL = readMigrations(fileURLToPath(new URL('../../migrations', import.meta.url)));

/** The number of a migration as the first lines of the files have it, such as `0015`. */
function nameOf(number: number): string {
  return String(number).padStart(4, '0');
}

/** The SQL of all migrations, in their order, for one transaction. */
export function migrationTexts(): string[] {
  return JOURNAL.map(({ statements, isOutsideTransaction }) => {
    const text = statements.join('\n');
    return isOutsideTransaction ? text.replaceAll(/\bconcurrently\b/gi, '') : text;
  });
}

/**
 * `latest`: at this release's schema. `behind`: migrations of this release are missing. `supported`: a newer release
 * migrated the database, and this one works with it. `ahead`: it doesn't. `differs`: another history. `unreadable`: the
 * role has no rights.
 */
export type SchemaState = 'latest' | 'supported' | keyof typeof FAULTS;

export const GRANT_RIGHTS =
  'start the service with DATABASE_MIGRATION_URL, or run `npm run migrate`';

export const UNREADABLE = `The role in DATABASE_URL has no rights on the ledger's tables: ${GRANT_RIGHTS}.`;

const FAULTS = {
  behind:
    'Migrations of this release are not applied yet: start the service once, or run `npm run migrate`.',
  ahead: 'A newer release has migrated the database: start that release, or a newer one.',
  differs:
    'The migrations applied to the database are not those of this release: start the release that migrated it, or set DATABASE_URL to another database.',
  unreadable: UNREADABLE,
};

/** Why a release can't work with the database's schema, in one line; null if it can. */
export function faultOf(state: SchemaState): string | null {
  return state === 'latest' || state === 'supported' ? null : FAULTS[state];
}

/** @throws Error if the database is not at exactly this release's schema */
export async function requireLatest(session: Session): Promise<void> {
  const state = await schemaState(session);
  if (state === 'latest') return;
  throw new Error(
    faultOf(state) ??
      'A newer release has migrated the database, and this one does not know all of its tables: use that release.',
  );
}

/** @throws Error if this release can't start on the database's schema */
export async function requireSupported(session: Session): Promise<void> {
  const fault = faultOf(await schemaState(session));
  if (fault !== null) throw new Error(fault);
}

/**
 * Why this release can't run on the database's schema, in one line; null if it can. An instance that runs may go on
 * while any newer release takes over.
 */
export async function schemaFault(session: Session): Promise<string | null> {
  const state = await schemaState(session);
  return state === 'ahead' ? null : faultOf(state);
}

/** How the migrations that are applied to the database compare with those of a release, this one unless given. */
export async function schemaState(
  session: Session,
  journal: readonly Migration[] = JOURNAL,
): Promise<SchemaState> {
  const { rows: tables } = await session.query<{ isReadable: boolean | null }>(
    `select bool_and(has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')) as "isReadable"
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'drizzle' and c.relname in ('__drizzle_migrations', 'release_support')`,
  );
  const isReadable = tables[0]?.isReadable ?? null;
  if (isReadable === null) return compare([], journal);
  if (!isReadable) return 'unreadable';
  const applied = await appliedMigrations(session);
  const state = compare(applied, journal);
  if (state !== 'ahead') return state;
  return (await isSupported(session, applied.length, journal.length)) ? 'supported' : 'ahead';
}

type AppliedMigration = { hash: string; createdAt: number };

/** What drizzle's journal in the database lists, in its order. */
export async function appliedMigrations(session: Session): Promise<AppliedMigration[]> {
  const { rows } = await session.query<AppliedMigration>(
    `select hash, created_at as "createdAt" from drizzle.__drizzle_migrations
      order by created_at, id`,
  );
  return rows;
}

function compare(
  applied: readonly AppliedMigration[],
  journal: readonly Migration[],
): 'latest' | 'behind' | 'ahead' | 'differs' {
  const isShared = journal
    .slice(0, applied.length)
    .every(
      ({ hash, createdAt }, index) =>
        applied[index]?.hash === hash && applied[index].createdAt === createdAt,
    );
  if (!isShared) return 'differs';
  if (applied.length === journal.length) return 'latest';
  return applied.length < journal.length ? 'behind' : 'ahead';
}

/** Whether each migration that a release does not have says that it works with that release. */
async function isSupported(session: Session, applied: number, own: number): Promise<boolean> {
  const { rows } = await session.query<{ supported: number }>(
    `select count(*) as supported from drizzle.release_support where migration >= $1 and runs_with < $1`,
    [own],
  );
  return rows[0]?.supported === applied - own;
}
