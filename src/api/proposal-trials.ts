import pg from 'pg';
import type { Actor } from '../domain/desks.ts';
import type { DraftWarning, Preview } from '../domain/proposals.ts';
import { refusalOf } from '../http/errors.ts';
import { Problem } from '../http/problems.ts';
import { carryOut, type CarryOutDeps, type Proposable } from './carry-out.ts';

/** The rules that Postgres checks at a commit, but for the approval that a trial does without. */
const AT_COMMIT = 'require_first_version, require_pooled_views, require_answering_version';

/** What a request would publish, and for which version of its outlook: null for a new one. */
export type Trial = { preview: Preview; baseVersion: number | null };

/**
 * Carries out a request and takes it back, in a savepoint: the locks that it took are free again, and nothing stays.
 * @throws Problem as its route answers, with pointers into the body
 */
export async function tryOut(
  session: pg.PoolClient,
  deps: CarryOutDeps,
  proposable: Proposable,
  actor: Actor,
): Promise<Trial> {
  await session.query('savepoint trial');
  try {
    const { outlook, preview } = await carryOut(session, deps, proposable, actor, 'trial');
    await session.query(`set constraints ${AT_COMMIT} immediate`);
    const { rows } = await session.query<{ version: number }>(
      'select latest_version as version from outlooks where slug = $1',
      [outlook],
    );
    const latest = rows[0]?.version ?? 0;
    const base = proposable.kind === 'resolution' ? latest : latest - 1;
    return { preview, baseVersion: proposable.kind === 'outlook' ? null : base };
  } catch (error) {
    throw refusalByRule(error) ?? error;
  } finally {
    // After a lost connection it fails as well; the transaction is gone then.
    await session.query('rollback to savepoint trial').catch(() => {});
  }
}

/** The problem of a request that breaks a rule of the ledger, also one that only Postgres knows; null for other errors. */
export function refusalByRule(error: unknown): Problem | null {
  const refusal = refusalOf(error);
  if (refusal) return refusal;
  // Integrity constraint violations, by the name of the rule.
  if (!(error instanceof pg.DatabaseError) || !error.code?.startsWith('23')) return null;
  return new Problem('invalid-request', `The ledger refuses it by the rule ${error.constraint}.`);
}

/** The faults of a draft. */
export function warningsOf({ code, message, errors }: Problem): DraftWarning[] {
  if (errors.length === 0) return [{ code, pointer: '/body', detail: message }];
  return errors.map(({ pointer, detail }) => ({ code, pointer: `/body${pointer}`, detail }));
}

/** The same problem, with pointers into the proposal in place of its body. */
export function problemOfProposal({
  code,
  message,
  errors,
  extensions,
  headers,
}: Problem): Problem {
  return new Problem(code, message, {
    errors: errors.map((error) => ({ ...error, pointer: `/body${error.pointer}` })),
    extensions,
    headers,
  });
}
