import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Role, roleAllows } from '../domain/api-keys.ts';
import { type Analyst, type KeyFinder, touchKey } from '../db/api-keys.ts';
import type { Db } from '../db/client.ts';
import type { RefusalTrail } from './audit-trail.ts';
import { Problem } from './problems.ts';

/**
 * Who may use a route: anyone; anyone unless reads need a key; or keys of one role (and admins).
 * Every route says so in its config.
 */
export type Access = 'public' | 'read' | Role;

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access;
  }
  interface FastifyRequest {
    /** Who was let in; null where nobody was asked who they are. */
    caller: Caller | null;
  }
}

/** Who sent a request, by the key that it carries. */
export type Caller = {
  analyst: Analyst;
  role: Role;
  /** Tells what opened the service from anything else that does. */
  id: string;
  /** The same in a few characters, for people; nothing that opens anything. */
  hint: string;
};

type Guarded = {
  db: Db;
  findKey: KeyFinder;
  now: () => Date;
  requireKeyForReads: boolean;
};

/** Lets requests in by the `access` of their route, before their bodies are read. */
export function authorize(
  app: FastifyInstance,
  { requireKeyForReads, refusalTrail, ...keys }: Guarded & { refusalTrail: RefusalTrail },
  countKey: (request: FastifyRequest, reply: FastifyReply) => Promise<void>,
): void {
  app.addHook('onRoute', (route) => {
    if (!route.config?.access)
      throw new Error(`${String(route.method)} ${route.url} says no access`);
  });
  app.addHook('onRequest', async (request, reply) => {
    const { access } = request.routeOptions.config;
    if (access === undefined || access === 'public') return;
    if (access === 'read' && !requireKeyForReads) return;
    try {
      request.caller = await authenticate(request, keys);
      await countKey(request, reply);
      requireRole(request.caller, access);
    } catch (error) {
      if (error instanceof Problem && isOfAuthority(error)) refusalTrail.add(request, error);
      throw error;
    }
  });
}

function requireRole(caller: Caller, access: 'read' | Role): void {
  if (access === 'read' || roleAllows(caller.role, access)) return;
  throw new Problem(
    'forbidden',
    `This takes a key of the role ${access}${access === 'admin' ? '' : ' or admin'}; ${caller.hint} has the role ${caller.role}.`,
  );
}

function isOfAuthority({ code }: Problem): boolean {
  return code === 'unauthorized' || code === 'forbidden';
}

/**
 * Whether a read that goes on for long may do so: its key may have been revoked or have expired.
 * @throws Error where that can't be found out now
 */
export async function isStillAllowed(
  request: FastifyRequest,
  { requireKeyForReads, ...keys }: Guarded,
): Promise<boolean> {
  if (!requireKeyForReads) return true;
  try {
    await authenticate(request, keys);
    return true;
  } catch (error) {
    if (error instanceof Problem) return false;
    throw error;
  }
}

/** The analyst behind a request to a route of a role. */
export function authorOf(request: FastifyRequest): Analyst {
  if (!request.caller)
    throw new Error('a route that needs an author must say a role as its access');
  return request.caller.analyst;
}

async function authenticate(
  request: FastifyRequest,
  { db, findKey, now }: Omit<Guarded, 'requireKeyForReads'>,
): Promise<Caller> {
  const header = request.headers.authorization;
  if (header === undefined) {
    throw unauthorized('No key was sent. Send it as Authorization: Bearer olk_….');
  }
  const sent = /^Bearer +(olk_[A-Za-z0-9_-]{1,200}) *$/i.exec(header)?.[1];
  if (sent === undefined) {
    throw unauthorized('The Authorization header must read Bearer, a space and a key (olk_…).');
  }
  const at = now();
  const found = await findKey(sent, at);
  if (!found) throw unauthorized('The key is unknown.');
  const { key, state } = found;
  if (state === 'revoked') throw unauthorized(`The key ${key.hint}… was revoked.`);
  if (state === 'expired') {
    throw unauthorized(`The key ${key.hint}… expired at ${key.expiresAt?.toISOString()}.`);
  }
  // Not worth refusing a request for.
  await touchKey(db, key, at).catch((error: unknown) =>
    request.log.warn({ reqId: request.id, err: error }, 'the use of a key could not be recorded'),
  );
  const { id, analyst, role, hint } = key;
  return { id, analyst, role, hint: `${hint}…` };
}

function unauthorized(detail: string): Problem {
  return new Problem('unauthorized', detail, {
    headers: { 'www-authenticate': 'Bearer realm="Outlook Ledger"' },
  });
}
