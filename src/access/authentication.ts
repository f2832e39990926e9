import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type pg from 'pg';
import { type Role, roleAllows } from '../domain/api-keys.ts';
import { type Analyst, type KeyFinder, touchKey } from './api-keys.ts';
import type { IdentityFinder } from './identities.ts';
import type { RefusalTrail } from './audit-trail.ts';
import { HTML_TYPE, JSON_TYPE, ONLY_JSON, preferredType } from '../http/negotiation.ts';
import { Problem, unauthorized } from '../http/problems.ts';
import type { TokenVerifier } from './tokens.ts';

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

/** Tokens of an identity provider, which open the service as keys do. */
export type Tokens = { issuer: string; verify: TokenVerifier };

/** How callers are told. */
export type Authenticators = {
  pool: pg.Pool;
  findKey: KeyFinder;
  tokens: Tokens | null;
  findIdentity: IdentityFinder;
  now: () => Date;
};
type Guarded = Authenticators & { requireKeyForReads: boolean };

// A key, or a token: three parts of base64url (RFC 7515, 7.1).
const BEARER =
  /^Bearer +(?:(olk_[A-Za-z0-9_-]{1,200})|([A-Za-z0-9_-]{1,2000}\.[A-Za-z0-9_-]{1,8000}\.[A-Za-z0-9_-]{1,2000})) *$/i;

// A key as a browser or a feed reader sends it that was asked for a name and a password (RFC 7617).
const BASIC = /^Basic +([A-Za-z0-9+/]{1,400}={0,2}) *$/i;

/**
 * The key or the token that a request carries. A read may carry a key as its sender's password, or name, which a browser
 * sends by itself once it was entered; as a page of another origin can make it do so, too, it opens no write.
 */
function credentialsOf(
  authorization: string | undefined,
  access: 'read' | Role,
): { key?: string | undefined; token?: string | undefined } {
  const [, encoded] = BASIC.exec(authorization ?? '') ?? [];
  const [name = '', ...password] = Buffer.from(encoded ?? '', 'base64')
    .toString()
    .split(':');
  const isBasic = encoded !== undefined && access === 'read';
  const sent = isBasic ? `Bearer ${password.join(':') || name}` : authorization;
  const [, key, token] = BEARER.exec(sent ?? '') ?? [];
  return { key, token };
}

/** Lets requests in by the `access` of their route, before their bodies are read. */
export function authorize(
  app: FastifyInstance,
  { requireKeyForReads, refusalTrail, ...ways }: Guarded & { refusalTrail: RefusalTrail },
  countKey: (request: FastifyRequest, reply: FastifyReply) => Promise<void>,
): void {
  app.addHook('onRoute', (route) => {
    if (!route.config?.access)
      throw new Error(`${String(route.method)} ${route.url} declares no access`);
  });
  app.addHook('onRequest', async (request, reply) => {
    const { access } = request.routeOptions.config;
    if (access === undefined || access === 'public') return;
    if (access === 'read' && !requireKeyForReads) return;
    try {
      request.caller = await authenticate(request, access, ways);
      await countKey(request, reply);
      requireRole(request.caller, access);
    } catch (error) {
      if (!(error instanceof Problem) || !isOfAuthority(error)) throw error;
      refusalTrail.add(request, error);
      throw error.code === 'unauthorized' && isBrowsed(request) ? askedByBrowser(error) : error;
    }
  });
}

/**
 * Whether a browser or a feed reader wants it, which can ask its user for a key but send no header of its choice: pages and
 * what they link to, pictures, feeds, streams. Not what a script asks for, whose user would be asked as well.
 */
function isBrowsed(request: FastifyRequest): boolean {
  const { access, serves = ONLY_JSON } = request.routeOptions.config;
  if (access !== 'read') return false;
  return (
    request.headers.accept?.includes(HTML_TYPE) || preferredType(request, serves) !== JSON_TYPE
  );
}

/** A refusal upon which a browser asks its user for a key. */
function askedByBrowser({ code, message, headers }: Problem): Problem {
  const basic = 'Basic realm="Outlook Ledger", charset="UTF-8"';
  return new Problem(code, message, {
    headers: { ...headers, 'www-authenticate': [headers['www-authenticate'] ?? '', basic].flat() },
  });
}

function requireRole(caller: Caller, access: 'read' | Role): void {
  if (access === 'read' || roleAllows(caller.role, access)) return;
  throw new Problem(
    'forbidden',
    `This requires a key with the role ${access}${access === 'admin' ? '' : ' or admin'}; ${caller.hint} has the role ${caller.role}.`,
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
  { requireKeyForReads, ...ways }: Guarded,
): Promise<boolean> {
  if (!requireKeyForReads) return true;
  try {
    await authenticate(request, 'read', ways);
    return true;
  } catch (error) {
    if (error instanceof Problem) return false;
    throw error;
  }
}

/** The analyst behind a request to a route of a role. */
export function authorOf(request: FastifyRequest): Analyst {
  if (!request.caller)
    throw new Error('a route that needs an author must declare a role as its access');
  return request.caller.analyst;
}

/** @param access what the request is for; of several roles that a token holds, one that may do it is taken */
async function authenticate(
  request: FastifyRequest,
  access: 'read' | Role,
  ways: Authenticators,
): Promise<Caller> {
  const { authorization } = request.headers;
  const { key, token } = credentialsOf(authorization, access);
  if (key !== undefined) return byKey(request, key, ways);
  const { tokens } = ways;
  if (token !== undefined && tokens !== null) return byToken(token, access, { ...ways, tokens });
  if (authorization === undefined) {
    throw unauthorized('No key was sent. Send it as Authorization: Bearer olk_….');
  }
  const either = tokens ? `, or a token from ${tokens.issuer}` : '';
  throw unauthorized(
    `The Authorization header must be "Bearer", a space and a key (olk_…)${either}.`,
  );
}

async function byKey(
  request: FastifyRequest,
  sent: string,
  { pool, findKey, now }: Authenticators,
): Promise<Caller> {
  const at = now();
  const found = await findKey(sent, at);
  if (!found) throw unauthorized('The key is unknown.');
  const { key, state } = found;
  if (state === 'revoked') throw unauthorized(`The key ${key.hint}… was revoked.`);
  if (state === 'expired') {
    throw unauthorized(`The key ${key.hint}… expired at ${key.expiresAt?.toISOString()}.`);
  }
  // Not worth refusing a request for.
  await touchKey(pool, key, at).catch((error: unknown) =>
    request.log.warn({ reqId: request.id, err: error }, 'could not record the use of a key'),
  );
  const { id, analyst, role, hint } = key;
  return { id, analyst, role, hint: `${hint}…` };
}

async function byToken(
  token: string,
  access: 'read' | Role,
  { now, findIdentity, tokens: { issuer, verify } }: Authenticators & { tokens: Tokens },
): Promise<Caller> {
  const at = now();
  const { subject, name, roles } = await verify(token, at);
  const role = roles.find((held) => access === 'read' || roleAllows(held, access)) ?? roles[0];
  if (role === undefined) {
    throw new Problem('forbidden', `The token of ${subject} grants no role in this service.`);
  }
  const analyst = await findIdentity({ issuer, subject, name }, at);
  return { id: `${issuer} ${subject}`, analyst, role, hint: analyst.name };
}
