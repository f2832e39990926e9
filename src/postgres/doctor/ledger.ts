import { schemaFault } from '../migrations.ts';
import { dangersOf, missingRights } from '../privileges.ts';
import { fail, type Finding, ok, orOk, rowOf, rowsOf, type Sessions, warn } from './finding.ts';

const LIST = new Intl.ListFormat('en');

/** The most rights that one line names. */
const NAMED = 5;

/** Whether the service's role could switch the guards off; where the owner migrates, the service then refuses to start. */
export async function checkRole({ service, owner }: Sessions): Promise<Finding[]> {
  const { role } = await rowOf<{ role: string }>(service, 'select session_user as role');
  const dangers = await dangersOf(service, role);
  if (dangers.length === 0) {
    return [ok(`The role ${role} can't switch the ledger's guards off.`)];
  }
  const message = `The role ${role} could switch the ledger's guards off, because it ${LIST.format(dangers)}.`;
  const remedy =
    'Set DATABASE_URL to the URL of another role, for the service alone, and DATABASE_MIGRATION_URL to that of the owner.';
  return [owner === service ? warn(message, remedy) : fail(message, remedy)];
}

export async function checkRights({ service }: Sessions): Promise<Finding[]> {
  const missing = await missingRights(service);
  if (missing.length === 0) return [ok('The role has every right that the service needs.')];
  const named = missing.slice(0, NAMED).join(', ');
  const more = missing.length > NAMED ? ` and ${missing.length - NAMED} more` : '';
  const remedy =
    'Run npm run migrate with DATABASE_MIGRATION_URL set, or grant them as docs/operate/deploying.md says.';
  return [fail(`The role lacks: ${named}${more}.`, remedy)];
}

export async function checkSchema({ service }: Sessions): Promise<Finding[]> {
  const fault = await schemaFault(service);
  if (fault === null) return [ok('The schema is one that this release runs on.')];
  return [fail(fault, 'See docs/operate/runbooks/not-ready.md.')];
}

const GUARDS = `
  select format('%I on %s', tgname, tgrelid::regclass) as name, tgrelid::regclass::text as table
    from pg_trigger t join pg_class c on c.oid = t.tgrelid
   where c.relnamespace = 'public'::regnamespace and tgenabled in ('D', 'R') order by 1`;

/** Triggers that are off, those of foreign keys included, and tables that a crash empties. */
export async function checkGuards({ service }: Sessions): Promise<Finding[]> {
  const triggers = await rowsOf<{ name: string; table: string }>(service, GUARDS);
  const unlogged = await rowsOf<{ table: string }>(
    service,
    `select oid::regclass::text as table from pg_class
      where relnamespace = 'public'::regnamespace and relkind = 'r' and relpersistence = 'u' order by 1`,
  );
  const faults = [
    ...triggers.map(({ name, table }) =>
      fail(
        `The trigger ${name} is off, so the rule that it guards may be broken.`,
        `Run: ALTER TABLE ${table} ENABLE TRIGGER ALL, then npm run verify.`,
      ),
    ),
    ...unlogged.map(({ table }) =>
      fail(
        `A crash empties the table ${table} (UNLOGGED).`,
        `Run: ALTER TABLE ${table} SET LOGGED.`,
      ),
    ),
  ];
  return orOk(faults, 'All triggers are on, and all tables survive a crash.');
}

export async function checkIndexes({ service }: Sessions): Promise<Finding[]> {
  const rows = await rowsOf<{ name: string }>(
    service,
    `select indexrelid::regclass::text as name from pg_index i join pg_class c on c.oid = i.indexrelid
      where c.relnamespace = 'public'::regnamespace and not (i.indisvalid and i.indisready) order by 1`,
  );
  const faults = rows.map(({ name }) =>
    warn(
      `The index ${name} is invalid: its build was cut off, and no query uses it.`,
      `Run: REINDEX INDEX CONCURRENTLY ${name}; unless a migration builds it now.`,
    ),
  );
  return orOk(faults, 'All indexes are valid.');
}
