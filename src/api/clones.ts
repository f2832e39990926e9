import type pg from 'pg';
import type { z } from 'zod';
import type { Actor } from '../domain/desks.ts';
import { DomainError } from '../domain/errors.ts';
import { fractionsOf } from '../domain/probabilities.ts';
import { slug } from '../http/fields.ts';
import { Problem } from '../http/problems.ts';
import { parse } from '../http/validation.ts';
import { requireVisible } from '../ledger/find-outlook.ts';
import type { VersionReader } from '../ledger/versions.ts';
import { cloneSource, newOutlook } from './schemas/outlook-requests.ts';
import { outlook } from './schemas/outlooks.ts';

/**
 * The new outlook that a body describes: with `from`, the members of that version, except for those that the body has.
 * @throws Problem `invalid-request`, or `probability-sum`, with the faults of the members
 */
export async function requestedOutlook(
  session: pg.PoolClient,
  versions: VersionReader,
  actor: Actor,
  sent: unknown,
): Promise<z.output<typeof newOutlook>> {
  refuseResponse(sent);
  if (!isObject(sent) || sent['from'] === undefined) return parse(newOutlook, sent);
  const { from } = parse(cloneSource, { from: sent['from'] });
  const source = await readSource(session, versions, actor, from);
  return parse(newOutlook, { ...source, ...sent }, 'body', sent);
}

/**
 * The members that a clone takes from a version: not the slug, the rationale, the desk and `continues`, which are its own. A
 * clone of an internal outlook is internal unless its author says otherwise.
 */
async function readSource(
  session: pg.PoolClient,
  versions: VersionReader,
  { desks }: Actor,
  { slug: name, version }: z.output<typeof cloneSource>['from'],
) {
  const selector = version === undefined ? 'newest' : { version };
  try {
    await requireVisible(session, name, { hasKey: true, desks });
    const found = await versions.readIn(session, name, selector);
    const { instrument, horizon, visibility, probabilities, framework } = found;
    return {
      instrument: instrument.symbol,
      horizon,
      ...(visibility === 'internal' && { visibility }),
      probabilities: fractionsOf(probabilities),
      ...framework.read(),
    };
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    const isVersion = error.code === 'version-not-found';
    const fault = isVersion ? 'is no version of this outlook' : 'names no outlook';
    throw new DomainError('unknown-outlook', error.message, [
      { path: ['from', isVersion ? 'version' : 'slug'], detail: fault },
    ]);
  }
}

/** The members that only responses have. */
const READ_ONLY = Object.keys(outlook.shape).filter((name) => !(name in newOutlook.shape));

/**
 * Refuses an outlook as a response has it, with one error that says how to clone it.
 * @throws Problem `invalid-request`
 */
function refuseResponse(sent: unknown): void {
  if (!isObject(sent)) return;
  const found = READ_ONLY.filter((name) => name in sent);
  // A few are mistakes of another kind, which the schema words.
  if (found.length < READ_ONLY.length / 2) return;
  const name = slug.safeParse(sent['slug']).data ?? 'the-slug-of-the-outlook';
  const version = Number.isInteger(sent['version'])
    ? `, "version": ${String(sent['version'])}`
    : '';
  const detail = `has members that only responses have: ${found.join(', ')}. To clone an outlook, send {"from": {"slug": "${name}"${version}}, "slug": "a-new-slug", "rationale": "…"} and only the members that differ`;
  throw new Problem('invalid-request', 'The body is an outlook as a response has it.', {
    errors: [{ pointer: '', detail }],
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
