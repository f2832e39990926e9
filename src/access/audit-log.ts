import type pg from 'pg';
import type { Role } from '../domain/api-keys.ts';
import type { Analyst } from './analysts.ts';
import { withoutSecrets } from '../http/logging.ts';
import type { Session } from '../postgres/pool.ts';

/** What the audit trail says that a write was about. */
export type AuditSubject = {
  /** What the write created, changed or revoked, as a path of the API, such as `/v1/keys/7c0f4e0a-5a0d-4c55-9a1d-2f8f6f0f7a11`. */
  subject: string;
  /** What happened to it, in a few words. */
  summary: string;
};

/** The record of a write, or of requests that were refused because of their caller (401, 403). */
export type NewAuditEntry = {
  recordedAt: Date;
  kind: 'write' | 'refusal';
  analystId: string | null;
  role: Role | null;
  /** The id of a key, or the issuer and the subject of a token; null if none was valid. */
  credential: string | null;
  method: string;
  path: string;
  status: number;
  /** What a write is about; null for a refusal. */
  subject: string | null;
  summary: string | null;
  problem: string | null;
  detail: string | null;
  /** Null, like the analyst, for a command on the ledger's own machine. */
  address: string | null;
  requestId: string | null;
  times: number;
};

export type AuditEntry = Omit<NewAuditEntry, 'analystId'> & { id: number; analyst: Analyst | null };

// Longer texts are truncated, so that nothing that a client sends makes an entry fail.
const LONGEST = {
  path: 1_000,
  subject: 1_000,
  summary: 1_000,
  detail: 1_000,
  credential: 1_000,
  address: 100,
  requestId: 100,
};

/** Entries as {@link appendAuditRows} takes them, without secrets. */
export function auditRows(entries: readonly NewAuditEntry[]): string {
  return JSON.stringify(
    entries.map((entry) => {
      const cut = Object.entries(LONGEST).map(([name, most]) => {
        const text = entry[name as keyof typeof LONGEST];
        return [name, text && withoutSecrets(text).slice(0, most).toWellFormed()];
      });
      return { ...entry, ...Object.fromEntries(cut) };
    }),
  );
}

/**
 * Inserts the entries of {@link auditRows}, given as a parameter. Refusals are recorded some seconds later: the ledger may have
 * gone back since, and have lost their analyst.
 */
export const appendAuditRows = (parameter: string) => `
  insert into audit_entries (recorded_at, kind, analyst_id, role, credential, method, path, status,
    subject, summary, problem, detail, address, request_id, times)
  select "recordedAt", kind,
    case kind when 'refusal' then (select a.id from analysts a where a.id = "analystId")
      else "analystId" end, role, credential, method, path, status, subject, summary,
    problem, detail, address, "requestId", times
    from json_to_recordset(${parameter}) as given ("recordedAt" timestamptz, kind text,
      "analystId" uuid, role text, credential text, method text, path text, status int, subject text,
      summary text, problem text, detail text, address text, "requestId" text, times int)`;

const APPEND = { name: 'append-audit', text: appendAuditRows('$1') };

/** Records entries. For a write, call it in the transaction of the write. */
export async function appendAudit(
  session: Session,
  entries: readonly NewAuditEntry[],
): Promise<void> {
  await session.query({ ...APPEND, values: [auditRows(entries)] });
}

/** The entry for a command on the ledger's own machine, which has no caller. */
export function localWrite(path: string, subject: AuditSubject, now: Date): NewAuditEntry {
  return {
    recordedAt: now,
    kind: 'write',
    analystId: null,
    role: null,
    credential: null,
    method: 'LOCAL',
    path,
    status: 200,
    ...subject,
    problem: null,
    detail: null,
    address: null,
    requestId: null,
    times: 1,
  };
}

/** Entries, newest first, those before `before`; at most `limit`. */
export async function listAudit(
  pool: pg.Pool,
  filter: {
    kind: NewAuditEntry['kind'] | null;
    analystId: string | null;
    subject: string | null;
  },
  page: { before: number | null; limit: number },
): Promise<AuditEntry[]> {
  const conditions = ['true'];
  const values: unknown[] = [page.limit];
  const add = (condition: (parameter: string) => string, value: unknown) => {
    if (value !== null) conditions.push(condition(`$${values.push(value)}`));
  };
  add((parameter) => `e.kind = ${parameter}`, filter.kind);
  add((parameter) => `e.analyst_id = ${parameter}`, filter.analystId);
  add((parameter) => `e.subject = ${parameter}`, filter.subject);
  add((parameter) => `e.id < ${parameter}`, page.before);
  const { rows } = await pool.query<AuditEntry>(
    `select e.id, e.recorded_at as "recordedAt", e.kind, e.role, e.credential,
       e.method, e.path, e.status, e.subject, e.summary, e.problem, e.detail, e.address, e.request_id as "requestId", e.times,
       case when a.id is not null then json_build_object('id', a.id, 'name', a.name) end as analyst
     from audit_entries e left join analysts a on a.id = e.analyst_id
     where ${conditions.join(' and ')} order by e.id desc limit $1`,
    values,
  );
  return rows;
}

/** The most refusals that one statement deletes. */
const DELETED_AT_ONCE = 1_000;
/** The most statements of one call; the next call deletes the rest. */
const MOST_STATEMENTS = 20;

/**
 * Deletes the refusals of unknown callers that were recorded before `before`. A trigger refuses to delete anything else, and
 * anything younger than 7 days. Several instances may do so at once.
 */
export async function deleteExpiredRefusals(pool: pg.Pool, before: Date): Promise<void> {
  for (let count = 0; count < MOST_STATEMENTS; count += 1) {
    const { rowCount } = await pool.query(
      `delete from audit_entries where id in (
         select id from audit_entries
          where kind = 'refusal' and credential is null and analyst_id is null
            and recorded_at < least($1, now() - interval '7 days')
          order by recorded_at limit ${DELETED_AT_ONCE})`,
      [before.toISOString()],
    );
    if ((rowCount ?? 0) < DELETED_AT_ONCE) return;
  }
}
