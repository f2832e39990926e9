import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import type pg from 'pg';
import { escapeIdentifier } from 'pg';
import { LedgerClient } from './client.ts';
import type { Session } from './pool.ts';
import { dangersOf, missingGrants } from './privileges.ts';

const LIST = new Intl.ListFormat('en');

/**
 * The name of the service's role, which it creates if it is missing. An existing role keeps its password.
 * @param owner a session of the owner of the ledger's tables, in no transaction
 * @param service how the service connects
 * @throws Error if the service connects to another database
 */
export async function serviceRole(owner: Session, service: pg.PoolConfig): Promise<string> {
  return (await findRole(owner, service)) ?? (await createRole(owner, service));
}

/** @throws Error if the service's role could switch the ledger's guards off, or lacks a right that only others can grant */
export async function requireGuardedRole(owner: Session, role: string): Promise<void> {
  const left = await missingGrants(owner, role, true);
  if (left.length > 0) {
    const statements = left.map(({ statement }) => `${statement};`).join(' ');
    throw new Error(
      `the owner of the database must run this once, then start again: ${statements}`,
    );
  }
  const warning = await roleWarning(owner, role);
  if (warning === null) return;
  throw new Error(`${warning}: set DATABASE_URL to the URL of another role, for the service alone`);
}

/** A warning if the session's own role could switch the ledger's guards off, with what to set; null if it can't. */
export async function ownRoleWarning(session: Session): Promise<string | null> {
  const warning = await roleWarning(session, (await identityOf(session)).role);
  return (
    warning &&
    `${warning}: set DATABASE_MIGRATION_URL to this URL, and DATABASE_URL to the URL of another role, for the service alone`
  );
}

/** A warning if a role could switch the ledger's guards off or pass them, with how; null if it can't. */
async function roleWarning(session: Session, role: string): Promise<string | null> {
  const dangers = await dangersOf(session, role);
  if (dangers.length === 0) return null;
  return `the role ${role} could switch the ledger's guards off, because it ${LIST.format(dangers)}`;
}

/** The role that the service connects as; null if it does not exist. */
async function findRole(owner: Session, service: pg.PoolConfig): Promise<string | null> {
  const client = new LedgerClient(service);
  try {
    await client.connect();
    const here = await identityOf(client);
    const there = await identityOf(owner);
    if (here.database === there.database) return here.role;
    throw new Error('DATABASE_URL and DATABASE_MIGRATION_URL name different databases');
  } catch (error) {
    const isRefused = ['28000', '28P01'].includes((error as pg.DatabaseError).code ?? '');
    const { rowCount } = await owner.query('select from pg_roles where rolname = $1', [
      client.user,
    ]);
    if (isRefused && rowCount === 0) return null;
    throw error;
  } finally {
    await client.end().catch(() => {});
  }
}

/** The role of a session, and what identifies its database. */
export async function identityOf(session: Session): Promise<{ role: string; database: string }> {
  const { rows } = await session.query<{ role: string; database: string }>(
    `select session_user as role, concat_ws(' ', oid, pg_postmaster_start_time()) as database
      from pg_database where datname = current_database()`,
  );
  if (!rows[0]) throw new Error('the database is gone');
  return rows[0];
}

async function createRole(owner: Session, service: pg.PoolConfig): Promise<string> {
  const { user = '', password } = new LedgerClient(service);
  const role = escapeIdentifier(user);
  const secret = password ? `password '${scramVerifier(password)}'` : '';
  try {
    await owner.query(
      `create role ${role} login nosuperuser nocreatedb nocreaterole noinherit ${secret}`,
    );
  } catch (error) {
    // Two ledgers of one server may share a role and start at the same time.
    const isThere = ['42710', '23505'].includes((error as pg.DatabaseError).code ?? '');
    if (!isThere) {
      const reason = (error as Error).message;
      throw new Error(
        `the role ${user} is missing and can't be created (${reason}): create it (CREATE ROLE … LOGIN PASSWORD …) and start again`,
        {
          cause: error,
        },
      );
    }
  }
  return user;
}

/** What PostgreSQL stores of a password (RFC 5803). The password itself could end up in the server's log. */
function scramVerifier(password: string): string {
  const salt = randomBytes(16);
  const iterations = 4096;
  const salted = pbkdf2Sync(password.normalize('NFKC'), salt, iterations, 32, 'sha256');
  const keyOf = (name: string) => createHmac('sha256', salted).update(name).digest();
  const storedKey = createHash('sha256').update(keyOf('Client Key')).digest('base64');
  const serverKey = keyOf('Server Key').toString('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}
